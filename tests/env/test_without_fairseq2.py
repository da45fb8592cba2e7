"""An environment without fairseq2, with any torch and Python: its checks, and that it translates."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace

import pytest

from slt.env.isolate import Outcome
from slt.env.stack import Installed
from slt.env.without_fairseq2 import check_any_python, check_any_system, check_any_torch, check_no_fairseq2

HERE = Installed(
    torch="2.15.0+cu132",
    torch_cuda="13.2",
    torchaudio=None,
    fairseq2=None,
    fairseq2n=None,
    built_for=None,
    built_for_cuda=None,
    sonar_space=None,
)
ABSENT = ["fairseq2", "fairseq2n", "sonar", "sonar_space", "torchaudio", "tbb"]
TRANSLATE = "import sys; from slt_cli.main import main; sys.exit(main(sys.argv[1:]))"


def test_one_of_its_packages_is_enough_to_be_held_to_the_matrix():
    assert not HERE.has_fairseq2
    for name in ("fairseq2", "fairseq2n", "sonar_space"):
        assert replace(HERE, **{name: "0.8.1"}).has_fairseq2


def test_any_torch_that_loads_will_do():
    found = check_any_torch(HERE, Outcome())
    assert (found.status, found.found) == ("ok", "2.15.0+cu132 (CUDA 13.2)")
    broken = check_any_torch(HERE, Outcome(error="import torch: OSError: no libcudart"))
    assert (broken.status, broken.found) == (
        "fail",
        "2.15.0+cu132 (CUDA 13.2), but import torch: OSError: no libcudart",
    )
    missing = check_any_torch(replace(HERE, torch=None), Outcome())
    assert (missing.status, missing.found) == ("fail", "missing")
    assert "docker/without-fairseq2.txt" in missing.fix


@pytest.mark.parametrize(("version", "status"), [((3, 10, 9), "fail"), ((3, 11, 0), "ok"), ((3, 13, 2), "ok")])
def test_any_python_that_slt_is_written_for_will_do(version, status):
    assert check_any_python(version).status == status
    assert check_any_python().status == "ok"


def test_other_systems_may_work():
    assert check_any_system().status == "ok"
    mac = check_any_system("Darwin", "arm64")
    assert (mac.status, mac.found) == ("warn", "Darwin arm64")


def test_what_computes_instead_is_told():
    found = check_no_fairseq2()
    assert (found.name, found.status, found.found) == ("fairseq2", "ok", "not here, text engine transformers")


@pytest.mark.slow
def test_without_fairseq2_doctor_is_green_and_the_demo_translates(make_environment, clip):
    made = make_environment(without=ABSENT, libraries=[])
    done = made.doctor("--json", SLT_OFFLINE="1")
    report = json.loads(done.stdout)
    rows = {check["name"]: check for check in report["checks"]}
    assert done.returncode == 0, done.stdout
    assert rows["fairseq2"]["found"] == "not here, text engine transformers"
    assert rows["SONAR"]["found"].startswith("tiny SONAR encoder and decoder")
    assert not {"torchaudio", "libtbb.so.12", "fairseq2n", "sonar-space"} & set(rows)

    words = ["translate", str(clip), "--lang", "eng_Latn", "--lang", "deu_Latn"]
    command = [made.folder / "bin" / "python", "-c", TRANSLATE, *words]
    done = subprocess.run(command, env=os.environ | {"SLT_OFFLINE": "1"}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert "fairseq2: not here, text engine transformers\n" in done.stderr
