"""The weights of a tiny bundle, written as the published checkpoints are: every wrapper, every age of names."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from slt.assets.cards import read_card
from slt.bundle.convert import FILES, ImportConfig, Sources, read_config
from slt.models.checkpoint import read_weights
from slt.text.weights import EMBEDDING, OUTPUT_TABLE

OLD_NAMES = [
    (r"encoder_decoder_attn", "encoder_attn"),
    (r"(self_attn|encoder_attn)\.output_proj", r"\1.out_proj"),
    (r"ffn_layer_norm", "final_layer_norm"),
    (r"ffn\.inner_proj", "fc1"),
    (r"ffn\.output_proj", "fc2"),
    (r"^(decoder|encoder)\.", ""),
    (r"^(decoder|encoder)_frontend\.embed", "embed_tokens"),
    (r"^final_proj", "output_projection"),
]
Weights = dict[str, Tensor]


def old_layout(weights: Mapping[str, Tensor], *, copied: bool = False) -> Weights:
    """Write fairseq2's weights as fairseq did; with an output table of its own where ``copied``."""
    old = {"version": torch.tensor([3.0]), "embed_positions._float_tensor": torch.zeros(1)}
    for name, value in weights.items():
        for pattern, replacement in OLD_NAMES:
            name = re.sub(pattern, replacement, name)
        old[name] = value
    table = old["embed_tokens.weight"]
    old["embed_tokens.weight"] = torch.cat([table[[2, 0, 3, 1]], table[4:]])
    if "output_projection.weight" in old:
        old["output_projection.weight"] = old["embed_tokens.weight"].clone() if copied else old["embed_tokens.weight"]
    return old


def with_old_projection(weights: Mapping[str, Tensor]) -> Weights:
    """Name the feature projection of a sign encoder as old checkpoints do."""
    return {name.replace("feature_projection.feature_proj", "feature_proj"): value for name, value in weights.items()}


def pretrained(weights: Mapping[str, Tensor]) -> Weights:
    """Add to a SignHiera's weights what masked pre-training leaves beside them."""
    names = ("mask_token", "decoder_pos_embed", "decoder_embed.weight", "decoder_blocks.0.norm1.bias")
    names += ("decoder_norm.bias", "decoder_pred.weight", "encoder_norm.weight", "multi_scale_fusion_heads.0.bias")
    return {**weights, **{name: torch.ones(3) for name in names}}


def classifying(weights: Mapping[str, Tensor]) -> Weights:
    """Add to a SignHiera's weights the head that its features do not go through."""
    return {**weights, "norm.weight": torch.ones(3), "head.projection.weight": torch.ones(2, 3)}


def complete_weights(bundle: Path) -> dict[str, Weights]:
    """Return the weights of a bundle by part, with all the names that published files have for shared tables."""
    weights = {part: read_weights(bundle / file) for part, file in FILES.items() if part != "tokenizer"}
    weights["text_decoder"][OUTPUT_TABLE] = weights["text_decoder"][EMBEDDING["decoder"]]
    return weights


Save = Callable[[object, Path], None]
LAYOUTS: dict[str, dict[str, Callable[[Weights], object]]] = {
    "published": {
        "signhiera": lambda weights: {"model_state": weights, "epoch": 3, "cfg": {"lr": 0.1}},
        "sign_encoder": lambda weights: {"student": weights, "teacher": {"x": torch.ones(1)}},
        "text_encoder": lambda weights: {"model": weights},
        "text_decoder": lambda weights: {"model": weights},
    },
    "old": {
        "signhiera": lambda weights: {"model": pretrained(weights)},
        "sign_encoder": lambda weights: {"model": with_old_projection(weights)},
        "text_encoder": lambda weights: {"state_dict": old_layout(weights)},
        "text_decoder": lambda weights: {"state_dict": old_layout(weights)},
    },
    "copied": {
        "signhiera": lambda weights: {"state_dict": classifying(weights)},
        "sign_encoder": lambda weights: {"student": {name: value.clone() for name, value in weights.items()}},
        "text_encoder": lambda weights: {"model": old_layout(weights)},
        "text_decoder": lambda weights: {"state_dict": old_layout(weights, copied=True)},
    },
    "flat": dict.fromkeys(("signhiera", "sign_encoder", "text_encoder", "text_decoder"), lambda weights: weights),
}
"""What a checkpoint holds, by layout and part, of the part's weights."""


def save_pickle(content: object, path: Path) -> None:
    """Save as torch did before 1.6."""
    torch.save(content, path, _use_new_zipfile_serialization=False)


def save_safetensors(content: object, path: Path) -> None:
    """Save flat weights; safetensors takes no tensor twice."""
    save_file({name: value.clone() for name, value in content.items()}, path)  # type: ignore[attr-defined]


def write_sources(bundle: Path, folder: Path, layout: str = "published", save: Save = torch.save) -> Sources:
    """Write a bundle's weights and tokenizer into ``folder`` as checkpoints of one layout."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {part: folder / f"{part}.pt" for part in LAYOUTS[layout]}
    for part, weights in complete_weights(bundle).items():
        save(LAYOUTS[layout][part](weights), paths[part])
    shutil.copyfile(bundle / FILES["tokenizer"], folder / "tokenizer.model")
    return Sources(**paths, tokenizer=folder / "tokenizer.model")


def write_config(bundle: Path, path: Path) -> Path:
    """Write what ``--config`` needs for checkpoints of a bundle's shape."""
    card = read_card(bundle)
    shapes = {
        "licence": card.licence,
        "preprocess": asdict(card.preprocess),
        "signhiera": card.extractor.config,
        "sign_encoder": card.encoder.config,
        "text": {**card.decoder.config, "languages": card.languages},
    }
    path.write_text(json.dumps(shapes))
    return path


def config_of(bundle: Path, folder: Path) -> ImportConfig:
    """Return the ``ImportConfig`` of checkpoints of a bundle's shape."""
    return read_config(write_config(bundle, folder / "import.json"))
