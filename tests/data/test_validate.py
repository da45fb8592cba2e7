from __future__ import annotations

import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from slt.core.errors import UserError
from slt.data.clean import clean_names, write_clean
from slt.data.features.header import StoreHeader
from slt.data.features.writer import FeatureWriter
from slt.data.findings import CHECKS
from slt.data.manifest import Clip, read_manifest, write_manifest
from slt.data.validate import examine
from tests.video.films import write_film


def clip(name, **words):
    return Clip(**{"id": name, "video": None, "text": "hello", "lang": "eng_Latn", "extra": {}, **words})


@pytest.fixture
def looked_at(tmp_path):
    """Return a function that writes the clips of some splits and tells what was found: check → rows."""

    def look(*, raw="", **splits):
        paths = []
        for split, clips in splits.items():
            if split in ("features", "decode"):
                continue
            paths.append(tmp_path / f"{split}.tsv")
            write_manifest(paths[-1], clips)
        if raw:
            paths[0].write_text(paths[0].read_text("utf-8") + raw, "utf-8")
        words = {name: splits[name] for name in ("features", "decode") if name in splits}
        report = examine(paths, **words)
        found = {}
        for one in report.findings:
            found.setdefault(one.check, []).append((one.row, one.reason))
        return report, found

    return look


@pytest.fixture
def film(tmp_path):
    return write_film(tmp_path / "film.mp4", n=40).name


def test_nothing_is_wrong_with_a_good_corpus(looked_at, film):
    train = [clip("a", video=film, start_s=0.0, end_s=0.5), clip("b", video=film, start_s=0.4, end_s=1.2, text="ho")]
    report, found = looked_at(train=train, decode=True)
    assert found == {}
    assert report.coverage == {
        "train": {
            "clips": 2,
            "with_video": 2,
            "with_keypoints": 0,
            "with_features": 0,
            "with_text": 2,
            "hours": round(1.3 / 3600, 4),
        }
    }
    assert {result.status for result in report.results} == {"ok"}


def test_each_check_finds_its_clips_and_no_others(looked_at, film):
    long = "word " * 61
    train = [
        clip("good", video=film, start_s=0.0, end_s=0.5, text="never seen"),
        clip("gone", video="gone.mp4"),
        clip("unseen"),
        clip("mute", video=film, start_s=0.0, end_s=0.3, text=None),
        clip("long", video=film, start_s=0.1, end_s=30.0, text=long),
        clip("short", video=film, start_s=0.0, end_s=0.1, text="x"),
        clip("endless", video=film, start_s=0.0, end_s=99.0, text="y"),
        clip("hasty", video=film, start_s=0.0, end_s=0.4, text="seventeen letters"),
        clip("again", video=film, start_s=0.0, end_s=0.5, text="never seen either"),
    ]
    _, found = looked_at(train=train, raw="bad\trow\n")
    assert found == {
        "rows": [("line 11", "line 11: found 2 cells, expected 6")],
        "video files": [("gone", "gone: gone.mp4 is not there")],
        "nothing to see": [("unseen", "unseen: neither a video nor keypoints nor features")],
        "texts": [("mute", "mute: no text")],
        "long texts": [("long", "long: 304 characters")],
        "durations": [("short", "short: 0.10 s"), ("endless", "endless: 99.00 s")],
        "reading speed": [("hasty", "hasty: 42 characters per second")],
        "same clip twice": [("again", "again: the same segment as good")],
    }


def test_decomposed_letters_are_found_and_equal_composed_ones(looked_at, film):
    composed, decomposed = "schön", unicodedata.normalize("NFD", "schön")
    train = [
        clip("nfc", video=film, start_s=0.0, end_s=0.5, text=composed),
        clip("nfd", video=film, start_s=0.5, end_s=1.0, text=f"sehr {decomposed}"),
        clip("both", video=film, start_s=1.0, end_s=1.5, text=f"{composed} {decomposed}"),
    ]
    test = [clip("t", video="other.mp4", text=decomposed)]
    _, found = looked_at(train=train, test=test)
    assert found["letters"] == [
        ("nfd", "nfd: its text is in NFD"),
        ("both", "both: its text is in mixed forms"),
        ("t", "t: its text is in NFD"),
    ]
    assert found["sentence in two splits"] == [("nfc", "nfc: as t in test")]


