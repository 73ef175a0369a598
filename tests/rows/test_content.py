"""A number for the values of every cell, which other values do not share."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from grnrep.rows.scan import content_of

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
BLOCKS = hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=FLOATS)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(block=BLOCKS, value=FLOATS, data=st.data())
def test_any_other_value_gives_its_row_another_number_and_no_other_row(block, value, data):
    k, i = (data.draw(st.integers(0, size - 1)) for size in block.shape)
    other = block.copy()
    other[k, i] = value
    differs = content_of(other) != content_of(block)
    assert differs[k] == (value != block[k, i])
    assert not np.delete(differs, k).any()


@settings(deadline=None, max_examples=50, derandomize=True)
@given(block=BLOCKS, data=st.data())
def test_other_orders_of_rows_follow_and_of_genes_are_other_values(block, data):
    order = data.draw(st.permutations(range(len(block))))
    np.testing.assert_array_equal(content_of(block[order]), content_of(block)[order])
    turned = np.roll(block, 1, axis=1)
    np.testing.assert_array_equal(content_of(turned) == content_of(block), (turned == block).all(1))


@settings(deadline=None, max_examples=50, derandomize=True)
@given(block=BLOCKS)
def test_the_format_does_not_matter(block):
    wanted = content_of(block)
    explicit = sp.csr_matrix(np.ones_like(block))
    explicit.data = block.ravel().copy()  # zeros are stored too, of both signs
    for same in (
        sp.csr_matrix(block),
        explicit,
        block.astype(np.float64),
        np.asfortranarray(block),
    ):
        np.testing.assert_array_equal(content_of(same), wanted)


def test_a_block_larger_than_the_cache_is_cut():
    block = np.random.default_rng(0).random((300, 700), dtype=np.float32)
    np.testing.assert_array_equal(content_of(block), content_of(sp.csr_matrix(block)))
    assert len(np.unique(content_of(block))) == 300
