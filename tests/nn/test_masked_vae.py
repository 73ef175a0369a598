"""Masked variational autoencoder: its loss against closed forms, and that training finds what is there."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl

from grnrep.core.network import Network
from grnrep.nn.masked_vae import MaskedVAE, fit_masked_vae, kl_divergence
from grnrep.validation import masked_vae_activity


def problem(seed=0, n_cells=300, n_genes=40, m=4, noise=0.3):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.3
    mask[np.arange(n_genes), np.arange(n_genes) % m] = True
    gene, regulator = np.nonzero(mask)
    sign = rng.choice([-1.0, 1.0], len(gene))
    network = Network.from_edges(gene, regulator, sign, n_genes, m)
    z = rng.normal(size=(n_cells, m))
    w = np.zeros((n_genes, m))
    w[gene, regulator] = sign * rng.uniform(0.5, 1.5, len(gene))
    return z @ w.T + noise * rng.normal(size=(n_cells, n_genes)) + 2, network, z


def pearson(a, b):
    return np.array([np.corrcoef(*pair)[0, 1] for pair in zip(a.T, b.T, strict=True)])


def test_divergence_is_the_closed_form():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 7, 3, generator=generator, dtype=torch.float64)
    expected = torch_kl(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected)
    assert torch.equal(kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3)), torch.zeros(2))


def test_loss_is_the_negative_bound():
    x, network, _ = problem(n_cells=6)
    model = MaskedVAE(network, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.log_noise.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
        x, noise = torch.as_tensor(x, dtype=torch.float32), torch.linspace(-1, 1, 24).reshape(6, 4)
        mean, log_variance = model.encode(x)
        q = Normal(mean, (log_variance / 2).exp())
        z = q.mean + q.stddev * noise
        w = torch.zeros(network.n_genes, network.n_regulators)
        w[network.gene, network.regulator] = model.decoder.weight
        p = Normal(z @ w.T + model.decoder.bias, (model.log_noise / 2).exp())
        constant = 0.5 * network.n_genes * np.log(2 * np.pi)
        for kl_weight in (0.0, 1.0, 3.0):
            bound = (
                p.log_prob(x).sum(1) + constant - kl_weight * torch_kl(q, Normal(0.0, 1.0)).sum(1)
            )
            torch.testing.assert_close(model.loss(x, noise, kl_weight=kl_weight), -bound.mean())


def test_decoder_has_the_edges_of_the_network_and_their_signs_to_start_with():
    _, network, _ = problem()
    decoder = MaskedVAE(network).decoder
    columns = decoder(torch.eye(network.n_regulators)).detach()
    columns = (columns - decoder.bias.detach()).numpy().T
    mask = np.zeros_like(columns, dtype=bool)
    mask[network.gene, network.regulator] = True
    assert not columns[~mask].any()
    np.testing.assert_array_equal(np.sign(columns[network.gene, network.regulator]), network.sign)


def test_training_lowers_the_loss_and_finds_the_activities():
    x, network, z = problem()
    fit = fit_masked_vae(x, network, epochs=150, progress=False)
    assert len(fit.history) == 150
    assert np.mean(fit.history[-10:]) < 0.5 * np.mean(fit.history[:3])
    assert pearson(fit.activity, z).min() > 0.9
    w = np.zeros((network.n_genes, network.n_regulators))
    w[network.gene, network.regulator] = fit.weight
    off = x - fit.activity @ w.T - fit.bias
    assert np.square(off).sum() < 0.35 * np.square(x - x.mean(0)).sum()


def test_units_of_expression_change_units_of_weights_alone():
    x, network, _ = problem(n_cells=50)
    scale = np.linspace(0.5, 20, network.n_genes)
    one = fit_masked_vae(x, network, epochs=5, progress=False)
    two = fit_masked_vae(x * scale + 3, network, epochs=5, progress=False)
    np.testing.assert_allclose(two.activity, one.activity, atol=1e-3)
    np.testing.assert_allclose(two.weight, one.weight * scale[network.gene], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(two.bias, one.bias * scale + 3, rtol=1e-2)


def test_the_same_seed_gives_the_same_fit():
    x, network, _ = problem(n_cells=50)
    one, two, other = (
        fit_masked_vae(x, network, epochs=3, rng=seed, progress=False) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.activity, two.activity)
    assert not np.array_equal(one.activity, other.activity)


def test_strong_weight_of_the_divergence_empties_the_latent_space():
    x, network, _ = problem(n_cells=100)
    free, bound = (
        fit_masked_vae(x, network, epochs=60, kl_weight=k, progress=False) for k in (1.0, 1000.0)
    )
    assert bound.activity.std() < 0.05 < 0.5 < free.activity.std()


def test_constant_gene_is_harmless():
    x, network, _ = problem(n_cells=50)
    x[:, 3] = 7.0
    fit = fit_masked_vae(x, network, epochs=5, progress=False)
    assert np.isfinite(fit.activity).all()
    assert abs(fit.bias[3] - 7) < 1


def test_table_follows_names():
    x, network, z = problem()
    adata = anndata.AnnData(
        pd.DataFrame(
            x, index=[f"c{k:03d}" for k in range(len(x))], columns=[f"g{i:02d}" for i in range(40)]
        )
    )
    edges = {
        "source": [f"R{j}" for j in network.regulator],
        "target": [f"g{i:02d}" for i in network.gene],
    }
    net = pd.DataFrame({**edges, "weight": network.sign})
    table = masked_vae_activity(adata, net, epochs=60, progress=False)
    assert list(table.columns) == ["R0", "R1", "R2", "R3"]
    assert pearson(table.to_numpy(), z).min() > 0.85
    mixed = adata[np.random.default_rng(0).permutation(len(x)), ::-1].copy()
    other = masked_vae_activity(mixed, net.iloc[::-1], epochs=60, progress=False)
    pd.testing.assert_frame_equal(other.loc[table.index], table)
    turned = masked_vae_activity(
        adata, net.assign(weight=-net["weight"]), epochs=60, progress=False
    )
    assert (turned.corrwith(table) < -0.7).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"epochs": 0}, "epochs"), ({"lr": 0.0}, "lr"), ({"batch_size": 0}, "batch_size")],
)
def test_refuses(change, message):
    x, network, _ = problem(n_cells=10)
    with pytest.raises(ValueError, match=message):
        fit_masked_vae(x, network, progress=False, **change)


def test_refuses_other_genes():
    x, network, _ = problem(n_cells=10)
    with pytest.raises(
        ValueError, match=r"x must have shape \(n_cells > 0, 40\); found \(10, 39\)"
    ):
        fit_masked_vae(x[:, 1:], network, progress=False)
