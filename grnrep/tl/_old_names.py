"""Options of :func:`grnrep.tl.fit` as 0.1.0 named them: they still go, with a warning that says what to write.

To be deleted after one release, with the decorator on ``fit`` and the call of :func:`report_identity`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("grnrep")

_OLD: Final = ("solver", "link", "prior", "epochs")
_OF_LINK: Final = {"relu": "tobit", "identity": "gaussian"}


class Translated(NamedTuple):
    """A call of 0.1.0 in today's options, whether of ``fit_gradient``, and what to write for every old option."""

    options: dict[str, Any]
    gradient: bool
    changes: list[str]


def accepts_old_names(fit: Callable[P, T]) -> Callable[P, T]:
    """Have ``fit`` take options as 0.1.0 named them; a call with any of them is read as 0.1.0 read it."""

    @wraps(fit)
    def accepting(*args: P.args, **options: P.kwargs) -> T:
        if not any(name in options for name in _OLD):
            return fit(*args, **options)
        call = translate(options)
        warnings.warn(
            f"grnrep.tl.fit: {'; '.join(call.changes)}. Old names go with the next release",
            FutureWarning,
            stacklevel=2,
        )
        verb, given = cast(Callable[..., T], fit), call.options
        if call.gradient:
            from grnrep.tl.fit_gradient import fit_gradient

            verb = cast(Callable[..., T], fit_gradient)
            known, defaults = signature(verb).parameters, signature(fit).parameters
            for name in given.keys() - known.keys():
                if name not in defaults or given[name] not in ("auto", defaults[name].default):
                    raise ValueError(
                        f"{name} is an option of solver='exact' only; found solver='gradient'"
                    )
            given = {name: value for name, value in given.items() if name in known}
        return verb(*args, **given)

    return accepting


def translate(options: Mapping[str, Any]) -> Translated:
    """Options of 0.1.0, as :func:`grnrep.tl.fit` had them, in today's names."""
    from grnrep._cells import is_count
    from grnrep._checks import check_choice
    from grnrep.tl._config import BY_SIGN, SOLVERS, check_solver

    new = {name: value for name, value in options.items() if name not in _OLD}
    changes = []
    if "min_targets" not in new:  # every regulator with a target was fitted
        new["min_targets"] = 1
        changes.append("for the same regulators write min_targets=1; the default is now 5")
    solver = options.get("solver", "exact")
    check_choice("solver", solver, tuple(SOLVERS))
    check_solver(solver, max_iter=options.get("max_iter"), epochs=options.get("epochs"))
    gradient = solver == "gradient"
    if gradient:
        changes.append("solver='gradient' is now the verb grnrep.tl.fit_gradient")
        new["epochs"] = options.get("epochs")
    elif "solver" in options:
        changes.append("leave out solver='exact', the only solver of this verb")
    if "epochs" in options and not gradient:
        changes.append("leave out epochs, an option of grnrep.tl.fit_gradient")
    if "prior" in options:
        if "sign_shrinkage" in options:
            raise TypeError("prior and sign_shrinkage are the same option; leave out prior")
        new["sign_shrinkage"] = options["prior"]
        changes.append(f"instead of prior={options['prior']!r} write sign_shrinkage")
    link, likelihood = options.get("link", "auto"), options.get("likelihood", "auto")
    check_choice("link", link, ("auto", *_OF_LINK))
    if link != "auto" and (is_count(likelihood) or likelihood == "tobit"):
        raise ValueError(
            f"likelihood={likelihood!r} has a link of its own; leave out link={link!r}"
        )
    if link != "auto":
        new["likelihood"] = _OF_LINK[link]
        changes.append(f"instead of link={link!r} write likelihood={_OF_LINK[link]!r}")
    elif likelihood == "gaussian":
        new["likelihood"] = BY_SIGN
        changes.append(
            "likelihood='gaussian' now has the identity link: where no value is negative, write "
            "likelihood='tobit'"
        )
    if link == "auto" and "link" in options:
        changes.append("leave out link='auto'")
    return Translated(new, gradient, changes)


def report_identity(name: str) -> None:
    """Say that ``likelihood="gaussian"`` of values without a negative one means what it did not in 0.1.0."""
    logger.warning(
        "likelihood='gaussian' has the identity link, though no value of %s is negative; where no link was "
        "named, 0.1.0 took a ReLU, which is now likelihood='tobit'", name
    )  # fmt: skip
