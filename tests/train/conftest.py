"""A corpus of stored features whose sentences can be told from them, and recipes for the tiny bundle."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slt.core.config import parse
from slt.data.features.header import StoreHeader
from slt.data.features.open import open_features
from slt.data.features.writer import FeatureWriter
from slt.data.manifest import Clip, write_manifest
from slt.models.config import KEYPOINTS_DIM, WHOLEBODY_DIM
from slt.recipe.schema import Recipe
from tests.bundles import FEATURE_DIM, bundle  # noqa: F401 - fixture
from tests.warm import warm  # noqa: F401 - fixture

WORDS = ("we", "is"), ("go", "the", "nice"), ("hiking", "weather", "today")
VISUAL_DIM = 12
SHAPE = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
_BART = {
    **{"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32},
    **{"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 64},
}
HF = {"t5": _T5, "mt5": _T5, "byt5": _T5, "mbart": _BART, "nllb": _BART}


def write_corpus(folder: Path, split: str, n_clips: int, *, seed: int) -> dict[str, str]:
    """Write a manifest and a store of features: a interval of a vector per word, with noise."""
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


def write_streams(folder: Path, split: str, manifest: str) -> dict[str, Any]:
    """Write keypoints and embeddings of pictures that say what a split's features say, each in part."""
    rng = np.random.default_rng(7)
    body = np.random.default_rng(8)
    points, bends = body.random(WHOLEBODY_DIM) + 0.4, 0.05 * body.standard_normal((FEATURE_DIM, WHOLEBODY_DIM))
    bends[:, 2::3] = 0  # scores, all above the least that counts
    figure, moves = rng.random(KEYPOINTS_DIM), 0.05 * rng.standard_normal((FEATURE_DIM, KEYPOINTS_DIM))
    looks = rng.standard_normal((FEATURE_DIM, VISUAL_DIM))
    features = open_features(folder / split)
    headers = {
        "keypoints": StoreHeader(feature_dim=KEYPOINTS_DIM, dtype="float32", extractor="keypoints"),
        "siglip": StoreHeader(feature_dim=VISUAL_DIM, dtype="float32", extractor="siglip"),
        "wholebody": StoreHeader(feature_dim=WHOLEBODY_DIM, dtype="float32", extractor="wholebody"),
    }
    with ExitStack() as stack:
        stores = {
            name: stack.enter_context(FeatureWriter(folder / f"{split}-{name}", header))
            for name, header in headers.items()
        }
        for name in features.ids:
            rows = np.asarray(features[name], np.float32)
            joints = (figure + rows @ moves).astype(np.float32)
            joints[rng.random(len(rows)) < 0.2, 99:162] = np.nan  # a hand that is not always seen
            stores["keypoints"].add(name, joints)
            stores["siglip"].add(name, (rows[::2] @ looks).astype(np.float32))
            stores["wholebody"].add(name, (points + rows @ bends).astype(np.float32))
    streams = {name: str(folder / f"{split}-{name}") for name in ("siglip", "keypoints")}
    return {"manifest": manifest, "features": streams}


@pytest.fixture(scope="session")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Where the splits lie, as a recipe says it."""
    folder = tmp_path_factory.mktemp("corpus")
    return {
        "train": write_corpus(folder, "train", 24, seed=1),
        "val": write_corpus(folder, "val", 12, seed=2),
    }


@pytest.fixture(scope="session")
def two_streams(splits: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """The same splits as keypoints and pictures, as a recipe says it."""
    folder = Path(splits["train"]["manifest"]).parent
    return {name: write_streams(folder, name, split["manifest"]) for name, split in splits.items()}


def only_keypoints(split: dict[str, Any], kind: str = "keypoints") -> dict[str, Any]:
    """Leave the pictures of a split away; its keypoints are those of an extractor."""
    return {**split, "features": split["features"]["keypoints"].replace("-keypoints", f"-{kind}")}


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
