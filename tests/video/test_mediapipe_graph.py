from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from slt.core.errors import UserError
from slt.video.mediapipe_graph import Graph, without_stray_lines

FACES = "face_detection/face_detection_full_range_cpu.binarypb"


def test_nothing_is_said_on_stderr():
    code = (
        "import numpy as np; from slt.video.keypoints import Holistic, _components;"
        "Holistic()(np.zeros((64, 64, 3), np.uint8)); _components()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_what_means_something_is_passed_on(capfd):
    with without_stray_lines():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nno space left\n")
    os.write(2, b"and after\n")
    assert capfd.readouterr().err == "no space left\nand after\n"


def test_a_block_that_fails_gives_stderr_back(capfd):
    try:
        with without_stray_lines():
            os.write(2, b"why\n")
            raise KeyError
    except KeyError:
        os.write(2, b"after\n")
    assert capfd.readouterr().err == "why\nafter\n"


def test_a_graph_answers_only_where_something_is_seen():
    with Graph(FACES, ["detections"]) as graph:
        for size in ((1, 1), (47, 63), (10, 500)):
            assert graph(np.full((*size, 3), 128, dtype=np.uint8)) == {}


def test_a_frame_may_be_a_view():
    frame = np.zeros((64, 48, 3), dtype=np.uint8).swapaxes(0, 1)
    with Graph(FACES, ["detections"]) as graph:
        assert graph(frame) == {}


def test_where_mediapipe_is_not_installed_that_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UserError, match="mediapipe, which detects keypoints and faces, is not installed") as caught:
        Graph("holistic_landmark/holistic_landmark_cpu.binarypb", [])
    assert "another --detector" in caught.value.fix
