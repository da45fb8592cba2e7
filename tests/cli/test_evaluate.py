from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from slt.data.features.records import DATA
from slt.data.manifest import Clip, write_manifest
from slt.data.synthetic.corpus import write_corpus
from slt.evaluate.model import BlankVideo, ModelSettings
from slt.evaluate.progress_log import PROGRESS_LOG
from slt.evaluate.results import COLUMNS, read_results
from slt.evaluate.text_metrics import bleu
from tests.bundles import write_clip

ENGINES = (None, "fairseq2", "transformers")
FAST = ("--resamples", 100)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A held-out corpus for the shipped model."""
    return write_corpus(tmp_path_factory.mktemp("drawn"), {"test": 12}, 1234)["test"]


@pytest.fixture
def manifest(tmp_path, clip):
    """Three clips for the tiny model, one of them a part of a video, and one whose video is missing."""
    shutil.copy(clip, tmp_path / "a.mp4")
    clips = [
        Clip(id="whole", video="a.mp4", text="we go hiking", lang="eng_Latn", extra={"signer": "Ann"}),
        Clip(id="part", video="a.mp4", start_s=0.4, end_s=1.2, text="is the weather nice", lang="eng_Latn"),
        Clip(id="gone", video="b.mp4", text="we go", lang="eng_Latn"),
        Clip(id="silent", video="a.mp4"),
    ]
    write_manifest(tmp_path / "test.tsv", clips)
    return tmp_path / "test.tsv"


@pytest.mark.slow
def test_the_demo_reads_held_out_clips_and_says_nothing_of_blank_ones(slt, drawn, tmp_path):
    out = tmp_path / "out"
    outcome = slt("evaluate", "--model", "demo", "--manifest", drawn, "--out", out, "--controls", *FAST)
    assert outcome.code == 0
    results = read_results(out)
    assert results.score("bleu4").value > 85
    assert results.score("recall@1").value == 100
    assert results.score("cosine").value > 0.9
    controls = {control.name: control.scores[0].value for control in results.controls}
    assert set(controls) == {"blank", "shuffled"}
    assert max(controls.values()) < 10
    assert results.timing.n == 12
    other = slt("evaluate", "--model", "demo", "--manifest", drawn, "--text-engine", "transformers", "--json", *FAST)
    assert json.loads(other.out)["source"]["text_engine"] == "transformers"
    assert json.loads(other.out)["scores"][0]["value"] == results.scores[0].value
    assert results.norms["norm_predicted"] == pytest.approx(results.norms["norm_reference"], rel=0.2)
    assert f"BLEU-4                    {results.score('bleu4').value:8.2f}" in outcome.out
    assert results.score("bleu4").signature in outcome.out
    rows = [line.split("\t") for line in (out / "translations.tsv").read_text("utf-8").splitlines()]
    assert rows[0] == list(COLUMNS)
    assert len(rows) == 13
    assert [row["id"] for row in json.loads((out / "translations.json").read_text("utf-8"))] == [r[0] for r in rows[1:]]


def test_failed_clips_are_listed_and_count_as_empty(slt, bundle, manifest, tmp_path):
    words = ("evaluate", "--model", bundle, "--manifest", manifest, "--device", "cpu", *FAST)
    counted = slt(*words, "--out", tmp_path / "out")
    assert counted.code == 3
    assert "1 of 3 clips failed:" in counted.err
    results = read_results(tmp_path / "out")
    assert [one.id for one in results.sentences] == ["whole", "part", "gone"]
    assert list(results.clips.failed) == ["gone"]
    assert results.sentences[2].hypothesis == ""
    assert "there is no" in results.sentences[2].failure or "b.mp4" in results.sentences[2].failure
    assert results.clips.without_reference == ("silent",)
    assert "|failed:1 empty|bs:100|seed:12345" in results.score("bleu4").signature
    assert [group.label for group in results.groups if group.by == "signer"] == ["Ann"]

    skipped = slt(*words, "--skip-missing", "--out", tmp_path / "skipped")
    assert skipped.code == 3
    left = read_results(tmp_path / "skipped")
    assert left.clips.n == 2
    assert left.clips.counting == "skipped"
    assert "|failed:1 skipped|" in left.score("bleu4").signature

    refused = slt("compare", tmp_path / "out", tmp_path / "skipped")
    assert refused.code == 2
    assert "tiny was scored on 3 clips and tiny on 2, expected the same; 1 are not in both: gone" in refused.err


def test_the_text_engine_is_noted_where_it_is_not_the_reference(bundle):
    asked = {name: ModelSettings(model=str(bundle), lang="eng_Latn", text_engine=name) for name in ENGINES}
    told = {name: settings.fingerprint().get("text_engine") for name, settings in asked.items()}
    assert told == {None: None, "fairseq2": None, "transformers": "transformers"}


def test_a_part_of_a_video_is_translated_as_that_part(slt, bundle, manifest, tmp_path):
    slt("evaluate", "--model", bundle, "--manifest", manifest, "--device", "cpu", "--out", tmp_path / "out", *FAST)
    whole, part, _ = read_results(tmp_path / "out").sentences
    assert (whole.duration_s, part.duration_s) == (pytest.approx(1.6), pytest.approx(0.8))
    assert (part.start_s, part.end_s) == (0.4, 1.2)


@pytest.fixture
def stored(slt, bundle, tmp_path, clip):
    """Two clips with times, their features, and a third clip without any."""
    shutil.copy(clip, tmp_path / "a.mp4")
    spans = {"whole": (0.0, 1.6), "part": (0.4, 1.2)}
    clips = [
        Clip(id=name, video="a.mp4", start_s=start, end_s=end, text="we go", lang="eng_Latn")
        for name, (start, end) in spans.items()
    ]
    write_manifest(tmp_path / "known.tsv", clips)
    words = ("--model", bundle, "--device", "cpu", "--out", tmp_path / "store")
    assert slt("extract-features", tmp_path / "known.tsv", *words).code == 0
    write_manifest(tmp_path / "m.tsv", [*clips, replace(clips[0], id="new")])
    return tmp_path


def test_stored_features_give_what_the_videos_give(slt, bundle, stored, tmp_path):
    words = ("evaluate", "--model", bundle, "--device", "cpu", "--controls", *FAST)
    seen = slt(*words, "--manifest", stored / "known.tsv", "--out", tmp_path / "seen")
    (stored / "a.mp4").unlink()
    read = slt(*words, "--manifest", stored / "m.tsv", "--features", stored / "store", "--out", tmp_path / "read")
    assert (seen.code, read.code) == (0, 3)
    assert "the store has no features of new" in read.err
    theirs, ours = read_results(tmp_path / "seen"), read_results(tmp_path / "read")
    assert [one.hypothesis for one in ours.sentences[:2]] == [one.hypothesis for one in theirs.sentences]
    # Stored in float16, features lose up to 5e-4 of themselves.
    assert ours.sentences[0].cosine == pytest.approx(theirs.sentences[0].cosine, abs=1e-4)
    assert [control.name for control in ours.controls] == ["shuffled"]
    assert ours.timing is None
    assert "no time per clip: stored features were read" in read.out
    kept = (tmp_path / "read" / PROGRESS_LOG).read_bytes()
    slt(*words, "--manifest", stored / "m.tsv", "--features", stored / "store", "--out", tmp_path / "read")
    assert (tmp_path / "read" / PROGRESS_LOG).read_bytes() == kept


def test_features_of_unknown_length_are_translated_and_damaged_ones_told(slt, bundle, stored, tmp_path):
    clips = [Clip(id=name, video=None, text="we go", lang="eng_Latn") for name in ("whole", "part")]
    write_manifest(tmp_path / "untimed.tsv", clips)
    shard = next((stored / "store").glob(f"*{DATA}"))
    content = bytearray(shard.read_bytes())
    content[300] ^= 255  # among the numbers of the first clip
    shard.write_bytes(content)
    words = ("--manifest", tmp_path / "untimed.tsv", "--features", stored / "store", "--out", tmp_path / "out")
    outcome = slt("evaluate", "--model", bundle, "--device", "cpu", *words, *FAST)
    assert outcome.code == 3
    assert "are damaged" in outcome.err
    assert sorted(one.failure is None for one in read_results(tmp_path / "out").sentences) == [False, True]


def test_features_of_another_extractor_are_refused(slt, stored):
    words = ("--manifest", stored / "m.tsv", "--features", stored / "store")
    outcome = slt("evaluate", "--model", "demo", *words)
    assert outcome.code == 2
    assert "do not match: weights" in outcome.err
    assert slt("evaluate", "--hyp", "a.txt", "--features", stored / "store").code == 2


def test_training_sentences_are_scored_apart(slt, bundle, manifest, tmp_path):
    train = tmp_path / "train.tsv"
    write_manifest(train, [Clip(id="x", video=None, text="We go, hiking!", lang="eng_Latn")])
    out = tmp_path / "out"
    slt("evaluate", "--model", bundle, "--manifest", manifest, "--train", train, "--out", out, "--device", "cpu", *FAST)
    results = read_results(out)
    assert [one.seen for one in results.sentences] == [True, False, False]
    assert [(g.label, g.n) for g in results.groups if g.by == "training"] == [
        ("seen in training", 1),
        ("not seen in training", 2),
    ]


def test_a_stopped_evaluation_goes_on_where_it_was(slt, bundle, manifest, tmp_path, monkeypatch):
    out, stop = tmp_path / "out", tmp_path / "stop"
    words = ("evaluate", "--model", bundle, "--manifest", manifest, "--device", "cpu", "--out", out, *FAST)
    stop.touch()
    monkeypatch.setenv("SLT_STOP_FILE", str(stop))
    assert slt(*words).code == 75
    assert not (out / "results.json").exists()
    kept = (out / PROGRESS_LOG).read_bytes()
    assert kept.count(b"\n") == 2
    with open(out / PROGRESS_LOG, "ab") as file:
        file.write(b'{"question": "torn')
    stop.unlink()
    assert slt(*words).code == 3
    assert (out / PROGRESS_LOG).read_bytes().startswith(kept)
    assert (out / PROGRESS_LOG).read_bytes().count(b"\n") == 3
    straight = tmp_path / "straight"
    slt(*words[:-3], straight, *FAST)
    texts = [[one.hypothesis for one in read_results(folder).sentences] for folder in (out, straight)]
    assert texts[0] == texts[1]
    again = slt(*words, "--beam", 2)
    assert again.code == 2
    assert "was written with other settings" in again.err


@pytest.mark.slow
def test_a_kill_loses_nothing(drawn, tmp_path):
    out = tmp_path / "out"
    words = [sys.executable, "-m", "slt_cli.main", "evaluate", "--model", "demo", "--manifest", str(drawn)]
    words += ["--out", str(out), "--resamples", "0"]
    process = subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while not (out / PROGRESS_LOG).exists() or (out / PROGRESS_LOG).read_bytes().count(b"\n") < 4:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = (out / PROGRESS_LOG).read_bytes()
    subprocess.run(words, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert (out / PROGRESS_LOG).read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert (out / PROGRESS_LOG).read_bytes().count(b"\n") == 13
    assert read_results(out).clips.n == 12


def test_files_are_scored_as_sacrebleu_does(slt, tmp_path):
    (tmp_path / "said.txt").write_text("the cat sat\nhello there you\n", "utf-8")
    (tmp_path / "signed.txt").write_text("the cat sat down\nhello there you\n", "utf-8")
    outcome = slt(
        "evaluate", "--hyp", tmp_path / "said.txt", "--ref", tmp_path / "signed.txt", "--json", "--metrics", "bleu2,ter"
    )
    found = json.loads(outcome.out)
    assert outcome.code == 0
    assert [score["name"] for score in found["scores"]] == ["bleu2", "ter"]
    expected = bleu(["the cat sat", "hello there you"], ["the cat sat down", "hello there you"], order=2)
    assert found["scores"][0]["value"] == expected.value
    assert found["system"] == "said"
    assert "sentences" not in found


def test_controls_of_files_leave_out_what_takes_a_model(slt, tmp_path):
    (tmp_path / "said.txt").write_text("a b c d\n", "utf-8")
    outcome = slt("evaluate", "--hyp", tmp_path / "said.txt", "--ref", tmp_path / "said.txt", "--controls", *FAST)
    assert "note: no blank-video control" in outcome.out
    assert "note: no shuffled-video control: there is only one clip" in outcome.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "expected a model and a manifest, or hypotheses and references"),
        (("--model", "demo"), "expected a model and a manifest"),
        (("--model", "demo", "--manifest", "m.tsv", "--hyp", "h"), "expected a model and a manifest"),
        (("--hyp", "no.txt", "--ref", "no.txt"), "no.txt"),
        (("--hyp", "no.txt", "--ref", "no.txt", "--metrics", "blue"), "unknown metric 'blue'"),
        (("--model", "demo", "--manifest", "{manifest}", "--lang", "xxx_Latn"), "xxx_Latn"),
        (("--model", "demo", "--manifest", "{manifest}", "--lang", "deu_Latn"), "has no reference in deu_Latn"),
        (("--model", "demo", "--manifest", "{manifest}", "--train", "{empty}"), "has no text in eng_Latn"),
    ],
)
def test_mistakes_are_told(slt, manifest, tmp_path, words, message):
    write_manifest(tmp_path / "empty.tsv", [Clip(id="x", video="a.mp4")])
    known = {"manifest": manifest, "empty": tmp_path / "empty.tsv"}
    outcome = slt("evaluate", *(word.format(**known) for word in words))
    assert outcome.code == 2
    assert message in outcome.err


def test_a_blank_video_shows_nothing():
    video = BlankVideo(3, 25.0)
    frames = list(video.timed_frames())
    assert [time for time, _ in frames] == [0, 1 / 25, 2 / 25]
    assert not any(np.any(frame) for _, frame in frames)


def test_a_clip_nobody_filmed_fails_by_name(slt, bundle, tmp_path):
    write_clip(tmp_path / "a.mp4")
    clips = [Clip(id=name, video=video, text="we go", lang="eng_Latn") for name, video in (("a", "a.mp4"), ("b", None))]
    write_manifest(tmp_path / "m.tsv", clips)
    outcome = slt("evaluate", "--model", bundle, "--manifest", tmp_path / "m.tsv", "--device", "cpu", *FAST)
    assert outcome.code == 3
    assert "the manifest names no video for b" in outcome.err


def test_texts_in_two_unicode_forms_are_told_and_can_be_brought_to_one(slt, tmp_path):
    texts = "das ist schön\nüber den großen Fluß\n"
    (tmp_path / "hyp.txt").write_text(unicodedata.normalize("NFD", texts), "utf-8")
    (tmp_path / "ref.txt").write_text(texts, "utf-8")
    words = ("evaluate", "--hyp", tmp_path / "hyp.txt", "--ref", tmp_path / "ref.txt", "--lang", "deu_Latn", *FAST)
    apart = slt(*words, "--out", tmp_path / "apart")
    assert "warning: Unicode forms differ: hypotheses are in NFD, references in NFC" in apart.err
    assert read_results(tmp_path / "apart").score("chrf++").value < 90
    together = slt(*words, "--normalise", "NFC", "--out", tmp_path / "together")
    assert "Unicode" not in together.err
    score = read_results(tmp_path / "together").score("chrf++")
    assert score.value == 100
    assert "|norm:NFC" in score.signature
