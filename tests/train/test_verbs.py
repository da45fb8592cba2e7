"""`train-decoder` and `train-features`, whole; and training from videos with the extractor as it is."""

from __future__ import annotations

import pytest
import torch

from slt.data.manifest import Clip, write_manifest
from slt.models.checkpoint import read_weights
from slt.pipeline.translator import Translator
from tests.bundles import TEXTS, write_clip
from tests.train.whole import figures_of, finish


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A manifest of six short videos."""
    folder = tmp_path_factory.mktemp("videos")
    clips = []
    for number in range(6):
        write_clip(folder / f"{number}.mp4", 20 + 4 * number, seed=number)
        clips.append(Clip(id=f"clip-{number}", video=f"{number}.mp4", text=TEXTS[number % 4], lang="eng_Latn"))
    write_manifest(folder / "all.tsv", clips)
    return {"manifest": str(folder / "all.tsv")}


@pytest.mark.parametrize(("how", "engine"), [("lora", None), ("full", None), ("lora", "transformers")])
def test_a_decoder_learns_to_write_what_it_is_given(make, bundle, tmp_path, how, engine):
    recipe = make(
        encoder=None,
        extractor=None,
        decoder={"kind": "sonar", "bundle": str(bundle), "engine": engine, "train": how, "lora_rank": 4},
        objective={"kind": "cross-entropy", "noise": 0.05},
        data={"langs": ["eng_Latn", "deu_Latn"], "batch_rows": 400},
        optim={"lr": 1e-2},
        trainer={"epochs": 12, "monitor": "loss"},
    )
    run = finish(recipe, tmp_path / "run")
    losses = figures_of(run, "val/loss")
    assert losses[-1] < 0.75 * losses[0]
    before, after = (read_weights(folder / "text_decoder.safetensors") for folder in (bundle, run.bundle))
    assert set(after) == set(before)
    assert any(not after[name].equal(before[name]) for name in before)
    assert Translator(run.folder).load().decoder.languages == ("eng_Latn", "deu_Latn")


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [0.75, 1.0])
def test_training_from_videos(make, bundle, videos, tmp_path, frozen):
    recipe = make(
        extractor={"kind": "signhiera", "bundle": str(bundle), "frozen": frozen, "windows_at_once": 2},
        data={"train": videos, "val": videos, "batch_rows": 40, "augment": {}},
        optim={"lr_factors": {"extractor": 0.1}},
    )
    run = finish(recipe, tmp_path / "run")
    assert figures_of(run, "val/mse")[-1] < figures_of(run, "val/mse")[0]
    before, after = (read_weights(folder / "extractor.safetensors") for folder in (bundle, run.bundle))
    changed = {".".join(name.split(".")[:2]) for name in before if not after[name].equal(before[name])}
    assert changed == ({"blocks.3"} if frozen < 1 else set())
    assert torch.isfinite(Translator(run.folder).translate(write_clip(tmp_path / "clip.mp4")).embedding).all()
