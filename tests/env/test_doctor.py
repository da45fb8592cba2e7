"""`slt doctor` in a good environment and in broken ones, each made for real and examined in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from slt.env.doctor import check_model
from slt.env.isolate import Outcome
from tests.env.broken import RUN_DOCTOR, distribution, torch_that

REAL_TORCH = ("torch", "torchaudio")
# urllib3 binds a socket to ::1 when it is imported, to see whether there is IPv6: that leaves no machine.
NO_NETWORK = """
import sys
from importlib.machinery import EXTENSION_SUFFIXES

def refuse(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"):
        sys.stderr.write(f"used the network: {event} {args}\\n")
        raise SystemExit(99)

sys.addaudithook(refuse)
"""


def complaints(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    """Return the failing rows by name, of a run that must have failed as it should."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is False
    return {check["name"]: check for check in report["checks"] if check["status"] == "fail"}


@pytest.mark.slow
def test_a_good_environment_is_green_and_offline_touches_no_network(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SLT_OFFLINE", "1")
    command = [sys.executable, "-c", RUN_DOCTOR, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    found = {check["name"]: check for check in report["checks"]}
    assert report["ok"] is True
    assert {check["status"] for check in found.values()} <= {"ok", "warn"}
    assert "its library loads" in found["fairseq2n"]["found"]
    assert "SONAR" in found["SONAR"]["found"]
    assert found["network"]["found"] == "SLT_OFFLINE is set: nothing will be fetched"


def test_a_torch_of_another_version_is_named_with_its_fairseq2(make_environment):
    made = make_environment(without=REAL_TORCH, files=torch_that(version="2.8.0"))
    torch = complaints(made.doctor("--quick", "--json"))["torch"]
    assert torch["found"] == "2.8.0+cu128 (CUDA 12.8)"
    assert torch["expected"] == "2.9.1 (CUDA 12.8), which fairseq2 0.8.1 is compiled against"
    assert torch["fix"].startswith("`make env` reinstalls what environment.lock pins, torch 2.9.1 among it")
    assert "to keep torch 2.8.0 you would need fairseq2 0.6 with sonar-space 0.5.0 or fairseq2 0.5.2" in torch["fix"]


def test_a_missing_torch_is_named(make_environment):
    failing = complaints(make_environment(without=REAL_TORCH).doctor("--json"))
    assert failing["torch"]["found"] == "missing"
    assert "`make env`" in failing["torch"]["fix"]
    assert "No module named 'torch'" in failing["SONAR"]["found"]
    assert "mend what fails above" in failing["SONAR"]["fix"]


def test_a_missing_fairseq2_is_named(make_environment):
    made = make_environment(without=[*REAL_TORCH, "fairseq2"], files=torch_that())
    failing = complaints(made.doctor("--json"))
    assert failing["fairseq2"]["found"] == "missing"
    assert failing["fairseq2"]["expected"] == "0.8.1"
    assert "SONAR" in failing


def test_a_missing_libsndfile_is_named_by_its_own_row_and_by_fairseq2n(make_environment):
    made = make_environment(without=REAL_TORCH, libraries=["libtbb.so.12"], files=torch_that())
    failing = complaints(made.doctor("--quick", "--json"))
    assert next(iter(failing)) == "libsndfile.so.1"
    assert failing["libsndfile.so.1"]["found"].startswith("not found, though soundfile")
    assert "`make env`" in failing["libsndfile.so.1"]["fix"]
    assert "OSError: fairseq2 requires libsndfile" in failing["fairseq2n"]["found"]


def test_a_missing_tbb_is_named(make_environment):
    made = make_environment(without=[*REAL_TORCH, "tbb"], libraries=["libsndfile.so.1"], files=torch_that())
    failing = complaints(made.doctor("--quick", "--json"))
    assert failing["libtbb.so.12"]["found"] == "not found, and tbb is missing"


def test_another_sonar_space_is_named(make_environment):
    made = make_environment(
        without=[*REAL_TORCH, "sonar_space"], files=torch_that() | distribution("sonar-space", "0.4.0")
    )
    sonar = complaints(made.doctor("--quick", "--json"))["sonar-space"]
    assert (sonar["found"], sonar["expected"]) == ("0.4.0", "0.5.0 for fairseq2 0.8.1")
    assert "`make env`" in sonar["fix"]


def test_a_native_library_that_is_no_library_is_named(make_environment):
    made = make_environment(without=[*REAL_TORCH, "fairseq2n"], files=torch_that() | distribution("fairseq2n", "0.8.1"))
    made.write({"fairseq2n/__init__.py": "", f"fairseq2n/bindings{EXTENSION_SUFFIXES[0]}": "no ELF file"})
    failing = complaints(made.doctor("--quick", "--json"))
    assert "import fairseq2n.bindings: ImportError:" in failing["fairseq2n"]["found"]


def test_a_crash_in_native_code_costs_only_its_rows(make_environment):
    crash = "import os, sys\nsys.stderr.write('terminate called: bad symbol\\n')\nsys.stderr.flush()\nos.abort()"
    failing = complaints(make_environment(without=REAL_TORCH, files=torch_that(crash)).doctor("--quick", "--json"))
    assert "import torch: killed by SIGABRT" in failing["torch"]["found"]
    assert 'torch/__init__.py", line 4' in failing["torch"]["found"]
    assert "terminate called: bad symbol" in failing["torch"]["found"]
    assert failing["torchaudio"]["found"].endswith("not tried, since the process died before, at: import torch")
    assert "system" not in failing


@pytest.mark.slow
def test_a_library_that_hangs_is_ended(make_environment):
    made = make_environment(without=REAL_TORCH, files=torch_that("import time\ntime.sleep(600)"))
    failing = complaints(made.doctor("--quick", "--json", "--timeout", "5"))
    assert failing["torch"]["found"].endswith("; --timeout waits longer)")
    assert "import torch: no answer within 5 s (load " in failing["torch"]["found"]


def test_an_unwritable_home_is_named(make_environment, tmp_path):
    (tmp_path / "file").write_text("")
    made = make_environment(without=REAL_TORCH, files=torch_that())
    home = complaints(made.doctor("--quick", "--json", SLT_HOME=str(tmp_path / "file" / "home")))["SLT_HOME"]
    assert home["found"].endswith("cannot be written: Not a directory")
    assert home["fix"] == "set SLT_HOME to a folder you may write to"


def test_a_package_that_was_half_removed_is_missing(make_environment):
    made = make_environment(without=[*REAL_TORCH, "sacrebleu"], files=torch_that())
    (made.packages / "sacrebleu-2.6.0.dist-info").mkdir()
    failing = complaints(made.doctor("--quick", "--json"))
    assert failing["other packages"]["found"] == "sacrebleu is missing"


def test_the_table_names_the_culprits_last(make_environment):
    done = make_environment(without=REAL_TORCH, files=torch_that(version="2.8.0")).doctor("--quick")
    assert done.returncode == 2
    assert "fix: `make env` reinstalls" in done.stdout
    assert "checks need mending: torch, " in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_model_that_fails_is_a_row_like_any_other():
    assert check_model(Outcome(facts={"ran": "3 sentences"})).found == "3 sentences"
    failed = check_model(Outcome(error="run a tiny SONAR model: RuntimeError: shapes"))
    assert (failed.status, failed.found) == ("fail", "run a tiny SONAR model: RuntimeError: shapes")
