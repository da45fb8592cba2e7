from __future__ import annotations

import unicodedata

import pytest

from slt.core.errors import UserError
from slt.data.corpora.registry import stem
from slt.data.corpora.videos import VideoIndex


@pytest.fixture
def folder(tmp_path):
    for name in ("train/a.mp4", "test/a.mp4", "deep/er/0043-2023.1.4.MP4", "-x.webm", ".b.part.mp4", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("frames/dev/" + unicodedata.normalize("NFD", "Mär") + "/0.png", "frames/clip/1/0.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "split", "found"),
    [
        ("a", "train", "train/a.mp4"),
        ("a", "test", "test/a.mp4"),
        ("a.mp4", "test", "test/a.mp4"),
        ("train/a.mp4", "test", "train/a.mp4"),
        ("0043-2023.1.4", "val", "deep/er/0043-2023.1.4.MP4"),
        ("-x", "val", "-x.webm"),
        ("clip", "val", "frames/clip/1"),
    ],
)
def test_videos_are_found_by_name(folder, name, split, found):
    assert VideoIndex(folder).find(name, split) == folder / found


def test_letters_in_two_pieces_are_letters(folder):
    found = VideoIndex(folder).find("Mär", "val")
    assert found is not None
    assert found.parent == folder / "frames" / "dev"


def test_what_is_not_there_is_not_found(folder):
    assert VideoIndex(folder).find("b", "train") is None
    assert VideoIndex(folder).find("gone.mp4", "train") is None
    assert VideoIndex(None).find("a", "train") is None
    with pytest.raises(UserError, match="is not a folder, expected the corpus's videos"):
        VideoIndex(folder / "notes.txt")


@pytest.mark.parametrize(
    ("name", "expected"), [("a.mp4", "a"), ("v/0043-2023.1.4", "0043-2023.1.4"), ("v\\b.MKV", "b"), ("c/", "c")]
)
def test_only_the_suffix_of_a_video_is_one(name, expected):
    assert stem(name) == expected
