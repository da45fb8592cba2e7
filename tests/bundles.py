"""A whole bundle of untrained, tiny models, and videos for it: every stage of translating is the real one."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from slt.assets.cards import (
    BundleCard,
    DecoderCard,
    DomainCard,
    EncoderCard,
    ExtractorCard,
    PreprocessCard,
    read_card,
    write_card,
)

LANGUAGES = ("eng_Latn", "deu_Latn")
TEXTS = ("we go hiking", "is the weather nice", "ist das Wetter schön", "wir wandern heute")
PREPROCESS = PreprocessCard(num_frames=16, stride_frames=8, size=32, detector="none")
FEATURE_DIM, EMBEDDING_DIM = 32, 32
WHAT_IT_KNOWS = "it knows noise only"


def write_bundle(folder: Path, **changed: object) -> Path:
    """Write a bundle whose weights are random, the same ones each time.

    Args:
        folder: where to.
        changed: what of the card is to be otherwise.
    """
    import torch

    from slt.models.checkpoint import save_weights
    from slt.models.config import SonarT5Config
    from slt.models.signhiera import SignHiera, SignHieraConfig
    from slt.models.sonar_t5 import SonarT5
    from slt.text.config import SonarTextConfig, StackConfig
    from slt.text.engines import sonar_text
    from slt.text.tokenizer import train_tokenizer

    torch.manual_seed(1)
    folder.mkdir(parents=True, exist_ok=True)
    extractor = SignHieraConfig(input_size=(16, 32, 32), embed_dim=4, stages=(1, 1, 1, 1))
    encoder = SonarT5Config(
        feature_dim=FEATURE_DIM,
        output_dim=EMBEDDING_DIM,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        vocab_size=4,
    )
    stack = StackConfig(model_dim=EMBEDDING_DIM, num_layers=1, num_heads=2, ffn_inner_dim=64, max_seq_len=64)
    text = SonarTextConfig(encoder=stack, decoder=stack, languages=LANGUAGES)
    train_tokenizer(TEXTS, folder / "tokenizer.model", 60)
    decoder = sonar_text().build(text, folder / "tokenizer.model")
    save_weights(folder / "extractor.safetensors", SignHiera(extractor).state_dict())
    torch.manual_seed(5)  # of which the untrained decoder makes texts that are not empty
    save_weights(folder / "encoder.safetensors", SonarT5(encoder).state_dict())
    save_weights(folder / "text_decoder.safetensors", decoder.decoder_weights())
    save_weights(folder / "text_encoder.safetensors", decoder.text_encoder_weights())
    card = BundleCard(
        name=folder.name,
        summary="an untrained model",
        licence="Apache-2.0",
        languages=LANGUAGES,
        preprocess=PREPROCESS,
        extractor=ExtractorCard(kind="signhiera", config=asdict(extractor), weights="extractor.safetensors"),
        encoder=EncoderCard(kind="sonar-t5", config=asdict(encoder), weights="encoder.safetensors"),
        decoder=DecoderCard(
            kind="sonar",
            config=text.to_json(),
            weights="text_decoder.safetensors",
            tokenizer="tokenizer.model",
            text_encoder="text_encoder.safetensors",
        ),
    )
    write_card(folder, replace(card, **changed))  # type: ignore[arg-type]
    return folder


def add_domain(folder: Path, *, threshold: float) -> None:
    """Let a bundle's card tell what its features look like: about zero, each by itself."""
    import torch

    from slt.models.checkpoint import save_weights

    domain = {"mean": torch.zeros(FEATURE_DIM), "precision": torch.eye(FEATURE_DIM)}
    save_weights(folder / "domain.safetensors", {**domain, "threshold": torch.tensor(threshold)})
    about = DomainCard(weights="domain.safetensors", summary=WHAT_IT_KNOWS)
    write_card(folder, replace(read_card(folder), domain=about))


def let_write(folder: Path, kind: str, *, source: str = "sequence") -> Path:
    """Give a bundle a T5 or mBART in place of SONAR's text models.

    Args:
        folder: the bundle.
        kind: "t5" or "mbart".
        source: what of the sign encoder's output it reads.
    """
    from slt.models.checkpoint import save_weights
    from tests.text.hf_models import make_text

    card = read_card(folder)
    width = card.encoder.config["d_model" if source == "sequence" else "output_dim"]
    text = make_text(kind, feature_dim=width, source=source, languages=LANGUAGES[:1])
    save_weights(folder / "text_decoder.safetensors", text.state_dict())
    (folder / "tokenizer.model").write_bytes(text.tokens.proto)
    (folder / "text_encoder.safetensors").unlink()
    config = {name: value for name, value in asdict(text.config).items() if name != "languages"}
    decoder = replace(card.decoder, kind=kind, config=config, text_encoder=None)
    write_card(folder, replace(card, languages=LANGUAGES[:1], decoder=decoder))
    return folder


def noise(n_frames: int, size: int = 48, seed: int = 0) -> NDArray[np.uint8]:
    """Return (n_frames, size, size, 3) uint8 of blocks that change from frame to frame."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n_frames, size // 8, size // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def write_clip(path: Path, n_frames: int = 40, *, fps: int = 25, seed: int = 0) -> Path:
    """Write a video of ``noise``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height = stream.width = 48
        stream.pix_fmt = "yuv420p"
        for frame in noise(n_frames, seed=seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle; not to be written to."""
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def own_bundle(bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle to break."""
    return Path(shutil.copytree(bundle, tmp_path / "broken"))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 40 frames, which make two windows."""
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve videos of 10 to 65 frames."""
    folder = tmp_path_factory.mktemp("videos")
    return [write_clip(folder / f"v{i}.mp4", 10 + 5 * i, seed=i) for i in range(12)]
