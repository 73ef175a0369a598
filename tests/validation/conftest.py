"""Other packages beside ours."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def same_threads():
    """Put back torch's threads, whose number decoupler's compiled code changes."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
