"""The report on a network and data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkReport:
    """What a network and data have in common; prints as text, in a notebook as tables.

    Parameters
    ----------
    summary
        Counts and loads, one row each. ``effective_load`` leaves out the zeros that a
        ReLU censors; ``n_obs_needed`` is the number of such cells for an effective
        load of 1.2, NaN where no number is enough. ``network_rank`` is the rank of the network with
        generic weights, at best ``n_regulators_kept``; ``condition_number`` that of the
        network as a matrix of prior signs with columns of norm 1.
    regulators
        Per regulator of the network:

        - ``n_targets_in_net``, ``n_targets_found``, ``n_signed`` (targets found, with a prior sign),
          ``kept`` and, where it is not kept, the ``reason``;
        - ``n_own_targets``: targets that have no other regulator;
        - ``load``: constraints per parameter; regulators of a gene share its constraints;
        - ``rank_deficit``: the test of network component analysis, by how much the rest of the network
          falls short of its rank - 1 when the regulator and its targets are deleted (0: passed);
        - ``n_ambiguous_targets``: targets whose weights, relative to the others, the network does not
          determine, because weights of other regulators can be mixed into them;
        - ``activity_identified``: whether network and expression determine the activity up to scale,
          whatever the weights are;
        - ``group``: number of its group of regulators with the same targets, -1 if there is none;
        - ``vif``: variance inflation factor, where weights are at their prior signs;
        - ``verdict``: the same in words.

        From ``n_own_targets`` on, except for the load, genes that are constant do not count.
        Signs are used for ``vif`` only; they narrow down what is not identified without them.
    genes
        Per gene that would be used: ``n_regulators``, ``fraction_positive`` of its
        cells, and whether it is ``constant``.
    nested
        Pairs of regulators where all targets of ``regulator`` are targets of ``within``, which
        has more.
    verdict
        How many regulators are identified, what is wrong with the others, and what would help.
    advice
        What would help if the load is low; empty if it is enough.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> adata = anndata.AnnData(np.eye(9)[:, :2], var=pd.DataFrame(index=["a", "b"]))
    >>> net = pd.DataFrame({"source": ["P", "P", "Q"], "target": ["a", "b", "z"]})
    >>> report = gr.pp.check_network(adata, net, min_targets=2)
    >>> report.regulators["reason"].to_dict()
    {'P': '', 'Q': 'no target among the genes'}
    """

    summary: pd.Series
    regulators: pd.DataFrame
    genes: pd.DataFrame
    nested: pd.DataFrame
    verdict: str
    advice: str

    def __str__(self) -> str:
        lines = [f"{name:<24} {value:>12}" for name, value in self.numbers().items()]
        lines += [line for line in (self._lost(), self.verdict, self.advice) if line]
        return "\n".join(lines)

    __repr__ = __str__

    def numbers(self) -> dict[str, str]:
        """The summary as it is printed; what does not exist is said in words."""
        words = {
            "n_obs_needed": "out of reach",
            "condition_number": "infinite",
        }
        return {
            str(name): f"{value:,.10g}" if np.isfinite(value) else words[str(name)]
            for name, value in self.summary.round(2).items()
        }

    def _lost(self) -> str:
        """How many regulators are left out, and why; empty if none is."""
        lost = self.regulators.loc[~self.regulators["kept"], "reason"]
        reasons = ", ".join(f"{n} with {reason}" for reason, n in lost.value_counts().items())
        of = f"{len(lost)} of {len(self.regulators)} regulators"
        return f"{of} would be left out: {reasons} (see .regulators)" if len(lost) else ""

    def _repr_html_(self) -> str:
        rows = [pd.Series(self.numbers()).to_frame("network and data").to_html()]
        said = [self._lost(), *self.verdict.split("\n"), self.advice]
        rows += [f"<p>{line}</p>" for line in said if line]
        shown = self.regulators.sort_values("n_targets_found", kind="stable")
        return "".join([*rows, shown.to_html(max_rows=10, show_dimensions=True)])
