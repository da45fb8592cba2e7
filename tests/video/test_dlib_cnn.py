"""No weights can be had in tests: what dlib finds with them is told by a stand-in, all around it is real."""

from __future__ import annotations

import bz2
from pathlib import Path
from types import SimpleNamespace

import dlib
import numpy as np
import pytest

from slt.assets.fetch import fetch
from slt.assets.published import PUBLISHED_DETECTORS, files_folder
from slt.core.errors import UserError
from slt.video import dlib_cnn
from slt.video.boxes import Box
from slt.video.detect import check_detector, load_detector

PUBLISHED = PUBLISHED_DETECTORS["dlib-cnn"].files[0]
CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def loaded(monkeypatch):
    """Let dlib load anything; return what it was given, and be asked."""
    seen = []

    class Found:
        def __init__(self, path):
            seen.append(Path(path).read_bytes())

        def __call__(self, frame, upsampled):
            seen.append((frame.shape, upsampled))
            return [SimpleNamespace(rect=dlib.rectangle(10, 20, 49, 69), confidence=1.1)]

    monkeypatch.setattr(dlib, "cnn_face_detection_model_v1", Found)
    dlib_cnn.dlib_cnn.cache_clear()
    yield seen
    dlib_cnn.dlib_cnn.cache_clear()


def fetched(content: bytes) -> None:
    """Put the published file where it is fetched to, and let it be recorded."""
    folder = files_folder("dlib-cnn")
    folder.mkdir(parents=True)
    (folder / PUBLISHED.name).write_bytes(content)
    fetch([PUBLISHED], folder, licence="CC0")


def test_without_weights():
    for ask in (check_detector, load_detector):
        with pytest.raises(UserError, match="the weights of the face detector dlib-cnn are not here") as caught:
            ask("dlib-cnn")
        assert "slt models fetch dlib-cnn" in caught.value.fix


def test_fetched_weights_are_unpacked_and_loaded(loaded):
    noise = np.random.default_rng(0).bytes(500_000)
    fetched(bz2.compress(noise))
    check_detector("dlib-cnn")
    faces = load_detector("dlib-cnn")(np.zeros((100, 200, 3), np.uint8))
    assert faces == [Box(10, 20, 49, 69)]
    assert loaded == [noise, ((100, 200, 3), 1)]


def test_the_users_own_file(loaded, tmp_path):
    for number, content in enumerate([CONTENT, bz2.compress(CONTENT)]):
        file = tmp_path / f"{number}.dat"
        file.write_bytes(content)
        load_detector(f"dlib-cnn={file}")
        assert loaded[-1] == CONTENT


def test_fetched_weights_that_changed(loaded):
    fetched(bz2.compress(np.random.default_rng(0).bytes(500_000)))
    path = files_folder("dlib-cnn") / PUBLISHED.name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="mmod_human_face_detector"):
        load_detector("dlib-cnn")


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        check_detector(f"dlib-cnn={tmp_path / 'a.dat'}")


@pytest.mark.parametrize("content", [b"", b"no weights at all", CONTENT, b"\x01" * 100_000])
def test_a_file_of_something_else(tmp_path, content):
    (tmp_path / "a.dat").write_bytes(content)
    with pytest.raises(UserError, match="does not hold the weights of dlib's face detector"):
        load_detector(f"dlib-cnn={tmp_path / 'a.dat'}")


def test_a_packed_file_cut_off(tmp_path):
    (tmp_path / "a.bz2").write_bytes(bz2.compress(CONTENT)[:-20])
    with pytest.raises(UserError, match="is damaged"):
        load_detector(f"dlib-cnn={tmp_path / 'a.bz2'}")
    (tmp_path / "b.bz2").write_bytes(b"BZh9 and then nothing like it")
    with pytest.raises(UserError, match="is damaged"):
        load_detector(f"dlib-cnn={tmp_path / 'b.bz2'}")


def test_a_file_that_is_far_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(dlib_cnn, "MOST_BYTES", 1000)
    (tmp_path / "a.bz2").write_bytes(bz2.compress(bytes(10_000)))
    with pytest.raises(UserError, match="holds over 1000 bytes"):
        load_detector(f"dlib-cnn={tmp_path / 'a.bz2'}")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        load_detector(f"dlib-cnn={tmp_path}")
