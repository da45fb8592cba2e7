"""The recorded outputs of Uni-Sign's pose-only model, and its seeded weights."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(__file__).parent / "golden" / "unisign"
CASES = ("long", "short", "mid", "unseen", "one_point")
PREFIX = "Translate sign language video to English: "


@cache
def record() -> dict[str, Any]:
    """Return what was recorded beside the tensors."""
    found: dict[str, Any] = json.loads((FOLDER / "pose_only.json").read_text("utf-8"))
    return found


@cache
def tensors() -> dict[str, Tensor]:
    """Return the recorded tensors by name."""
    return load_file(FOLDER / "pose_only.safetensors")


def points(case: str) -> Tensor:
    """Return the (N, 399) points of a case."""
    found = tensors()
    return torch.cat([found[f"{case}.keypoints"], found[f"{case}.scores"][..., None]], -1).flatten(1)


def keys(size: str) -> Iterator[tuple[str, tuple[int, ...], str, str]]:
    """Yield name, shape, dtype and alias of every weight; ``size`` is ``tiny_mt5`` or ``mt5_base``."""
    with open(FOLDER / f"pose_only_{size}.tsv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            shape = tuple(int(side) for side in row["shape"].split("x") if side)
            yield row["key"], shape, row["dtype"], row["alias_of"] or ""


@cache
def seeded_weights() -> dict[str, Tensor]:
    """Return the weights that the outputs were recorded with, checked by their hash."""
    generator = torch.Generator().manual_seed(record()["weight_seed"])
    made: dict[str, Tensor] = {}
    digest = hashlib.sha256()
    for key, shape, dtype, alias in keys("tiny_mt5"):
        if alias:
            made[key] = made[alias]
        elif dtype != "float32":
            made[key] = torch.zeros(shape, dtype=torch.int64)
        else:
            made[key] = _scaled(key, torch.randn(shape, generator=generator))
            digest.update(key.encode() + made[key].numpy().tobytes())
    assert digest.hexdigest() == record()["weights_sha256"]
    return made


def _scaled(key: str, drawn: Tensor) -> Tensor:
    if key.endswith("running_var"):
        return 1 + 0.2 * drawn.abs()
    if key == "part_para" or key.endswith(("running_mean", ".bias")):
        return 0.1 * drawn
    if key.endswith((".bn.weight", "tcn.1.weight", "residual.1.weight", "layer_norm.weight")):
        return 1 + 0.1 * drawn
    if key.endswith(".A"):
        part = key.split(".")[1]
        return tensors()[f"A.{'right' if part == 'left' else part}"] + 0.02 * drawn
    if key.endswith(("shared.weight", "embed_tokens.weight", "relative_attention_bias.weight")):
        return drawn
    return drawn * math.prod(drawn.shape[1:]) ** -0.5
