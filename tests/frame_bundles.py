"""Tiny bundles that take single frames: keypoints, SigLIP, both; and a drawn clip with its joints."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from slt.assets.cards import EncoderCard, ExtractorCard, read_card, write_card
from slt.frontend.keypoints import EVERY_FRAME
from slt.frontend.siglip import EVERY_SECOND_FRAME
from slt.recipe.load import plain
from tests.bundles import EMBEDDING_DIM, bundle  # noqa: F401 - fixture

VISUAL_DIM = 16
VISION = {
    "hidden_size": VISUAL_DIM,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
SMALL = {"output_dim": EMBEDDING_DIM, "d_model": 16, "num_heads": 2, "d_ff": 32}


def write_siglip(folder: Path) -> Path:
    """Write an untrained SigLIP's image half as transformers keeps it."""
    import torch
    from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(0)
    SiglipVisionModel(SiglipVisionConfig(**VISION)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def write_frame_bundle(tiny: Path, folder: Path, kind: str, siglip: Path) -> Path:
    """Write a bundle with the text models of the tiny one, whose extractor and encoder take single frames."""
    import torch

    from slt.models.checkpoint import save_weights
    from slt.models.config import FusionConfig, SonarT5Config, TransformerConfig
    from slt.models.fusion import Fusion
    from slt.models.siglip import siglip_config
    from slt.models.sonar_t5 import SonarT5
    from slt.models.transformer import Transformer

    shutil.copytree(tiny, folder)
    torch.manual_seed(2)
    name, encoder = {
        "keypoints": lambda: ("transformer", Transformer(TransformerConfig(num_layers=1, **SMALL))),
        "siglip": lambda: (
            "sonar-t5",
            SonarT5(replace(SonarT5Config(**read_card(tiny).encoder.config), feature_dim=VISUAL_DIM)),
        ),
        "keypoints+siglip": lambda: (
            "fusion",
            Fusion(FusionConfig(visual_dim=VISUAL_DIM, num_visual_layers=1, num_blocks=1, kernel_size=3, **SMALL)),
        ),
    }[kind]()
    save_weights(folder / "encoder.safetensors", encoder.state_dict())
    (folder / "extractor.safetensors").unlink()
    extractor = ExtractorCard(kind="keypoints", config={}, weights=None)
    if kind != "keypoints":
        shutil.copyfile(siglip / "model.safetensors", folder / "extractor.safetensors")
        config = plain(asdict(siglip_config(siglip)))
        extractor = ExtractorCard(kind=kind, config=config, weights="extractor.safetensors")
    card = replace(
        read_card(tiny),
        name=folder.name,
        preprocess=EVERY_FRAME if kind == "keypoints" else EVERY_SECOND_FRAME,
        extractor=extractor,
        encoder=EncoderCard(kind=name, config=plain(asdict(encoder.config)), weights="encoder.safetensors"),
    )
    write_card(folder, card)
    return folder


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained SigLIP; not to be written to."""
    return write_siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="session")
def keypoint_bundle(bundle: Path, siglip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A tiny bundle that reads keypoints; not to be written to."""
    return write_frame_bundle(bundle, tmp_path_factory.mktemp("b") / "on-keypoints", "keypoints", siglip_folder)


@pytest.fixture(scope="session")
def siglip_bundle(bundle: Path, siglip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A tiny bundle that reads SigLIP's embeddings; not to be written to."""
    return write_frame_bundle(bundle, tmp_path_factory.mktemp("b") / "on-siglip", "siglip", siglip_folder)


@pytest.fixture(scope="session")
def both_bundle(bundle: Path, siglip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A tiny bundle that reads both; not to be written to."""
    return write_frame_bundle(bundle, tmp_path_factory.mktemp("b") / "on-both", "keypoints+siglip", siglip_folder)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of two drawn clips with their joints; not to be written to."""
    from slt.data.synthetic.corpus import write_corpus

    return write_corpus(tmp_path_factory.mktemp("drawn"), {"val": 2}, 4, with_joints=True)["val"]
