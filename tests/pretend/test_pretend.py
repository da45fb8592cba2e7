"""What would fail on a GPU fails on the pretend accelerator; see ``tests/pretend/pretend.cpp``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ON_DEVICE = Path(__file__).with_name("on_device")


@pytest.mark.slow
def test_on_the_pretend_accelerator():
    from tests.pretend.device import built

    try:
        built()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-rs", "--tb=short"]
    words += ["-o", "python_files=check_*.py", str(ON_DEVICE)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    found = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=ON_DEVICE.parents[2])
    assert found.returncode == 0, f"{found.stdout}\n{found.stderr}"
