"""Whole trainings: the same after a stop as without one, and what is left behind."""

from __future__ import annotations

import json
import math

import pytest
import torch

from slt.core.errors import SltError, Stopped
from slt.core.runs import Run, open_run
from slt.models.checkpoint import read_weights
from slt.pipeline.translator import Translator
from slt.recipe.load import to_yaml
from slt.train.loggers import read_figures
from slt.train.module import Training
from slt.train.run import train, ways_to_save_memory
from tests.bundles import write_clip
from tests.train.conftest import only_keypoints


def finish(recipe, folder):
    run = open_run(folder, to_yaml(recipe))
    train(recipe, run)
    return run


def last_weights(run):
    return torch.load(run.last, weights_only=True)["state_dict"]


def train_losses(run):
    rows = read_figures(run.metrics)
    return {row["step"]: float(row["value"]) for row in rows if row["figure"] == "train/loss"}


@pytest.fixture
def stop_before(monkeypatch, tmp_path):
    """Let the next training be asked to stop in its batch of this number, from 0; by the stop file."""
    file = tmp_path / "stop"
    monkeypatch.setenv("SLT_STOP_FILE", str(file))
    step = Training.training_step
    wanted = []

    def training_step(self, batch, batch_idx):
        if wanted and self.n_batches == wanted[0]:
            file.touch()
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", training_step)

    def set_to(number):
        file.unlink(missing_ok=True)
        wanted[:] = [] if number is None else [number]

    return set_to


