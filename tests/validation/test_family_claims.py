"""Claims on the family and on translation: what counts as found, and what as not tested."""

from __future__ import annotations

import pandas as pd

from grnrep.validation import family_claims, translation_claims


def rows(panel, errors, n=(300, 1437), column="test_error"):
    return [
        {"panel": panel, "n": size, "seed": seed, "member": member, column: value}
        for member, value in errors.items()
        for size in n
        for seed in (0, 1)
    ]


def verdicts(table):
    found = family_claims(pd.DataFrame(table)).set_index("claim")["verdict"]
    return {claim.split(" (")[0].split(":")[0]: verdict for claim, verdict in found.items()}


def test_family_claims():
    errors = {"pca": 0.020, "linear": 0.0208, "kramer": 0.019, "decoder": 0.010, "vae": 0.015}
    table = rows("images", errors | {"encoder-data": 0.012})
    table += rows("image-encoders", {"noise 0": 0.012, "noise 0.5": 0.011})
    found = verdicts(table)
    assert found["a linear autoencoder finds the principal subspace"] == "confirmed"
    assert found["bottleneck networks explain more than principal components"] == "confirmed"
    assert found["the decoder alone reconstructs new images best"] == "confirmed"
    assert found["no encoder on it keeps that"] == "confirmed"
    assert found["noisy inputs help an encoder on it"] == "confirmed"
    assert found["deep autoencoders need a start by pretraining"] == "not tested"
    assert found["noisy inputs help an encoder on it, regulators"] == "not tested"


def test_one_seed_is_enough_against_a_claim():
    table = rows("images", {"vae": 0.015, "decoder": 0.010, "encoder-data": 0.012})
    assert verdicts(table)["the decoder alone reconstructs new images best"] == "confirmed"
    table[3]["test_error"] = 0.009  # of the vae
    found = verdicts(table)
    assert found["the decoder alone reconstructs new images best"] == "not confirmed"
    assert found["no encoder on it keeps that"] == "confirmed"  # which is not about the vae


def test_only_the_largest_size_counts_where_it_is_said():
    table = rows("images", {"pca": 0.020, "kramer": 0.019, "linear": 0.020})
    for row in table:
        if row["n"] == 300:
            row["test_error"] *= {"kramer": 2, "linear": 2}.get(row["member"], 1)
    found = verdicts(table)
    assert found["a linear autoencoder finds the principal subspace"] == "confirmed"
    assert found["bottleneck networks explain more than principal components"] == "confirmed"


def test_regulators_and_codes():
    table = rows("regulators", {"decoder": 0.9, "autoencoder": 0.3}, column="pcc")
    table += rows("regulator-encoders", {"noise 0": 0.7, "noise 0.5": 0.8}, column="pcc")
    table += rows("sparse", {"k = 25": 0.04, "masking": 0.03}, column="probe_error")
    found = verdicts(table)
    assert (
        found["a masked decoder alone finds regulators, an autoencoder of it does not"]
        == "confirmed"
    )
    assert found["noisy inputs help an encoder on it, regulators"] == "confirmed"
    assert found["k-sparse codes do better than a denoising autoencoder's"] == "not confirmed"


def test_translation_claims():
    errors = {"all": 0.02, "a tenth": 0.06, "none, labels": 0.08, "none": 0.1}
    lost = {"all": 0.1, "a tenth": 0.3, "none, labels": 0.4, "none": 0.9}
    table = pd.DataFrame(
        {"n": 300, "seed": 0, "domain": domain, "pairs": pairs, "model": model, "mean_error": 0.07,
         "test_error": errors[pairs], "own_error": own, "class_error": lost[pairs]}
        for domain in ("rotated", "edges")
        for pairs in errors
        for model, own in {"decoders alone": 0.01, "autoencoders": 0.02}.items()
    )  # fmt: skip
    assert list(translation_claims(table)["verdict"]) == ["confirmed"] * 4 + ["not confirmed"]
    assert translation_claims(table)["found"].iloc[2] == "0.50 (300)"
    table.loc[table["pairs"].eq("all").idxmax(), "test_error"] = 0.04  # one of four, above half
    assert translation_claims(table)["verdict"].iloc[0] == "not confirmed"
    some = translation_claims(table[table["pairs"] == "all"])
    assert list(some["verdict"])[3:] == ["not tested"] * 2
