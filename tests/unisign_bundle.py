"""A tiny Uni-Sign as its authors publish it: seeded pose weights, a one-layer mT5, its configuration and tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from slt.text.tokenizer import learn_tokenizer
from tests.text.hf_models import TEXTS
from tests.unisign_golden import record, seeded_weights


def write_mt5(folder: Path) -> Path:
    """Write configuration and tokenizer of its mT5, without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "mt5", **record()["tiny_mt5"]}))
    (folder / "spiece.model").write_bytes(learn_tokenizer(TEXTS, 60, padding_first=True))
    return folder


def write_checkpoint(path: Path, **changed: torch.Tensor | None) -> Path:
    """Write the published file; weights may be replaced, added, or left away with None."""
    weights = {name: value for name, value in {**seeded_weights(), **changed}.items() if value is not None}
    torch.save({"model": weights}, path)
    return path
