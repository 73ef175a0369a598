"""What ``grnrep fit`` asks of the verbs."""

from __future__ import annotations

import logging

from grnrep.tl._config import check_solver
from grnrep.tl._old_names import translate

logger = logging.getLogger("grnrep")


def check_options(
    solver: str, *, max_iter: int | None, epochs: int | None, exact_only: dict[str, bool]
) -> None:
    """Check the solver, and that no option was given that it does not have.

    ``exact_only`` says of options that only the exact solver has whether they were given.
    """
    check_solver(solver, max_iter=max_iter, epochs=epochs)
    given = [name for name, was_given in exact_only.items() if was_given]
    if solver != "exact" and given:
        raise ValueError(f"{given[0]} is an option of --solver exact only; found {solver!r}")


def likelihood_of(likelihood: str, link: str | None) -> str:
    """The likelihood that the options of 0.1.0 meant where ``--link`` is among them."""
    if link is None:
        return likelihood
    call = translate({"likelihood": likelihood, "link": link})
    logger.warning("--link: %s. Old names go with the next release", "; ".join(call.changes))
    return str(call.options["likelihood"])
