"""The jobs that docs/gpu.md shows are jobs: each is rendered by ``--dry-run``, with the GPUs that it asks for."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from slt_cli.main import main

PAGE = (Path(__file__).parents[2] / "docs/gpu.md").read_text("utf-8")
JOBS = re.findall(r"^slt (launch .*)$", PAGE, re.MULTILINE)
CONTAINERS = re.findall(r"^((?:docker run|apptainer exec) .*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", JOBS)
def test_a_job_of_the_page_is_rendered(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slt.sif").touch()
    words = shlex.split(line)
    assert main([*words[:2], "--dry-run", *words[2:]]) == 0
    script, wanted = capsys.readouterr().out, dict(pairwise(words))
    if "slurm" in words:
        assert f"#SBATCH --gres=gpu:{wanted['--gpus']}\n" in script
        assert f"#SBATCH --nodes={wanted.get('--nodes', 1)}\n" in script
        assert (" --nv " in script) == ("--image" in words)
    assert words[words.index("--") + 1] in script
    several = int(wanted.get("--gpus", wanted.get("--processes", 1)))
    assert (f"--nproc-per-node={several}" in script) == (several > 1)


@pytest.mark.parametrize("line", CONTAINERS)
def test_a_container_of_the_page_sees_the_gpus(line):
    words = shlex.split(line)
    assert ("--gpus" in words) == (words[0] == "docker")
    assert ("--nv" in words) == (words[0] == "apptainer")
    assert "slt" in words


def test_the_page_shows_jobs_and_containers():
    assert len(JOBS) >= 6
    assert len(CONTAINERS) >= 4
