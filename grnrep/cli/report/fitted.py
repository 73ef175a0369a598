"""A fit as the sections of the page read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData

from grnrep import _keys


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """A fit and its cells; activities of the regulators that are shown, in standard deviations."""

    adata: AnnData
    key: str
    kept: Mapping[str, Any]
    activities: pd.DataFrame

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
        """Edges with their learned weights."""
        return self.kept[_keys.NETWORK]

    @property
    def layer(self) -> str | None:
        """Layer that was fitted; None is X."""
        layer = str(self.kept[_keys.PARAMS]["layer"])
        return None if layer == _keys.X else layer

    @property
    def has_expression(self) -> bool:
        """Whether the expression that was fitted is there."""
        layer = self.layer
        return self.adata.X is not None if layer is None else layer in self.adata.layers
