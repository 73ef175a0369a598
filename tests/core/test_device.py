"""Work on another device gives what work on the CPU gives; this file needs `grnrep.core` alone.

Where there is no GPU a fake one stands in: tensors whose values are in memory, but which refuse to meet
tensors that are not on the same device, to be read as arrays, and what CUDA has no code for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from grnrep.core.als.assumed import Assumptions
from grnrep.core.als.data import Scale
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.learn import fit_evidence
from grnrep.core.als.passes import refine
from grnrep.core.als.project import Projection, project
from grnrep.core.als.stats import Stats
from grnrep.core.design import known_columns, regress, share_of_known, without_known
from grnrep.core.network import Network
from grnrep.core.posterior.sample import sample_posterior
from grnrep.core.repair import repair_network

_DEVICE = torch.device("cuda", 0)
_GENERATOR = torch.Generator


class _Away(Tensor):
    """A tensor on the fake device; its values are in ``inside``."""

    @staticmethod
    def of(inside: Tensor) -> _Away:
        out = Tensor._make_subclass(_Away, torch.empty(0))
        out.inside = inside
        return out

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return _call(func, args, kwargs or {})


class _Source(_GENERATOR):
    """A generator on either device."""

    def __new__(cls, device: Any = "cpu"):
        out = super().__new__(cls)
        out.away = torch.device(device).type == "cuda"
        return out


class _FakeDevice(TorchFunctionMode):
    """Every call of torch passes through here, so that tensors can be made on the fake device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return _call(func, args, kwargs or {})


def _each(values: Any, change: Callable[[Any], Any]) -> Any:
    """The same tuples, lists and dicts of changed values."""
    if isinstance(values, dict):
        return {name: _each(value, change) for name, value in values.items()}
    if isinstance(values, tuple | list) and not isinstance(values, torch.Size):
        parts = [_each(value, change) for value in values]
        return type(values)(*parts) if hasattr(values, "_fields") else type(values)(parts)
    return change(values)


def _leaves(values: Any) -> Iterator[Any]:
    for value in values.values() if isinstance(values, dict) else values:
        if type(value) in (tuple, list, dict):
            yield from _leaves(value)
        else:
            yield value


def _call(func: Callable, args: tuple, kwargs: dict) -> Any:
    """What a call of torch does where some tensors are away."""
    name, of = func.__name__, getattr(func, "__self__", None)
    away = any(isinstance(a, _Away) for a in _leaves((args, kwargs)))
    if not away and name not in ("to", "cuda") and kwargs.get("device") is None:
        return func(*args, **kwargs)
    if away and of is Tensor.device:
        return _DEVICE
    if away and of is Tensor.is_cuda:
        return True
    if away and name in ("numpy", "__array__"):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")
    if away and name.endswith("lstsq") and kwargs.get("driver") not in (None, "gels"):
        raise RuntimeError("lstsq: on CUDA there is the driver 'gels' alone")
    target, args, kwargs = _target(name, args, kwargs)
    if away and name not in ("to", "cpu", "cuda", "copy_"):
        _check_together(name, args, kwargs)
    there = away if target is None else target
    source = kwargs.get("generator")
    if source is not None and getattr(source, "away", False) != there:
        raise RuntimeError(f"{name}: the generator is on another device than the result")
    with torch._C.DisableTorchFunction():
        args, kwargs = _each((args, kwargs), lambda a: a.inside if isinstance(a, _Away) else a)
        out = _sampled(*args) if name == "sampled_addmm" else func(*args, **kwargs)
        return _each(out, lambda a: _Away.of(a) if there and type(a) is Tensor else a)


