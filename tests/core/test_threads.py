import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grnrep.core.als.fit import fit_decoder
from grnrep.core.network import Network
from grnrep.core.threads import have_threads, side_by_side, threads_for


def test_threads_are_limited_by_work_and_restored():
    before = torch.get_num_threads()
    with threads_for(1000):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with threads_for(10**12):
        assert torch.get_num_threads() == before
    with pytest.raises(RuntimeError, match="inside"), threads_for(1):
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("n_threads", [1, 3])
def test_tasks_side_by_side_keep_their_order_and_threads_are_restored(n_threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n_threads)
        assert [have_threads(n) for n in (1, 3, 9)] == [True, n_threads == 3, False]
        with side_by_side(5) as each:
            found = list(each(lambda a, b: (a * b, torch.get_num_threads()), range(5), range(1, 6)))
        assert found == [(a * (a + 1), 1) for a in range(5)]
        assert torch.get_num_threads() == n_threads
        with pytest.raises(RuntimeError, match="inside"), side_by_side(2) as each:
            list(each(_fail, range(2)))
        assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)


def test_tasks_of_tasks_do_not_start_threads_of_their_own():
    def outer(_):
        with side_by_side(4) as each:
            return set(each(lambda _: threading.get_ident(), range(4))) == {threading.get_ident()}

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with side_by_side(2) as each:
            assert list(each(outer, range(2))) == [True, True]
    finally:
        torch.set_num_threads(before)


def test_few_results_wait_to_be_fetched():
    begun, before = [], torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with side_by_side(100) as each:
            results = each(lambda k: begun.append(k) or k, range(100))
            for k in range(100):
                assert next(results) == k
                assert len(begun) <= k + 4
            assert next(results, None) is None
    finally:
        torch.set_num_threads(before)


def _fail(_):
    raise RuntimeError("inside")


def _numbers(pools):
    """Torch's number of threads: here, in a new thread, and in others."""
    with ThreadPoolExecutor(1) as new:
        return [torch.get_num_threads()] + [
            pool.submit(torch.get_num_threads).result() for pool in (new, *pools)
        ]


@settings(deadline=None, max_examples=30, derandomize=True)
@given(data=st.data())
def test_contexts_that_overlap_in_any_order_leave_every_thread_its_number(data):
    # each of these threads is told what to begin and to end, one after the other
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    pools = [ThreadPoolExecutor(1) for _ in range(3)]
    open_, limits = [], [[], [], []]
    try:
        for _ in range(data.draw(st.integers(1, 12))):
            if open_ and data.draw(st.booleans()):
                k, limit, context = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
                error = data.draw(st.sampled_from([None, ValueError(), KeyboardInterrupt()]))
                how = (None, None, None) if error is None else (type(error), error, None)
                assert not pools[k].submit(context.__exit__, *how).result()
                limits[k].remove(limit)
            else:
                k, limit = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 4))
                context = side_by_side(2) if limit == 1 else threads_for(limit * 10_000_000)
                pools[k].submit(context.__enter__).result()
                open_.append((k, limit, context))
                limits[k].append(limit)
            assert _numbers(pools) == [3, 3] + [min([3, *some]) for some in limits]
        for k, _, context in open_:
            pools[k].submit(context.__exit__, None, None, None).result()
        assert _numbers(pools) == [3] * 5
    finally:
        for pool in pools:
            pool.shutdown()
        torch.set_num_threads(before)


def test_a_generator_that_another_thread_closes_leaves_that_thread_its_number():
    def held():
        with threads_for(1):
            yield

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        generator = held()
        next(generator)
        with ThreadPoolExecutor(1) as other:
            other.submit(generator.close).result()
            assert other.submit(torch.get_num_threads).result() == 3
        with threads_for(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_threads_that_begin_while_others_are_limited_have_the_usual_number():
    def number() -> int:
        with threads_for(1):
            pass
        return torch.get_num_threads()

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for _ in range(40):
            with ThreadPoolExecutor(16) as pool:
                assert set(pool.map(lambda _: number(), range(16))) == {3}
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("inside", [False, True])
def test_a_forked_child_has_one_thread_and_keeps_it(inside):
    before = torch.get_num_threads()
    context = threads_for(20_000_000)
    try:
        torch.set_num_threads(3)
        if inside:
            context.__enter__()
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            found = _numbers([])
            if inside:
                context.__exit__(None, None, None)
            with threads_for(10**12), side_by_side(2) as each:
                found += each(lambda _: torch.get_num_threads(), range(2))
            os._exit(0 if found + _numbers([]) == [1] * 6 else 3)
        assert os.waitpid(child, 0)[1] == 0
        assert _numbers([]) == [2 if inside else 3, 3]
    finally:
        if inside:
            context.__exit__(None, None, None)
        torch.set_num_threads(before)


def test_fits_that_overlap_get_what_they_get_alone():
    rng, before = np.random.default_rng(0), torch.get_num_threads()
    gene, regulator = np.nonzero(rng.random((30, 4)) < 0.5)
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), 30, 4)
    # cells enough for several blocks
    x = np.maximum(rng.normal(size=(5, 3000, 30)), 0).astype(np.float32)

    def fit(k):
        found = fit_decoder(x[k], network, max_iter=3, rng=k)
        return found.weight, found.activity

    try:
        torch.set_num_threads(2)
        alone = [fit(k) for k in range(5)]
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(fit, range(5)))
            assert _numbers([pool]) == [2, 2, 2]
        for wanted, found in zip(alone, together, strict=True):
            for a, b in zip(wanted, found, strict=True):
                np.testing.assert_array_equal(a, b)
    finally:
        torch.set_num_threads(before)
