"""The Lightning module: the modes of its parts."""

from __future__ import annotations

from slt.train.module import Training
from slt.train.parts import Widths, build_parts
from tests.bundles import EMBEDDING_DIM, FEATURE_DIM


def test_parts_that_are_trained_are_in_training_from_the_first_step_and_frozen_ones_in_evaluation(make):
    through = {"kind": "sonar-space", "mse": 1.0, "cross_entropy": 0.5}
    widths = Widths(feature_dim=FEATURE_DIM, visual_dim=0, target_dim=EMBEDDING_DIM, target_length=1.0)
    for frozen in (False, True):
        recipe = make(encoder={"frozen": frozen}, decoder={"train": "lora"}, objective=through)
        parts = build_parts(recipe, widths, from_video=False)
        module = Training(recipe, parts, variance=1.0, n_steps=1, per_epoch=1)
        for part, trains in ((module.encoder, not frozen), (module.decoder, True)):
            assert {one.training for one in part.modules()} == {trains}
