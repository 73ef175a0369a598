"""What is said of autoencoders and their kin, and of translation between domains, beside what was found."""

from __future__ import annotations

import pandas as pd

from grnrep.validation.claims import Claim, all_hold, judged, per_size


def family_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Compare what is said of members of the family with the rows of a study of them.

    Parameters
    ----------
    table
        From :func:`autoencoders_study`.

    Returns
    -------
    DataFrame as of :func:`mnist_claims`, with the number of samples in brackets.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import family_claims
    >>> rows = {"panel": "images", "n": 300, "seed": 0, "member": ["pca", "linear"]}
    >>> table = pd.DataFrame(rows | {"test_error": [0.0259, 0.0262], "probe_error": 0.2})
    >>> family_claims(table)[["found", "verdict"]].iloc[0].tolist()
    ['1.01 (300)', 'confirmed']
    """
    images, sparse, regulators, on_images, on_cells = (
        table[table["panel"] == p]
        for p in ("images", "sparse", "regulators", "image-encoders", "regulator-encoders")
    )
    noisy, noisy_pcc = _of_members(on_images, "test_error"), _of_members(on_cells, "pcc")
    error, probe = (_of_members(images, c) for c in ("test_error", "probe_error"))
    pcc, code = _of_members(regulators, "pcc"), _of_members(sparse, "probe_error")

    def ratio(of: pd.DataFrame, one: str, *others: str) -> pd.Series:
        """A member by the best of others."""
        if not {one, *others} <= set(of.columns):
            return pd.Series(dtype=float, index=of.index[:0])
        return (of[one] / of[list(others)].min(axis=1)).dropna()

    def below(said: str, of: pd.DataFrame, one: str, *others: str, most: bool = False) -> Claim:
        found = ratio(of, one, *others)
        if most and len(found):
            found = found[found.index.get_level_values(0) == found.index.get_level_values(0).max()]
        where = "with most samples" if most else "at every size, in every seed"
        return said, f"below 1, {where}", per_size(found, ".2f"), all_hold(found < 1)

    linear = ratio(error, "linear", "pca")
    if len(linear):
        linear = linear.xs(linear.index.get_level_values(0).max(), level=0, drop_level=False)
    others = [m for m in error.columns if m not in ("decoder", "mean") and "encoder-" not in m]
    encoders = [m for m in error.columns if "encoder-" in m]
    return judged(
        (
            "a linear autoencoder finds the principal subspace (Bourlard & Kamp 1988): its error by that of "
            "principal components",
            "within 5 %, with most samples",
            per_size(linear, ".2f"),
            all_hold((linear - 1).abs() < 0.05),
        ),
        below(
            "bottleneck networks explain more than principal components (Kramer 1991)",
            error, "kramer", "pca", most=True,
        ),
        below(
            "deep autoencoders need a start by pretraining (Hinton & Salakhutdinov 2006): error with it by "
            "that without",
            error, "deep-pretrained", "deep",
        ),
        below(
            "denoising makes codes better for classification (Vincent et al. 2008): error of classification "
            "by the plain autoencoder's",
            probe, "denoising", "autoencoder",
        ),
        below(
            "contraction does (Rifai et al. 2011): the same", probe, "contractive", "autoencoder"
        ),
        below(
            "k-sparse codes do better than a denoising autoencoder's (Makhzani & Frey 2013)",
            code, "k = 25", "masking",
        ),
        below(
            "a larger weight of the divergence costs reconstruction (Higgins et al. 2017): error of the VAE "
            "by the β-VAE's",
            error, "vae", "beta-vae",
        ),
        below(
            "a divergence of all codes together costs less than one of each (Zhao et al. 2019): InfoVAE by VAE",
            error, "infovae", "vae",
        ),
        below(
            "a decoder that was trained to reconstruct explains new images better than a generator that was "
            "not (Goodfellow et al. 2014)",
            error, "decoder", "gan",
        ),
        below(
            "the decoder alone reconstructs new images best (Schuster & Krogh 2021): by the best other member",
            error, "decoder", *others,
        ),
        below("no encoder on it keeps that: decoder by the best encoder", error, "decoder", *encoders),
        below(
            "noisy inputs help an encoder on it (left open by the paper), images: noise of half a standard "
            "deviation by as many copies without",
            noisy, "noise 0.5", "noise 0",
        ),
        below(
            "noisy inputs help an encoder on it, regulators: correlation without noise, by that with",
            noisy_pcc, "noise 0", "noise 0.5",
        ),
        below(
            "a masked decoder alone finds regulators, an autoencoder of it does not: correlations, "
            "autoencoder by decoder",
            pcc, "autoencoder", "decoder",
        ),
    )  # fmt: skip


def translation_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Compare what is expected of translation between domains with the rows of a study.

    Parameters
    ----------
    table
        From :func:`translation_study`.

    Returns
    -------
    DataFrame as of :func:`mnist_claims`, with the number of images in brackets.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import translation_claims
    >>> row = {"n": 300, "seed": 0, "domain": "edges", "pairs": "all", "mean_error": 0.07, "own_error": 0.02}
    >>> rows = [row | {"model": m, "test_error": 0.02, "class_error": 0.1} for m in ("decoders alone", "autoencoders")]
    >>> translation_claims(pd.DataFrame(rows))["verdict"].iloc[0]
    'confirmed'
    """
    by = ["n", "seed", "domain"]

    def of(pairs: str, column: str) -> pd.DataFrame:
        part = table[table["pairs"] == pairs]
        wide = part.pivot_table(index=by, columns="model", values=column)
        return wide.reindex(columns=["autoencoders", "decoders alone"]).dropna()

    baseline = of("all", "mean_error")
    paired, tenth = of("all", "test_error") / baseline, of("a tenth", "test_error") / baseline
    own = of("all", "own_error")
    better = own["decoders alone"] / own["autoencoders"]
    labels, none = of("none, labels", "class_error"), of("none", "class_error")
    return judged(
        (
            "two decoders of one representation translate, without encoders and with (Yang et al. 2019), where "
            "pairs are seen: error by that of the mean image",
            "below half, in every domain and seed",
            _both(paired),
            all_hold(paired.max(axis=1) < 0.5),
        ),
        (
            "a tenth of the pairs is enough to be better than the mean image",
            "below 1",
            _both(tenth),
            all_hold(tenth.max(axis=1) < 1),
        ),
        (
            "without encoders a domain is explained better: own error by the autoencoders'",
            "below 1",
            per_size(better, ".2f"),
            all_hold(better < 1),
        ),
        (
            "labels carry the class over where no pair is seen: share of another class",
            "below half",
            _both(labels),
            all_hold(labels.max(axis=1) < 0.5),
        ),
        (
            "alike codes alone carry the class over (Yang et al. 2019, without anchors): the same",
            "below half",
            _both(none),
            all_hold(none.max(axis=1) < 0.5),
        ),
    )


def _of_members(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows (size, seed), a column for each member."""
    if column not in rows:
        return pd.DataFrame()
    return rows.pivot_table(index=["n", "seed"], columns="member", values=column)


def _both(wide: pd.DataFrame) -> str:
    """Means of both ways to learn."""
    return "; ".join(f"{name}: {per_size(wide[name], '.2f')}" for name in wide.columns[::-1])
