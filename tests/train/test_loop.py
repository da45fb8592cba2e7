"""Which processes train together, on what, and what is refused before anything is computed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from slt.core.errors import UserError
from slt.core.runs import Run, open_run
from slt.recipe.load import to_yaml
from slt.train.dry_run import dry_run
from slt.train.loop import World, check_machine, make_trainer, world
from slt.train.run import train

TORCHRUN = {"LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8", "RANK": "5", "LOCAL_RANK": "1", "GROUP_RANK": "1"}
BATCH = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "6", "SLURM_NTASKS_PER_NODE": "3", "SLURM_NNODES": "2"}
BATCH |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "training"}
STEP = {**BATCH, "SLURM_STEP_NUM_TASKS": "6", "SLURM_STEP_NUM_NODES": "2"}
STEP |= {"SLURM_PROCID": "4", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"}
ONE_STEP = {**BATCH, "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "2", "SLURM_NTASKS_PER_NODE": "1"}


@pytest.fixture
def started(monkeypatch):
    """Let this process seem to have been started with these variables."""

    def by(variables):
        for name in {*TORCHRUN, *STEP}:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return by


@pytest.fixture
def gpus(monkeypatch):
    """Let torch see so many GPUs."""

    def seen(number):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)

    return seen


@pytest.mark.parametrize(
    ("variables", "processes", "nodes", "rank", "environment"),
    [
        ({}, 1, 1, 0, LightningEnvironment),
        (TORCHRUN, 8, 2, 5, TorchElasticEnvironment),
        (STEP, 6, 2, 4, SLURMEnvironment),
        ({**ONE_STEP, **TORCHRUN}, 8, 2, 5, TorchElasticEnvironment),  # as `slt launch slurm` starts them
        (BATCH, 1, 1, 0, LightningEnvironment),  # a script that sbatch started, without srun
        ({"WORLD_SIZE": "8"}, 1, 1, 0, LightningEnvironment),  # somebody else's
    ],
    ids=["alone", "torchrun", "srun", "torchrun in srun", "sbatch", "a variable"],
)
def test_how_it_was_started_says_how_many_train_on_how_many_nodes(
    make, tmp_path, started, variables, processes, nodes, rank, environment
):
    started(variables)
    together = world()
    assert (together.processes, together.rank) == (processes, rank)
    recipe = make()
    run = Run(folder=tmp_path / "run")  # not opened: others than the first process wait for that one
    trainer = make_trainer(recipe, SimpleNamespace(n_intervals=1, n_steps=1), run, [])
    assert (trainer.num_nodes, trainer.num_devices, trainer.world_size) == (nodes, processes // nodes, processes)
    connected = trainer._accelerator_connector.cluster_environment
    assert isinstance(connected, environment)
    connected.validate_settings(num_devices=trainer.num_devices, num_nodes=trainer.num_nodes)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({**TORCHRUN, "WORLD_SIZE": "6"}, "torchrun started 6 processes"),
        ({**STEP, "SLURM_NTASKS_PER_NODE": "6"}, "srun started 6 processes"),
        ({name: value for name, value in STEP.items() if name != "SLURM_NTASKS_PER_NODE"}, "srun started 6 processes"),
    ],
    ids=["torchrun", "srun", "srun was not told"],
)
def test_nodes_with_different_numbers_of_processes_are_refused(started, variables, said):
    started(variables)
    with pytest.raises(UserError, match=f"{said}, expected a number for each node") as raised:
        world()
    assert "srun --ntasks-per-node N" in raised.value.fix


@pytest.mark.parametrize(
    ("changed", "said", "fix"),
    [
        ({"device": "cuda"}, "trainer.device: cuda was asked for, but torch sees 0 GPUs", "--set trainer.device=auto"),
        ({"device": "auto", "precision": "fp16"}, "trainer.precision fp16 needs a GPU", "take bf16 or fp32"),
    ],
    ids=["cuda", "fp16"],
)
def test_what_needs_a_gpu_is_refused_without_one_before_anything_is_computed(make, tmp_path, gpus, changed, said, fix):
    gpus(0)
    mlp = {"encoder": {"kind": "mlp"}} if "precision" in changed else {}
    recipe = make(trainer=changed, **mlp)
    run = open_run(tmp_path / "run", to_yaml(recipe))
    begins = [lambda: train(recipe, run), lambda: dry_run(recipe)]
    for begin in begins[: 1 if "precision" in changed else 2]:  # for fp16 a dry run computes memory all the same
        with pytest.raises(UserError, match=said) as raised:
            begin()
        assert fix in raised.value.fix
    assert not (run.folder / "embeddings").exists()
    assert not run.metrics.exists()


def test_more_processes_than_gpus_are_refused_and_idle_gpus_are_told_of(make, started, gpus, capsys):
    started({})
    gpus(4)
    check_machine(make(trainer={"device": "auto"}))
    assert capsys.readouterr().err.count("training on one of 4 GPUs") == 1
    check_machine(make())  # on the CPU
    started(TORCHRUN)
    check_machine(make(trainer={"device": "auto"}))
    assert not capsys.readouterr().err
    gpus(1)
    with pytest.raises(UserError, match="4 processes train on this machine, but torch sees 1 GPUs in each") as raised:
        check_machine(make(trainer={"device": "cuda"}))
    assert "--gpus-per-task" in raised.value.fix
    check_machine(make())
    assert world() == World(starter="torchrun", processes=8, per_node=4, rank=5)


@pytest.mark.parametrize(("capability", "told"), [((7, 5), 1), ((8, 0), 0)])
def test_a_gpu_that_emulates_bfloat16_is_told_of(make, started, gpus, capsys, monkeypatch, capability, told):
    started({})
    gpus(1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    check_machine(make(trainer={"device": "cuda", "precision": "bf16"}))
    assert capsys.readouterr().err.count("this GPU has no bfloat16 and emulates it, slowly") == told
