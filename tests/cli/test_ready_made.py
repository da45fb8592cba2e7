"""Ready-made clips: the layouts of How2Sign, OpenASL and YouTube-ASL, from the folder of clips to scores."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from slt.data.manifest import read_manifest
from slt.data.synthetic.corpus import write_video
from tests.corpora import FPS, HOW2SIGN_COLUMNS, drawn

NO_SIGNING = "g3Cc_1-V31U_23-3-rgb_front"
NOTE = "How2Sign's ready-made clips were cut with the original stamps"


def write_list(path: Path, rows: list[dict[str, object]], separator: str = "\t") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def how2sign_row(name: str, number: int, start_s: float, text: str) -> dict[str, object]:
    cells = (
        name,
        f"{name}-8-rgb_front",
        f"{name}_{number}",
        f"{name}_{number}-8-rgb_front",
        start_s,
        start_s + 4.0,
        text,
    )
    return dict(zip(HOW2SIGN_COLUMNS, cells, strict=True))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips of each split as How2Sign names them, and its lists, each with one row whose clip is not there."""
    folder = tmp_path_factory.mktemp("clips")
    for split, name in (("train", "-fZc293MpJk"), ("test", "g0_1_2_3abc")):
        rows = [how2sign_row(name, n, 5.0 * n, text) for n, (_, text) in enumerate(drawn(split, 4))]
        for row, (frames, _) in zip(rows[:3], drawn(split, 3), strict=False):
            video = folder / "raw_videos" / f"{row['SENTENCE_NAME']}.mp4"
            video.parent.mkdir(exist_ok=True)
            write_video(video, frames)
        write_list(folder / f"how2sign_realigned_{split}.csv", rows)
    return folder


def test_every_row_has_its_clip_or_is_named(slt, clips, tmp_path):
    out = tmp_path / "out"
    lists = [word for split in ("train", "test") for word in ("--csv", clips / f"how2sign_realigned_{split}.csv")]
    outcome = slt("prepare", "how2sign", *lists, "--clips", clips / "raw_videos", "--out", out)
    assert outcome.code == 3
    assert outcome.err.count(NOTE) == 1
    assert "train: 4 clips, 3 with video" in outcome.err
    assert "error: 2 of 8 rows failed:" in outcome.err
    assert f"no video -fZc293MpJk_3-8-rgb_front below {clips / 'raw_videos'}: a clip is without" in outcome.err
    manifest = read_manifest(out / "train.tsv")
    for number, (clip, (frames, text)) in enumerate(zip(manifest.clips, drawn("train", 4), strict=True)):
        assert (clip.id, clip.text) == (f"-fZc293MpJk_{number}-8-rgb_front", text)
        assert (clip.start_s, clip.end_s) == (None, None)
        assert float(clip.extra["source_start_s"]) == 5.0 * number
        if number == 3:
            assert clip.video is None
            continue
        assert manifest.video_path(clip) == clips / "raw_videos" / f"{clip.id}.mp4"
        assert clip.duration_s == pytest.approx(len(frames) / FPS)
    note = json.loads((out / "prepare.json").read_text("utf-8"))
    assert note["splits"]["train"]["missing_videos"] == {"-fZc293MpJk_3-8-rgb_front": 1}


def test_clips_given_as_the_full_videos_are_noticed(slt, clips, tmp_path):
    words = ["--csv", clips / "how2sign_realigned_test.csv", "--out", tmp_path / "out"]
    outcome = slt("prepare", "how2sign", *words, "--videos", clips / "raw_videos")
    assert f"{clips / 'raw_videos'} holds ready-made clips and none of the full videos" in outcome.err
    assert "test: 4 clips, 3 with video" in outcome.err
    outcome = slt("prepare", "how2sign", *words, "--videos", clips, "--clips", clips / "raw_videos")
    assert outcome.code == 2
    assert "both --clips and --videos are given" in outcome.err


def test_a_folder_begun_with_clips_does_not_go_on_with_full_videos(slt, clips, how2sign, tmp_path):
    words = ["--csv", clips / "how2sign_realigned_test.csv", "--out", tmp_path / "out"]
    assert slt("prepare", "how2sign", *words, "--clips", clips / "raw_videos").code == 3
    outcome = slt("prepare", "how2sign", *words, "--videos", how2sign.videos)
    assert outcome.code == 2
    assert "was prepared with cut False, asked for is True" in outcome.err


def test_side_views_are_taken_and_counted(slt, clips, tmp_path):
    side = tmp_path / "side"
    side.mkdir()
    for video in (clips / "raw_videos").glob("*-rgb_front.mp4"):
        os.link(video, side / video.name.replace("-rgb_front", "-rgb_side"))
    listed = clips / "how2sign_realigned_train.csv"
    outcome = slt("prepare", "how2sign", "--csv", listed, "--clips", side, "--out", tmp_path / "out")
    assert "clips of the view rgb_side: 3" in outcome.err
    first = read_manifest(tmp_path / "out" / "train.tsv").clips[0]
    assert (first.id, Path(first.video).name) == ("-fZc293MpJk_0-8-rgb_front", "-fZc293MpJk_0-8-rgb_side.mp4")


