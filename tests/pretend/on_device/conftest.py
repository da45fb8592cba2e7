"""Tests on the pretend accelerator: ``tests/pretend/test_pretend.py`` runs them in a process of their own."""

# ruff: noqa: F401 - fixtures
from __future__ import annotations

import pytest

from tests.bundles import bundle, clip, own_bundle, videos
from tests.frame_bundles import both_bundle, drawn, keypoint_bundle, siglip_bundle, siglip_folder
from tests.pretend.device import Pretend, start
from tests.train.conftest import make, splits, two_streams, values


@pytest.fixture(scope="session")
def device() -> Pretend:
    """The pretend accelerator, which slt takes for the machine's GPU."""
    return start()


@pytest.fixture(autouse=True)
def _on_the_device(device: Pretend) -> None:
    """Every test here runs with it."""


@pytest.fixture(scope="session", autouse=True)
def _fairseq2_takes_its_time() -> None:
    """fairseq2's stopwatch refuses all devices but the CPU and CUDA; without one it does not wait for them."""
    from fairseq2.generation.beam_search import generator
    from fairseq2.utils.stopwatch import Stopwatch

    generator.Stopwatch = lambda device=None: Stopwatch()
