# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
"""Searching the texts of several clips together: as if each were alone, whatever fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from slt.core.errors import SltError
from slt.core.tensors import EncoderOutput
from slt.pipeline import texts as module
from slt.pipeline.texts import EncodedClip, clips_at_once, find_texts
from slt.text.letters import LettersConfig, LetterText
from tests.text.conftest import golden, reference
from tests.text.hf_models import LANGS, WIDTH, make_text

STEPS = (5, 1, 12, 3, 8)
SECONDS = (0.2, 3.0, 0.0, 1.1, 0.4)
LANG = LANGS["mt5"][0]


def clips_of(width, n_letters=0, sentences=None):
    generator = torch.Generator().manual_seed(3)
    return [
        EncodedClip(
            output=EncoderOutput(
                sentence=torch.randn(1, width, generator=generator)
                if sentences is None
                else sentences[number : number + 1],
                sequence=torch.randn(1, steps, n_letters or width, generator=generator),
                mask=torch.ones(1, steps, dtype=torch.bool),
            ),
            seconds=seconds,
        )
        for number, (steps, seconds) in enumerate(zip(STEPS, SECONDS, strict=True))
    ]


@pytest.fixture(params=["sonar", "mt5", "letters"])
def case(request, golden, reference):
    """A decoder of each kind, and clips for it."""
    torch.manual_seed(5)
    if request.param == "sonar":
        return reference, clips_of(1, sentences=golden["embeddings"])
    if request.param == "mt5":
        return make_text("mt5"), clips_of(WIDTH)
    decoder = LetterText(LettersConfig(feature_dim=3, languages=(LANG,)), "AB").eval()
    return decoder, clips_of(4, n_letters=3)


@pytest.fixture
def mt5():
    return make_text("mt5"), clips_of(WIDTH)


def assert_same(found, expected):
    for texts, alone in zip(found, expected, strict=True):
        assert list(texts) == list(alone)
        for one, other in zip(texts[LANG], alone[LANG], strict=True):
            assert replace(one, score=0, letters=None) == replace(other, score=0, letters=None)
            assert one.score == pytest.approx(other.score, abs=1e-5)
            assert [a.letter for a in one.letters or ()] == [b.letter for b in other.letters or ()]


def test_together_and_alone_give_the_same_in_order(case):
    decoder, clips = case
    expected = [find_texts(decoder, [clip], [LANG], nbest=2)[0] for clip in clips]
    assert len({texts[LANG][0].text for texts in expected}) > 1
    assert_same(find_texts(decoder, clips, [LANG], nbest=2), expected)
    assert find_texts(decoder, [], [LANG]) == []


def test_a_bad_clip_costs_only_itself(mt5):
    decoder, clips = mt5
    expected = find_texts(decoder, clips, [LANG])
    clips[2] = replace(clips[2], output=replace(clips[2].output, sequence=clips[2].output.sequence * torch.nan))
    found = find_texts(decoder, clips, [LANG])
    assert isinstance(found[2], SltError)
    assert "NaN" in found[2].message
    assert_same(found[:2] + found[3:], expected[:2] + expected[3:])


class Small:
    """A decoder that has memory for a few clips, and for none that is too long."""

    def __init__(self, decoder, *, most=2, longest=100):
        self.decoder, self.most, self.longest, self.sizes = decoder, most, longest, []

    def translate(self, output, langs, **settings):
        if len(output.sentence) > self.most or output.sequence.shape[1] > self.longest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.sizes.append(len(output.sentence))
        return self.decoder.translate(output, langs, **settings)


def test_where_memory_runs_out_clips_are_halved(mt5):
    decoder, clips = mt5
    small = Small(decoder)
    assert_same(find_texts(small, clips, [LANG]), find_texts(decoder, clips, [LANG]))
    assert small.sizes == [2, 2, 1]


def test_a_clip_too_long_for_memory_costs_only_itself(mt5):
    decoder, clips = mt5
    found = find_texts(Small(decoder, longest=10), clips, [LANG])
    assert [isinstance(one, SltError) for one in found] == [False, False, True, False, False]
    assert "out of memory" in found[2].message


def test_clips_of_like_length_are_searched_together_in_bounded_parts(mt5, monkeypatch):
    decoder, clips = mt5
    monkeypatch.setattr(module, "STEPS_AT_ONCE", 9)
    small = Small(decoder, most=5)
    assert_same(find_texts(small, clips, [LANG]), find_texts(decoder, clips, [LANG]))
    assert small.sizes == [2, 1, 1, 1]  # of 1 and 3 steps, of 5, of 8, and of 12, which is too long


def test_outputs_are_joined_and_taken_apart():
    outputs = [clip.output for clip in clips_of(4)]
    for one, other in zip(EncoderOutput.of(outputs).clips(), outputs, strict=True):
        for name in ("sentence", "sequence", "mask"):
            torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0)


def test_an_accelerator_takes_more_clips():
    assert (clips_at_once(torch.device("cpu")), clips_at_once(torch.device("cuda"))) == (16, 32)
