import threading

import pytest
import torch

from grnrep.core.threads import side_by_side, threads_for


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
