from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from slt.env.isolate import Outcome
from slt.env.stack import (
    Installed,
    check_fairseq2,
    check_fairseq2n,
    check_library,
    check_sonar_space,
    check_torch,
    check_torchaudio,
)

GOOD = Installed(
    torch="2.9.1+cu128",
    torch_cuda="12.8",
    torchaudio="2.9.1",
    fairseq2="0.8.1",
    fairseq2n="0.8.1",
    built_for="2.9.1+cu128",
    built_for_cuda="12.8",
    sonar_space="0.5.0",
)
OLDER = replace(
    GOOD, torch="2.9.0+cu128", torchaudio="2.9.0", fairseq2="0.7.0", fairseq2n="0.7.0", built_for="2.9.0+cu128"
)
FINE = Outcome()
BROKEN = Outcome(error="import it: ImportError: undefined symbol: _ZN3c10")


def examine(here: Installed, probe: Outcome = FINE) -> dict[str, str]:
    """Return the status of every row."""
    results = [
        check_torch(here, probe),
        check_torchaudio(here, probe),
        check_fairseq2(here),
        check_fairseq2n(here, probe),
        check_sonar_space(here),
    ]
    return {result.name: result.status for result in results}


def test_this_environment_is_the_pinned_combination():
    assert Installed.here() == GOOD


def test_the_pinned_combination_is_good_and_another_that_was_run_is_a_warning():
    assert set(examine(GOOD).values()) == {"ok"}
    assert set(examine(OLDER).values()) == {"warn"}


def test_missing_packages_are_named():
    nothing = replace(GOOD, torch=None, torchaudio=None, fairseq2=None, fairseq2n=None, sonar_space=None)
    assert set(examine(nothing).values()) == {"fail"}
    assert check_torch(nothing, FINE).found == "missing"
    assert check_torch(nothing, FINE).expected == "2.9.1 (CUDA 12.8)"


def test_colabs_torch_of_no_combination_is_the_culprit():
    result = check_torch(replace(GOOD, torch="2.4.1+cu121", torch_cuda="12.1"), FINE)
    assert (result.status, result.found) == ("fail", "2.4.1+cu121 (CUDA 12.1)")
    assert "no fairseq2 that we ran fits torch 2.4.1" in result.fix


@pytest.mark.parametrize(
    ("version", "wants"), [("0.7.0", "wants torch 2.9.0 (CUDA 12.8)"), ("0.9", "is in no combination")]
)
def test_a_fairseq2_beside_the_wrong_torch_is_the_culprit(version, wants):
    here = replace(GOOD, fairseq2=version)
    result = check_fairseq2(here)
    assert result.status == "fail"
    assert result.found.startswith(f"{version}, which {wants}")
    assert result.expected == "0.8.1 beside torch 2.9.1"
    assert check_torch(here, FINE).status == "ok"


def test_a_cpu_build_of_torch_is_a_warning_when_it_loads():
    here = replace(GOOD, torch="2.9.1+cpu", torch_cuda=None)
    result = check_torch(here, FINE)
    assert (result.status, result.found, result.expected) == ("warn", "2.9.1+cpu (CUDA none)", "2.9.1 (CUDA 12.8)")


def test_the_compiled_half_is_held_against_torch_and_against_the_other_half():
    other_half = check_fairseq2n(replace(GOOD, fairseq2n="0.7.0"), FINE)
    assert other_half.expected == "0.8.1, built for torch 2.9.1 (CUDA 12.8)"
    other_torch = check_fairseq2n(replace(GOOD, built_for="2.8.0", built_for_cuda=None), FINE)
    assert other_torch.found == "0.8.1, built for torch 2.8.0 (CUDA none), but torch is 2.9.1+cu128"
    assert other_half.status == other_torch.status == "fail"


def test_torchaudio_and_sonar_space_follow():
    assert check_torchaudio(replace(GOOD, torchaudio="2.8.0"), FINE).expected == "2.9.1, made for torch 2.9.1"
    assert check_sonar_space(replace(GOOD, sonar_space="0.4.0")).expected == "0.5.0 for fairseq2 0.8.1"


def test_what_does_not_load_fails_with_its_reason():
    assert examine(GOOD, BROKEN) == {
        "torch": "fail",
        "torchaudio": "fail",
        "fairseq2": "ok",
        "fairseq2n": "fail",
        "sonar-space": "ok",
    }
    assert check_torch(GOOD, BROKEN).found.endswith(", but import it: ImportError: undefined symbol: _ZN3c10")


def test_a_library_is_found_or_its_wheel_named():
    name = "libsndfile.so.1"
    assert check_library(name, "soundfile", Outcome(facts={name: "/lib/x.so"})).found == "/lib/x.so"
    assert check_library(name, "soundfile", Outcome(facts={name: None})).found.startswith(
        "not found, though soundfile "
    )
    assert check_library(name, "no-wheel", Outcome(facts={name: None})).found == "not found, and no-wheel is missing"
    assert check_library(name, "no-wheel", BROKEN).found.startswith("import it: ImportError")
    assert check_library(name, "no-wheel", BROKEN).status == "fail"


def test_version_files_that_cannot_be_read_say_nothing(tmp_path, monkeypatch):
    for package in ("torch", "fairseq2n"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "torch" / "version.py").write_text("not python")
    (tmp_path / "fairseq2n" / "config.py").write_bytes(b"\xff")
    monkeypatch.syspath_prepend(tmp_path)
    for package in ("torch", "fairseq2n"):  # one that is loaded is not looked for
        monkeypatch.delitem(sys.modules, package, raising=False)
    here = Installed.here()
    assert (here.torch, here.torch_cuda, here.built_for) == ("2.9.1", None, None)
