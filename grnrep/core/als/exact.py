"""Earlier name."""

from grnrep.core.als.fit import fit_decoder

_OF_LINK = {"relu": "tobit", "identity": "gaussian"}


def fit_exact(x, network, *, link="relu", **options):
    """Earlier name of the fit."""
    from grnrep.core.likelihoods.gaussian import check_link

    check_link(link)
    return fit_decoder(x, network, likelihood=_OF_LINK[link], **options)
