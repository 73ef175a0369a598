"""A function of every block, run here; and clients of Dask that are of no use here."""

import os
import signal
import threading
import time

import anndata as ad
import dask.array as da
import distributed
import numpy as np
import pytest
import torch

from grnrep.rows.blocks import Blocks
from grnrep.rows.engine import active_client, map_blocks


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_many_blocks_run_side_by_side_and_come_in_order(two_threads):
    seen = set()

    def slow(k: int) -> tuple[int, int]:
        seen.add(threading.get_ident())
        time.sleep(0.02 if k % 2 else 0.0)
        return k, torch.get_num_threads()

    found = list(map_blocks(slow, 10, skip=frozenset({0, 3}), desc="test", progress=False))
    assert found == [(k, (k, 1)) for k in (1, 2, 4, 5, 6, 7, 8, 9)]
    assert len(seen) == 2
    assert torch.get_num_threads() == 2


def test_few_blocks_leave_the_threads_to_what_is_done_in_each(two_threads):
    found = list(map_blocks(lambda k: torch.get_num_threads(), 3, desc="test", progress=False))
    assert found == [(0, 2), (1, 2), (2, 2)]


def test_an_error_ends_it_and_threads_are_restored(two_threads):
    def fails(k: int) -> int:
        if k == 5:
            raise RuntimeError("in block 5")
        return k

    found = []
    with pytest.raises(RuntimeError, match="in block 5"):
        found.extend(k for k, _ in map_blocks(fails, 10, desc="test", progress=False))
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
# that it has threads is the point
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_the_client_of_its_parent():
    blocks = Blocks.of(ad.AnnData(da.ones((4, 2), chunks=1)), np.arange(2))
    with distributed.Client(processes=False, n_workers=1, dashboard_address=None) as client:
        assert active_client("auto", blocks) is client
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            try:
                assert active_client("auto", blocks) is None
                assert blocks.read(0).sum() == 8
                with pytest.raises(RuntimeError, match="make a new client in the child"):
                    list(map_blocks(abs, 4, client=client, desc="test", progress=False))
            except BaseException:
                os._exit(3)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        found = map_blocks(abs, 3, client=client, desc="test", progress=False)
        assert list(found) == [(0, 0), (1, 1), (2, 2)]
