"""What is asked of a fit: all its options, checked, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from grnrep import _keys
from grnrep._cells import is_count
from grnrep._checks import check_choice, check_whole
from grnrep.core.als.assumed import Assumptions
from grnrep.core.likelihoods import LIKELIHOODS

SOLVERS: Final = {"exact": "max_iter", "gradient": "epochs"}  # and the option that limits each
# "auto", but not of counts: "gaussian" where any value is negative, else "tobit"
BY_SIGN: Final = "gaussian or tobit"


@dataclass(frozen=True, kw_only=True, eq=False)
class FitConfig:
    """What is asked of a fit; options are those of :func:`grnrep.tl.fit`.

    Parameters
    ----------
    solver
        "exact", or "gradient" as in the paper.
    likelihood
        Also :data:`BY_SIGN`.
    assumed
        Of a fit by evidence, where it was chosen before.
    shared
        Of the penalties, where ``ridge`` and ``sign_shrinkage`` were chosen before, as this was.
    rng
        Seed.
    """

    solver: str = "exact"
    likelihood: str = "auto"
    intercept: bool | str = "auto"
    ridge: float | str = "auto"
    sign_shrinkage: float | str = "auto"
    free_factors: int | str = "auto"
    assumed: Assumptions | None = None
    shared: bool | None = None
    signed: bool | str = "auto"
    magnitudes: bool = False
    min_targets: int = 5
    covariates: str | Sequence[str] | None = None
    repair: bool = False
    uncertainty: bool = False
    max_cells: int | str | None = "auto"
    stratify: str | None = None
    layer: str | None = None
    mask_var: str | np.ndarray | None = None
    max_iter: int | None = None
    epochs: int | None = None
    rng: int = 0
    device: str | None = None
    key_added: str = _keys.FIT
    activity_store: str | Path | None = None
    checkpoint: str | Path | None = None
    block_size: int | None = None
    client: Any = "auto"
    progress: bool = True
    copy: bool = False

    def __post_init__(self) -> None:
        check_solver("exact", max_iter=self.max_iter)
        check_solver("gradient", epochs=self.epochs)
        if self.likelihood != BY_SIGN:
            check_choice("likelihood", self.likelihood, ("auto", *LIKELIHOODS))
        if not isinstance(self.intercept, bool) and self.intercept != "auto":
            raise ValueError(f"intercept must be True, False or 'auto'; found {self.intercept!r}")
        for name in ("ridge", "sign_shrinkage"):
            value: Any = getattr(self, name)
            number = isinstance(value, Real) and not isinstance(value, bool)
            if value != "auto" and not (number and 0 <= float(value) < np.inf):
                raise ValueError(
                    f"{name} must be a finite number of at least 0, or 'auto'; found {value!r}"
                )
        if is_count(self.likelihood) and self.sign_shrinkage not in ("auto", 0):
            raise ValueError(
                f"sign_shrinkage must be 'auto' or 0 with likelihood={self.likelihood!r}; found "
                f"{self.sign_shrinkage!r}"
            )
        factors = self.free_factors
        if factors != "auto":
            if isinstance(factors, str):
                raise ValueError(
                    f"free_factors must be 'auto' or a whole number of at least 0; found {factors!r}"
                )
            check_whole("free_factors", factors, least=0)
        most = self.max_cells
        whole = isinstance(most, int | np.integer) and not isinstance(most, bool) and most >= 2
        if most is not None and most != "auto" and not whole:
            raise ValueError(
                f"max_cells must be a whole number of at least 2, None or 'auto'; found {most!r}"
            )
        for name in ("repair", "uncertainty", "magnitudes"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise TypeError(f"{name} must be True or False; found {getattr(self, name)!r}")
        if self.magnitudes:
            self._check_magnitudes()
        check_whole("min_targets", self.min_targets)
        check_engine(self.device, self.client, self.block_size)

    def _check_magnitudes(self) -> None:
        """Refuse options with which no weight would be drawn to its prior."""
        against: dict[str, Any] = {}
        if self.signed is False or self.signed is np.False_:
            against["signed"] = self.signed
        if self.likelihood in LIKELIHOODS and not LIKELIHOODS[self.likelihood].constant_curvature:
            against["likelihood"] = self.likelihood
        if self.sign_shrinkage == 0:
            against["sign_shrinkage"] = self.sign_shrinkage
        if against:
            name, value = next(iter(against.items()))
            raise ValueError(
                f"magnitudes=True needs weights that are drawn to prior ones; found {name}={value!r}, with which "
                "none is"
            )


def check_solver(solver: str, **limits: int | None) -> None:
    """Check a solver, and that the limits that are given are its own."""
    check_choice("solver", solver, tuple(SOLVERS))
    for name, value in limits.items():
        if value is None:
            continue
        if name != SOLVERS[solver]:
            other = next(other for other in SOLVERS if SOLVERS[other] == name)
            raise ValueError(
                f"{name} is an option of solver={other!r} only; found solver={solver!r}"
            )
        check_whole(name, value)


def check_engine(device: Any, client: Any, block_size: Any) -> None:
    """Check what is to compute: a torch device that is here, a Dask client or none, and cells at a time."""
    if block_size is not None:
        check_whole("block_size", block_size)
    none = client is None or (isinstance(client, str) and client == "auto")
    if not none and not all(hasattr(client, method) for method in ("submit", "scheduler_info")):
        raise TypeError(
            f"client must be a dask.distributed.Client, None or 'auto'; found {client!r}. Make one with "
            "dask.distributed.Client(address)"
        )
    if device is None:
        return
    try:
        float(torch.zeros(1, device=device))
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError) as error:
        there = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
        raise ValueError(
            f"device must be None or one that torch finds here, of {', '.join(map(repr, there))}; found "
            f"{device!r}: {str(error).splitlines()[0]}"
        ) from error


def seed_of(rng: int | np.random.Generator | None) -> int:
    """Turn ``rng`` into a seed that can be kept with the result."""
    if isinstance(rng, np.random.Generator | None):
        return int(np.random.default_rng(rng).integers(2**31))
    check_whole("rng", rng, least=0)
    return int(rng)
