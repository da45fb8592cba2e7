"""Encoders that begin with weights: of a bundle, for features of another width, or that do not fit at all."""

from __future__ import annotations

import pytest
import torch

from slt.errors import SltError, UserError
from slt.models.checkpoint import read_weights, save_weights
from slt.train.parts import Widths, build_encoder
from tests.bundles import EMBEDDING_DIM, FEATURE_DIM
from tests.train.conftest import SHAPE


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
