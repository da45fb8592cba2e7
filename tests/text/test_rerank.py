from __future__ import annotations

import math

import pytest
import torch

from slt.assets.cards import ConfidenceCard
from slt.text.decoder import Hypothesis
from slt.text.rerank import AGREEMENT_WEIGHT, confidence, rerank

MEANINGS = {"up": (0.0, 1.0), "right": (1.0, 0.0), "both": (1.0, 1.0)}


class TextScorer:
    """Knows what two texts mean, and how likely each is given a reading: their inner product."""

    def embed(self, texts, lang):
        assert lang == "eng_Latn"
        return torch.tensor([MEANINGS[text] for text in texts])

    def log_likelihoods(self, embeddings, texts, langs):
        assert set(langs) == {"eng_Latn"}
        return (embeddings * self.embed(texts, "eng_Latn")).sum(1) - 3


def texts(*names):
    return [Hypothesis(text=name, score=-1.0) for name in names]


def test_the_text_that_fits_all_readings_wins():
    readings = torch.tensor([[1.0, 0.1], [0.1, 1.0], [1.0, 1.0]])
    first, *rest = rerank(TextScorer(), readings, texts("up", "right", "both"), "eng_Latn")
    assert first.text == "both"
    assert first.score == pytest.approx((1.1 + 1.1 + 2.0) / 3 - 3)
    cosines = [1.1 / math.sqrt(1.01 * 2), 1.1 / math.sqrt(1.01 * 2), 1.0]
    assert first.agreement == pytest.approx(sum(cosines) / 3)
    fits = [one.score + AGREEMENT_WEIGHT * one.agreement for one in [first, *rest]]
    assert fits == sorted(fits, reverse=True)


def test_equal_texts_count_once_and_the_first_is_kept():
    twice = [Hypothesis(text="up", score=-1.0, truncated=True), *texts("up", "right")]
    found = rerank(TextScorer(), torch.tensor([[0.0, 1.0]]), twice, "eng_Latn")
    assert [(one.text, one.truncated) for one in found] == [("up", True), ("right", False)]


def test_confidence_is_the_agreement_until_it_was_calibrated():
    assert [confidence(value, None) for value in (-0.5, 0.25, 1.0)] == [0.0, 0.25, 1.0]
    calibration = ConfidenceCard(slope=100.0, bias=-95.0, fitted_on="a test")
    assert confidence(0.95, calibration) == pytest.approx(0.5)
    assert 0 <= confidence(-1.0, calibration) < 0.1 < 0.9 < confidence(1.0, calibration) <= 1


def test_what_the_model_itself_wrote_fits_its_embedding_best(golden, golden_model):
    """The genuine models as judge: the text of an embedding beats those of others."""
    embeddings = golden["embeddings"][:6]
    found = golden_model.decode(embeddings, ["eng_Latn"])
    pool = list(dict.fromkeys(row["eng_Latn"][0].text for row in found))
    for row, embedding in zip(found, embeddings, strict=True):
        best = rerank(golden_model, embedding[None], [Hypothesis(text=t, score=0.0) for t in pool], "eng_Latn")[0]
        assert best.text == row["eng_Latn"][0].text