@pytest.fixture
def noted_always(monkeypatch):
    monkeypatch.setattr("slt.train.throughput.NOTED_EVERY", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("noted_always")
def test_a_stopped_training_ends_as_one_that_was_not(make, tmp_path, stop_before):
    recipe = make(
        trainer={"epochs": 4, "validate_every": 0.5, "keep": 2}, optim={"accumulate": 2, "ema": 0.9}, name="same"
    )
    straight = finish(recipe, tmp_path / "straight")
    per_epoch = torch.load(straight.last, weights_only=True)["n_batches"] // 4
    run = open_run(tmp_path / "stopped", to_yaml(recipe))
    # in the middle of a interval, at the last batch of one, and in the middle of an accumulation
    for number in (1, 2 * per_epoch - 1, 2 * per_epoch + 2):
        stop_before(number)
        with pytest.raises(Stopped, match="stopped as asked"):
            train(recipe, run)
    stop_before(None)
    train(recipe, run)
    for name, weight in last_weights(straight).items():
        torch.testing.assert_close(last_weights(run)[name], weight, rtol=0, atol=1e-6)
    assert train_losses(run) == pytest.approx(train_losses(straight), abs=1e-6)
    best = (json.loads(one.outcome.read_text())["best"] for one in (straight, run))
    assert len(set(best)) == 1
    assert len(list(run.checkpoints.glob("best-*"))) == 2


@pytest.mark.slow
def test_running_statistics_are_kept_with_the_weights_that_they_belong_to(make, two_streams, tmp_path, stop_before):
    recipe = make(
        extractor=None,
        encoder={"kind": "stgcn", "shape": {"width": 8}},
        data={name: only_keypoints(split, "wholebody") for name, split in two_streams.items()},
        optim={"lr": 5e-2, "ema": 0.8},
        trainer={"epochs": 4, "monitor": "mse"},
    )
    straight = finish(recipe, tmp_path / "straight")
    run = open_run(tmp_path / "stopped", to_yaml(recipe))
    stop_before(5)
    with pytest.raises(Stopped):
        train(recipe, run)
    stop_before(None)
    train(recipe, run)
    kept = last_weights(run)
    assert any(name.endswith("running_var") for name in kept)
    for name, weight in last_weights(straight).items():
        torch.testing.assert_close(kept[name], weight, rtol=1e-4, atol=1e-5)
    for one in (straight, run):
        outcome = json.loads(one.outcome.read_text())
        validated = min(float(row["value"]) for row in read_figures(one.metrics) if row["figure"] == "val/mse")
        assert outcome["figures"]["mse"] == pytest.approx(validated, rel=1e-4)


@pytest.mark.slow
def test_a_run_leaves_a_bundle_that_translates_and_a_record_of_how_it_came_about(make, tmp_path, capsys):
    recipe = make(trainer={"text_every": 1})
    run = finish(recipe, tmp_path / "run")
    said = capsys.readouterr().err
    assert "24 clips to train on, 12 to validate with" in said
    assert "validation sentences are training sentences too" in said
    assert "validation after 2 epochs: mse" in said
    assert "signed: 'we" in said or "signed: 'is" in said
    names = {path.name for path in run.folder.iterdir()}
    assert {"recipe.yaml", "environment.json", "assets.json", "metrics.csv", "outcome.json"} <= names
    assert {"training.png", "tensorboard", "bundle", "checkpoints"} <= names
    assert (run.folder / "training.png").read_bytes().startswith(b"\x89PNG")
    noted = {row["figure"] for row in read_figures(run.metrics)}
    assert {"val/cosine", "val/recall@1", "val/xsim", "val/bleu", "val/chrf", "val/spread"} <= noted
    translation = Translator(run.folder).translate(write_clip(tmp_path / "clip.mp4"))
    assert set(translation.texts) == {"eng_Latn"}
    best = read_weights(run.checkpoints / json.loads(run.outcome.read_text())["best"])
    bundled = read_weights(run.bundle / "encoder.safetensors")
    for name, weight in best.items():
        torch.testing.assert_close(bundled[name.removeprefix("encoder.")], weight)
    before = run.outcome.stat().st_mtime_ns
    train(recipe, run)
    assert "is finished" in capsys.readouterr().err
    assert run.outcome.stat().st_mtime_ns == before


def test_training_ends_when_nothing_gets_better(make, tmp_path, capsys):
    recipe = make(trainer={"epochs": 30, "patience": 2, "monitor": "recall@1"}, optim={"lr": 1e-12})
    run = finish(recipe, tmp_path / "run")
    assert "no better recall@1 in 2 validations" in capsys.readouterr().err
    assert torch.load(run.last, weights_only=True)["n_batches"] < 30 * 3


@pytest.mark.parametrize(("monitor", "best"), [("mse", min), ("cosine", max)])
def test_the_best_by_any_figure_are_kept_and_told_apart_from_the_last(make, tmp_path, monitor, best):
    recipe = make(trainer={"epochs": 5, "keep": 2, "monitor": monitor}, optim={"lr": 3e-2, "schedule": "constant"})
    run = finish(recipe, tmp_path / "run")
    rows = [row for row in read_figures(run.metrics) if row["figure"] == f"val/{monitor}"]
    found = {int(row["step"]): float(row["value"]) for row in rows}
    assert len(found) == 5
    first = best(found, key=found.__getitem__)
    assert json.loads(run.outcome.read_text())["best"] == f"best-{first:08d}.safetensors"
    second = best((step for step in found if step != first), key=found.__getitem__)
    kept = {path.name for path in run.checkpoints.glob("best-*")}
    assert kept == {f"best-{step:08d}.safetensors" for step in (first, second)}


def test_a_loss_that_is_no_number_names_the_clips(make, tmp_path, monkeypatch):
    encode = Training.encode

    def broken(self, batch):
        output = encode(self, batch)
        output.sentence[0] = math.nan
        return output

    monkeypatch.setattr(Training, "encode", broken)
    with pytest.raises(SltError, match=r"loss became nan .* train-\d\d$"):
        finish(make(), tmp_path / "run")


def test_a_gradient_that_is_no_number_ends_the_run_before_it_changes_a_weight(make, tmp_path, monkeypatch):
    step, seen = Training.training_step, []

    def broken(self, batch, batch_idx):
        seen.append(batch.ids)
        loss = step(self, batch, batch_idx)
        nothing = (next(self.encoder.parameters()) * 0).square().sum()
        return loss + nothing.sqrt() if len(seen) == 4 else loss  # whose derivative is 0 / 0

    monkeypatch.setattr(Training, "training_step", broken)
    recipe = make(optim={"accumulate": 2}, trainer={"epochs": 4, "save_every_s": 0})
    with pytest.raises(SltError, match=r"the gradient became nan in batch 3, of clips train-") as raised:
        finish(recipe, tmp_path / "run")
    assert str(raised.value).endswith(", ".join(seen[2] + seen[3])), "those of the whole update"
    kept = torch.load(Run(folder=tmp_path / "run").last, weights_only=True)
    assert kept["n_batches"] == 2
    assert all(weight.isfinite().all() for weight in kept["state_dict"].values())


def test_a_loss_that_explodes_ends_the_run(make, tmp_path, monkeypatch):
    step = Training.terms

    def exploding(self, batch):
        output, terms = step(self, batch)
        if self.training and self.n_batches == 25:
            object.__setattr__(terms["mse"], "total", terms["mse"].total * 1e6)
        return output, terms

    monkeypatch.setattr(Training, "terms", exploding)
    with pytest.raises(SltError, match=r"loss of [\d.e+]+ is \d+ times .* clips train-"):
        finish(make(trainer={"epochs": 20}), tmp_path / "run")


@pytest.mark.parametrize("checkpointing", [False, True])
def test_memory_that_runs_out_is_explained(make, tmp_path, monkeypatch, checkpointing):
    def greedy(self, batch):
        raise torch.OutOfMemoryError("tried to allocate 80 GiB")

    monkeypatch.setattr(Training, "encode", greedy)
    with pytest.raises(SltError, match=r"out of memory at a batch of \d clips × \d+ time steps: tried") as raised:
        finish(make(encoder={"checkpointing": checkpointing}), tmp_path / "run")
    ways = [
        "set trainer.precision=bf16",
        "halve data.batch_rows, now 64, and data.batch_clips, now 256, and double optim.accumulate",
    ]
    ways += [] if checkpointing else ["set encoder.checkpointing=true"]
    ways += ["train small matrices alone, as the recipe how2sign-t4 does: encoder.lora_rank=16"]
    assert raised.value.fix == "; or ".join(ways)


def test_only_settings_that_a_recipe_may_have_are_advised(make):
    def advice(**sections):
        return "; ".join(ways_to_save_memory(make(**sections)))

    assert "frozen_weights=half" in advice(trainer={"precision": "bf16"})
    assert "frozen_weights" not in advice(trainer={"precision": "bf16", "strategy": "fsdp"})
    assert "lora_rank" not in advice(encoder={"frozen": True})


def test_a_finished_run_without_a_bundle_names_none(make, tmp_path, capsys, monkeypatch):
    recipe = make(extractor=None, trainer={"epochs": 1})
    run = open_run(tmp_path / "run", to_yaml(recipe))
    assert train(recipe, run) is None
    assert "no bundle was made" in capsys.readouterr().err
    assert train(recipe, run) is None
    said = capsys.readouterr().err
    assert "is finished\n" in said
    assert "no bundle was made: the recipe has no extractor" in said
    assert str(run.bundle) not in said
    whole = make(trainer={"epochs": 1})
    assert train(whole, run) is None
    assert f"{run.bundle} is no longer there" in capsys.readouterr().err
    run.bundle.mkdir()
    assert train(whole, run) == run.bundle
    for name, value in {"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert train(whole, run) is None, "of several processes one tells of it"


@pytest.mark.parametrize("short", [{"epochs": 1}, {"epochs": 9, "max_steps": 2}])
def test_a_training_shorter_than_its_way_to_a_validation_is_validated_at_its_end(make, tmp_path, short):
    recipe = make(trainer={"validate_every": 5, **short})
    run = open_run(tmp_path / "run", to_yaml(recipe))
    train(recipe, run)
    assert json.loads(run.outcome.read_text())["figures"]["cosine"]
