"""Training on the pretend accelerator: encoders, decoders and objectives, accumulation, EMA, checkpoint and resume."""

from __future__ import annotations

import pytest
import torch

from slt.core.errors import Stopped
from slt.core.runs import open_run
from slt.models.checkpoint import read_weights
from slt.recipe.load import to_yaml
from slt.recipe.parts import ON_KEYPOINTS
from slt.train.module import Training
from slt.train.run import train
from tests.pretend import lightning_device
from tests.train.conftest import HF, SHAPE, only_keypoints
from tests.train.whole import figures_of, finish

ON = {"device": "auto", "epochs": 1}
SMALL = {"d_model": 16, "num_heads": 2, "d_ff": 32}
ENCODERS = {
    "sonar-t5": {"shape": {**SHAPE, "vocab_size": 4}, "checkpointing": True},
    "mlp": {"shape": {}},
    "fusion": {"shape": {**SMALL, "num_visual_layers": 1, "num_blocks": 1, "kernel_size": 3}, "checkpointing": True},
    "transformer": {"shape": {**SMALL, "num_layers": 1}, "checkpointing": True},
    "stgcn": {"shape": {"width": 8}},
}
OBJECTIVES = {
    "sonar-t5": {"kind": "sonar-space", "mse": 1.0, "cosine": 0.5, "contrastive": 0.2, "cross_entropy": 0.1},
    "mlp": {"kind": "sonar-space", "mse": 1.0, "auto_encoding": 0.1},
    "fusion": {"kind": "contrastive", "label_smoothing": 0.1},
    "transformer": {"kind": "contrastive"},
    "stgcn": {"kind": "cross-entropy"},
}


def last_weights(run):
    return torch.load(run.last, weights_only=True, map_location="cpu")["state_dict"]


@pytest.fixture(scope="module", autouse=True)
def _lightning(device):
    lightning_device.register()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stopped_training_ends_as_one_that_was_not(make, tmp_path, monkeypatch, precision):
    settings = {**ON, "epochs": 2, "validate_every": 0.5, "precision": precision}
    recipe = make(trainer=settings, optim={"accumulate": 2, "ema": 0.9}, name="same")
    straight = finish(recipe, tmp_path / "straight")
    stop, step = tmp_path / "stop", Training.training_step
    monkeypatch.setenv("SLT_STOP_FILE", str(stop))

    def training_step(self, batch, batch_idx):
        assert self.device.type == batch.targets.device.type == "pretend"
        if self.n_batches == 3:
            stop.touch()
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", training_step)
    run = open_run(tmp_path / "stopped", to_yaml(recipe))
    with pytest.raises(Stopped):
        train(recipe, run)
    stop.unlink()
    monkeypatch.setattr(Training, "training_step", step)
    train(recipe, run)
    ours, theirs = (
        torch.load(one.last, weights_only=True, map_location="cpu")["state_dict"] for one in (run, straight)
    )
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=0, atol=1e-6)


def test_it_learns_what_it_does_on_the_cpu(make, tmp_path):
    still = {"augment": {}}
    shape = {**SHAPE, "vocab_size": 4, "dropout_rate": 0.0}
    encoder = {"kind": "sonar-t5", "shape": shape}
    runs = [
        finish(make(trainer={**ON, "device": device}, data=still, encoder=encoder), tmp_path / device)
        for device in ("cpu", "auto")
    ]
    ours, theirs = (read_weights(run.bundle / "encoder.safetensors") for run in runs)
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=0, atol=1e-5)
    assert figures_of(runs[0], "val/cosine") == pytest.approx(figures_of(runs[1], "val/cosine"), abs=1e-5)


IN_HALF = {"fusion", "transformer"}  # a T5 exceeds what float16 can hold


@pytest.mark.parametrize(
    ("kind", "precision"),
    [(kind, "fp16" if kind in IN_HALF else "bf16") for kind in ENCODERS],
)
def test_every_encoder_and_objective(make, tmp_path, two_streams, kind, precision):
    groups = {
        "encoder": {"kind": kind, **ENCODERS[kind]},
        "objective": OBJECTIVES[kind],
        "trainer": {**ON, "precision": precision, "monitor": "loss"},
    }
    if kind in ("fusion", *ON_KEYPOINTS):
        data = two_streams
        if kind != "fusion":
            data = {name: only_keypoints(split, ON_KEYPOINTS[kind]) for name, split in data.items()}
        groups |= {"extractor": None, "data": {**data, "augment": {}}}
    if kind == "stgcn":
        groups["decoder"] = {"kind": "mt5", "shape": HF["mt5"], "vocab_size": 60}
    finish(make(**groups), tmp_path / "run")


@pytest.mark.parametrize("kind", ["t5", "mbart"])
def test_every_decoder_of_transformers(make, tmp_path, kind):
    decoder = {"kind": kind, "shape": HF[kind], "vocab_size": 60}
    settings = {**ON, "monitor": "loss", "text_every": 1, "text_clips": 2, "precision": "bf16"}
    finish(make(decoder=decoder, objective={"kind": "cross-entropy"}, trainer=settings), tmp_path / "run")


@pytest.mark.parametrize("engine", ["fairseq2", "transformers"])
def test_sonars_decoder_with_adapters(make, bundle, tmp_path, engine):
    decoder = {"kind": "sonar", "bundle": str(bundle), "train": "lora", "engine": engine}
    objective = {"kind": "cross-entropy", "noise": 0.1}
    finish(make(decoder=decoder, objective=objective, trainer={**ON, "text_every": 1}), tmp_path / "run")
