from __future__ import annotations

import numpy as np
import pytest

from slt.train.collapse import constant_embeddings, constant_texts, spread

TARGETS = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)


def test_spread_is_the_share_of_the_targets_variance():
    assert spread(TARGETS / 2, TARGETS) == pytest.approx(0.25)
    assert spread(np.tile(TARGETS[:1], (50, 1)), TARGETS) == 0


def test_a_constant_predictor_is_told_and_a_good_one_is_not():
    (few, found) = constant_embeddings({"spread": 0.001, "recall@1": 2.0}, 50)
    assert "hardly differ: 0.1 % of the targets' variance" in few
    assert "found for 2.0 % of the clips; guessing finds 2.0 %" in found
    assert not list(constant_embeddings({"spread": 0.8, "recall@1": 60.0}, 50))
    assert not list(constant_embeddings({"spread": 0.0, "recall@1": 0.0}, 5))


def test_one_text_for_most_clips_is_told_unless_the_references_repeat_too():
    references = [f"sentence {i}" for i in range(20)]
    (told,) = constant_texts(["thank you"] * 15 + references[15:], references)
    assert told == "15 of 20 clips are translated as 'thank you'"
    assert not list(constant_texts(references, references))
    assert not list(constant_texts(["yes"] * 20, ["yes"] * 18 + ["no"] * 2))
    assert not list(constant_texts(["yes"] * 4, references[:4]))
