import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from grnrep.core.likelihoods.gaussian import (
    Gaussian,
    Tobit,
    check_squared_error,
    residual,
    squared_sum,
)

OF_NAME = {"tobit": Tobit(), "gaussian": Gaussian()}


def test_censored_residual_by_hand():
    x = torch.tensor([[2.0, 2.0, 0.0, 0.0]])
    p = torch.tensor([[3.0, -1.0, 4.0, -5.0]])
    assert residual(x, p, "tobit").tolist() == [[-1.0, 3.0, -4.0, 0.0]]
    assert residual(x, p, "gaussian").tolist() == [[-1.0, 3.0, -4.0, 5.0]]
    assert Tobit().expected(p).tolist() == [[3.0, 0.0, 4.0, 0.0]]
    assert Gaussian().expected(p).tolist() == p.tolist()
    for name, likelihood in OF_NAME.items():
        assert likelihood.loss(likelihood.block(x), p).equal(residual(x, p, name).square())
        r, curvature = likelihood.work(likelihood.block(x), p)
        assert r.equal(residual(x, p, name))
        assert curvature.equal(torch.ones_like(p))


def test_expected_expression_is_the_mean_of_what_a_relu_leaves():
    """Of max(p + ε, 0), by quadrature."""
    sd = torch.tensor([[0.3], [2.0]], dtype=torch.float64)
    p = torch.tensor([[-2.0, -0.1, 0.0, 0.4, 5.0]] * 2, dtype=torch.float64)
    found = Tobit(noise_sd=sd).expected(p)
    for row, scale in enumerate(sd[:, 0].tolist()):
        for column, mean in enumerate(p[row].tolist()):
            normal = stats.norm(mean, scale)
            wanted, _ = quad(lambda x, own=normal: x * own.pdf(x), 0, max(0, mean) + 12 * scale)
            assert float(found[row, column]) == pytest.approx(wanted, abs=1e-9)


def test_majoriser_touches_and_lies_above():
    rng = np.random.default_rng(0)
    x = torch.as_tensor(np.maximum(rng.normal(size=(50, 40)), 0))
    p, other = torch.as_tensor(rng.normal(size=(2, 50, 40)))
    majoriser = (residual(x, p, "tobit") + p - other) ** 2  # (t - other)², t = residual + p
    assert bool((majoriser >= residual(x, other, "tobit") ** 2 - 1e-12).all())
    at_p = (residual(x, p, "tobit") + p - p) ** 2
    torch.testing.assert_close(at_p, residual(x, p, "tobit") ** 2)


@pytest.mark.parametrize("likelihood", ["tobit", "gaussian"])
def test_prepared_residuals_are_the_same_and_zero_where_left_out(likelihood):
    rng = np.random.default_rng(1)
    x = torch.as_tensor(np.maximum(rng.normal(size=(50, 40)), 0))
    p, out = torch.as_tensor(rng.normal(size=(50, 40))), torch.as_tensor(rng.random((50, 40)) < 0.2)
    expected = residual(x, p, likelihood)
    torch.testing.assert_close(OF_NAME[likelihood].block(x).censor(x - p), expected)
    some = torch.tensor([3, 8])
    torch.testing.assert_close(
        OF_NAME[likelihood].block(x).cells(some).censor((x - p)[:, some]), expected[:, some]
    )
    left = OF_NAME[likelihood].block(x, without=out).censor(x - p)
    torch.testing.assert_close(left, expected.masked_fill(out, 0.0))


def test_squared_sum_keeps_float64_over_many_rows():
    r = torch.full((200_000, 3), 0.1, dtype=torch.float32)
    assert float(squared_sum(r)) == pytest.approx(600_000 * float(np.float32(0.1)) ** 2, rel=1e-6)


def test_a_likelihood_of_squared_error_is_asked_for():
    with pytest.raises(
        ValueError, match=r"likelihood must be one of \('tobit', 'gaussian'\); found 'nb'"
    ):
        check_squared_error("nb")
