"""Every member of the family learns digits; members that share a decoder share it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits

from grnrep.nn import (
    FAMILY,
    KL,
    PCA,
    Contractive,
    KSparse,
    Member,
    SquaredError,
    Trainer,
    linear,
    train_member,
)
from grnrep.nn.family import Parts

TRAINER = Trainer(epochs=20, lr=5e-3, lr_representation=1.0, progress=False)
D = 8


@pytest.fixture(scope="module")
def digits():
    x = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    return x[:1000], x[1000:1400]


@pytest.fixture(scope="module")
def decoder(digits):
    return train_member("decoder", digits[0], d=D, trainer=TRAINER, width=0.25)


@pytest.fixture(scope="module")
def member(digits, decoder):
    """Members by name, each trained once."""

    @cache
    def trained(name):
        return train_member(
            name, digits[0], d=D, trainer=TRAINER, width=0.25, decoder=decoder.model
        )

    return trained


def mean_error(x, found):
    return (x - found).square().sum(1).mean().item()


@pytest.mark.parametrize("name", FAMILY)
def test_every_member_beats_the_mean_image(name, digits, member):
    train, test = digits
    trained = member(name)
    z = trained.encode(test)
    assert z.shape == (len(test), D * FAMILY[name].expand)
    baseline = mean_error(test, train.mean(0))
    assert mean_error(test, trained.decode(z)) < 0.85 * baseline  # nan is not
    if trained.model is not None:
        assert torch.isfinite(torch.tensor(trained.history.to_numpy())).all()
        for penalty in trained.model.penalties:
            assert type(penalty) in map(type, FAMILY[name].penalties)


def test_same_seed_same_member(digits):
    short = replace(TRAINER, epochs=2)
    z = [
        train_member("vae", digits[0][:200], d=D, trainer=short).encode(digits[1]) for _ in range(2)
    ]
    assert torch.equal(*z)
    other = train_member("vae", digits[0][:200], d=D, trainer=replace(short, rng=1)).encode(
        digits[1]
    )
    assert not torch.equal(z[0], other)


def test_k_sparse_codes_have_k_units(digits):
    trained = train_member("k-sparse", digits[0], d=D, trainer=replace(TRAINER, epochs=1))
    assert ((trained.encode(digits[1]) != 0).sum(1) == D).all()


def test_contractive_is_less_sensitive(digits):
    member, short = FAMILY["contractive"], replace(TRAINER, epochs=10)

    def sensitivity(member):
        encoder = train_member(member, digits[0], d=4, trainer=short).model.source
        return torch.stack(
            [torch.autograd.functional.jacobian(encoder, x).square().sum() for x in digits[1][:10]]
        ).mean()

    strong, none = (replace(member, penalties=p) for p in ((Contractive(weight=1.0),), ()))
    assert sensitivity(strong) < 0.8 * sensitivity(none)


def test_variational_codes_are_nearer_to_the_prior(digits, member):
    def divergence(trained):
        code = trained.model.eval().encode(digits[1])
        return (
            0.5
            * (code.mean**2 + code.log_variance.exp() - 1 - code.log_variance).sum(1).mean().item()
        )

    weak = train_member(
        replace(FAMILY["vae"], penalties=(KL(beta=0.01),)),
        digits[0],
        d=D,
        trainer=replace(TRAINER, epochs=10),
        width=0.25,
    )
    assert divergence(member("beta-vae")) < divergence(member("vae")) < divergence(weak)


def test_pretraining_is_a_better_start_for_a_deep_network(member):
    plain, pretrained = (
        member(name).history["loss"].iloc[0] for name in ("deep", "deep-pretrained")
    )
    assert pretrained < plain


@pytest.mark.parametrize("kind", ["reconstruction", "data", "noise", "random"])
def test_encoders_are_trained_on_the_decoder_as_it_is(kind, digits, decoder):
    trained = train_member(
        f"encoder-{kind}",
        digits[0],
        d=D,
        trainer=replace(TRAINER, epochs=2),
        width=0.25,
        decoder=decoder.model,
    )
    z = torch.randn(5, D)
    torch.testing.assert_close(trained.decode(z), decoder.decode(z))
    assert trained.model.has_encoder


def test_noisy_inputs_stay_where_the_loss_has_a_minimum(digits, decoder, monkeypatch):
    """A value beyond [0, 1] would have no best probability: the nearer to 0 or 1, the better, without end."""
    seen = []
    infer = Trainer.infer

    def spy(self, model, x):
        seen.append(x)
        return infer(self, model, x)

    monkeypatch.setattr(Trainer, "infer", spy)
    short, x = replace(TRAINER, epochs=1), digits[0][:50]
    options = {"d": D, "trainer": short, "width": 0.25, "decoder": decoder.model}
    train_member(replace(FAMILY["encoder-noise"], noise=1.0), x, **options)
    (inputs,) = seen
    assert torch.equal(inputs[:50], x)
    assert (inputs[50:] != x.repeat(4, 1)).float().mean() > 0.6
    assert (inputs.min(), inputs.max()) == (0, 1)


def test_encoder_to_representations_learns_them(digits, decoder, member):
    """Nearer to the learned representations than the encoder that learns by reconstruction."""
    table = decoder.model.source.table.detach()
    off = {}
    for kind in ("data", "reconstruction"):
        off[kind] = mean_error(table, member(f"encoder-{kind}").encode(digits[0]))
    assert off["data"] < off["reconstruction"]
    assert off["data"] < 0.2 * mean_error(table, table.mean(0))


def test_numbers_of_parameters(digits):
    short = replace(TRAINER, epochs=1)
    found = {
        name: train_member(name, digits[0], d=D, trainer=short, width=0.25).n_parameters
        for name in ("pca", "k-means", "linear", "k-sparse", "decoder", "encoder-data")
    }
    half = 64 * 64 + 64 + 64 * D  # one hidden layer of 64 units, without the last intercepts
    assert found == {
        "pca": 64 * D + 64,
        "k-means": 64 * D,
        "linear": 2 * 64 * D + D + 64,
        "k-sparse": 64 * 4 * D + 4 * D + 64,
        "decoder": half + 64,
        "encoder-data": 2 * half + D + 64,
    }


def test_parts_of_ones_own(digits):
    member = Member(about="sparse and relu", bottleneck=lambda d: KSparse(2))

    def parts(n_out, n_in):
        loss = SquaredError(link="relu")
        return Parts(linear(64, n_out), linear(n_in, 64), loss)

    trained = train_member(
        member, digits[0], d=5, trainer=replace(TRAINER, epochs=1), architecture=parts
    )
    assert ((trained.encode(digits[1]) != 0).sum(1) == 2).all()
    assert trained.decode(torch.randn(3, 5)).min() >= 0


def test_refuses():
    with pytest.raises(ValueError, match="member must be one of pca, k-means"):
        train_member("dreams", torch.zeros(3, 4), d=2, trainer=TRAINER)
    with pytest.raises(ValueError, match="encoder, representations, prior; found 'dream'"):
        Member(about="", source="dream")
    with pytest.raises(ValueError, match="reconstruction, data, noise, random; found 'dream'"):
        Member(about="", encoder_on="dream")
    with pytest.raises(ValueError, match="checkpoint=None"):
        train_member("vae", torch.zeros(3, 4), d=2, trainer=replace(TRAINER, checkpoint="file"))


def test_linear_autoencoder_finds_the_principal_subspace():
    """Bourlard & Kamp (1988): the least squared error is that of principal components."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(12, 12, generator=generator))[0]
    x = torch.randn(80, 12, generator=generator) * torch.tensor([3, 2.5, 2, *[0.3] * 9]) @ basis
    x = x - x.mean(0)
    trainer = Trainer(epochs=800, batch_size=80, lr=2e-2, progress=False)
    decoder = train_member("linear", x, d=3, trainer=trainer).model.decoder[0]
    angle = subspace_angles(
        decoder.weight.detach().numpy(), PCA(3).fit(x).components.T.numpy()
    ).max()
    assert angle < 1e-3
