"""The published pipeline's own boxes, windows and crops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

GOLDEN = Path(__file__).parents[1] / "golden" / "preproc"


@pytest.fixture(scope="session")
def sampling() -> dict[str, Any]:
    return json.loads((GOLDEN / "sampling.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def crops() -> dict[str, Any]:
    return json.loads((GOLDEN / "crop.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def real_clip() -> dict[str, Any]:
    return json.loads((GOLDEN / "video_dm.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def crop_arrays() -> dict[str, NDArray[np.uint8]]:
    return load_file(GOLDEN / "crop.safetensors")