def _target(name: str, args: tuple, kwargs: dict) -> tuple[bool | None, tuple, dict]:
    """Whether a result is wanted on the fake device, if that is said; and the call without saying so."""
    found = {"cpu": False, "cuda": True}.get(name)

    def replaced(a: Any) -> Any:
        nonlocal found
        if isinstance(a, Tensor):
            found = isinstance(a, _Away)
            return a.inside.dtype if found else a.dtype
        if isinstance(a, str | torch.device):
            found = torch.device(a).type == "cuda"
            return torch.device("cpu")
        return a

    if name == "to":
        args = (args[0], *(replaced(a) for a in args[1:]))
    if kwargs.get("device") is not None:
        kwargs = kwargs | {"device": replaced(kwargs["device"])}
    return found, args, kwargs


def _check_together(name: str, args: tuple, kwargs: dict) -> None:
    """Refuse tensors that are not on the fake device, but for single numbers, and positions to read at."""
    if name in ("__getitem__", "__setitem__") and isinstance(args[0], _Away):
        args = args[2:]
    here = (
        a for a in _leaves((args, kwargs)) if isinstance(a, Tensor) and not isinstance(a, _Away)
    )
    if any(a.ndim > 0 for a in here):
        raise RuntimeError(
            f"{name}: expected all tensors to be on the same device; found cuda:0 and cpu"
        )


def _sampled(zero: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """What CUDA does on any machine, and the CPU where it has MKL: the product where ``zero`` has entries."""
    row = torch.repeat_interleave(torch.arange(len(zero)), zero.crow_indices().diff())
    values = (a @ b)[row, zero.col_indices()]
    return torch.sparse_csr_tensor(zero.crow_indices(), zero.col_indices(), values, size=zero.shape)


@pytest.fixture(params=["fake", "cuda"])
def fake(request, monkeypatch):
    """Whether the device "cuda" is a fake one, whose draws are those of the CPU."""
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("there is no GPU; the same test runs on a fake one")
        yield False
        return
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, on which the same test runs: no fake one is needed")
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the mode is that of one thread
    monkeypatch.setattr(torch, "Generator", _Source)
    with _FakeDevice():
        yield True
    torch.set_num_threads(before)


def problem(*, n_cells=80, n_genes=60, m=5, signed=False, likelihood="tobit", dtype=np.float64):
    rng = np.random.default_rng(7)
    mask = rng.random((n_genes, m)) < 0.4
    mask[np.arange(n_genes), rng.integers(m, size=n_genes)] = True
    w = mask * rng.uniform(0.2, 1.0, mask.shape) * rng.choice([-1, 1], mask.shape)
    z, v = rng.gamma(1.0, size=(n_cells, m)), rng.normal(size=(n_cells, 2))
    p = (
        z @ w.T
        + 0.2 * v @ rng.normal(size=(2, n_genes))
        + 0.3 * rng.normal(size=(n_cells, n_genes))
    )
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, np.sign(w[mask]) * signed, n_genes, m)
    return (np.maximum(p, 0) if likelihood == "tobit" else p).astype(dtype), network, v