def test_what_splits_share_is_found(looked_at, film):
    train = [
        clip("x", video=film, start_s=0.0, end_s=0.5, text="One."),
        clip("y", video=film, start_s=0.5, end_s=1.0, text="two"),
        clip("z", video="other.mp4", text="ONE."),
        clip("same", video="third.mp4", text="three"),
    ]
    test = [
        clip("t", video=film, start_s=0.3, end_s=0.5, text="one."),
        clip("same", video="fourth.mp4", text="four"),
    ]
    _, found = looked_at(train=train, test=test)
    del found["video files"]
    assert found == {
        "ids": [("same", "same: in test too")],
        "clip in two splits": [("x", "x: shares moments with t in test")],
        "video in two splits": [("x", "x: as t in test"), ("y", "y: as t in test")],
        "sentence in two splits": [("x", "x: as t in test"), ("z", "z: as t in test")],
    }


def test_cut_clips_are_still_known_to_be_of_one_video(looked_at, film):
    def cut(name, start, end):
        return clip(name, video=film, extra={"source": "v", "source_start_s": str(start), "source_end_s": str(end)})

    _, found = looked_at(train=[cut("a", 0.0, 2.0), cut("b", 2.0, 4.0)], val=[cut("c", 3.0, 5.0)])
    assert found["clip in two splits"] == [("b", "b: shares moments with c in val")]
    assert [row for row, _ in found["video in two splits"]] == ["a", "b"]


def test_videos_that_cannot_be_read_to_their_end(looked_at, film, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    train = [
        clip("good", video=film),
        clip("broken", video="broken.mp4", text="a"),
        clip("late", video=film, start_s=9.0, end_s=9.5, text="b"),
        clip("beyond", video=film, start_s=1.0, end_s=3.0, text="c"),
    ]
    _, found = looked_at(train=train, decode=True)
    assert [row for row, _ in found["decoding"]] == ["broken", "late"]
    assert found["oddities"] == [("beyond", "beyond: the span ends at 3 s, the video at 1.60 s")]


def test_features_are_counted_and_looked_into(looked_at, tmp_path):
    folder = tmp_path / "features"
    folder.mkdir()
    arrays = {
        "a": np.zeros((4, 8), np.float32),
        "b": np.zeros((2, 8), np.float32),
        "wide": np.zeros((2, 9), np.float32),
        "flat": np.zeros(8, np.float32),
        "none": np.zeros((0, 8), np.float32),
        "nan": np.full((2, 8), np.nan, np.float32),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "torn.npy").write_bytes(b"x")
    names = [*arrays, "torn", "absent"]
    report, found = looked_at(train=[clip(name, text=name) for name in names], features=folder)
    assert report.coverage["train"]["with_features"] == 7
    assert [row for row, _ in found["nothing to see"]] == ["absent"]
    reasons = dict(found["features"])
    assert reasons.keys() == {"wide", "flat", "none", "nan", "torn"}
    assert reasons["wide"].endswith("wide.npy holds features 9 wide, others 8")
    assert reasons["nan"] == "nan: not all numbers are finite"


def test_joints_that_were_not_seen_are_no_fault_of_features(looked_at, tmp_path):
    rows = {name: np.zeros((3, 225), np.float32) for name in ("some", "none", "inf")}
    rows["some"][0, :30], rows["none"][:], rows["inf"][1, 2] = np.nan, np.nan, np.inf
    with FeatureWriter(tmp_path / "s", StoreHeader(feature_dim=225, dtype="float32", extractor="keypoints")) as store:
        for name, array in rows.items():
            store.add(name, array)
    _, found = looked_at(train=[clip(name, text=name) for name in rows], features=tmp_path / "s")
    assert dict(found["features"]) == {"none": "none: nobody in any frame", "inf": "inf: not all numbers are finite"}


def test_a_clean_manifest_goes_without_what_would_do_harm(looked_at, film, tmp_path):
    train = [clip("good", video=film), clip("mute", video=film, text=None), clip("gone", video="gone.mp4", text="x")]
    report, _ = looked_at(train=train, raw="bad\trow\n")
    targets = clean_names(report, tmp_path / "deep" / "clean.tsv")
    assert [dict(one) for one in write_clean(report, targets)] == [{"rows": 1, "texts": 1, "video files": 1}]
    cleaned = read_manifest(targets[0])
    assert [(one.id, one.video) for one in cleaned.clips] == [("good", f"../{film}")]
    assert cleaned.video_path(cleaned.clips[0]).resolve() == tmp_path / film
    assert (tmp_path / "deep" / "clean.dropped.tsv").read_text("utf-8").splitlines() == [
        "row\tcheck\treason",
        "line 5\trows\tline 5: found 2 cells, expected 6",
        "mute\ttexts\tmute: no text",
        "gone\tvideo files\tgone: gone.mp4 is not there",
    ]
    again = examine(targets)
    assert not [one for one in again.findings if CHECKS[one.check].drops]


def test_relative_features_stay_right(tmp_path):
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "a.npy", np.zeros((2, 2), np.float32))
    write_manifest(tmp_path / "m.tsv", [clip("a", extra={"features": "f/a.npy"})])
    report = examine([tmp_path / "m.tsv"])
    assert report.coverage["m"]["with_features"] == 1
    write_clean(report, [tmp_path / "x" / "m.tsv"])
    assert read_manifest(tmp_path / "x" / "m.tsv").clips[0].extra["features"] == "../f/a.npy"


