"""Principal components and k-means beside scikit-learn and the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn import decomposition

from grnrep.nn import PCA, KMeans


def data(n=60, p=8, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, p)) @ np.diag(np.arange(1.0, p + 1)) @ draw.normal(size=(p, p)) + 5
    return torch.tensor(x, dtype=torch.float64)


def test_pca_is_that_of_scikit_learn():
    x = data()
    pca, other = PCA(3).fit(x), decomposition.PCA(3).fit(x.numpy())
    assert subspace_angles(pca.components.numpy().T, other.components_.T).max() < 1e-7
    np.testing.assert_allclose(pca.encode(x).numpy().var(0, ddof=1), other.explained_variance_)
    reconstruction = other.inverse_transform(other.transform(x.numpy()))
    np.testing.assert_allclose(pca.decode(pca.encode(x)).numpy(), reconstruction)


def test_pca_has_one_sign_whatever_the_order_of_samples():
    x = data()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(PCA(3).fit(x).components, PCA(3).fit(x[order]).components)


def test_pca_keeps_the_type():
    assert PCA(2).fit(data().float()).encode(data().float()).dtype == torch.float32


def test_kmeans_decodes_to_the_nearest_centre():
    x = data()
    kmeans = KMeans(5, rng=1).fit(x)
    z = kmeans.encode(x)
    assert set(z.unique().tolist()) == {0.0, 1.0}
    assert (z.sum(1) == 1).all()
    distance = (x[:, None] - kmeans.centres).square().sum(2)
    torch.testing.assert_close((x - kmeans.decode(z)).square().sum(1), distance.min(1).values)
    for j in range(5):  # Lloyd's fixed point: a centre is the mean of what it stands for
        torch.testing.assert_close(kmeans.centres[j], x[z[:, j] == 1].mean(0))


def test_kmeans_same_seed_same_centres():
    x = data()
    assert torch.equal(KMeans(5, rng=3).fit(x).centres, KMeans(5, rng=3).fit(x).centres)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PCA(0), "d must"),
        (lambda: PCA(9).fit(data()), "d=9"),
        (lambda: KMeans(1.5), "k must"),
        (lambda: KMeans(61).fit(data()), "k=61"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
