# ruff: noqa: F401, F811 - a fixture is imported, then asked for by name

"""Two processes with half the batch each learn what one process learns."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch

from slt.assets.cards import read_card, write_card
from slt.core.runs import open_run
from slt.launch.plan import ON_ONE_NODE
from slt.recipe.load import to_yaml
from slt.train.distributed import gathered, share_sizes, summed, together
from slt.train.run import train
from tests.bundles import own_bundle
from tests.train.conftest import SHAPE


def test_alone_there_is_nobody_to_ask():
    rows = torch.arange(6.0).reshape(3, 2)
    assert gathered(rows, [3]) is rows
    assert summed(rows).equal(rows)
    assert share_sizes(5) == [5]
    assert together("me") == ["me"]


OBJECTIVE = {"kind": "sonar-space", "mse": 1.0, "cosine": 0.5, "contrastive": 0.3, "cross_entropy": 0.2}
ALL_ROUND = {
    "objective": OBJECTIVE,
    "encoder": {"kind": "sonar-t5", "shape": {**SHAPE, "vocab_size": 4}},  # no dropout: its dice differ
    "optim": {"accumulate": 2, "ema": 0.9, "lr": 1e-3},  # where a gradient is but rounding, Adam steps by the rate too
    "trainer": {"epochs": 1},
}


def without_dropout(folder):
    """Let a bundle's text decoder be trained without dropout: each process throws its own dice."""
    card = read_card(folder)
    config = {**card.decoder.config, "decoder": {**card.decoder.config["decoder"], "dropout": 0.0}}
    write_card(folder, replace(card, decoder=replace(card.decoder, config=config)))


def two_processes(recipe, folder):
    """Train as two processes that torchrun starts."""
    path = folder.with_suffix(".yaml")
    path.write_text(to_yaml(recipe))
    words = ["-m", "slt_cli.main", "train-encoder", str(path), "--out", str(folder)]
    run_two = [sys.executable, "-m", "torch.distributed.run", *ON_ONE_NODE, "--nproc-per-node", "2", *words]
    return subprocess.run(run_two, capture_output=True, text=True, timeout=300)


def state(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def assert_ends_as(found, expected):
    assert found["state_dict"].keys() == expected["state_dict"].keys()
    for name, weight in expected["state_dict"].items():
        torch.testing.assert_close(found["state_dict"][name], weight, rtol=0, atol=1e-5)
    ours, theirs = (one["optimizer_states"][0]["state"] for one in (found, expected))
    assert ours.keys() == theirs.keys()
    for index, moments in theirs.items():
        for name, value in moments.items():
            torch.testing.assert_close(ours[index][name], value, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_two_processes_end_as_one(make, tmp_path):
    alone = open_run(tmp_path / "one", "")
    train(make(**ALL_ROUND, data={"batch_rows": 128, "batch_clips": 8}), alone)
    data = {"batch_rows": 64, "batch_clips": 4}
    done = two_processes(make(**ALL_ROUND, data=data), tmp_path / "two")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == f"{tmp_path / 'two' / 'bundle'}\n"
    assert done.stderr.count("clips to train on") == 1
    assert_ends_as(state(tmp_path / "two"), state(alone.folder))


@pytest.mark.slow
def test_two_processes_that_share_the_weights_out_end_as_one_also_after_a_stop(make, own_bundle, tmp_path, monkeypatch):
    without_dropout(own_bundle)
    decoder = {**asdict(make().decoder), "bundle": str(own_bundle), "train": "lora", "lora_rank": 2}
    everything = {**ALL_ROUND, "decoder": decoder}
    alone = open_run(tmp_path / "one", "")
    train(make(**everything, data={"batch_rows": 128, "batch_clips": 8}), alone)
    everything["encoder"] = {**everything["encoder"], "checkpointing": True}
    everything["trainer"] = {**everything["trainer"], "strategy": "fsdp"}
    recipe = make(**everything, data={"batch_rows": 64, "batch_clips": 4})
    (tmp_path / "stop").touch()
    monkeypatch.setenv("SLT_STOP_FILE", str(tmp_path / "stop"))
    done = two_processes(recipe, tmp_path / "two")
    assert "stopped as asked" in done.stderr, done.stderr[-3000:]
    assert done.stdout == ""
    assert 0 < state(tmp_path / "two")["global_step"] < state(alone.folder)["global_step"]
    monkeypatch.delenv("SLT_STOP_FILE")
    done = two_processes(recipe, tmp_path / "two")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == f"{tmp_path / 'two' / 'bundle'}\n"
    assert_ends_as(state(tmp_path / "two"), state(alone.folder))
    ours, theirs = (json.loads((tmp_path / name / "outcome.json").read_text())["figures"] for name in ("two", "one"))
    of_batches = {"contrastive", "loss"}  # whose clips are one another's negatives, and in the end one process's alone
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - of_batches:
        assert ours[name] == pytest.approx(theirs[name], abs=1e-4)
