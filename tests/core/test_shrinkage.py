from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grnrep.core.choose import held_out, ridge, shrinkage
from grnrep.core.choose.held_out import predict_by_signs
from grnrep.core.choose.ridge import Model, choose_prior, choose_ridge
from grnrep.core.choose.shrinkage import PRIORS, RIDGES, choose_shrinkage
from grnrep.core.network import Network
from grnrep.validation import shuffled_network


def problem(seed, *, spread, noise, n_cells=80, signed=True):
    rng = np.random.default_rng(seed)
    mask = rng.random((150, 15)) < 0.15
    sign = mask * rng.choice([-1, 1], mask.shape)
    w = sign * rng.uniform(1 - spread, 1 + spread, mask.shape)
    p = rng.normal(size=(n_cells, 15)) @ w.T + noise * rng.normal(size=(n_cells, 150))
    gene, regulator = np.nonzero(mask)
    known = sign[gene, regulator] if signed else np.zeros(len(gene))
    return p, Network.from_edges(gene, regulator, known, 150, 15)


@pytest.mark.parametrize("seed", range(3))
def test_equal_strengths_in_noise_ask_for_a_stronger_prior_than_unequal_ones_without(
    seed, monkeypatch
):
    monkeypatch.setattr(held_out, "_ITERATIONS", 5)
    monkeypatch.setattr(shrinkage, "RIDGES", (0.03, 0.3, 3.0))
    monkeypatch.setattr(ridge, "_MAX_ITER", 5)
    equal, network = problem(seed, spread=0.0, noise=3.0, n_cells=60)
    unequal, other = problem(seed, spread=0.9, noise=0.05, n_cells=60)
    options = {"likelihood": "gaussian", "intercept": True}
    assert choose_shrinkage(equal, network, **options)[1] >= 0.3
    assert choose_shrinkage(unequal, other, **options)[1] <= 0.03


def test_choice_is_on_the_grid_and_repeatable(monkeypatch):
    monkeypatch.setattr(held_out, "_ITERATIONS", 5)
    monkeypatch.setattr(shrinkage, "RIDGES", (0.03, 3.0))
    monkeypatch.setattr(held_out, "_HELD_OUT", 60)
    monkeypatch.setattr(ridge, "_MAX_ITER", 5)
    x, network = problem(0, spread=0.5, noise=1.0, n_cells=40)
    first = choose_shrinkage(np.maximum(x, 0), network, rng=4)
    assert first[1] in (0.0, *PRIORS)
    assert first[0] in RIDGES or first[1] == 0.0
    assert first == choose_shrinkage(np.maximum(x, 0), network, rng=4)


@given(st.permutations(range(len(RIDGES) * len(PRIORS))))
def test_search_ends_where_no_pair_beside_is_better_and_scores_nothing_twice(values):
    table = {pair: 100 + value for pair, value in zip(product(RIDGES, PRIORS), values, strict=True)}
    asked = []

    def score(ridge, prior):
        asked.append((ridge, prior))
        return held_out.Score(float(table[ridge, prior]), 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shrinkage, "have_threads", lambda _: True)
        with_many_threads = shrinkage._climb(score, RIDGES, PRIORS)
        assert len(set(asked)) == len(asked)
        asked.clear()
        patch.setattr(shrinkage, "have_threads", lambda _: False)
        found = shrinkage._climb(score, RIDGES, PRIORS)
    assert with_many_threads == found
    assert sorted(found) == sorted(asked)
    ridge, prior = shrinkage._best(found)
    i, j = RIDGES.index(ridge), PRIORS.index(prior)
    around = product(RIDGES[max(0, i - 1) : i + 2], PRIORS[max(0, j - 1) : j + 2])
    # a ridge or a prior more or less; and more of one with less of the other, where either alone comes near
    near = 0.98 * table[ridge, prior]
    for r, p in around:
        alone = max(table[r, prior], table[ridge, p])
        if r == ridge or p == prior or ((r - ridge) * (p - prior) < 0 and alone >= near):
            assert (r, p) in found
    assert table[ridge, prior] == max(table[pair] for pair in found)


@pytest.mark.parametrize(("of_others", "tried"), [(0.97, False), (0.99, True)])
def test_both_steps_together_are_tried_where_one_of_them_comes_near(of_others, tried):
    start = RIDGES[2], PRIORS[0]

    def score(ridge, prior):
        return held_out.Score(1.0 if (ridge, prior) == start else of_others, 0.1)

    found = shrinkage._climb(score, RIDGES, PRIORS)
    assert shrinkage._best(found) == start
    assert ((RIDGES[1], PRIORS[1]) in found) == tried


