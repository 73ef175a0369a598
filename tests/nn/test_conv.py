"""Convolutional networks beside the shapes of the paper's tables 1 and 2."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from grnrep.nn import cifar_decoder, cifar_encoder, mnist_decoder, mnist_encoder
from grnrep.nn.conv import ConvTranspose2d

LAYERS = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def shapes(net, x):
    """Shape after every layer with weights, and its kernel, stride and padding."""
    found = []

    def note(layer, _, out):
        window = ()
        if not isinstance(layer, nn.Linear):
            window = (layer.kernel_size[0], layer.stride[0], layer.padding[0])
        found.append((type(layer).__name__, window, tuple(out.shape[1:])))

    for layer in net.modules():
        if isinstance(layer, LAYERS):
            layer.register_forward_hook(note)
    net(x)
    return found


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def test_mnist():
    assert shapes(mnist_encoder(), torch.zeros(2, 1, 28, 28)) == [
        ("Conv2d", (4, 2, 1), (64, 14, 14)),
        ("Conv2d", (4, 2, 1), (128, 7, 7)),
        ("Linear", (), (20,)),
    ]
    assert shapes(mnist_decoder(), torch.zeros(2, 20)) == [
        ("Linear", (), (128 * 7 * 7,)),
        ("ConvTranspose2d", (4, 2, 1), (64, 14, 14)),
        ("ConvTranspose2d", (4, 2, 1), (1, 28, 28)),
    ]
    convolutions = 64 * 16 + 128 * 64 * 16
    assert parameters(mnist_encoder(7)) == convolutions + 64 + 128 + 7 * 6272 + 7
    assert parameters(mnist_decoder(7)) == convolutions + 64 + 1 + 7 * 6272 + 6272


CIFAR = {
    "1x1": (
        [(64, 32, 32), (64, 16, 16), (128, 8, 8), (128, 4, 4), (256, 1, 1)],
        [(128, 4, 4), (128, 8, 8), (64, 16, 16), (64, 32, 32), (3, 32, 32)],
        256,
    ),
    "4x4": (
        # as in the text: 64, 32, 16 and 3 channels in the decoder; table 2 has those of 1x1 alone
        [(16, 32, 32), (32, 16, 16), (64, 8, 8), (64, 4, 4)],
        [(64, 8, 8), (32, 16, 16), (16, 32, 32), (3, 32, 32)],
        1024,
    ),
}
WINDOWS = {"1x1": [(1, 1, 0), *[(4, 2, 1)] * 3, (4, 2, 0)], "4x4": [(1, 1, 0), *[(4, 2, 1)] * 3]}


@pytest.mark.parametrize("kind", CIFAR)
def test_cifar(kind):
    encoder_shapes, decoder_shapes, d = CIFAR[kind]
    encoder, decoder, x = cifar_encoder(kind), cifar_decoder(kind), torch.rand(2, 3, 32, 32)
    assert shapes(encoder, x) == [
        ("Conv2d", window, shape)
        for window, shape in zip(WINDOWS[kind], encoder_shapes, strict=True)
    ]
    assert encoder(x).shape == (2, d)
    assert shapes(decoder, torch.rand(2, d)) == [
        ("ConvTranspose2d", window, shape)
        for window, shape in zip(WINDOWS[kind][::-1], decoder_shapes, strict=True)
    ]
    for net, last in ((encoder, 1 if kind == "1x1" else 0), (decoder, 1)):
        kinds = [type(layer) for layer in net.modules()]
        n_layers = sum(issubclass(k, LAYERS) for k in kinds)
        assert kinds.count(nn.BatchNorm2d) == n_layers - last


def test_output_is_not_squashed_yet():
    """The loss applies the sigmoid."""
    for decoder, d in ((mnist_decoder(), 20), (cifar_decoder(), 256)):
        out = decoder(100 * torch.randn(4, d, generator=torch.Generator().manual_seed(0)))
        assert out.min() < 0


@pytest.mark.parametrize("make", [mnist_encoder, mnist_decoder, cifar_encoder, cifar_decoder])
def test_start_values_follow_the_seed(make):
    first, again, other = (next(make(rng=seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("make", [cifar_encoder, cifar_decoder])
def test_unknown_kind(make):
    with pytest.raises(ValueError, match="1x1, 4x4; found '2x2'"):
        make("2x2")


@pytest.mark.parametrize(
    "window", [(4, 2, 1), (4, 2, 0), (1, 1, 0), (3, 2, 1, 1), (4, 2, 1, 0, 3, True, 2)], ids=str
)
def test_transposed_convolutions_are_those_of_torch(window):
    """Results and gradients of images, weights and intercepts."""
    torch.manual_seed(0)
    ours = ConvTranspose2d(3, 6, *window).double()
    theirs = nn.ConvTranspose2d(3, 6, *window).double()
    theirs.load_state_dict(ours.state_dict())
    x, found = torch.rand(2, 3, 6, 6, dtype=torch.float64), []
    for layer in (ours, theirs):
        images = x.clone().requires_grad_()
        made = layer(images)
        made.square().sum().backward()
        found.append([made, images.grad, layer.weight.grad, layer.bias.grad])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
