"""A corpus of stored features whose sentences can be told from them, and recipes for the tiny bundle."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slt.config import parse
from slt.data.features.header import StoreHeader
from slt.data.features.writer import FeatureWriter
from slt.data.manifest import Clip, write_manifest
from slt.recipe.schema import Recipe
from tests.bundles import FEATURE_DIM, bundle  # noqa: F401 - fixture

WORDS = ("we", "is"), ("go", "the", "nice"), ("hiking", "weather", "today")
SHAPE = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}


def write_corpus(folder: Path, split: str, n_clips: int, *, seed: int) -> dict[str, str]:
    """Write a manifest and a store of features: a stretch of a vector per word, with noise."""
    rng = np.random.default_rng(0)
    vectors = {word: rng.standard_normal(FEATURE_DIM) for words in WORDS for word in words}
    rng = np.random.default_rng(seed)
    sentences = list(product(*WORDS))
    clips = []
    with FeatureWriter(folder / split, StoreHeader(feature_dim=FEATURE_DIM, dtype="float32")) as store:
        for number in range(n_clips):
            words = sentences[(number * 5 + seed) % len(sentences)]
            rows = np.concatenate([np.tile(vectors[word], (int(rng.integers(2, 5)), 1)) for word in words])
            rows = (rows + 0.1 * rng.standard_normal(rows.shape)).astype(np.float32)
            store.add(f"{split}-{number:02d}", rows)
            extra = {"text_deu_Latn": " ".join(reversed(words))}
            clips.append(
                Clip(id=f"{split}-{number:02d}", video=None, text=" ".join(words), lang="eng_Latn", extra=extra)
            )
    write_manifest(folder / f"{split}.tsv", clips)
    return {"manifest": str(folder / f"{split}.tsv"), "features": str(folder / split)}


@pytest.fixture(scope="session")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Where the splits lie, as a recipe says it."""
    folder = tmp_path_factory.mktemp("corpus")
    return {
        "train": write_corpus(folder, "train", 24, seed=1),
        "val": write_corpus(folder, "val", 12, seed=2),
    }


MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def values(splits: dict[str, dict[str, str]], bundle: Path) -> dict[str, Any]:  # noqa: F811
    """A recipe as YAML gives it."""
    return {
        "name": "tiny",
        "extractor": {"kind": "signhiera", "bundle": str(bundle)},
        "encoder": {"kind": "sonar-t5", "shape": {**SHAPE, "vocab_size": 4, "dropout_rate": 0.1}},
        "decoder": {"kind": "sonar", "bundle": str(bundle)},
        "objective": {"kind": "sonar-space", "mse": 1.0},
        "data": {**splits, "batch_rows": 64, "workers": 0, "augment": {"drop": 0.1, "noise": 0.1, "rate": 0.1}},
        "optim": {"lr": 3e-3, "warmup_steps": 2},
        "trainer": {"epochs": 2, "text_every": 0, "text_clips": 4, "device": "cpu", "beam": 2},
    }


@pytest.fixture
def make(values: dict[str, Any]) -> MakeRecipe:
    """Make a recipe; ``make(optim={"ema": 0.9})`` changes keys of a group, anything else replaces it."""

    def changed(**groups: Any) -> Recipe:
        found = dict(values)
        for name, group in groups.items():
            merges = isinstance(group, dict) and "kind" not in group and isinstance(found.get(name), dict)
            found[name] = {**found[name], **group} if merges else group
        return parse(Recipe, found, where="the test's recipe")

    return changed
