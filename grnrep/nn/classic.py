"""Autoencoders that need no gradients: principal components, and k-means as the discrete one."""

from __future__ import annotations

import torch
from sklearn import cluster
from torch import Tensor
from torch.nn import functional


class PCA:
    """Principal components, the best linear autoencoder under squared error, in closed form.

    Parameters
    ----------
    d
        Number of components.

    Attributes
    ----------
    mean
        Of the data, ``(n_features,)``.
    components
        Orthonormal directions, ``(d, n_features)``, by falling variance; the largest entry of each is
        positive.

    Raises
    ------
    ValueError
        If ``d`` is not positive, or the data have fewer samples or features.

    References
    ----------
    Bourlard & Kamp (1988), Auto-association by multilayer perceptrons and singular value decomposition,
    Biol Cybern 59:291.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import PCA
    >>> x = torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    >>> pca = PCA(1).fit(x)
    >>> bool(torch.allclose(pca.decode(pca.encode(x)), x, atol=1e-6))
    True
    """

    def __init__(self, d: int):
        self.d = _number("d", d)

    def fit(self, x: Tensor) -> PCA:
        """Find the components of ``x``, ``(n, n_features)``; returns itself."""
        if self.d > min(x.shape):
            raise ValueError(
                f"d={self.d} needs as many samples and features; found {tuple(x.shape)}"
            )
        mean = x.double().mean(0)
        _, _, directions = torch.linalg.svd(x.double() - mean, full_matrices=False)
        components = directions[: self.d]
        largest = components.gather(1, components.abs().argmax(1, keepdim=True))
        self.mean, self.components = mean.to(x.dtype), (components * largest.sign()).to(x.dtype)
        return self

    def encode(self, x: Tensor) -> Tensor:
        """Coordinates ``(n, d)`` of data."""
        return (x - self.mean) @ self.components.mT

    def decode(self, z: Tensor) -> Tensor:
        """Data ``(n, n_features)`` at coordinates."""
        return z @ self.components + self.mean


class KMeans:
    """Discrete autoencoder: the code of a sample is which of k centres is next to it.

    Codes are written with a one at that centre and zeros elsewhere, so that decoding is linear.

    Parameters
    ----------
    k
        Number of centres.
    rng
        Seed of the start.

    Attributes
    ----------
    centres
        Tensor ``(k, n_features)``.

    Raises
    ------
    ValueError
        If ``k`` is not positive, or there are fewer samples.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import KMeans
    >>> x = torch.tensor([[0.0], [0.2], [5.0], [5.2]])
    >>> kmeans = KMeans(2).fit(x)
    >>> kmeans.decode(kmeans.encode(x)).flatten().round(decimals=1) == torch.tensor([0.1, 0.1, 5.1, 5.1])
    tensor([True, True, True, True])
    """

    def __init__(self, k: int, *, rng: int = 0):
        self.k, self.rng = _number("k", k), rng

    def fit(self, x: Tensor) -> KMeans:
        """Find the centres of ``x``, ``(n, n_features)``; returns itself."""
        if self.k > len(x):
            raise ValueError(f"k={self.k} centres need as many samples; found {len(x)}")
        found = cluster.KMeans(self.k, n_init=4, random_state=self.rng).fit(
            x.double().cpu().numpy()
        )
        self.centres = torch.as_tensor(found.cluster_centers_).to(x)
        return self

    def encode(self, x: Tensor) -> Tensor:
        """Codes ``(n, k)`` of data, one 1 in every row."""
        return functional.one_hot(torch.cdist(x, self.centres).argmin(1), self.k).to(x.dtype)

    def decode(self, z: Tensor) -> Tensor:
        """Centres ``(n, n_features)`` of codes."""
        return z @ self.centres


def _number(name: str, value: int) -> int:
    if value != int(value) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1; found {value!r}")
    return int(value)
