"""Whole-body points by rtmlib, with tiny ONNX models in the place of the published ones."""

from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from slt.assets.fetch import fetch
from slt.assets.published import PUBLISHED_POSE, WHOLEBODY, files_folder
from slt.core.errors import SltError, UserError
from slt.video import rtmw
from slt.video.rtmw import Rtmw, find_files
from tests.onnx_models import DETECTOR, POSE, write_detector, write_models, write_pose_model

FRAME = (120, 160)  # height, width


def frame_with(x, y, colour=(0, 0, 255)):
    """A dark frame with a dot, RGB."""
    frame = np.zeros((*FRAME, 3), np.uint8)
    frame[y - 2 : y + 3, x - 2 : x + 3] = colour
    return frame


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Rtmw(find_files(write_models(tmp_path_factory.mktemp("models"))))


@pytest.mark.parametrize(("x", "y"), [(40, 30), (120, 90)])
def test_points_are_shares_of_the_picture_with_scores(models, x, y, capsys):
    found = models(frame_with(x, y))
    assert (found.shape, found.dtype) == ((133, 3), np.float32)
    np.testing.assert_allclose(found[:, 0], x / 160, atol=0.03)
    np.testing.assert_allclose(found[:, 1], y / 120, atol=0.03)
    assert (found[:, 2] > 0.5).all()
    assert capsys.readouterr().out == ""


def test_frames_reach_the_models_as_opencv_has_them(models):
    red = models(frame_with(40, 30, (255, 0, 0)))
    assert (red[:, 2] <= 0).all(), "the models look at the first channel, blue"


def test_the_first_person_found_is_the_signer(tmp_path):
    folder = write_models(tmp_path)
    halves = [(0, 0, 208, 312, 0.8), (208, 0, 416, 312, 0.95)]  # of the picture, which is 416 wide there
    write_detector(folder / f"{DETECTOR}.onnx", halves)
    both = np.maximum(frame_with(40, 60), frame_with(130, 60, (0, 0, 200)))
    assert Rtmw(find_files(folder))(both)[0, 0] == pytest.approx(40 / 160, abs=0.03)
    write_detector(folder / f"{DETECTOR}.onnx", halves[::-1])
    assert Rtmw(find_files(folder))(frame_with(130, 60))[0, 0] == pytest.approx(130 / 160, abs=0.03)
    write_detector(folder / f"{DETECTOR}.onnx", [(*halves[0][:4], 0.1)])  # nobody: the whole picture
    assert Rtmw(find_files(folder))(frame_with(130, 60))[0, 0] == pytest.approx(130 / 160, abs=0.03)


def test_several_threads_may_ask_at_once(models):
    frames = [frame_with(10 + 10 * i, 60) for i in range(8)]
    alone = [models(frame) for frame in frames]
    with ThreadPoolExecutor(4) as threads:
        for found, expected in zip(threads.map(models, frames), alone, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_published_archives_are_read_and_have_to_stay_as_they_came(tmp_path):
    with pytest.raises(UserError, match=rf"are not here: .*files/wholebody lacks {DETECTOR}\.zip or \.onnx and"):
        find_files(None)
    write_models(files_folder(WHOLEBODY), zipped=True)
    for file in PUBLISHED_POSE[WHOLEBODY].files:  # tiny ones are too small for published ones
        with open(files_folder(WHOLEBODY) / file.name, "ab") as packed:
            packed.truncate(file.smallest_bytes + 1)
    fetch(PUBLISHED_POSE[WHOLEBODY].files, files_folder(WHOLEBODY), licence="any")
    files = find_files(None)
    assert files.detector.name == f"{DETECTOR}.zip"
    assert len(files.sha256()) == 64
    files.pose.write_bytes(files.pose.read_bytes() + b" ")
    with pytest.raises(UserError, match=r"\.zip"):
        find_files(None)


def test_archives_are_unpacked(tmp_path):
    found = Rtmw(find_files(write_models(tmp_path, zipped=True)))(frame_with(40, 30))
    assert found[0, 0] == pytest.approx(40 / 160, abs=0.03)


def test_what_is_no_such_model_is_told(tmp_path, monkeypatch):
    folder = write_models(tmp_path, n_points=17)
    with pytest.raises(UserError, match=r"makes points of shape \(17, 2\), expected \(133, 2\)"):
        Rtmw(find_files(folder))(frame_with(40, 30))
    write_pose_model(folder / f"{DETECTOR}.onnx")
    with pytest.raises(SltError, match="onnxruntime failed on"):
        Rtmw(find_files(folder))(frame_with(40, 30))
    write_detector(folder / f"{DETECTOR}.onnx", [(0, 0, 416, 416, 0.9)])
    write_detector(folder / f"{POSE}.onnx", [(0, 0, 416, 416, 0.9)])
    with pytest.raises(SltError, match=r"onnxruntime failed|as detector and pose model"):
        Rtmw(find_files(folder))(frame_with(40, 30))
    (folder / f"{POSE}.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match=rf"{POSE}\.onnx is not an ONNX model that onnxruntime reads: "):
        Rtmw(find_files(folder))
    (folder / f"{POSE}.onnx").unlink()
    with pytest.raises(UserError, match=rf"lacks {POSE}\.zip or \.onnx") as raised:
        find_files(folder)
    assert "--detector rtmw=DIR" in raised.value.fix
    with zipfile.ZipFile(folder / f"{POSE}.zip", "w") as packed:
        packed.writestr("readme.txt", "nothing")
    with pytest.raises(UserError, match=r"is not the archive of one end2end\.onnx"):
        Rtmw(find_files(folder))
    with zipfile.ZipFile(folder / f"{POSE}.zip", "w") as packed:
        packed.writestr("a/end2end.onnx", "x" * 1000)
    monkeypatch.setattr(rtmw, "MOST_BYTES", 999)
    with pytest.raises(UserError, match="unpacks to 1000 bytes, expected at most 999"):
        Rtmw(find_files(folder))
