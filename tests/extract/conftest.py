from __future__ import annotations

from pathlib import Path

import pytest

from slt.frontend.base import Settings
from slt.frontend.registry import load_extractor
from slt.frontend.signhiera import SignHieraExtractor
from tests.bundles import bundle, clip, write_clip  # noqa: F401 - fixtures
from tests.frame_bundles import both_bundle, keypoint_bundle, siglip_folder  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def extractor(bundle: Path) -> SignHieraExtractor:  # noqa: F811
    """The tiny bundle's."""
    return load_extractor("signhiera", Settings(model=str(bundle), device="cpu"))


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve videos of 10 to 65 frames."""
    folder = tmp_path_factory.mktemp("videos")
    return [write_clip(folder / f"v{i}.mp4", 10 + 5 * i, seed=i) for i in range(12)]
