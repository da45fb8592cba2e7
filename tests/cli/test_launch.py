from __future__ import annotations

import pytest


def test_a_dry_run_prints_the_script_and_writes_nothing(slt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = slt("launch", "slurm", "--time", "5", "--dry-run", "--", "translate", "my video.mp4")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("#!/bin/bash\n#SBATCH --job-name=translate\n")
    assert "/slt translate 'my video.mp4' &\n" in outcome.out
    assert not list(tmp_path.iterdir())


def test_a_pipeline_is_one_script_after_another(slt, tmp_path):
    (tmp_path / "all.yaml").write_text("steps: {b: {run: doctor, after: [a]}, a: {run: demo, name: a}}")
    outcome = slt("launch", "slurm", "--dry-run", "--cpus", "2", "pipeline", str(tmp_path / "all.yaml"))
    assert outcome.code == 0
    assert outcome.out.count("--cpus-per-task=2") == 4
    assert outcome.out.index("--job-name=a") < outcome.out.index("--job-name=b")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["slurm", "--", "transate", "x"], "slt transate x: No such command 'transate'. Did you mean 'translate'"),
        (["slurm", "--", "translate", "x", "--lnag", "e"], "No such option: --lnag"),
        (["slurm", "--", "translate"], "Missing argument 'VIDEO'"),
        (["slurm", "--array", "4", "--", "translate", "x"], "No such option: --shard"),
        (["slurm", "--", "prepare"], "slt prepare names no command"),
        (["slurm", "pipeline", "none.yaml"], "cannot read none.yaml"),
        (["torchrun", "--processes", "2", "--", "translate", "x"], "translate is one process"),
        (["apptainer", "--", "demo"], "no image was named"),
        (["apptainer", "--image", "none.sif", "--", "demo"], "no image at none.sif"),
    ],
)
def test_what_would_fail_later_fails_now(slt, words, said):
    outcome = slt("launch", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_apptainer_that_is_not_here_is_named(slt, tmp_path, monkeypatch):
    (tmp_path / "slt.sif").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    outcome = slt("launch", "apptainer", "--image", "slt.sif", "--", "demo")
    assert outcome.code == 2
    assert "there is no apptainer here" in outcome.err


def test_the_local_renderings_print_one_line(slt):
    outcome = slt("launch", "torchrun", "--dry-run", "--", "demo")
    assert outcome.out.endswith("/slt demo\n")
