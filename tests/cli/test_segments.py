# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pysubs2
import pytest
import torch

from slt.core.errors import SltError
from slt.data.synthetic.corpus import write_video
from slt.data.synthetic.talk import plan_talk
from slt.pipeline.translator import Translator
from tests.bundles import FEATURE_DIM, bundle, clip, write_clip


@pytest.fixture
def translate(slt, bundle):
    """Run ``slt translate`` with the tiny model."""
    return lambda *words: slt("translate", "--model", bundle, "--device", "cpu", *words)


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """A video of three sentences with rests between."""
    path = tmp_path_factory.mktemp("talks") / "talk.mp4"
    write_video(path, np.stack(list(plan_talk(3, 17, split="val", rest_s=(1.2, 1.5)).frames())))
    return path


@pytest.fixture(scope="module")
def translations(bundle, talk):
    return list(Translator(bundle, device="cpu").segments(talk, ["deu_Latn", "eng_Latn"]))


def test_a_segments_features_are_those_of_the_same_span_alone(translations, bundle, talk):
    translator = Translator(bundle, device="cpu")
    assert len(translations) == 3
    for found in translations:
        # Times are written in milliseconds, and must name the same frames all the same.
        span = {"start_s": round(found.start_s, 3), "end_s": round(found.end_s, 3)}
        alone = translator.translate(talk, ["deu_Latn", "eng_Latn"], **span)
        assert alone.n_frames == found.n_frames
        torch.testing.assert_close(alone.features, found.features, rtol=0, atol=0)
        assert alone.texts == found.texts
        assert alone.windows == found.windows


def test_segments_come_as_they_are_found(bundle, talk):
    told = []
    segments = Translator(bundle, device="cpu").segments(talk, progress=lambda *what: told.append(what))
    next(segments)
    assert told == []
    next(segments)
    assert [what for what, _, _ in told] == ["seconds of video"]
    segments.close()


def test_sentences_are_printed_with_their_times(translate, talk, translations):
    outcome = translate(talk, "--segment")
    assert outcome.code == 0
    rows = [line.split("\t") for line in outcome.out.splitlines()]
    assert [(float(start), float(end)) for start, end, _ in rows] == [
        (round(one.start_s, 3), round(one.end_s, 3)) for one in translations
    ]
    assert outcome.err.splitlines()[-1].startswith("3 sentences of ")


@pytest.mark.slow
def test_what_is_printed_can_be_given_as_spans(translate, talk, tmp_path):
    printed = translate(talk, "--segment").out
    spans = tmp_path / "spans.tsv"
    spans.write_text(printed)
    assert translate(talk, "--span", spans).out == printed


def test_json_is_one_object_per_sentence(translate, talk, tmp_path):
    outcome = translate(talk, "--segment", "--json", "--save-features", tmp_path / "out")
    found = [json.loads(line) for line in outcome.out.splitlines()]
    assert len(found) == 3
    assert all(one["start_s"] < one["end_s"] and one["texts"]["eng_Latn"] for one in found)
    names = [f"talk.{one['start_s']:.3f}-{one['end_s']:.3f}.npy" for one in found]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names)
    assert np.load(tmp_path / "out" / names[0]).shape == (found[0]["feature_shape"][0], FEATURE_DIM)


@pytest.mark.parametrize("suffix", ["srt", "vtt"])
def test_subtitles_of_the_sentences(translate, talk, translations, tmp_path, suffix):
    outcome = translate(
        talk, "--segment", f"--{suffix}", tmp_path / f"o.{suffix}", "--lang", "deu_Latn", "--lang", "eng_Latn"
    )
    assert outcome.code == 0
    assert sorted(os.listdir(tmp_path)) == [f"o.deu_Latn.{suffix}", f"o.eng_Latn.{suffix}"]
    for lang in ("deu_Latn", "eng_Latn"):
        lines = pysubs2.load(str(tmp_path / f"o.{lang}.{suffix}"), format_=suffix)
        for one in translations:
            shown = [line for line in lines if round(one.start_s * 1000) <= line.start < round(one.end_s * 1000)]
            words = " ".join(line.plaintext for line in shown).split()
            assert "".join(words) == "".join(one.text(lang).split())