def test_the_best_prior_and_the_weakest_ridge_that_comes_close_are_taken():
    def taken(**of):
        table = dict(
            zip(((0.03, 0.3), (0.3, 0.3), (3.0, 0.3), (0.03, 0.03)), of.values(), strict=True)
        )
        return shrinkage._weakest_ridge({at: held_out.Score(v, 0.1) for at, v in table.items()})

    assert taken(weak=0.5, middle=0.498, strong=0.5, other=0.4) == (0.03, 0.3)
    assert taken(weak=0.49, middle=0.498, strong=0.5, other=0.4999) == (0.3, 0.3)
    assert taken(weak=0.5, middle=0.5, strong=0.5, other=0.5) == (0.03, 0.03)


def test_search_finds_the_best_pair_where_ridge_and_prior_do_not_interact():
    for peak in product(range(len(RIDGES)), range(len(PRIORS))):

        def score(ridge, prior, peak=peak):
            far = abs(RIDGES.index(ridge) - peak[0]) + abs(PRIORS.index(prior) - peak[1])
            return held_out.Score(1.0 - far, 0.1)

        scores = shrinkage._climb(score, RIDGES, PRIORS)
        assert max(scores, key=lambda pair: scores[pair]) == (RIDGES[peak[0]], PRIORS[peak[1]])


def test_search_finds_a_strong_prior_for_which_a_weak_one_has_a_strong_ridge():
    # as on logarithms of fold changes in yeast: one line of the table after the other would end elsewhere
    of_prior = {0.03: (1, 3, 4, 5, 6), 0.3: (2, 4, 7, 6, 5), 10.0: (3, 6, 9, 4, 3)}

    def score(ridge, prior):
        return held_out.Score(float(of_prior[prior][RIDGES.index(ridge)]), 1.0)

    scores = shrinkage._climb(score, RIDGES, PRIORS)
    assert max(scores, key=lambda pair: scores[pair]) == (RIDGES[2], PRIORS[2])


def test_without_signs_weights_stay_free():
    x, network = problem(0, spread=0.5, noise=1.0, signed=False)
    expected = choose_ridge(x, network, likelihood="gaussian")
    assert choose_shrinkage(x, network, likelihood="gaussian")[:3] == (expected, 0.0, False)
    assert choose_shrinkage(x, network, likelihood="gaussian", ridge=0.7)[:3] == (0.7, 0.0, False)


def test_with_few_genes_values_are_held_out_instead_of_genes(monkeypatch):
    priors = (0.03, 0.3, 3.0)
    monkeypatch.setattr(shrinkage, "FEW_GENES_PRIORS", priors)
    x, network = problem(0, spread=0.0, noise=3.0)
    first = network.gene < 60
    few = Network.from_edges(
        network.gene[first], network.regulator[first], network.sign[first], 60, 15
    )
    ridge, prior, shared, _ = choose_shrinkage(
        x[:, :60], few, likelihood="gaussian", intercept=True
    )
    model = Model("gaussian", True)
    assert (prior, shared) == choose_prior(x[:, :60], few, model, ridge=ridge, priors=priors)
    assert prior >= 0.3  # weights are ±1, and noise is strong
    clear, *_ = problem(0, spread=0.9, noise=0.01)
    assert choose_shrinkage(clear[:, :60], few, likelihood="gaussian", intercept=True)[1] < prior


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shared", [False, True])
def test_the_size_of_weights_is_found_where_genes_are_few(seed, shared, monkeypatch):
    monkeypatch.setattr(shrinkage, "FEW_GENES_PRIORS", (0.03, 0.3, 3.0))
    rng = np.random.default_rng(seed)
    mask = rng.random((60, 30)) < np.where(np.arange(60) % 2, 0.1, 0.6)[:, None]
    mask[np.arange(60), rng.integers(30, size=60)] = True
    sign = mask * rng.choice([-1, 1], mask.shape)
    w = sign / (np.sqrt(mask.sum(1, keepdims=True)) if shared else 1)
    x = rng.normal(size=(40, 30)) @ w.T + 0.3 * rng.normal(size=(40, 60))
    gene, regulator = np.nonzero(mask)
    network = Network.from_edges(gene, regulator, sign[gene, regulator], 60, 30)
    found = choose_shrinkage(x, network, likelihood="gaussian", intercept=True)
    assert found.shared == shared
    again = choose_shrinkage(
        x, network, likelihood="gaussian", intercept=True, ridge=found.ridge, prior=found.prior
    )
    assert again == found


def test_settled_values_stay(monkeypatch):
    monkeypatch.setattr(held_out, "_ITERATIONS", 2)
    monkeypatch.setattr(ridge, "_MAX_ITER", 2)
    x, network = problem(0, spread=0.5, noise=1.0)
    assert choose_shrinkage(x, network, ridge=0.5, prior=0.2)[:3] == (0.5, 0.2, False)
    assert choose_shrinkage(x, network, likelihood="gaussian", prior=0.2)[1] == 0.2
    assert choose_shrinkage(x, network, likelihood="gaussian", ridge=0.5)[0] == 0.5