def assert_close(found, expected, *, rel=1e-4):
    """To a share of the largest value."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() <= rel * np.abs(expected).max()


def assert_same_fit(found, expected, *, rel=1e-4):
    for name in ("weight", "bias", "effects", "activity", "ridge"):
        pair = [getattr(fit, name) for fit in (found, expected)]
        assert (pair[0] is None) == (pair[1] is None)
        if pair[0] is not None:
            assert_close(*pair, rel=rel)


def test_the_fake_device_refuses_what_cuda_refuses():
    """And a call with nothing away is left alone."""
    with _FakeDevice():
        here, there = torch.ones(3), torch.ones(3, device="cuda")
        assert (there.device.type, there.is_cuda, here.device.type) == ("cuda", True, "cpu")
        assert (2 * there + here.sum()).to("cpu").tolist() == [5, 5, 5]
        assert there[torch.tensor([0, 2])].is_cuda
        assert here.to(there).is_cuda
        refused = {
            "same device": [
                lambda: here + there,
                lambda: torch.cat([here, there]),
                lambda: here[there.long()],
            ],
            "gels": [lambda: torch.linalg.lstsq(there[:, None], there[:, None], driver="gelsd")],
            "generator": [lambda: torch.randn(3, device="cuda", generator=_Source("cpu"))],
        }
        for message, calls in refused.items():
            for call in calls:
                with pytest.raises(RuntimeError, match=message):
                    call()
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()


@pytest.mark.parametrize("likelihood", ["tobit", "gaussian"])
@pytest.mark.parametrize(
    "model",
    [
        {},
        {"intercept": True},
        {"prior": 1.0},
        {"intercept": True, "covariates": True},
        {"intercept": True, "covariates": True, "prior": 1.0, "shared": True},
    ],
    ids=lambda model: "-".join(model) or "free",
)
def test_a_fit_and_its_projection(fake, likelihood, model):
    x, network, v = problem(likelihood=likelihood, signed="prior" in model)
    model = model | ({"covariates": v} if "covariates" in model else {})
    expected = fit_decoder(x, network, likelihood=likelihood, **model)
    fit = fit_decoder(x, network, likelihood=likelihood, device="cuda", **model)
    assert_same_fit(fit, expected)
    v = model.get("covariates")
    here = Projection.of(expected, network, dtype=torch.float64)
    there = Projection.of(expected, network, dtype=torch.float64, device="cuda")
    assert_close(there(x, v), here(x, v))
    a, b = there.sums(x, v).cpu(), here.sums(x, v)
    for found, sums in ((a.gram.tril(), b.gram.tril()), (a.loss, b.loss)):
        assert_close(found, sums, rel=1e-2)  # activities there are but a step on the way


@pytest.mark.parametrize("likelihood", ["tobit", "gaussian"])
@pytest.mark.parametrize("signed", [True, False])
def test_a_fit_by_evidence_with_free_factors_and_its_projection(fake, likelihood, signed):
    x, network, v = problem(likelihood=likelihood, signed=signed)
    options = {
        "likelihood": likelihood,
        "covariates": v,
        "assumptions": Assumptions(0.3, correlated=True, n_factors=2, exactly=True),
        "max_iter": 8,
    }
    expected = fit_evidence(x, network, **options)
    fit = fit_evidence(x, network, device="cuda", **options)
    assert_same_fit(fit, expected, rel=1e-3)
    assert_close(np.abs(fit.loadings), np.abs(expected.loadings), rel=1e-3)
    here = Projection.of(expected, network, dtype=torch.float64)
    there = Projection.of(expected, network, dtype=torch.float64, device="cuda")
    assert_close(there.representation(x, v), here.representation(x, v), rel=1e-3)
    assert_close(there.expected_sums(x, v).cpu().edge, here.expected_sums(x, v).edge, rel=1e-2)


def test_single_precision(fake):
    x, network, _ = problem(dtype=np.float32)
    expected = fit_decoder(x, network, intercept=True, ridge=1e-2)
    fit = fit_decoder(x, network, intercept=True, ridge=1e-2, device="cuda")
    assert_same_fit(fit, expected, rel=1e-2)
    assert_close(project(x, expected, network, device="cuda"), expected.activity, rel=1e-3)


def test_values_left_out_and_few_cells(fake):
    """Low load: shrinkage is graduated; and entries are left out of the loss."""
    x, network, _ = problem(n_cells=8)
    without = np.random.default_rng(0).random(x.shape) < 0.1
    expected = fit_decoder(x, network, without=without, ridge=1e-2)
    assert_same_fit(
        fit_decoder(x, network, without=without, ridge=1e-2, device="cuda"), expected, rel=1e-3
    )


@pytest.mark.parametrize(
    ("likelihood", "signed", "known"),
    [("tobit", False, False), ("tobit", True, True), ("gaussian", False, True)],
)
def test_the_posterior(fake, likelihood, signed, known):
    x, network, v = problem(likelihood=likelihood, signed=signed)
    prior = {"prior": 0.3 * signed}
    fit = fit_decoder(
        x, network, likelihood=likelihood, intercept=known, covariates=v if known else None, **prior
    )
    options = prior | {"likelihood": likelihood, "n_draws": 12 if fake else 400}
    expected = sample_posterior(x, fit, network, **options)
    found = sample_posterior(x, fit, network, device="cuda", **options)
    names = ("activity_sd", "weight_sd", "noise_variance", "rhat")
    if fake:
        assert_same_fit(found.fit, expected.fit, rel=1e-6)
        for name in names:
            assert_close(getattr(found, name), getattr(expected, name), rel=1e-6)
        return
    # other draws of the same distribution: as far apart as those of another seed on the CPU, not further
    other = sample_posterior(x, fit, network, rng=1, **options)
    assert _apart(found, expected) < 2 * _apart(other, expected) + 0.05
    for name in names:
        ratio = getattr(found, name) / getattr(expected, name)
        assert 0.7 < np.median(ratio) < 1.4


def _apart(a, b) -> float:
    """One less the mean correlation of the activities of two posteriors."""
    pairs = zip(a.fit.activity.T, b.fit.activity.T, strict=True)
    return 1 - float(np.mean([np.corrcoef(u, v)[0, 1] for u, v in pairs]))


@pytest.mark.parametrize("known", [False, True])
def test_passes_over_all_cells(fake, known):
    x, network, v = problem(n_cells=150)
    v = v if known else None
    fit = fit_decoder(x[:60], network, intercept=known, covariates=None if v is None else v[:60])

    def refined(device: str | None):
        def sums(decoder) -> Stats:
            decoder = replace(decoder, covariates=None)
            return Projection.of(decoder, network, dtype=torch.float64, device=device).sums(x, v)

        squares = float(np.square(x).sum())
        scale = Scale(squares, squares, len(x))
        return refine(fit, network, sums, scale, ridge=1e-3, max_iter=8)

    assert_same_fit(refined("cuda"), refined(None), rel=1e-2)


def test_repair(fake):
    x, network, v = problem(n_cells=120, n_genes=40, m=3)
    expected = repair_network(x, network, covariates=v)
    found = repair_network(x, network, covariates=v, device="cuda")
    for name in ("gene", "regulator", "kept"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert_close(found.weight, expected.weight, rel=1e-2)


@pytest.mark.parametrize(("likelihood", "known"), [("poisson", False), ("nb", True)])
def test_counts(fake, likelihood, known):
    x, network, v = problem(n_cells=60, n_genes=40, m=4)
    counts = np.random.default_rng(0).poisson(4 * x + 1).astype(np.float64)
    model = {"likelihood": likelihood, "intercept": known, "covariates": v if known else None}
    model |= {"ridge": 1e-2, "max_iter": 4}
    expected = fit_decoder(counts, network, **model)
    assert_same_fit(fit_decoder(counts, network, device="cuda", **model), expected, rel=1e-2)
    model["start"] = expected.weight
    assert_same_fit(
        fit_decoder(counts, network, device="cuda", **model),
        fit_decoder(counts, network, **model),
        rel=1e-2,
    )
    options = {"covariates": model["covariates"]}
    activity = project(counts, expected, network, device="cuda", **options)
    assert_close(activity, project(counts, expected, network, **options), rel=1e-3)


def test_regression_on_known_columns_that_depend_on_each_other(fake):
    """The least-norm solution, wherever it is computed."""
    rng = np.random.default_rng(0)
    y, v = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    known = known_columns(30, intercept=True, covariates=np.c_[v, v.sum(1)])
    wanted = np.linalg.lstsq(known, y, rcond=None)[0]
    there = torch.as_tensor(y, device="cuda")
    assert_close(regress(there, torch.as_tensor(known)).cpu(), wanted)
    assert_close(without_known(there, torch.as_tensor(known)).cpu(), y - known @ wanted)
    rows = torch.as_tensor(np.concatenate([y, known], axis=1), device="cuda").mT
    assert_close(share_of_known(rows @ rows.mT, 4).cpu(), wanted)
