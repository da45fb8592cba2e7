"""Beam search step by step; ``tests/text/test_sonar_search.py`` holds that it finds what fairseq2 finds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from fairseq2.generation.step_processor import NGramRepeatBlockProcessor

from slt.text.m2m100.model import M2M100Text
from slt.text.m2m100.search import forbid_repeats
from slt.text.sonar.model import SonarText

from ..conftest import LANGS


@pytest.fixture(scope="module")
def ours(golden: dict[str, Any]) -> M2M100Text:
    return M2M100Text.load(golden["config"], golden["decoder"], golden["tokenizer"], golden["encoder"])


@pytest.mark.parametrize(
    "options",
    [
        {"beam_size": 5, "nbest": 5},
        {"beam_size": 5, "nbest": 5, "patient": True},
        {"beam_size": 1},
        {"beam_size": 20, "nbest": 20, "max_tokens": 8},
        {"beam_size": 3, "nbest": 3, "max_tokens": 1},
    ],
)
def test_every_hypothesis_is_that_of_fairseq2(
    golden: dict[str, Any], ours: M2M100Text, reference: SonarText, options: dict[str, Any]
) -> None:
    options.setdefault("max_tokens", 60)
    found, expected = (model.decode(golden["embeddings"], LANGS, **options) for model in (ours, reference))
    for row, wanted in zip(found, expected, strict=True):
        for lang in LANGS:
            assert [replace(one, score=0.0) for one in row[lang]] == [replace(one, score=0.0) for one in wanted[lang]]
            scores = [torch.tensor([one.score for one in some]) for some in (row[lang], wanted[lang])]
            torch.testing.assert_close(*scores, rtol=0, atol=1e-5)


def test_without_repeats_too(
    golden: dict[str, Any], ours: M2M100Text, reference: SonarText, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slt.text.sonar_text.is_repetitive", lambda text: len(text) > 20)
    found, expected = (
        model.decode(golden["embeddings"], LANGS, nbest=5, max_tokens=40, retry_repetitive=True)
        for model in (ours, reference)
    )
    assert any(row[lang][0].looped for row in found for lang in LANGS)
    texts = [
        [[(one.text, one.looped) for one in row[lang]] for row in rows for lang in LANGS] for rows in (found, expected)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("length", [3, 4, 12, 40])
def test_repeats_are_forbidden_as_in_fairseq2(length: int) -> None:
    ids = torch.randint(3, (16, length), generator=torch.Generator().manual_seed(length))
    ours, theirs = torch.zeros(16, 3), torch.zeros(16, 3)
    forbid_repeats(ids, ours)
    NGramRepeatBlockProcessor(4)(ids, theirs, lprob=True)
    assert torch.equal(ours, theirs)
    assert (ours == -math.inf).any() == (length > 4)
