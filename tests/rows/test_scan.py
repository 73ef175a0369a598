"""What one pass over all cells sums up, beside sums of whole numbers, which are exact."""

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from grnrep.rows.blocks import Blocks
from grnrep.rows.scan import BlockScan

COUNTS = np.array([[2**24, 1, 1, 1], [0, 3, 0, 2]])  # 2^24 + 1 is no number of 32 bits


@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]])
def test_totals_of_deep_cells_are_exact_in_any_container_and_order_of_genes(container, order):
    blocks = Blocks.of(AnnData(container(COUNTS[:, order].astype(np.float32))), np.arange(4))
    scan = BlockScan(blocks)(0)
    by_position = dict(zip(blocks.rows(0).tolist(), scan.depth.tolist(), strict=True))
    assert by_position == {0: 2**24 + 3, 1: 5}
    np.testing.assert_array_equal(scan.total, COUNTS[:, order].sum(0))
