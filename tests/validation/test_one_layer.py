"""The written-out gradients against a plain torch model, and independence of what is side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from grnrep.core.network import Network
from grnrep.nn import SparseLinear
from grnrep.validation.regulation.one_layer import train

N_CELLS, N_GENES, M = 22, 30, 4  # batches of 8, 8 and 6


@pytest.fixture(scope="module")
def data():
    g = torch.Generator().manual_seed(0)
    mask = (torch.rand(3, N_GENES, M, generator=g) < 0.4).double()
    weight = (2 * torch.rand(3, N_GENES, M, generator=g) - 1).double() * mask
    z = -torch.rand(3, N_CELLS, M, generator=g).double().log()
    return torch.relu(z @ weight.mT), weight, mask


def twin(x, weight, mask, *, frozen, seed, epochs, lr, weight_decay):
    """The same model of torch's own layers, by autograd."""
    g = torch.Generator().manual_seed(seed)
    layer = nn.Linear(N_GENES, M, dtype=torch.float64)
    for parameter in (layer.weight, layer.bias):
        parameter.data = (
            (2 * torch.rand(parameter.shape, generator=g) - 1) * N_GENES**-0.5
        ).double()
    gene, regulator = np.nonzero(mask.numpy())
    network = Network.from_edges(gene, regulator, np.zeros(len(gene)), N_GENES, M)
    start = weight if frozen else (2 * torch.rand(N_GENES, M, generator=g) - 1).double() * M**-0.5
    sparse = SparseLinear(network, bias=False, weight=start[network.gene, network.regulator])
    model = nn.Sequential(layer, nn.LeakyReLU(0.1), sparse.requires_grad_(not frozen), nn.ReLU())
    parameters = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay)
    history = []
    for _ in range(epochs):
        total = 0.0
        for cells in torch.randperm(N_CELLS, generator=g).split(8):
            loss = nn.functional.mse_loss(model(x[cells]), x[cells])
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += len(cells) * loss.item()
        history.append(total / N_CELLS)
    return model, np.array(history)


@pytest.mark.parametrize("frozen", [True, False])
def test_as_a_plain_torch_model(data, frozen):
    x, weight, mask = data
    options = {"epochs": 12, "lr": 1e-2, "weight_decay": 1e-2}
    what = {"decoder": weight} if frozen else {"mask": mask}
    found = train(x, **what, seeds=[5, 6, 7], batch_size=8, progress=False, **options)
    codes = found.encode(x)
    for i, seed in enumerate([5, 6, 7]):
        model, history = twin(x[i], weight[i], mask[i], frozen=frozen, seed=seed, **options)
        with torch.no_grad():
            np.testing.assert_allclose(found.encoder[i], model[0].weight, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found.bias[i], model[0].bias, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(codes[i], model[:2](x[i]), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found.decode(codes)[i], model(x[i]), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.history[i], history, rtol=1e-9)
        assert history[-1] < history[0]


def test_a_frozen_decoder_is_not_touched_and_masks_are_kept(data):
    x, weight, mask = data
    frozen = train(x, decoder=weight.clone(), seeds=[0, 1, 2], epochs=3, progress=False)
    assert torch.equal(frozen.decoder, weight)
    trained = train(x, mask=mask, seeds=[0, 1, 2], epochs=3, lr=1e-2, progress=False)
    assert torch.equal(trained.decoder != 0, mask.bool())


def test_a_data_set_does_not_see_what_is_beside_it(data):
    x, _, mask = data
    together = train(x, mask=mask, seeds=[3, 4, 5], epochs=5, progress=False)
    alone = train(x[1:2], mask=mask[1:2], seeds=[4], epochs=5, progress=False)
    torch.testing.assert_close(together.encoder[1:2], alone.encoder)
    torch.testing.assert_close(together.decoder[1:2], alone.decoder)


def test_either_a_decoder_or_a_mask(data):
    x, weight, mask = data
    for both in ({}, {"decoder": weight, "mask": mask}):
        with pytest.raises(ValueError, match="either decoder"):
            train(x, **both, seeds=[0, 1, 2], epochs=1)


def test_divergence_is_told(data):
    x, _, mask = data
    with pytest.raises(FloatingPointError, match="lower lr"):
        train(x.float() * 1e30, mask=mask, seeds=[0, 1, 2], epochs=3, progress=False)