@pytest.mark.slow
@pytest.mark.parametrize(("n_lost", "code"), [(2, 0), (3, 3)])
def test_the_published_counts_are_complete_and_any_others_are_not(slt, tmp_path, n_lost, code):
    rows = [how2sign_row("abc", n, 5.0 * n, "Hi!") for n in range(1741)]
    film = tmp_path / "film.mp4"  # opened 1,739 times: the smaller, the sooner
    write_video(film, np.zeros((5, 32, 32, 3), np.uint8))
    (tmp_path / "clips").mkdir()
    for row in rows[n_lost:]:
        os.link(film, tmp_path / "clips" / f"{row['SENTENCE_NAME']}.mp4")
    listed = write_list(tmp_path / "how2sign_realigned_val.csv", rows)
    outcome = slt("prepare", "how2sign", "--csv", listed, "--clips", tmp_path / "clips", "--out", tmp_path / "out")
    assert outcome.code == code
    explained = "val: 2 of 1,741 sentences have no clip, as published (1,739 clips)"
    assert (explained in outcome.err) == (code == 0)


def test_clips_without_signing_are_listed(slt, clips, tmp_path):
    row = {**how2sign_row("a", 1, 0.0, "Hi!"), "SENTENCE_NAME": NO_SIGNING}
    listed = write_list(tmp_path / "how2sign_test.csv", [row, how2sign_row("a", 2, 5.0, "Ho!")])
    assert slt("prepare", "how2sign", "--csv", listed, "--out", tmp_path / "out").code == 0
    outcome = slt("check-manifest", tmp_path / "out" / "test.tsv", "--json")
    found = [one for one in json.loads(outcome.out)["findings"] if one["check"] == "no signing"]
    assert [one["row"] for one in found] == [NO_SIGNING]


def openasl(folder: Path, clips: list[Path]) -> Path:
    rows = []
    for clip, (_, text) in zip(clips, drawn("test", 3), strict=True):
        name, start, end = clip.stem.rsplit("-", 2)
        times = {"start": start, "end": end}
        rows.append({"vid": clip.stem, "yid": name, **times, "raw-text": text, "split": "test"})
    return write_list(folder / "openasl-v1.0.tsv", rows)


def youtube_asl(folder: Path, clips: list[Path]) -> Path:
    rows = []
    for clip, (_, text) in zip(clips, drawn("test", 3), strict=True):
        name, _, span = clip.stem.partition(".")
        start, end = map(int, span.split("-"))
        shape = {"nframes": end - start, "fps": 29.97, "w": 224, "h": 224, "duration": round((end - start) / 29.97, 2)}
        rows.append({"vid_id": name, "start_frame": start, "end_frame": end, "annotation": text, **shape})
    return write_list(folder / "metadata_test.csv", rows, ",")


LAYOUTS = {
    "how2sign": (None, "g0_1_2_3abc_{}-8-rgb_front"),
    "openasl": (openasl, "g0_1_2_3abc-00:00:{}5.000-00:00:{}9.000"),
    "youtube-asl": (youtube_asl, "g0_1_2_3abc.00{}150-00{}270"),
}


@pytest.mark.slow
@pytest.mark.parametrize("corpus", LAYOUTS)
def test_from_clips_to_training_and_scores(slt, clips, tmp_path, corpus):
    write, name = LAYOUTS[corpus]
    listed, folder = clips / "how2sign_realigned_test.csv", clips / "raw_videos"
    if write:
        folder = tmp_path / "clips"
        folder.mkdir()
        for number in range(3):
            film = clips / "raw_videos" / f"g0_1_2_3abc_{number}-8-rgb_front.mp4"
            os.link(film, folder / f"{name.format(number, number)}.mp4")
        listed = write(tmp_path, sorted(folder.iterdir()))
    manifest, store, run = tmp_path / "out" / "test.tsv", tmp_path / "features", tmp_path / "run"
    outcome = slt("prepare", corpus, "--csv", listed, "--clips", folder, "--out", tmp_path / "out")
    assert outcome.code == (0 if write else 3), outcome.err
    assert [clip.id for clip in read_manifest(manifest).clips if clip.video] == [name.format(n, n) for n in range(3)]
    clean = tmp_path / "clean.tsv"
    checked = slt("check-manifest", manifest, "--fix", clean)
    assert checked.code == 0, checked.err
    assert len(read_manifest(clean).clips) == 3
    outcome = slt("extract-features", clean, "--model", "demo", "--out", store)
    assert outcome.code == 0, outcome.err
    recipe = tmp_path / "recipe.yaml"
    split = {"manifest": str(clean), "features": str(store)}
    recipe.write_text(
        f"""
        name: one-step
        extractor: {{ kind: signhiera, bundle: demo }}
        encoder: {{ kind: mlp, shape: {{ hidden_dim: 8 }} }}
        decoder: {{ kind: sonar, bundle: demo }}
        objective: {{ kind: sonar-space, mse: 1.0 }}
        data: {{ train: {split}, val: {split}, langs: [eng_Latn] }}
        trainer: {{ epochs: 1, device: cpu, text_every: 0 }}
        """
    )
    outcome = slt("train-encoder", recipe, "--out", run)
    assert outcome.code == 0, outcome.err
    words = ["--manifest", clean, "--features", store, "--out", tmp_path / "scores", "--metrics", "bleu4"]
    outcome = slt("evaluate", "--model", run, *words)
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "scores" / "results.json").read_text("utf-8"))["clips"]["n"] == 3
