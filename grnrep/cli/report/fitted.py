"""A fit as the sections of the page read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._inputs import has_expression


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """A fit and its cells, and whether activities of every regulator by itself are shown."""

    adata: AnnData
    key: str
    kept: Mapping[str, Any]
    marginal: bool

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
