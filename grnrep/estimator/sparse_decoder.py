"""The fit as a scikit-learn estimator on arrays."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from grnrep import _keys
from grnrep._record import read_decoder
from grnrep.estimator.hidden_genes import expected, r2_of_hidden_genes
from grnrep.tl.fit import fit
from grnrep.tl.transform import transform

_DTYPES = ("float64", "float32")


class SparseDecoder(TransformerMixin, BaseEstimator):
    r"""Learn the activity of every regulator from an array of expression, as a scikit-learn transformer.

    :func:`grnrep.tl.fit` and :func:`grnrep.tl.transform` on arrays cells × genes, with the same results: for
    pipelines, grid searches, and data that are no cells. What it has not (covariates, repair, posteriors,
    files) is there.

    Parameters
    ----------
    network
        Table of edges with columns ``source``, ``target`` and, if known, ``weight``, as in
        :func:`grnrep.tl.fit`. Targets are names of features; where these are not named they are ``"x0"``, ``"x1"``,
        ... Targets that are whole numbers are positions. Or an array or sparse array (n_features, n_regulators) of
        prior signs or weights: 0 is no edge, NaN one of unknown sign; regulators are then ``"regulator0"``, ...
    likelihood, intercept, sign_shrinkage, ridge, free_factors, signed, magnitudes, min_targets, max_cells, max_iter
        As in :func:`grnrep.tl.fit`.
    random_state
        Seed, generator to draw it from at every fit, or None.

    Attributes
    ----------
    weights_ : :class:`~scipy.sparse.csr_array` (n_features, n_regulators), float64
        Learned weights.
    intercept_ : :class:`~numpy.ndarray` ``(n_features,)``
        Of features with a regulator; 0 of others, and where the model has none.
    noise_sd_ : :class:`~numpy.ndarray` ``(n_features,)``
        Standard deviation of the noise where it was learned; NaN elsewhere.
    mean_ : :class:`~numpy.ndarray` ``(n_features,)``
        Of the features in the fit.
    n_iter_ : int
        Iterations.
    model_ : :class:`~anndata.AnnData`
        The fit, without cells, as :func:`grnrep.tl.transform` and :func:`grnrep.io.save` take it;
        ``model_.uns["grnrep"]["regulators"]`` says what is known of every regulator.
    n_features_in_, feature_names_in_
        As in all of scikit-learn.

    References
    ----------
    Schuster & Krogh (2021), A manifold learning perspective on representation
    learning, Entropy 23:1403, arXiv 2108.13910.

    Examples
    --------
    >>> import numpy as np
    >>> import grnrep as gr
    >>> rng = np.random.default_rng(0)
    >>> signs = np.zeros((12, 2))
    >>> signs[:7, 0], signs[5:, 1] = 1, -1
    >>> activity = rng.normal(size=(60, 2))
    >>> x = activity @ signs.T + 0.1 * rng.normal(size=(60, 12))
    >>> decoder = gr.SparseDecoder(signs, ridge=1e-3, sign_shrinkage=0.1).fit(x[:50])
    >>> found = decoder.transform(x[50:])
    >>> found.shape, bool(np.corrcoef(found[:, 1], activity[50:, 1])[0, 1] > 0.99)
    ((10, 2), True)
    >>> bool(decoder.score(x[50:]) > 0.9)
    True
    """

    def __init__(
        self,
        network: pd.DataFrame | np.ndarray | sp.sparray,
        *,
        likelihood: str = "auto",
        intercept: bool | str = "auto",
        sign_shrinkage: float | str = "auto",
        ridge: float | str = "auto",
        free_factors: int | str = "auto",
        signed: bool | str = "auto",
        magnitudes: bool = False,
        min_targets: int = 5,
        max_cells: int | str | None = "auto",
        max_iter: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ):
        self.network = network
        self.likelihood = likelihood
        self.intercept = intercept
        self.sign_shrinkage = sign_shrinkage
        self.ridge = ridge
        self.free_factors = free_factors
        self.signed = signed
        self.magnitudes = magnitudes
        self.min_targets = min_targets
        self.max_cells = max_cells
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn the decoder.

        Parameters
        ----------
        X
            Expression (n_samples, n_features), dense or sparse.
        y
            Not used.
        """
        X = validate_data(
            self, X, accept_sparse="csr", dtype=_DTYPES, ensure_min_samples=2, estimator=self
        )
        names = self._names()
        adata = AnnData(X, var=pd.DataFrame(index=names))
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        fit(
            adata,
            edges_of(self.network, names),
            likelihood=self.likelihood,
            intercept=self.intercept,
            sign_shrinkage=self.sign_shrinkage,
            ridge=self.ridge,
            free_factors=self.free_factors,
            signed=self.signed,
            magnitudes=self.magnitudes,
            min_targets=self.min_targets,
            max_cells=self.max_cells,
            max_iter=self.max_iter,
            rng=int(seed),
            client=None,
            progress=False,
        )
        self.model_ = AnnData(
            var=pd.DataFrame(index=names),
            uns={_keys.FIT: adata.uns[_keys.FIT]},
            varm={_keys.FIT: adata.varm[_keys.FIT]},
        )
        decoder = read_decoder(self.model_, _keys.FIT)
        columns = names.get_indexer(decoder.genes)
        edges = columns[decoder.network.gene], decoder.network.regulator
        shape = (len(names), len(decoder.regulators))
        self.weights_ = sp.csr_array((decoder.fit.weight, edges), shape=shape)
        self.intercept_, self.noise_sd_ = np.zeros(len(names)), np.full(len(names), np.nan)
        if decoder.fit.bias is not None:
            self.intercept_[columns] = decoder.fit.bias
        genes = self.model_.uns[_keys.FIT][_keys.GENES]
        if "noise_sd" in genes:
            self.noise_sd_[columns] = genes["noise_sd"]
        self.mean_ = np.asarray(X.mean(axis=0), dtype=np.float64).ravel()
        self.n_iter_ = len(self.model_.uns[_keys.FIT][_keys.HISTORY]["objective"])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Infer activities (n_samples, n_regulators) of new cells; the decoder stays as it is.

        Parameters
        ----------
        X
            Expression (n_samples, n_features) on the scale of that of the fit, dense or sparse.
        """
        adata = self._cells(X)
        transform(adata, self.model_, client=None, progress=False)
        return adata.obsm[_keys.FIT].to_numpy(dtype=adata.X.dtype)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Expected expression (n_samples, n_features) at activities.

        Of counts it is the rate at the median depth; of features without a regulator the mean in the fit. Free factors
        are 0.

        Parameters
        ----------
        X
            Activities (n_samples, n_regulators).
        """
        check_is_fitted(self)
        X = check_array(X, dtype=_DTYPES, input_name="X", estimator=self)
        decoder = read_decoder(self.model_, _keys.FIT)
        if X.shape[1] != len(decoder.regulators):
            raise ValueError(
                f"X must have {len(decoder.regulators)} columns, one for every regulator; found {X.shape[1]}"
            )
        out = np.tile(self.mean_, (len(X), 1))
        out[:, self.model_.var_names.get_indexer(decoder.genes)] = expected(decoder, X)
        return out.astype(X.dtype)

    def score(self, X: Any, y: object = None) -> float:
        """Share of the variance of genes that is predicted from other genes of the same cells.

        Genes with a regulator are hidden, a fifth at a time; activities of these cells are inferred from the other
        genes, and predict the hidden ones with the weights of the fit. The score is 1 - Σ residual² / Σ deviation²
        from the means in ``X``, both in units of the gene's variance in the fit, summed over genes and cells. So what
        follows the noise of a cell does not pay, unlike in a reconstruction, and grid searches may compare penalties,
        likelihoods of the same values, numbers of free factors, and networks with the same targets by it.

        Parameters
        ----------
        X
            Expression (n_samples, n_features), of other cells than those of the fit; at least two.
        y
            Not used.
        """
        adata = self._cells(X)
        if adata.n_obs < 2:
            raise ValueError(f"X must have at least two samples; found n_samples = {adata.n_obs}")
        return r2_of_hidden_genes(adata, self.model_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the regulators, ``(n_regulators,)``.

        Parameters
        ----------
        input_features
            Names of the features, which must be those of the fit; regulators are not named by them.
        """
        check_is_fitted(self)
        if input_features is not None:
            given, names = np.asarray(input_features, dtype=object), self._names()
            if len(given) != len(names):
                raise ValueError(
                    f"input_features should have length equal to number of features ({len(names)}); found "
                    f"{len(given)}"
                )
            if hasattr(self, "feature_names_in_") and not np.array_equal(given, names):
                raise ValueError("input_features is not equal to feature_names_in_")
        return self.model_.uns[_keys.FIT][_keys.REGULATORS].index.to_numpy(dtype=object)

    def _cells(self, X: Any) -> AnnData:
        """Cells to hold against the fit, checked."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=_DTYPES, reset=False)
        return AnnData(X, var=pd.DataFrame(index=self.model_.var_names))

    def _names(self) -> pd.Index:
        """Names of the features."""
        default = [f"x{i}" for i in range(self.n_features_in_)]
        return pd.Index(getattr(self, "feature_names_in_", default), dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = [*_DTYPES]
        return tags


def edges_of(network: object, names: pd.Index) -> pd.DataFrame:
    """Table ``source, target, weight`` of a network, by the names of features.

    Raises
    ------
    TypeError, ValueError
        If it is neither a table of edges nor an array with a row for every feature, or a position is none.
    """
    if isinstance(network, pd.DataFrame):
        if _keys.TARGET not in network or not pd.api.types.is_integer_dtype(network[_keys.TARGET]):
            return network
        target = network[_keys.TARGET].to_numpy()
        if len(target) and not 0 <= target.min() <= target.max() < len(names):
            raise ValueError(
                f"network.target must be positions of the {len(names)} features, or their names; found "
                f"positions from {target.min()} to {target.max()}"
            )
        return network.assign(target=names[target])
    if not sp.issparse(network) and not isinstance(network, np.ndarray | list):
        raise TypeError(
            "network must be a table of edges with columns 'source' and 'target', or an array features × "
            f"regulators of signs; found {type(network).__name__}"
        )
    signs = sp.coo_array(network if sp.issparse(network) else np.asarray(network, dtype=float))
    if signs.ndim != 2 or signs.shape[0] != len(names):
        raise ValueError(
            f"network must have a row for every feature, ({len(names)}, n_regulators), as an array; found "
            f"shape {signs.shape}"
        )
    signs.eliminate_zeros()
    width = len(str(signs.shape[1] - 1))  # names sort as columns do
    regulators = np.array([f"regulator{k:0{width}d}" for k in range(signs.shape[1])], dtype=object)
    ends = {_keys.SOURCE: regulators[signs.col], _keys.TARGET: names[signs.row]}
    return pd.DataFrame({**ends, _keys.WEIGHT: signs.data})
