"""What a run says of the weights that it began with: their hashes, and their licence in what comes of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from slt.assets.cards import read_card, sha256_of, write_card
from slt.models.checkpoint import read_metadata, read_weights, save_weights
from slt.train.save import OWN_LICENCE
from tests.train.conftest import HF, only_keypoints
from tests.train.whole import finish

BY_NC = "CC-BY-NC-4.0"
SHAPE = {"d_model": 16, "num_heads": 2, "d_ff": 32, "num_layers": 1}


def noted(run):
    return json.loads((run.folder / "assets.json").read_text()).get("encoder")


@pytest.fixture
def make_own(make, two_streams):
    """Make a recipe on keypoints of which nothing comes from a bundle but what `weights` names."""
    splits = {name: only_keypoints(split) for name, split in two_streams.items()}

    def changed(weights=None, **groups):
        usual = {
            "extractor": {"kind": "keypoints"},
            "decoder": {"kind": "mbart", "shape": HF["mbart"], "vocab_size": 60},
            "objective": {"kind": "cross-entropy"},
            "encoder": {"kind": "transformer", "weights": weights, "shape": {} if weights else SHAPE},
        }
        trainer = {"epochs": 1, "monitor": "loss", **groups.pop("trainer", {})}
        return make(**{**usual, "data": {**splits, "augment": {}}, "trainer": trainer, **groups})

    return changed


@pytest.mark.slow
def test_what_all_began_at_random_is_own_and_what_began_with_a_bundle_has_its_licence(make_own, tmp_path):
    first = finish(make_own(), tmp_path / "first")
    assert read_card(first.bundle).licence == OWN_LICENCE
    assert noted(first) is None
    card = read_card(first.bundle)
    bundle = shutil.copytree(first.bundle, tmp_path / "bundle")
    write_card(bundle, replace(card, licence=f"{BY_NC} AND MIT"))
    second = finish(make_own(str(bundle)), tmp_path / "second")
    assert read_card(second.bundle).licence == f"{BY_NC} AND MIT"
    sha256 = {"encoder.safetensors": card.sha256["encoder.safetensors"]}
    assert noted(second) == {"weights": str(bundle), "licence": f"{BY_NC} AND MIT", "sha256": sha256}
    third = finish(make_own(str(second.folder)), tmp_path / "third")
    assert read_card(third.bundle).licence == f"{BY_NC} AND MIT"


def test_an_encoder_alone_says_what_it_began_with_to_the_run_that_goes_on_with_it(make_own, bundle, tmp_path):
    aligned = {
        "extractor": None,
        "decoder": {"kind": "sonar", "bundle": str(bundle)},
        "objective": {"kind": "contrastive"},
        "trainer": {"monitor": "recall@1"},
    }
    own = finish(make_own(**aligned), tmp_path / "own")
    assert read_metadata(own.encoder)["licence"] == OWN_LICENCE
    bare = tmp_path / "bare.safetensors"
    shutil.copy(own.encoder, bare)
    recipe = make_own(**aligned, encoder={"kind": "transformer", "weights": str(bare), "shape": SHAPE})
    begun = finish(recipe, tmp_path / "begun")
    unknown = "unknown (began with bare.safetensors)"
    assert noted(begun) == {
        "weights": str(bare),
        "licence": unknown,
        "sha256": {"bare.safetensors": sha256_of(bare)},
    }
    assert read_metadata(begun.encoder)["licence"] == unknown
    last = finish(make_own(str(begun.folder)), tmp_path / "last")
    assert read_card(last.bundle).licence == unknown
    assert noted(last)["sha256"] == {"encoder.safetensors": sha256_of(begun.encoder)}
    notes = {name: value for name, value in read_metadata(begun.encoder).items() if name != "licence"}
    weights = {name: value.clone() for name, value in read_weights(begun.encoder).items()}
    save_weights(begun.encoder, weights, notes)  # of before it was noted
    old = finish(make_own(str(begun.folder)), tmp_path / "old")
    assert read_card(old.bundle).licence == "unknown (began with the run begun)"
