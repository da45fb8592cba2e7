"""Encoders that begin with weights: of a bundle, for features of another width, or that do not fit at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from slt.core.errors import SltError, UserError
from slt.core.tensors import FeatureBatch
from slt.models.checkpoint import read_weights, save_weights
from slt.models.config import KEYPOINTS_DIM
from slt.train.parts import Widths, build_encoder
from tests.bundles import EMBEDDING_DIM, FEATURE_DIM
from tests.train.conftest import SHAPE, VISUAL_DIM


def widths(**changed):
    fitting = {"feature_dim": FEATURE_DIM, "visual_dim": 0, "target_dim": EMBEDDING_DIM, "target_length": 1.0}
    return Widths(**{**fitting, **changed})


def encoder_from(make, weights, **shape):
    return make(encoder={"kind": "sonar-t5", "weights": str(weights), "shape": shape}).encoder


def test_a_bundles_weights_are_taken_as_they_are(make, bundle, capsys):
    model = build_encoder(encoder_from(make, bundle), widths())
    for name, value in read_weights(bundle / "encoder.safetensors").items():
        torch.testing.assert_close(model.state_dict()[name], value)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "anew"),
    [
        ({"feature_dim": 7}, {"encoder.feature_projection.feature_proj.weight"}),
        ({"target_dim": 9}, {"projection_out.weight"}),
    ],
)
def test_what_the_data_makes_another_width_begins_at_random_and_is_told(make, bundle, capsys, changed, anew):
    model = build_encoder(encoder_from(make, bundle), widths(**changed))
    own = model.state_dict()
    before = read_weights(bundle / "encoder.safetensors")
    assert {name for name in before if own[name].shape != before[name].shape} == anew
    for name in before.keys() - anew:
        torch.testing.assert_close(own[name], before[name])
    assert f"{', '.join(sorted(anew))} begin at random" in capsys.readouterr().err


def test_weights_of_another_shape_inside_are_refused(make, bundle):
    file = bundle / "encoder.safetensors"
    with pytest.raises((UserError, SltError), match=r"encoder\.block\.0"):
        build_encoder(encoder_from(make, file, **{**SHAPE, "vocab_size": 4, "d_ff": 24}), widths())


def test_weights_that_lack_some_are_refused(make, bundle, tmp_path):
    weights = read_weights(bundle / "encoder.safetensors")
    weights.pop("projection_out.weight")
    save_weights(tmp_path / "less.safetensors", {name: value.clone() for name, value in weights.items()})
    with pytest.raises((UserError, SltError), match=r"projection_out\.weight"):
        build_encoder(encoder_from(make, tmp_path / "less.safetensors", **SHAPE, vocab_size=4), widths())


SMALL = {"d_model": 8, "num_heads": 2, "d_ff": 64, "dropout_rate": 0.1}
DEEP = {
    "sonar-t5": {**SHAPE, "vocab_size": 4, "num_layers": 3, "dropout_rate": 0.1},
    "fusion": {**SMALL, "num_visual_layers": 2, "num_blocks": 2, "kernel_size": 3},
    "transformer": {**SMALL, "num_layers": 3},
}
FEATURES = {"sonar-t5": "features", "transformer": "joints", "fusion": {"keypoints": "joints", "siglip": "pictures"}}


def kept_and_gradients(make, splits, encoder, *, checkpointing):
    """Return how many numbers a forward pass keeps for the backward one, and the gradients."""
    two = {"visual": FeatureBatch.of([torch.ones(5, VISUAL_DIM), torch.ones(3, VISUAL_DIM)])}
    width = FEATURE_DIM if encoder == "sonar-t5" else KEYPOINTS_DIM
    data = {name: {"manifest": split["manifest"], "features": FEATURES[encoder]} for name, split in splits.items()}
    torch.manual_seed(0)
    model = build_encoder(
        make(
            extractor=None,
            data=data,
            encoder={"kind": encoder, "shape": DEEP[encoder], "checkpointing": checkpointing},
        ).encoder,
        widths(feature_dim=width, visual_dim=VISUAL_DIM if encoder == "fusion" else 0),
    ).train()
    clips = FeatureBatch.of([torch.rand(20, width), torch.rand(12, width)])
    batch = replace(clips, **two) if encoder == "fusion" else clips
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one.numel()) or one, lambda one: one):
        loss = model(batch).sentence.square().sum()
    loss.backward()
    return sum(kept), {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("encoder", DEEP)
def test_recomputing_keeps_less_and_changes_no_gradient(make, splits, encoder):
    kept, gradients = kept_and_gradients(make, splits, encoder, checkpointing=False)
    less, same = kept_and_gradients(make, splits, encoder, checkpointing=True)
    assert less < 0.7 * kept
    assert same.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(same[name], gradient)
