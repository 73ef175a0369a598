"""A fit as the sections of the page read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import record
from grnrep._inputs import has_expression
from grnrep.pl._read import CellActivities, activities_of


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """A fit and its cells, and the activities that are shown, which are computed once.

    Parameters
    ----------
    adata, key, kept
        Cells, the name of the fit, and its record.
    marginal
        Whether activities are of every regulator by itself.
    activities
        They: for drawing, and by groups.
    """

    adata: AnnData
    key: str
    kept: Mapping[str, Any]
    marginal: bool
    activities: CellActivities

    @classmethod
    def of(cls, adata: AnnData, key: str, *, marginal: bool) -> Fitted:
        """Read a fit."""
        kept = record(adata, key)
        found = activities_of(adata, None, key=key, marginal=marginal)
        return cls(adata=adata, key=key, kept=kept, marginal=marginal, activities=found)

    @property
    def by_cell(self) -> pd.DataFrame:
        """What groups are compared in, cells × regulators: activities, or slopes of regulators by themselves."""
        return self.activities.data.to_df("slope" if self.marginal else None)

    def shown(self, regulators: Sequence[str]) -> CellActivities:
        """Activities of some regulators."""
        return self.activities._replace(data=self.activities.data[:, regulators].copy())

    @property
    def regulators(self) -> pd.DataFrame:
        """What is known of every regulator."""
        return self.kept[_keys.REGULATORS]

    @property
    def genes(self) -> pd.DataFrame:
        """What is known of every gene."""
        return self.kept[_keys.GENES]

    @property
    def edges(self) -> pd.DataFrame:
        """Edges of the decoder."""
        return self.kept[_keys.NETWORK]

    @property
    def layer(self) -> str | None:
        """Layer that was fitted, or ``raw``; None is X."""
        layer = str(self.kept[_keys.PARAMS]["layer"])
        return None if layer == _keys.X else layer

    @property
    def has_expression(self) -> bool:
        """Whether the expression that was fitted is there."""
        return has_expression(self.adata, self.layer)
