from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.bundles import clip  # noqa: F401 - a fixture
from tests.env.broken import Environment, make_environment


@pytest.fixture(name="make_environment")
def _make_environment(tmp_path: Path) -> Callable[..., Environment]:
    return partial(make_environment, tmp_path / "environment")
