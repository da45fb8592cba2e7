"""Recordings are read as right hands of one size, with the American letters only."""

import shutil
import sys
from importlib import metadata

import numpy as np
import pytest

from slt.core.errors import UserError
from slt.data.fingerspelling.alphabets import AGREEING, LETTERS, RELABELLED, american_letter
from slt.data.fingerspelling.hand import palm_size
from slt.data.fingerspelling.recordings import (
    FOLDER,
    PACKAGE,
    at_fps,
    find_recordings,
    read_recordings,
    resampled,
)
from slt.video.keypoints import PoseFile, write_pose
from tests.spelled import hand, recording


def test_alphabets_name_american_letters():
    assert set("".join(AGREEING.values())) | set(RELABELLED.values()) <= set(LETTERS)
    assert american_letter("ase", "T") == "T"
    assert american_letter("asq", "T") is None, "the German T is another"
    assert american_letter("eso", "O") == "F"
    assert american_letter("asq", "SCH") is None
    assert american_letter("gsg", "ß") == "S"


def test_the_hands_are_right_ones_scaled_by_the_palm(letters):
    assert {one.language for one in letters.recordings} == {"ase", "asq", "ise", "swl"}
    by_signer = {one.language: one for one in letters.any["V"]}
    for one in by_signer.values():
        assert one.mirrored == (one.language == "ise")
        assert palm_size(one.hold).mean() == pytest.approx(1, abs=0.05)
        own, expected = one.hold[:, :, :2] - one.hold[:, :1, :2], hand("V")[:, :2] / palm_size(hand("V"))
        np.testing.assert_allclose(own.mean(0), expected, atol=0.05)
        assert len(one.hold) >= 12
        assert len(one.before) >= 2


def test_france_is_no_second_signer_where_its_files_are_the_american_ones(letters):
    assert "fsl" not in letters.own


def test_of_other_alphabets_only_letters_that_are_american_are_taken(letters):
    assert set(letters.own["swl"]) == {"I"}


def test_letters_under_the_thumb_are_made_of_fists(letters):
    made = [one for one in letters.own["asq"]["T"] if one.derived]
    (fist,) = letters.own["asq"]["S"]
    assert [one.name for one in made] == ["T from A", "T from S"]
    moved = np.linalg.norm(made[1].hold - fist.hold, axis=-1).mean(0)
    assert moved[4] > 0.2, "the thumb's tip"
    assert moved[[0, 5, 9, 12, 16, 20]].max() < 1e-9


def test_other_rates_are_resampled():
    line = np.linspace(0, 1, 31)[:, None, None] * np.ones((1, 21, 3))
    np.testing.assert_allclose(at_fps(line, 30.0)[[0, -1]], line[[0, -1]])
    assert len(at_fps(line, 30.0)) == 26
    assert len(resampled(line[:1], 4)) == 4


def test_the_installed_package_is_found_without_importing_it(poses, tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "distribution", _absent)
    with pytest.raises(UserError, match="spoken-to-signed is not installed, whose recordings"):
        find_recordings()
    monkeypatch.undo()
    info = tmp_path / "spoken_to_signed-0.4.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 0.4.0\n")
    shutil.copytree(poses, tmp_path / FOLDER)
    (tmp_path / "spoken_to_signed" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert find_recordings() == tmp_path / FOLDER
    assert len(read_recordings(find_recordings())) > 50
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 0.5.0\n")
    with pytest.raises(UserError, match=r"spoken-to-signed 0\.5\.0 is installed, expected 0\.4\.0"):
        find_recordings()


def _absent(name):
    raise metadata.PackageNotFoundError(name)


def test_folders_that_are_none_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no index\.csv, expected the recordings of spoken-to-signed"):
        find_recordings(tmp_path)
    (tmp_path / "index.csv").write_text("path,words\n")
    with pytest.raises(UserError, match="lacks the columns signed_language"):
        read_recordings(tmp_path)
    (tmp_path / "index.csv").write_text("path,signed_language,words\na.pose,swl,Q\n")
    with pytest.raises(UserError, match="lists no letter that is used here"):
        read_recordings(tmp_path)
    (tmp_path / "index.csv").write_text("path,signed_language,words\n../a.pose,ase,A\n")
    with pytest.raises(UserError, match=r"names \.\./a\.pose, expected a file inside its folder"):
        read_recordings(tmp_path)
    (tmp_path / "index.csv").write_text("path,signed_language,words\na.pose,ase,A\n")
    write_pose(tmp_path / "a.pose", PoseFile(keypoints=recording("A", "ase")[:2], fps=25, height=9, width=9))
    with pytest.raises(UserError, match="shows a hand in 2 frames, expected at least 3"):
        read_recordings(tmp_path)
    write_pose(tmp_path / "a.pose", PoseFile(keypoints=recording("A", "ase") * np.nan, fps=25, height=9, width=9))
    with pytest.raises(UserError, match="shows a hand in 0 frames"):
        read_recordings(tmp_path)