def test_prediction_leaves_as_many_zeros_as_the_gene_has():
    rng = np.random.default_rng(0)
    activity, own = rng.normal(size=(100, 3)), np.arange(3)
    network = Network.from_edges(own, own, np.ones(3), 3, 3)
    x = np.maximum(rng.normal(size=(100, 3)) - [0.0, 1.0, -9.0], 0)
    predicted = predict_by_signs(activity, network, x, likelihood="tobit")
    np.testing.assert_allclose(
        (predicted == 0).mean(0), np.maximum((x == 0).mean(0), 0.01), atol=0.011
    )
    np.testing.assert_array_equal(
        predict_by_signs(activity, network, x, likelihood="gaussian"), activity
    )


def as_table(network):
    """Edges of a network with names, and back."""
    names = {
        "source": [f"r{j:03}" for j in network.regulator],
        "target": [f"g{i:03}" for i in network.gene],
    }
    return pd.DataFrame(names | {"weight": network.sign})


def as_network(net, network):
    gene, regulator = (net[end].str[1:].astype(int).to_numpy() for end in ("target", "source"))
    return Network.from_edges(gene, regulator, net["weight"], network.n_genes, network.n_regulators)


def without_information(network, seed):
    """A sign-permuted network and a shuffled one: two negative controls."""
    net = as_table(network)
    permuted = net.assign(weight=np.random.default_rng(seed).permutation(net["weight"]))
    return as_network(permuted, network), as_network(shuffled_network(net, rng=seed), network)


def test_sign_permuted_and_shuffled_networks_are_told_from_real_ones(monkeypatch):
    monkeypatch.setattr(held_out, "_ITERATIONS", 4)  # the whole search takes minutes
    monkeypatch.setattr(held_out, "_HELD_OUT", 60)
    monkeypatch.setattr(shrinkage, "RIDGES", (0.3,))
    monkeypatch.setattr(shrinkage, "PRIORS", (0.03, 0.3))
    monkeypatch.setattr(shrinkage, "choose_ridge", lambda *a, **k: 0.01)
    found = {"real": [], "permuted": [], "shuffled": []}
    for seed in range(25):
        x, network = problem(seed, spread=0.5, noise=1.0, n_cells=25)
        kinds = dict(zip(found, (network, *without_information(network, seed)), strict=True))
        # how often chance predicts is counted of shuffled ones; the others get a choice each
        for kind in kinds if seed < 5 else ("shuffled",):
            choice = choose_shrinkage(np.maximum(x, 0), kinds[kind], rng=seed)
            assert 0 < choice.ridge < np.inf
            assert choice.prior in (0.0, 0.03, 0.3)
            found[kind].append(choice)
    assert all(choice.signs_predict for choice in found["real"])
    blind = [choice for choice in found["shuffled"] if not choice.signs_predict]
    assert len(blind) >= 22  # by chance a few predict something
    assert all(choice.prior == 0 for choice in blind)  # these data settle activities without signs


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    best=st.sampled_from([-0.9, -0.1, -1e-9, 0.0, 1e-9, 0.1, 0.9]),
    below=st.lists(
        st.floats(0, 0.5), min_size=len(RIDGES) * len(PRIORS), max_size=len(RIDGES) * len(PRIORS)
    ),
    free=st.floats(-1, 1),
    error=st.floats(0, 0.5),
)
def test_any_scores_give_a_choice(best, below, free, error):
    pairs = [(ridge, prior) for prior in PRIORS for ridge in RIDGES]
    score = {pair: best - fall for pair, fall in zip(pairs, below, strict=True)}
    x, network = problem(0, spread=0.5, noise=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            shrinkage,
            "held_out_score",
            lambda *a, **_: shrinkage.Score(score.get(a[3:5], free), error),
        )
        patch.setattr(shrinkage, "choose_ridge", lambda *a, **_: 0.02)
        found = choose_shrinkage(x, network, likelihood="gaussian")
        given_prior = choose_shrinkage(x, network, likelihood="gaussian", prior=0.3)
    if not found.signs_predict:
        assert found == (0.02, 0.0, False, False)
    else:
        assert found[:2] in [*pairs, (0.02, 0.0)]
        assert score.get(found[:2], free) >= 0.99 * max(best - max(below), 0)
    assert given_prior.prior == 0.3
    assert given_prior.ridge in (*RIDGES, 0.02)


def test_signs_that_say_nothing_draw_weakly_where_data_leave_activities_open(monkeypatch):
    monkeypatch.setattr(shrinkage, "RIDGES", (0.3,))
    monkeypatch.setattr(ridge, "_MAX_ITER", 5)
    x, real = problem(0, spread=0.5, noise=1.0, n_cells=25)
    x = np.maximum(x - np.quantile(x, 0.95), 0)  # fewer values above zero than regulators
    other = without_information(real, 0)[1]
    found = choose_shrinkage(x, other)
    assert found == (choose_ridge(x, other, prior=PRIORS[0]), PRIORS[0], False, False)
    assert choose_shrinkage(x, other, ridge=0.3) == (0.3, PRIORS[0], False, False)
