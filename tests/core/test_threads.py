import pytest
import torch

from grnrep.core.threads import threads_for


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