def test_nothing_is_written_over_its_original(looked_at, tmp_path):
    report, _ = looked_at(train=[clip("a")], val=[clip("b")])
    with pytest.raises(UserError, match=r"train\.tsv is the manifest itself"):
        clean_names(report, tmp_path)
    twins = examine([tmp_path / "train.tsv", tmp_path / "train.tsv"])
    with pytest.raises(UserError, match="two of these manifests would be written to one file"):
        clean_names(twins, tmp_path / "out")


def test_keypoint_files_that_are_absent_or_broken(tmp_path):
    (tmp_path / "broken.pose").write_bytes(b"broken")
    clips = [
        Clip(id=name, video=None, text="hello", lang="eng_Latn", extra={"pose": f"{name}.pose"})
        for name in ("absent", "broken")
    ]
    write_manifest(tmp_path / "train.tsv", clips)
    report = examine([tmp_path / "train.tsv"])
    found = {one.row: one.reason for one in report.findings if one.check == "keypoint files"}
    assert sorted(found) == ["absent", "broken"]
    assert "is not a .pose file that can be read" in found["broken"]
    assert "does not exist" in found["absent"]


def test_keypoints_in_place_of_a_video_are_as_long_as_they_say(tmp_path):
    from slt.video.keypoints import PoseFile, write_pose

    write_pose(tmp_path / "a.pose", PoseFile(keypoints=np.ones((60, 75, 3), np.float32), fps=30, height=9, width=9))
    whole = Clip(id="whole", video="a.pose", text="hello", lang="eng_Latn")
    clips = [whole, replace(whole, id="rest", start_s=0.5, text="hi"), replace(whole, id="part", end_s=0.4, text="ho")]
    write_manifest(tmp_path / "train.tsv", clips)
    report = examine([tmp_path / "train.tsv"], decode=True)
    assert [entry.duration_s for entry in report.entries] == [2.0, 1.5, 0.4]
    assert not [
        one for one in report.findings if one.check in ("decoding", "oddities", "nothing to see", "video files")
    ]
