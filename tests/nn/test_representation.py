"""The table of representations: lookup, gradients, start values."""

from __future__ import annotations

import pytest
import torch

from grnrep.core.network import Network
from grnrep.nn import Representation, SparseLinear

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_batches_add_up_in_place(dtype, device):
    draw = torch.Generator().manual_seed(0)
    init, target = (torch.randn(5, 3, generator=draw, dtype=dtype).to(device) for _ in range(2))
    representation = Representation(5, 3, init=init, device=device)
    place = representation.table.grad.data_ptr()
    for rows in torch.tensor([[3, 0], [4, 3]], device=device):  # cell 3 twice, cells 1 and 2 never
        (representation(rows) * target[rows]).sum().backward()
    assert representation.table.grad.data_ptr() == place
    times = torch.tensor([1, 0, 0, 2, 1], device=device)[:, None]
    torch.testing.assert_close(representation.table.grad, target * times)


def test_start_is_drawn_once_and_keeps_given_values():
    drawn = [
        Representation(200, 50, generator=torch.Generator().manual_seed(s)).table for s in (0, 0, 1)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert drawn[0].min() >= 0
    assert drawn[0].max() < 1
    # 10,000 draws: standard error 0.003
    assert drawn[0].mean().item() == pytest.approx(0.5, abs=0.015)
    given = torch.ones(2, 2)
    representation = Representation(2, 2, init=given, dtype=torch.float64)
    with torch.no_grad():
        representation.table += 1
    assert given.eq(1).all()
    assert representation.table.dtype == torch.float64


def test_zeros_are_a_dead_point_and_the_start_is_not():
    draw = torch.Generator().manual_seed(0)
    network = Network.from_edges(
        [0, 0, 1, 2, 2, 3], [0, 1, 1, 0, 2, 2], [0] * 6, n_genes=4, n_regulators=3
    )
    decoder = SparseLinear(network, bias=False, generator=draw)
    x = torch.rand(30, 4, generator=draw) + 0.1
    gradients = {}
    for name, init in {"zeros": torch.zeros(30, 3), "default": None}.items():
        representation = Representation(30, 3, init=init, generator=draw)
        decoder.zero_grad()
        (torch.relu(decoder(representation(torch.arange(30)))) - x).square().sum().backward()
        gradients[name] = [representation.table.grad, decoder.weight.grad.clone()]
    assert not any(gradient.any() for gradient in gradients["zeros"])
    table, weight = gradients["default"]
    assert (table.abs().sum(1) > 0).float().mean() > 0.9  # of cells; a few may have all genes off
    # of 6; one may belong to a gene whose only weight is negative
    assert weight.count_nonzero() >= 4


def test_refuses_start_of_other_shape():
    with pytest.raises(ValueError, match=r"init must have shape \(3, 2\); found \(2, 3\)"):
        Representation(3, 2, init=torch.zeros(2, 3))
