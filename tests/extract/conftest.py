from __future__ import annotations

from pathlib import Path

import pytest

from slt.frontend.base import Settings
from slt.frontend.registry import load_frontend
from slt.frontend.signhiera import SignHieraFrontend
from tests.bundles import bundle, clip, videos  # noqa: F401 - fixtures
from tests.frame_bundles import both_bundle, keypoint_bundle, siglip_folder  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def extractor(bundle: Path) -> SignHieraFrontend:  # noqa: F811
    """The tiny bundle's."""
    return load_frontend("signhiera", Settings(model=str(bundle), device="cpu"))
