"""Products in bfloat16 against the same network's own."""

import pytest
import torch

from grnrep.nn import Bernoulli, Bfloat16, Model, Representation, Trainer, errors, infer, mlp

X = torch.rand(64, 30, generator=torch.Generator().manual_seed(0))


def _network() -> torch.nn.Module:
    return mlp((30, 20, 10), rng=1)


def _gradients(network: torch.nn.Module) -> tuple[torch.Tensor, list[torch.Tensor]]:
    x = X.clone().requires_grad_()
    made = network(x)
    made.square().sum().backward()
    return made.detach(), [x.grad, *(parameter.grad for parameter in network.parameters())]


def test_results_and_gradients_are_near_and_single():
    made, gradients = _gradients(_network())
    low, low_gradients = _gradients(Bfloat16(_network()))
    assert not torch.equal(made, low)  # else nothing was in bfloat16
    for exact, found in zip([made, *gradients], [low, *low_gradients], strict=True):
        assert found.dtype == torch.float32
        assert float((found - exact).norm() / exact.norm()) < 2**-6  # 8 bits, through two layers


def test_exact_where_no_gradient_is_asked():
    network = _network()
    with torch.no_grad():
        assert torch.equal(Bfloat16(network)(X), network(X))


@pytest.mark.parametrize("encoder", [True, False])
def test_training_ends_as_well(encoder):
    """Some hundred steps of Adam, and a descent of representations, end within 2 % of their loss."""
    trainer = Trainer(epochs=60, lr=1e-2, lr_representation=5e-2, progress=False)
    found = []
    for wrap in (lambda network: network, Bfloat16):
        source = wrap(mlp((30, 4), rng=2)) if encoder else Representation(64, 4)
        model = Model(source, wrap(mlp((4, 30), rng=3)), loss=Bernoulli())
        start = float(errors(model, X, infer(model, X, epochs=1)).mean())
        trainer.fit(model, X)
        found.append(float(errors(model, X, trainer.infer(model, X)).mean()))
        assert found[-1] < start - 0.5
    assert found[1] == pytest.approx(found[0], rel=0.02)
