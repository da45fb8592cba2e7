from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from slt.core.errors import Stopped, UserError
from slt.data.corpora.cut import Cut, Length, cut, measure
from slt.data.corpora.listing import read_listing
from slt.data.corpora.plan import Plan
from slt.data.corpora.prepare import prepare
from slt.data.corpora.registry import HOW2SIGN, PHOENIX, own_table
from slt.data.manifest import read_manifest
from slt.video.decode import open_video
from slt.video.span import open_span
from tests.corpora import HOW2SIGN_VIDEOS
from tests.video.films import number_of, write_film


def plan(corpus, out, *, splits=("train", "val", "test"), videos=True, kind=HOW2SIGN, **words):
    listings = {corpus.lists[split]: read_listing(kind, corpus.lists[split]) for split in splits}
    return Plan(corpus=kind.name, listings=listings, videos=corpus.videos if videos else None, out=Path(out), **words)


def quiet(what, done, total):
    pass


def contents(folder):
    names = {path: str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for path, name in names.items() if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def prepared(how2sign, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    return out, prepare(plan(how2sign, out), quiet)


@pytest.mark.slow
def test_every_row_of_how2sign_is_accounted_for(how2sign, prepared):
    out, parts = prepared
    for split, ids in how2sign.clips.items():
        manifest = read_manifest(out / f"{split}.tsv")
        assert [clip.id for clip in manifest.clips] == ids
        for clip in manifest.clips:
            if clip.video is None:
                assert clip.extra["source"] in how2sign.missing
                continue
            info = open_video(manifest.video_path(clip)).info
            assert info.n_frames == round(clip.duration_s * 25)
            assert (info.height, info.width, info.fps) == (224, 224, 25)
    note = json.loads((out / "prepare.json").read_text("utf-8"))
    rows = {name: about["rows"] for name, about in note["lists"].items()}
    failed = {one["row"]: one["reason"] for about in note["lists"].values() for one in about["failures"]}
    failed |= {one["clip"]: one["reason"] for about in note["splits"].values() for one in about["failures"]}
    assert failed.keys() == how2sign.failed.keys()
    assert all(said in failed[row] for row, said in how2sign.failed.items())
    assert sum(rows.values()) == sum(len(part.clips) for part in parts.values()) + len(failed)
    assert note["splits"]["train"]["missing_videos"] == dict.fromkeys(how2sign.missing, 1)
    assert {split: about["quirks"] for split, about in note["splits"].items()} == {
        split: {"ends past their video's, put back": len(videos)} for split, videos in HOW2SIGN_VIDEOS.items()
    }
    assert note["lists"]["how2sign_realigned_train.csv"]["quirks"] == {
        "ids that begin with -": 6,
        "merged sentences": 2,
        "overlapping": 3,
    }


@pytest.mark.slow
def test_cut_clips_and_stretches_show_the_same_frames(how2sign, prepared, tmp_path):
    out, _ = prepared
    prepare(plan(how2sign, tmp_path, cut=False), quiet)
    assert not (tmp_path / "videos").exists()
    for split in how2sign.clips:
        cut_clips, segments = (read_manifest(folder / f"{split}.tsv") for folder in (out, tmp_path))
        assert [clip.id for clip in cut_clips.clips] == [clip.id for clip in segments.clips]
        for one, other in zip(cut_clips.clips, segments.clips, strict=True):
            if one.video is None:
                continue
            own = list(open_video(cut_clips.video_path(one)).timed_frames())
            again = list(open_span(cut_clips.video_path(one), one.start_s, one.end_s).frames())
            shown = list(open_span(segments.video_path(other), other.start_s, other.end_s).timed_frames())
            # The same frames at the same times; only their pixels have been through the codec once more.
            assert len(own) == len(again) == len(shown)
            assert [time for time, _ in own] == pytest.approx([time for time, _ in shown], abs=1e-5)
            differences = [np.abs(a.astype(int) - b).mean() for (_, a), (_, b) in zip(own, shown, strict=True)]
            assert max(differences) < 3


def test_which_frames_are_cut_at_odd_rates(tmp_path):
    for fps, at_ms in ((30, None), (24, None), (25, lambda number: 40 * number + 13 * (number % 3))):
        film = write_film(tmp_path / f"{fps}.mp4", n=40, fps=fps, at_ms=at_ms)
        span = open_span(film, 0.31, 1.07)
        length = cut(Cut(source=film, start_s=0.31, end_s=1.07, target=tmp_path / f"{fps}-cut.mp4"))
        made = list(open_video(tmp_path / f"{fps}-cut.mp4").timed_frames())
        expected = list(span.timed_frames())
        assert [number_of(frame) for _, frame in made] == [number_of(frame) for _, frame in expected]
        assert [time for time, _ in made] == pytest.approx([time for time, _ in expected], abs=1e-5)
        assert length.n_frames == len(expected)


def test_odd_sizes_are_cut_too(tmp_path):
    film = write_film(tmp_path / "odd.mkv", size=(47, 63), codec="ffv1", pix_fmt="yuv444p")
    assert cut(Cut(source=film, start_s=0.1, end_s=None, target=tmp_path / "cut.mp4")) == Length(n_frames=9, fps=25)
    assert open_video(tmp_path / "cut.mp4").info.width == 63


def test_a_clip_that_cannot_be_written_stops_everything(tmp_path):
    film = write_film(tmp_path / "film.mp4")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        cut(Cut(source=film, start_s=0.1, end_s=None, target=tmp_path / "file" / "cut.mp4"))


def test_a_video_that_ends_early_does_not_make_short_clips(how2sign, tmp_path):
    videos = Path(shutil.copytree(how2sign.videos / "val", tmp_path / "videos"))
    (video,) = videos.glob("*.mp4")
    front = {"movflags": "faststart"}
    film = write_film(video, n=40, fps=5, encoder={"preset": "ultrafast", "g": "4"}, muxer=front).read_bytes()
    video.write_bytes(film[: len(film) * 2 // 3])
    table = tmp_path / "val.csv"
    table.write_text(f"video,text,a,b\n{video.stem},hi,0,1\n{video.stem},ho,3,7\n")
    columns = {"video": "video", "text": "text", "start": "a", "end": "b"}
    listing = read_listing(own_table(columns, lang=None, separator=None), table)
    whole = Plan(corpus="table", listings={table: listing}, videos=videos, out=tmp_path / "out")
    part = prepare(whole, quiet)["val"]
    assert [clip.text for clip in part.clips] == ["hi"]
    ((name, error),) = part.failures
    assert name == f"{video.stem}_2"
    assert "of its 4.00 s could be decoded" in error.message


def test_phoenix_is_taken_as_it_lies(phoenix, tmp_path):
    prepare(plan(phoenix, tmp_path, splits=("train", "dev", "test"), kind=PHOENIX), quiet)
    for split, ids in phoenix.clips.items():
        manifest = read_manifest(tmp_path / f"{split}.tsv")
        assert [clip.id for clip in manifest.clips] == ids
        assert manifest.lang == "deu_Latn"
        for clip in manifest.clips:
            if clip.id in phoenix.missing:
                assert clip.video is None
                continue
            assert (clip.duration_s, clip.extra["signer"]) == (1.2, "Signer08")
            assert "süden schwacher wind" in clip.text
            assert len(list(open_span(manifest.video_path(clip), clip.start_s, clip.end_s).frames())) == 30
    assert not (tmp_path / "videos").exists()


def test_without_videos_the_manifest_tells_what_is_known(how2sign, tmp_path):
    parts = prepare(plan(how2sign, tmp_path, videos=False), quiet)
    clips = read_manifest(tmp_path / "train.tsv").clips
    # Those whose times or videos turn out to be wrong once there is a video are still among them.
    unseen = {"-fZc293MpJk_91-1-rgb_front", "-fZc293MpJk_92-1-rgb_front", "brokenvid01_0-1-rgb_front"}
    assert {clip.id for clip in clips} == {*how2sign.clips["train"], *unseen}
    assert all(clip.video is None and clip.end_s for clip in clips)
    assert parts["train"].missing.total() == len(clips)


@pytest.mark.slow
def test_videos_may_come_later(how2sign, prepared, tmp_path):
    prepare(plan(how2sign, tmp_path, splits=("val",), videos=False), quiet)
    prepare(plan(how2sign, tmp_path, splits=("val",)), quiet)
    assert (tmp_path / "val.tsv").read_bytes() == (prepared[0] / "val.tsv").read_bytes()


@pytest.mark.slow
def test_splits_may_be_added_one_by_one(how2sign, prepared, tmp_path):
    for split in ("train", "val", "test"):
        prepare(plan(how2sign, tmp_path, splits=(split,)), quiet)
    assert contents(tmp_path) == contents(prepared[0])


@pytest.mark.slow
def test_nothing_is_done_twice(how2sign, prepared):
    out, _ = prepared
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4")}
    whole = contents(out)
    prepare(plan(how2sign, out), quiet)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4")} == before
    assert contents(out) == whole


def test_other_options_are_refused(how2sign, prepared, tmp_path):
    out, _ = prepared
    with pytest.raises(UserError, match="was prepared with cut True, asked for is False"):
        prepare(plan(how2sign, out, cut=False), quiet)
    with pytest.raises(UserError, match=r"was prepared with options {}, asked for is {'lang': 'x'}"):
        prepare(plan(how2sign, out, options={"lang": "x"}), quiet)
    changed = tmp_path / how2sign.lists["val"].name
    changed.write_text(how2sign.lists["val"].read_text("utf-8").replace("the", "a"), "utf-8")
    other = Plan(corpus="how2sign", listings={changed: read_listing(HOW2SIGN, changed)}, videos=None, out=out)
    with pytest.raises(UserError, match=r"was prepared from another how2sign_realigned_val\.csv than this one"):
        prepare(other, quiet)
    renamed = changed.rename(tmp_path / "other_val.csv")
    other = Plan(corpus="how2sign", listings={renamed: read_listing(HOW2SIGN, renamed)}, videos=None, out=out)
    with pytest.raises(UserError, match=r"has a split val made of how2sign_realigned_val\.csv"):
        prepare(other, quiet)


def test_two_lists_of_one_name_are_refused(how2sign, tmp_path):
    copy = tmp_path / how2sign.lists["val"].name
    shutil.copy(how2sign.lists["val"], copy)
    listings = {path: read_listing(HOW2SIGN, path) for path in (copy, how2sign.lists["val"])}
    with pytest.raises(UserError, match="two lists are of the same name"):
        prepare(Plan(corpus="how2sign", listings=listings, videos=None, out=tmp_path / "out"), quiet)


def test_lists_of_one_split_are_joined_and_their_ids_must_differ(how2sign, tmp_path):
    copy = tmp_path / "more_val.csv"
    shutil.copy(how2sign.lists["val"], copy)
    listings = {path: read_listing(HOW2SIGN, path) for path in (how2sign.lists["val"], copy)}
    part = prepare(Plan(corpus="how2sign", listings=listings, videos=None, out=tmp_path / "out"), quiet)["val"]
    assert len(part.clips) == len(part.failures) == 4
    assert "another clip of this split has the id 10om04b2LIw_0" in part.failures[0][1].message


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '"x"'])
def test_a_damaged_note_is_not_trusted(how2sign, tmp_path, damage):
    (tmp_path / "prepare.json").write_text(damage)
    with pytest.raises(UserError, match=r"prepare\.json is damaged"):
        prepare(plan(how2sign, tmp_path, videos=False), quiet)


@pytest.mark.slow
def test_a_run_that_is_asked_to_stop_does_and_can_go_on(how2sign, prepared, tmp_path, monkeypatch):
    stop = tmp_path / "stop"
    monkeypatch.setenv("SLT_STOP_FILE", str(stop))

    def ask(what, done, total):
        if what == "clips" and done == 2:
            stop.touch()

    out = tmp_path / "out"
    with pytest.raises(Stopped, match="stop exists"):
        prepare(plan(how2sign, out), ask)
    assert list(out.rglob("*.mp4"))
    assert not (out / "train.tsv").exists()
    stop.unlink()
    prepare(plan(how2sign, out), quiet)
    assert contents(out) == contents(prepared[0])


@pytest.mark.slow
def test_killed_at_ten_moments_it_goes_on_and_ends_the_same(how2sign, prepared, tmp_path):
    script = tmp_path / "run.py"
    lists = [str(how2sign.lists[split]) for split in ("train", "val", "test")]
    script.write_text(
        "import sys\nfrom slt_cli.main import main\n"
        "if __name__ == '__main__':\n"
        f"    words = [word for path in {lists!r} for word in ('--csv', path)]\n"
        f"    main(['prepare', 'how2sign', *words, '--videos', {str(how2sign.videos)!r}, '--out', sys.argv[1]])\n"
    )
    draw, kills = random.Random(7), 0
    out = tmp_path / "out"
    while kills < 10:
        process = subprocess.Popen(
            [sys.executable, str(script), str(out)], start_new_session=True, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(draw.uniform(0.2, 2.5))
        except subprocess.TimeoutExpired:
            # A real kill may hit the process alone, or all of its group.
            (os.kill if draw.random() < 0.5 else os.killpg)(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            for path in out.rglob("*.mp4"):
                if not path.name.startswith("."):
                    assert isinstance(measure(path), Length)
        else:
            assert contents(out) == contents(prepared[0])
            shutil.rmtree(out)
    time.sleep(0.5)  # workers that outlived their parent notice that it is gone
    prepare(plan(how2sign, out), quiet)
    assert contents(out) == contents(prepared[0])
    assert not list(out.rglob("*.part*"))
