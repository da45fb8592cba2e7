from __future__ import annotations

import json
import random

import pytest

from slt.data.manifest import Clip, write_manifest
from tests.data.test_mutations import LAYOUTS, mutated
from tests.video.films import write_film


@pytest.fixture
def manifest(tmp_path):
    """Three clips: a good one, one without a text, one whose video is not there."""
    write_film(tmp_path / "film.mp4")
    path = tmp_path / "train.tsv"
    clips = [
        Clip(id="good", video="film.mp4", text="hello"),
        Clip(id="mute", video="film.mp4"),
        Clip(id="gone", video="gone.mp4", text="[bold]"),
    ]
    write_manifest(path, clips)
    return path


def test_a_table_of_coverage_and_one_of_checks(slt, manifest):
    outcome = slt("check-manifest", manifest)
    assert outcome.code == 3
    lines = [line.split() for line in outcome.out.splitlines()]
    assert lines[1] == ["train", "3", "2", "0", "0", "2", "0"]
    assert "1: gone: gone.mp4 is not there" in outcome.out
    assert "2 of 15 checks failed: video files, same clip twice" in outcome.err


def test_json_has_all_that_was_found(slt, manifest):
    report = json.loads(slt("check-manifest", manifest, "--json", "--decode").out)
    assert report["ok"] is False
    assert report["coverage"]["train"]["with_video"] == 2
    assert {"name": "texts", "status": "warn"}.items() <= next(
        c for c in report["checks"] if c["name"] == "texts"
    ).items()
    assert {
        "check": "video files",
        "manifest": str(manifest),
        "row": "gone",
        "reason": "gone: gone.mp4 is not there",
    } in (report["findings"])


def test_fix_leaves_out_what_would_do_harm_and_says_so(slt, manifest, tmp_path):
    clean = tmp_path / "out" / "clean.tsv"
    outcome = slt("check-manifest", manifest, "--fix", clean)
    assert outcome.code == 0
    assert "left out video files: 1, texts: 1" in outcome.err.replace(
        "texts: 1, video files: 1", "video files: 1, texts: 1"
    )
    assert len(clean.read_text("utf-8").splitlines()) == 2
    assert slt("check-manifest", clean).code == 0
    assert slt("check-manifest", manifest, clean, "--fix", tmp_path / "both").code == 0
    assert {path.name for path in (tmp_path / "both").iterdir()} == {
        "train.tsv", "train.dropped.tsv", "clean.tsv", "clean.dropped.tsv"
    }  # fmt: skip


@pytest.mark.slow
def test_a_prepared_corpus_is_as_it_should_be(slt, how2sign, tmp_path):
    out = tmp_path / "out"
    lists = [word for path in how2sign.lists.values() for word in ("--csv", path)]
    slt("prepare", "how2sign", *lists, "--videos", how2sign.videos, "--no-cut", "--out", out)
    outcome = slt("check-manifest", *(out / f"{split}.tsv" for split in how2sign.clips), "--decode", "--json")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    covered = {split: (about["clips"], about["with_video"]) for split, about in report["coverage"].items()}
    assert covered == {"train": (9, 8), "val": (4, 4), "test": (4, 4)}
    assert [(one["check"], one["row"]) for one in report["findings"]] == [
        ("nothing to see", "lostvideo01_0-1-rgb_front")
    ]


def test_what_cannot_be_read_at_all_is_the_users_to_mend(slt, tmp_path):
    assert slt("check-manifest", tmp_path / "nothing.tsv").code == 2
    (tmp_path / "a.tsv").write_text("VIDEO_ID\n")
    assert slt("check-manifest", tmp_path / "a.tsv").code == 2


def test_damaged_manifests_never_surprise_it(slt, tmp_path):
    draw = random.Random(4)
    path = tmp_path / "train.tsv"
    for number in range(30):
        path.write_bytes(mutated(LAYOUTS[number % len(LAYOUTS)], draw))
        outcome = slt("check-manifest", path, "--fix", tmp_path / "clean.tsv")
        assert outcome.code in (0, 2)
        assert "unexpected" not in outcome.err
