"""Scripts for Slurm: as they are written (golden files), and as bash runs them among pretended Slurm programs.

What the real scheduler makes of them: tests/launch/on_slurm.py, by `make slurm-test`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from slt.core.errors import SltError, UserError
from slt.launch import slurm
from slt.launch.plan import Job, Place
from slt.launch.slurm import script, submit, write_scripts

GOLDEN = Path(__file__).parent / "golden"
BARE = Place(folder=Path("/project"))
IMAGE = Place(image=Path("/images/slt.sif"), binds=(Path("/corpora"),), folder=Path("/project"))
JOBS = {
    "one-process": (Job(run="evaluate --model demo --manifest 'my corpus/test.tsv'"), BARE),
    "array": (Job(run="extract-features m.tsv --out f", array=4, gpus=1, accept_failures=True), BARE),
    "one-node": (Job(run="train-encoder r.yaml", gpus=4, cpus=32, memory="200G", time="1-00:00:00"), BARE),
    "many-nodes": (Job(run="train-encoder r.yaml", nodes=2, gpus=4, sbatch=("--partition=a100",)), BARE),
    "array-in-the-image": (Job(run="extract-features m.tsv --out f", array=2), IMAGE),
    "many-nodes-in-the-image": (Job(run="train-encoder r.yaml", name="big", nodes=2, gpus=4, grace_s=300), IMAGE),
}


@pytest.fixture
def at_home(monkeypatch):
    """An environment at a place that is the same on every machine."""
    monkeypatch.setattr("sys.executable", "/opt/venv/bin/python")
    monkeypatch.setenv("SLT_HOME", "/scratch/slt")
    monkeypatch.delenv("TMPDIR", raising=False)


@pytest.mark.parametrize("name", JOBS)
def test_scripts_are_as_they_were_read_and_approved(name, at_home):
    job, place = JOBS[name]
    found = script(job, place, Path("/project/runs/launch/it"))
    golden = GOLDEN / f"{name}.sh"
    if "RENEW_GOLDEN" in os.environ:
        golden.write_text(found)
    assert found == golden.read_text()


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Programs of Slurm that do what one of them would with one node, and write down how they were called."""
    tools = tmp_path / "tools"
    tools.mkdir()
    calls = tmp_path / "calls"
    for name, body in {
        "srun": 'shift 2; exec "$@"',
        "scontrol": f'echo "scontrol $*" >>"{calls}"',
        "scancel": f'echo "scancel $*" >>"{calls}"',
        "sbatch": f"""echo "sbatch $*" >>"{calls}"; n=$(grep -c ^sbatch "{calls}")
            case $* in */nope.sh) echo 'sbatch: error: Invalid account' >&2; exit 1 ;; esac; echo "$n;cluster" """,
    }.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    return calls


def start(folder: Path, command: str, **needs: bool) -> subprocess.Popen[str]:
    """Run a job's script whose ``slt`` is this shell command."""
    program = folder / "slt"
    program.write_text(f"#!/bin/bash\n{command}\n")
    program.chmod(0o755)
    text = script(Job(run="evaluate", **needs), Place(folder=folder), folder)
    text = text.replace(Place(folder=folder).program("slt"), str(program))
    return subprocess.Popen(["bash", "-c", text], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(path: Path) -> None:
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until, f"{path} does not come"
        time.sleep(0.01)


WORK = 'echo >started; until [ -e "$SLT_STOP_FILE" ]; do sleep 0.02; done; sleep 0.1; echo saved; exit 75'


@pytest.mark.parametrize("code", [75, 1])
def test_asked_to_stop_it_waits_for_the_command_to_save_and_requeues(cluster, tmp_path, code):
    """75 is what slt leaves with, 1 what torchrun makes of it."""
    job = start(tmp_path, f"cd {tmp_path}; {WORK.replace('75', str(code))}")
    wait_for(tmp_path / "started")
    job.send_signal(signal.SIGUSR1)
    said, _ = job.communicate(timeout=20)
    assert (job.returncode, said) == (0, "saved\n")
    assert cluster.read_text() == "scontrol requeue 7\n"
    assert not (tmp_path / ".stop-7").exists()


def test_a_command_that_ends_while_it_is_asked_is_not_run_again(cluster, tmp_path):
    job = start(tmp_path, f"cd {tmp_path}; {WORK.replace('exit 75', 'exit 0')}")
    wait_for(tmp_path / "started")
    job.send_signal(signal.SIGUSR1)
    job.communicate(timeout=20)
    assert job.returncode == 0
    assert not cluster.exists()


def test_a_stop_file_of_an_earlier_start_stops_nothing(cluster, tmp_path):
    (tmp_path / ".stop-7").touch()
    job = start(tmp_path, '[ ! -e "$SLT_STOP_FILE" ]')
    assert job.wait(timeout=20) == 0


def test_it_outlives_a_signal_to_all_and_tells_how_the_command_ended(cluster, tmp_path):
    job = start(tmp_path, f"cd {tmp_path}; echo >started; sleep 0.3; exit 75")
    wait_for(tmp_path / "started")
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=20) == 75
    assert not cluster.exists()


@pytest.mark.parametrize(("accept", "code"), [(False, 3), (True, 0)])
def test_failed_items_hold_up_what_comes_after_unless_they_are_accepted(cluster, tmp_path, accept, code):
    assert start(tmp_path, "exit 3", accept_failures=accept).wait(timeout=20) == code


def test_jobs_are_submitted_behind_those_they_wait_for(cluster, tmp_path):
    jobs = [Job(run="prepare", name="a"), Job(run="evaluate", name="b", after=("a",))]
    scripts = write_scripts(jobs, BARE, tmp_path)
    assert submit(jobs, scripts, after=["99"]) == {"a": "1", "b": "2"}
    behind = "--kill-on-invalid-dep=yes"
    assert cluster.read_text().splitlines() == [
        f"sbatch --parsable --dependency=afterok:99 {behind} {tmp_path}/a.sh",
        f"sbatch --parsable --dependency=afterok:99:1 {behind} {tmp_path}/b.sh",
    ]


def test_when_one_job_is_refused_those_before_it_are_taken_back(cluster, tmp_path):
    jobs = [Job(run="prepare", name="a"), Job(run="evaluate", name="nope")]
    with pytest.raises(SltError, match="Slurm refused nope: Invalid account"):
        submit(jobs, write_scripts(jobs, BARE, tmp_path))
    assert cluster.read_text().endswith("scancel 1\n")


def test_a_machine_without_slurm_is_named_as_such(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no sbatch here"):
        slurm.submit([Job(run="demo")], {})
