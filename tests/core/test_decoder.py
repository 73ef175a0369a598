"""SparseLinear and its kernels against a dense masked twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from grnrep.core.linalg import Pattern
from grnrep.core.network import Network
from grnrep.nn import sparse
from grnrep.nn.sparse import SparseLinear

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
TOLERANCE = {
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.float64: {"rtol": 1e-12, "atol": 1e-12},
}

# rows are genes; a row or column of zeros is a gene or regulator without edges
MASKS = {
    "general": np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 1, 1]]),
    "empty genes": np.array([[0, 0], [1, 1], [0, 0], [0, 1], [0, 0]]),
    "empty regulators": np.array([[0, 1, 0, 1, 0], [0, 0, 0, 1, 0], [0, 1, 0, 0, 0]]),
    "no edges": np.zeros((3, 2), dtype=int),
    "one edge": np.array([[1]]),
}


def network_of(mask: np.ndarray) -> Network:
    gene, regulator = np.nonzero(mask)
    return Network.from_edges(gene, regulator, np.zeros(len(gene)), *mask.shape)


def twins(mask, *, bias=True, dtype=torch.float64, device="cpu"):
    """A sparse layer and the dense linear layer with the same parameters, and its mask."""
    network = network_of(mask)
    draw = torch.Generator().manual_seed(0)
    layer = SparseLinear(network, bias=bias, dtype=dtype, device=device, generator=draw)
    dense = torch.nn.Linear(*mask.shape[::-1], bias=bias, dtype=dtype, device=device)
    with torch.no_grad():
        if bias:
            layer.bias.copy_(torch.randn(len(mask), generator=draw, dtype=dtype))
            dense.bias.copy_(layer.bias)
        dense.weight.normal_()  # entries without an edge must not matter
        dense.weight[network.gene, network.regulator] = layer.weight
    return layer, dense, torch.as_tensor(mask, dtype=dtype, device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_cells", [0, 1, 7])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", MASKS)
def test_values_and_gradients_of_dense_twin(name, bias, n_cells, dtype, device):
    layer, dense, mask = twins(MASKS[name], bias=bias, dtype=dtype, device=device)
    draw = torch.Generator().manual_seed(1)
    z = torch.randn(n_cells, mask.shape[1], generator=draw, dtype=dtype).to(device).requires_grad_()
    twin_z = z.detach().clone().requires_grad_()
    out = layer(z)
    expected = torch.nn.functional.linear(twin_z, dense.weight * mask, dense.bias)
    torch.testing.assert_close(out, expected, **TOLERANCE[dtype])
    grad = torch.randn(*out.shape, generator=draw, dtype=dtype).to(device)
    out.backward(grad)
    expected.backward(grad)
    torch.testing.assert_close(z.grad, twin_z.grad, **TOLERANCE[dtype])
    gene, regulator = np.nonzero(MASKS[name])
    torch.testing.assert_close(
        layer.weight.grad, dense.weight.grad[gene, regulator], **TOLERANCE[dtype]
    )
    if bias:
        torch.testing.assert_close(layer.bias.grad, dense.bias.grad, **TOLERANCE[dtype])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["general", "empty genes", "empty regulators", "one edge"])
def test_gradients_by_finite_differences(name, device):
    network = network_of(MASKS[name])
    pattern = Pattern(network).to(device)
    draw = torch.Generator().manual_seed(0)
    weight = (
        torch.randn(network.n_edges, generator=draw, dtype=torch.float64)
        .to(device)
        .requires_grad_()
    )
    z = (
        torch.randn(network.n_regulators, 3, generator=draw, dtype=torch.float64)
        .to(device)
        .requires_grad_()
    )
    assert torch.autograd.gradcheck(lambda w, z: sparse._Product.apply(w, z, pattern), (weight, z))


@pytest.mark.parametrize("device", DEVICES)
def test_kernels_take_any_memory_layout(device):
    mask = MASKS["general"]
    pattern = Pattern(network_of(mask)).to(device)
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(2 * mask.sum(), generator=draw, dtype=torch.float64).to(device)[::2]
    z = torch.randn(6, mask.shape[1], generator=draw, dtype=torch.float64).to(device).mT
    r = torch.randn(len(mask), 12, generator=draw, dtype=torch.float64).to(device)[:, ::2]
    assert not any(values.is_contiguous() for values in (weight, z, r))
    matrix = torch.zeros(mask.shape, dtype=torch.float64, device=device)
    matrix[pattern.gene, pattern.regulator] = weight
    close = TOLERANCE[torch.float64]
    torch.testing.assert_close(pattern.matmul(weight, z), matrix @ z, **close)
    torch.testing.assert_close(pattern.matmul_t(weight, r), matrix.mT @ r, **close)
    expected = (r @ z.mT)[pattern.gene, pattern.regulator]
    torch.testing.assert_close(pattern.edge_products(r, z), expected, **close)


@pytest.mark.parametrize("device", DEVICES)
def test_layer_takes_any_memory_layout(device):
    layer, dense, mask = twins(MASKS["general"], device=device)
    draw = torch.Generator().manual_seed(1)
    z = torch.randn(4, 6, generator=draw, dtype=torch.float64).to(device).mT  # columns first
    strided = torch.randn(12, 8, generator=draw, dtype=torch.float64).to(device)[::2, ::2]
    for values in (z, strided):
        expected = torch.nn.functional.linear(values, dense.weight * mask, dense.bias)
        torch.testing.assert_close(layer(values), expected)


def test_order_of_edges_does_not_matter():
    gene, regulator = np.nonzero(MASKS["general"])
    weight = np.arange(1.0, len(gene) + 1)
    shuffle = np.random.default_rng(0).permutation(len(gene))
    networks = [
        Network.from_edges(gene[order], regulator[order], np.sign(weight[order] - 4), 5, 4)
        for order in (np.arange(len(gene)), shuffle)
    ]
    np.testing.assert_array_equal(networks[0].sign, networks[1].sign)
    layers = [SparseLinear(n, generator=torch.Generator().manual_seed(0)) for n in networks]
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(layers[0](z), layers[1](z))


def test_start_values_are_those_of_a_linear_layer():
    mask = np.zeros((400, 25), dtype=int)
    mask[:200, :4] = 1  # genes with 4 regulators, then genes with 25
    mask[200:] = 1
    network = network_of(mask)
    layer = SparseLinear(network, generator=torch.Generator().manual_seed(0))
    again = SparseLinear(network, generator=torch.Generator().manual_seed(0))
    other = SparseLinear(network, generator=torch.Generator().manual_seed(1))
    assert torch.equal(layer.weight, again.weight)
    assert not torch.equal(layer.weight, other.weight)
    assert not layer.bias.any()
    bound = 1 / 5  # of 25 inputs, however many of them a gene has
    for rows in (network.gene < 200, network.gene >= 200):
        drawn = layer.weight.detach()[torch.as_tensor(rows)]
        assert drawn.abs().max() <= bound
        # of a uniform distribution
        assert drawn.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_given_weights_are_copied():
    weight = torch.ones(1, dtype=torch.float64)
    layer = SparseLinear(network_of(MASKS["one edge"]), weight=weight)
    assert layer.weight.dtype == torch.float64
    assert layer.bias.dtype == torch.float64
    with torch.no_grad():
        layer.weight += 1
    assert weight.item() == 1


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 5), (2, 4, 1)])
def test_refuses_representations_of_other_shape(shape):
    layer = SparseLinear(network_of(MASKS["general"]))
    with pytest.raises(ValueError, match=r"z must have shape \(n_cells, 4\); found"):
        layer(torch.zeros(shape))


def test_refuses_weights_of_other_shape():
    with pytest.raises(ValueError, match=r"weight must have shape \(1,\); found \(2,\)"):
        SparseLinear(network_of(MASKS["one edge"]), weight=torch.zeros(2))


class _Largest(TorchDispatchMode):
    """Elements of the largest dense tensor that any operation gave back."""

    n_elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else [out]:
            if isinstance(value, torch.Tensor) and value.layout == torch.strided:
                self.n_elements = max(
                    self.n_elements, value.untyped_storage().nbytes() // value.itemsize
                )
        return out


@pytest.mark.parametrize("device", DEVICES)
def test_no_dense_matrix_of_genes_by_regulators(device):
    n_genes, n_regulators, n_edges, n_cells = 200_000, 5_000, 1_000, 2
    draw = np.random.default_rng(0)
    gene = draw.choice(n_genes, n_edges, replace=False)
    network = Network.from_edges(
        gene, draw.integers(n_regulators, size=n_edges), gene, n_genes, n_regulators
    )
    layer = SparseLinear(network, device=device)
    z = torch.randn(n_cells, n_regulators, device=device, requires_grad=True)
    # the dispatch mode sees tensors that operations return; the profiler also what they allocate inside
    with (
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as allocations,
        _Largest() as seen,
    ):
        layer(z).square().sum().backward()
    allowed = 4 * n_cells * n_genes  # of 10⁹ entries that the dense matrix has
    assert n_cells * n_genes <= seen.n_elements <= allowed
    events = allocations.key_averages()
    allocated = max(
        max(event.self_cpu_memory_usage, event.self_device_memory_usage) for event in events
    )
    assert 0 < allocated <= 16 * 4 * allowed  # all calls of one operation together, in bytes
    assert layer.weight.grad.shape == (n_edges,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("n_genes", "m", "density"), [(30, 7, 0.4), (3000, 300, 0.02), (3000, 300, 0.5)]
)
def test_gram_equals_the_dense_product(n_genes, m, density, dtype):
    rng = np.random.default_rng(0)
    gene, regulator = np.nonzero(rng.random((n_genes, m)) < density)
    pattern = Pattern(Network.from_edges(gene, regulator, np.zeros(len(gene)), n_genes, m))
    weight = torch.as_tensor(rng.normal(size=len(gene)), dtype=dtype)
    w = np.zeros((n_genes, m))
    w[gene, regulator] = weight
    scale = 1e-12 if dtype is torch.float64 else 1e-5
    np.testing.assert_allclose(
        pattern.gram(weight), w.T @ w, rtol=0, atol=scale * (w**2).sum(0).max()
    )
