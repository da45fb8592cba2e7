"""Import Uni-Sign's pose-only checkpoints as a bundle, after checking every key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from slt.assets.cards import (
    EVERY_FRAME,
    BundleCard,
    DecoderCard,
    EncoderCard,
    ExtractorCard,
    sha256_of,
    write_card,
)
from slt.assets.lockfile import read_records
from slt.assets.staging import stage_bundle
from slt.bundle.convert import FILES, SPARE_BYTES, Progress
from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.home import slt_home
from slt.models.checkpoint import read_weights, save_weights
from slt.models.config import StgcnConfig
from slt.models.fitting import build_empty, fit
from slt.models.stgcn import Stgcn
from slt.text.hf.config import HfTextConfig
from slt.text.hf.folder import published_pieces, published_shape
from slt.text.hf.kinds import KINDS, new_model
from slt.text.languages import check_languages
from slt.video.detect import RTMW

PROMPTS: Mapping[str, str] = {"eng_Latn": "English", "zho_Hans": "Chinese"}
"""Languages of the published checkpoints, as their prompt names them."""

MAX_TOKENS = 100
BRIDGE, TEXT = "pose_proj.", "mt5_model."
"""Prefixes of the names of what belongs to the text decoder."""
UNKNOWN_LICENCE = "unknown: see where the weights were published"


class UniSign(Stgcn):
    """All of a published checkpoint under its names: pose encoder, bridge and mT5."""

    def __init__(self, mt5: HfTextConfig) -> None:
        super().__init__(StgcnConfig())
        self.mt5_model = new_model(mt5.kind, **mt5.model)
        self.pose_proj = nn.Linear(mt5.feature_dim, self.mt5_model.config.d_model)


def import_unisign(
    name: str,
    file: Path,
    text_model: Path,
    *,
    lang: str = "eng_Latn",
    licence: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Make a bundle of a pose-only checkpoint of Uni-Sign, as ``SLT_HOME/bundles/NAME``.

    Args:
        name: of the bundle.
        file: torch checkpoint or safetensors file; its weights may lie under ``model``.
        text_model: folder with the ``config.json`` and tokenizer of the mT5 that it was trained from.
        lang: FLORES-200 code of the language it writes, a key of ``PROMPTS``.
        licence: of the weights; None: what was recorded when the file was fetched.
        progress: called when files were checked and converted.

    Returns:
        The bundle's folder.

    Raises:
        UserError: a name that is taken or none, another language, files that cannot be read, or weights that are
            missing, unexpected or of another shape; all are named.
        SltError: the disk is full, or failed.
    """
    progress = progress or (lambda *_: None)
    check_languages([lang], tuple(PROMPTS))
    config = HfTextConfig(
        kind="mt5",
        feature_dim=StgcnConfig().d_model,
        languages=(lang,),
        prefix=f"Translate sign language video to {PROMPTS[lang]}: ",
        bridge="linear",
        max_tokens=MAX_TOKENS,
        model=published_shape(text_model, "mt5"),
    )
    proto = published_pieces(text_model, "mt5")
    encoder, decoder = _split(read_weights(file), config, proto, file)
    progress("checked", 1, 1)
    with stage_bundle(name, n_bytes=file.stat().st_size + SPARE_BYTES) as draft:
        save_weights(draft / FILES["sign_encoder"], encoder)
        save_weights(draft / FILES["text_decoder"], decoder)
        with atomic_write(draft / FILES["tokenizer"]) as copy:
            copy.write(proto)
        sources = {"weights": {"file": file.name, "sha256": sha256_of(file)}}
        made = {"by": "slt models import --kind uni-sign", "sources": sources}
        write_card(draft, _card(name, config, licence or _recorded_licence(file), made))
    progress("converted", 1, 1)
    return slt_home() / "bundles" / name


def _split(
    weights: Mapping[str, Tensor], config: HfTextConfig, proto: bytes, file: Path
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights of the sign encoder and of the text decoder, under slt's names.

    Raises:
        UserError: they are not those of a pose-only Uni-Sign, or of another mT5.
    """
    KINDS[config.kind].tokens(proto, config.model.get("vocab_size", 0))
    if others := [key for key in weights if key.startswith("rgb_")]:
        raise UserError(
            f"{file} is a Uni-Sign checkpoint on pictures and poses: it has {len(others)} weights such as {others[0]}",
            fix="take a pose-only checkpoint",
        )
    model = build_empty(lambda: UniSign(config))
    fitting = fit(model, weights, source=file, name_all=True)
    encoder = {key: value for key, value in fitting.items() if not key.startswith((BRIDGE, TEXT))}
    decoder = {
        key.replace(BRIDGE, "bridge.0.", 1).replace(TEXT, "model.", 1): value
        for key, value in fitting.items()
        if key not in encoder
    }
    return encoder, decoder


def _recorded_licence(file: Path) -> str:
    """Return the licence that was shown when a file was fetched."""
    record = read_records(file.parent).get(file.name)
    return record.licence if record else UNKNOWN_LICENCE


def _card(name: str, config: HfTextConfig, licence: str, made: dict[str, Any]) -> BundleCard:
    text = {key: value for key, value in dataclasses.asdict(config).items() if key != "languages"}
    return BundleCard(
        name=name,
        summary="Sign language to text: whole-body keypoints, Uni-Sign's pose encoder and mT5.",
        licence=licence,
        languages=config.languages,
        preprocess=EVERY_FRAME.with_detector(RTMW),
        extractor=ExtractorCard(kind="wholebody", config={}, weights=None),
        encoder=EncoderCard(kind="stgcn", config=dataclasses.asdict(StgcnConfig()), weights=FILES["sign_encoder"]),
        decoder=DecoderCard(kind=config.kind, config=text, weights=FILES["text_decoder"], tokenizer=FILES["tokenizer"]),
        made=made,
    )
