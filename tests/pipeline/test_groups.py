# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
"""Groups of segments: how they grow, and what is translated before something fails."""

from __future__ import annotations

import pytest
import torch

from slt.core.errors import SltError
from slt.core.tensors import EncoderOutput
from slt.pipeline import groups as module
from slt.pipeline import segment as segment_module
from slt.pipeline.groups import in_groups
from slt.pipeline.result import Failure, Translation
from slt.pipeline.segment import EncodedSegment, Segment
from slt.pipeline.translator import Translator
from tests.bundles import bundle, videos

FAILED = Failure(video="broken.mp4", error=SltError("broken"))


def encoded(steps=1):
    output = EncoderOutput(
        sentence=torch.zeros(1, 2), sequence=torch.zeros(1, steps, 2), mask=torch.ones(1, steps, dtype=torch.bool)
    )
    segment = Segment(video="v", open=lambda: None)
    return EncodedSegment(segment=segment, found=None, readings=[output], timings={})


@pytest.mark.parametrize(("most", "sizes"), [(1, [1] * 12), (4, [1, 2, 4, 4, 1]), (32, [1, 2, 4, 5])])
def test_groups_grow_from_one(most, sizes):
    read = []
    items = (read.append(number) or encoded() for number in range(12))
    groups = in_groups(items, most)
    assert len(next(groups)) == 1
    assert read == [0], "the first text waits for no other clip"
    assert [1, *map(len, groups)] == sizes


def test_a_failure_comes_at_once_or_in_its_place():
    items = [FAILED, encoded(), FAILED, encoded(), FAILED, encoded(), FAILED]
    groups = [[isinstance(one, Failure) for one in group] for group in in_groups(items, 8)]
    assert groups == [[True], [False], [True], [False, True, False], [True]]


def test_long_segments_end_a_group(monkeypatch):
    monkeypatch.setattr(module, "STEPS_AT_ONCE", 10)
    assert [len(group) for group in in_groups([encoded(4) for _ in range(10)], 8)] == [1, 2, 3, 3, 1]


def test_what_was_read_before_an_error_is_translated_first():
    def items():
        yield from (encoded(), encoded())
        raise SltError("the video is truncated")

    groups = in_groups(items(), 8)
    assert [len(next(groups)), len(next(groups))] == [1, 1]
    with pytest.raises(SltError, match="truncated"):
        next(groups)


@pytest.fixture
def together(bundle, monkeypatch):
    """A translator that searches as on an accelerator, and the sizes of its searches."""
    monkeypatch.setattr(Translator, "_clips_at_once", 8)
    sizes, genuine = [], segment_module.find_texts

    def find_texts(decoder, clips, langs, **settings):
        sizes.append(len(clips))
        return genuine(decoder, clips, langs, **settings)

    monkeypatch.setattr(segment_module, "find_texts", find_texts)
    monkeypatch.setattr(module, "translate_encoded", segment_module.translate_encoded)
    return Translator(bundle, device="cpu"), sizes


def as_json(outcome):
    """Return what is printed of an outcome, without times and the last digits of scores."""
    found = outcome.as_json()
    if isinstance(outcome, Translation):
        found["timings_s"] = list(found["timings_s"])
        for hypotheses in found["texts"].values():
            for one in hypotheses:
                one["score"] = pytest.approx(one["score"], abs=1e-5)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("rerank", [False, True])
def test_a_folder_is_translated_as_its_videos_alone(bundle, videos, together, tmp_path, rerank):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    named = [*videos[:4], broken, *videos[4:6]]
    translator, sizes = together
    found = list(translator.translate_many(named, nbest=2, rerank=rerank))
    assert sizes == [size * (4 if rerank else 1) for size in (1, 2, 3)]
    sizes.clear()
    alone = Translator(bundle, device="cpu")
    expected = [alone.translate(video, nbest=2, rerank=rerank) for video in named if video != broken]
    assert isinstance(found.pop(4), Failure)
    assert [as_json(one) for one in found] == [as_json(one) for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.embedding, other.embedding)
        assert torch.equal(one.features, other.features)
    assert sizes == [4 if rerank else 1] * 6, "the readings of one video are searched together"


def test_a_video_whose_search_fails_costs_only_itself(videos, together):
    translator, _ = together
    decoder = translator.load().decoder
    genuine = decoder.translate
    limits = []

    def translate(output, langs, **settings):
        limits.append(settings["max_tokens"])
        if any(limit == settings["max_tokens"][-1] == bad for limit in settings["max_tokens"]):
            raise RuntimeError("odd")
        return genuine(output, langs, **settings)

    bad = 32 + round(16 * 20 / 25)  # the limit of the third video
    decoder.translate = translate
    try:
        found = list(translator.translate_many(videos[:3]))
    finally:
        del decoder.translate
    assert [isinstance(one, Failure) for one in found] == [False, False, True]
    assert found[2].error.message == "unexpected RuntimeError: odd"
    assert [len(each) for each in limits] == [1, 2, 1, 1]


def test_spans_come_in_order_and_fail_alone(videos, together):
    translator, sizes = together
    spans = [(0.0, 0.2), (50.0, 60.0), (0.1, 0.4)]
    found = list(translator.translate_many(videos[2:4], spans=spans))
    assert [(one.span_s if isinstance(one, Failure) else (one.start_s, one.end_s)) for one in found] == spans * 2
    assert [isinstance(one, Failure) for one in found] == [False, True, False] * 2
    assert [size for size in sizes if size] == [1, 2, 1]


def test_a_video_whose_warnings_fail_costs_only_itself(videos, together, monkeypatch):
    translator, _ = together
    genuine = segment_module._warnings

    def warnings(bundle, found, texts):
        if found.n_frames == 15:
            raise ZeroDivisionError("by no frame")
        return genuine(bundle, found, texts)

    monkeypatch.setattr(segment_module, "_warnings", warnings)
    found = list(translator.translate_many(videos[:3]))
    assert [isinstance(one, Failure) for one in found] == [False, True, False]
    assert found[1].error.message == "unexpected ZeroDivisionError: by no frame"
