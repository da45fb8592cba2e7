"""An extractor that slt does not know: one file and one row give translating, a store, and training from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slt.assets.cards import EncoderCard, ExtractorCard, read_card, write_card
from slt.core import registry
from slt.core.errors import UserError
from slt.core.runs import open_run
from slt.data.features.store import FeatureStore
from slt.data.manifest import Clip, write_manifest
from slt.models.checkpoint import save_weights
from slt.models.mlp import Mlp, MlpConfig
from slt.pipeline.translator import Translator
from slt.recipe.load import load_recipe, to_yaml
from slt.train.run import train
from slt_cli.main import main
from tests.bundles import EMBEDDING_DIM
from tests.frontend import brightness

WIDTH = 16


@pytest.fixture(autouse=True)
def row(monkeypatch):
    monkeypatch.setitem(registry.FRONTENDS, "brightness", "tests.frontend.brightness:BrightnessFrontend")


@pytest.fixture
def bright(own_bundle):
    """A bundle that reads brightness."""
    config = MlpConfig(feature_dim=WIDTH, hidden_dim=8, output_dim=EMBEDDING_DIM)
    save_weights(
        own_bundle / "extractor.safetensors", brightness.Brightness(brightness.BrightnessConfig()).state_dict()
    )
    save_weights(own_bundle / "encoder.safetensors", Mlp(config).state_dict())
    card = read_card(own_bundle)
    write_card(
        own_bundle,
        replace(
            card,
            extractor=ExtractorCard(kind="brightness", config={}, weights="extractor.safetensors"),
            encoder=EncoderCard(kind="mlp", config=vars(config), weights="encoder.safetensors"),
        ),
    )
    return own_bundle


def test_the_file_is_short():
    assert len(Path(brightness.__file__).read_text("utf-8").splitlines()) <= 60


@pytest.mark.slow
def test_it_translates_extracts_and_is_learnt_from(bright, videos, tmp_path, capsys):
    clips = [Clip(id=video.stem, video=str(video), text=f"we go hiking {i}") for i, video in enumerate(videos)]
    write_manifest(tmp_path / "all.tsv", clips)
    store = tmp_path / "store"
    assert main(["extract-features", str(tmp_path / "all.tsv"), "--model", str(bright), "--out", str(store)]) == 0
    features = FeatureStore.open(store)
    assert (features.header.extractor, features.header.feature_dim) == ("brightness", WIDTH)
    found = Translator(bright, device="cpu").translate(videos[3])
    np.testing.assert_array_equal(found.features.numpy().astype(np.float16), features["v3"])

    split = {"manifest": str(tmp_path / "all.tsv"), "features": str(store)}
    (tmp_path / "recipe.yaml").write_text(
        f"""
        name: on-brightness
        extractor: {{ kind: brightness, model: {bright} }}
        encoder: {{ kind: mlp, shape: {{ hidden_dim: 8 }} }}
        decoder: {{ kind: sonar, bundle: {bright} }}
        objective: {{ kind: sonar-space, mse: 1.0 }}
        data: {{ train: {split}, val: {split}, langs: [eng_Latn] }}
        trainer: {{ epochs: 1, device: cpu, text_every: 0 }}
        """
    )
    recipe = load_recipe(str(tmp_path / "recipe.yaml"), "train-encoder")
    run = open_run(tmp_path / "run", to_yaml(recipe))
    train(recipe, run)
    trained = Translator(run.folder, device="cpu").translate(videos[3])
    np.testing.assert_array_equal(trained.features.numpy(), found.features.numpy())


def test_an_unknown_kind_is_refused_in_a_recipe(bright, tmp_path):
    (tmp_path / "recipe.yaml").write_text("extractor: { kind: brightnes }")
    with pytest.raises(UserError, match=r"extractor.kind: unknown 'brightnes'.*did you mean brightness"):
        load_recipe(str(tmp_path / "recipe.yaml"), "train-encoder")