def test_subtitles_of_several_videos_go_into_a_folder(translate, talk, clip, tmp_path):
    outcome = translate(talk, clip, "--span", "0.2-1.0", "--srt", tmp_path / "out", "--vtt", tmp_path / "out")
    assert outcome.code == 0
    assert [line.split("\t")[:4] for line in outcome.out.splitlines()] == [
        [str(video), "0.200", "1.000", "eng_Latn"] for video in (talk, clip)
    ]
    assert sorted(os.listdir(tmp_path / "out")) == ["clip.srt", "clip.vtt", "talk.srt", "talk.vtt"]


def test_subtitles_of_a_whole_video(translate, clip, tmp_path):
    assert translate(clip, "--vtt", tmp_path / "o.vtt", "--lang", "deu_Latn").code == 0
    lines = pysubs2.load(str(tmp_path / "o.vtt"))
    assert (lines[0].start, lines[-1].end) == (0, 1600)


def test_a_video_in_which_nobody_signs(translate, tmp_path):
    video = tmp_path / "still.mp4"
    write_video(video, np.full((60, 64, 64, 3), 90, dtype=np.uint8))
    outcome = translate(video, "--segment", "--vtt", tmp_path / "o.vtt")
    assert (outcome.code, outcome.out) == (0, "")
    assert f"warning: {video}: no signing was detected in it" in outcome.err
    assert (tmp_path / "o.vtt").read_text() == "WEBVTT\n\n"


def test_a_span_that_cannot_be_read_costs_only_itself(translate, clip, tmp_path):
    outcome = translate(
        clip, "--span", "9-10", "--span", "0.5-1", "--json", "--srt", tmp_path / "o.srt", "--lang", "deu_Latn"
    )
    assert outcome.code == 3
    bad, good = map(json.loads, outcome.out.splitlines())
    assert (bad["start_s"], bad["end_s"]) == (9, 10)
    assert good["n_frames"] == 12
    assert "1 of 2 spans failed:" in outcome.err
    assert f"{clip}, 9 to 10 s: " in outcome.err
    assert len(pysubs2.load(str(tmp_path / "o.srt"))) >= 1


def test_a_failure_amid_a_video_keeps_what_there_was(translate, talk, tmp_path, monkeypatch):
    genuine = Translator.segments

    def segments(self, *words, **settings):
        yield next(genuine(self, *words, **settings))
        raise SltError("the disk is gone")

    monkeypatch.setattr(Translator, "segments", segments)
    outcome = translate(talk, "--segment", "--srt", tmp_path / "o.srt", "--lang", "deu_Latn")
    assert outcome.code == 3
    assert outcome.out.count("\n") == 1
    assert f"{talk}: the disk is gone" in outcome.err
    assert len(pysubs2.load(str(tmp_path / "o.srt"))) >= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--segment", "--span", "1-2"], "found --segment and --span, expected one of them"),
        (["--max-length", "5"], "--max-length is about the sentences that --segment finds"),
        (["--segment", "--min-pause", "0"], "min_pause_s is 0.0, expected a positive number"),
        (["--segment", "--max-length", "1"], "the longest must be at least"),
        (["--span", "soon"], "--span soon is neither a span nor a file"),
        (["--span", "2-1"], "it ends at 1 s"),
    ],
)
def test_options_that_make_no_sense(translate, clip, words, said):
    outcome = translate(clip, *words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert said in outcome.err


def test_subtitles_that_cannot_be_written_are_known_before_any_work(translate, clip, tmp_path):
    (tmp_path / "file").touch()
    outcome = translate(clip, "--srt", tmp_path / "file" / "o.srt")
    assert (outcome.code, outcome.out) == (2, "")
    assert "cannot write" in outcome.err
    other = shutil.copy(clip, tmp_path / "clip.mp4")
    assert "would both be saved as clip" in translate(clip, other, "--srt", tmp_path / "out").err
