"""Two processes with half the batch each learn what one process learns."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from slt.launch.plan import ON_ONE_NODE
from slt.recipe.load import to_yaml
from slt.runs import open_run
from slt.train.processes import gathered, share_sizes, summed, together
from slt.train.run import train
from tests.train.conftest import SHAPE


def test_alone_there_is_nobody_to_ask():
    rows = torch.arange(6.0).reshape(3, 2)
    assert gathered(rows, [3]) is rows
    assert summed(rows).equal(rows)
    assert share_sizes(5) == [5]
    assert together("me") == ["me"]


@pytest.mark.slow
def test_two_processes_end_as_one(make, tmp_path):
    objective = {"kind": "sonar-space", "mse": 1.0, "cosine": 0.5, "contrastive": 0.3, "cross_entropy": 0.2}
    common = {
        "objective": objective,
        "encoder": {"kind": "sonar-t5", "shape": {**SHAPE, "vocab_size": 4}},  # no dropout: its dice differ
        "optim": {"accumulate": 2, "ema": 0.9},
        "trainer": {"epochs": 1},
    }
    one = make(**common, data={"batch_rows": 128, "batch_clips": 8})
    two = make(**common, data={"batch_rows": 64, "batch_clips": 4})
    alone = open_run(tmp_path / "one", to_yaml(one))
    train(one, alone)
    (tmp_path / "two.yaml").write_text(to_yaml(two))
    words = ["-m", "slt_cli.main", "train-encoder", str(tmp_path / "two.yaml"), "--out", str(tmp_path / "two")]
    run_two = [sys.executable, "-m", "torch.distributed.run", *ON_ONE_NODE, "--nproc-per-node", "2", *words]
    done = subprocess.run(run_two, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == str(tmp_path / "two" / "bundle")  # gloo has its say before
    assert done.stderr.count("clips to train on") == 1
    paths = alone.last, tmp_path / "two" / "checkpoints" / "last.ckpt"
    expected, found = (torch.load(path, weights_only=True)["state_dict"] for path in paths)
    assert expected
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-5)
