"""Which Python docker/make-env.sh takes, and how it comes by uv: with pretended interpreters, and with real ones."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.machines import BASE, ITSELF, PYENV, RUNNING, UV, Machine, refusal
from tests.servers import FileServer, serving

OTHER = "python3.12" if RUNNING == "python3.11" else "python3.11"
REAL_UV = Path(sys.prefix, "bin", "uv")
TWO_WAYS = (
    "or without root put uv on PATH, which is one file ('conda install uv', 'pipx install uv' or uv's own installer)"
)


def without_uv(machine: Machine) -> None:
    machine.tool("uv", "exit 127")


def pretend_version(machine: Machine, name: str, version: str) -> None:
    """Pretend an interpreter of another version: it answers what the script asks, and can do nothing else."""
    machine.tool(name, f'case "$*" in *platform*) echo {version};; *) exit 1;; esac')


def test_the_newest_fitting_python_on_path_is_taken(machine):
    for name in ("python3.12", "python3.11", "python3"):
        machine.python(name)
    machine.tool("python3.12", f'echo asked >>"$CALLS"; exec {BASE} "$@"')
    assert machine.make_env()[0] == 0
    assert machine.calls()[0] == "asked"


def test_a_python3_serves_when_it_fits(machine):
    machine.tool(RUNNING, "exit 127")
    machine.python("python3")
    assert machine.make_env()[0] == 0


def test_a_python_of_another_implementation_does_not(machine):
    machine.python(RUNNING, refuses="*implementation*")
    assert "no Python 3.12 or 3.11 is on PATH" in machine.make_env()[1]


def test_the_named_python_goes_before_all_others(machine):
    machine.python("mine")
    machine.tool(RUNNING, "exit 1")
    assert machine.make_env(SLT_PYTHON="mine")[0] == 0
    assert f"--python {machine.tools / 'mine'} " in machine.calls()[0]


def test_a_named_python_that_does_not_fit_is_refused(machine):
    pretend_version(machine, "old", "3.10.12")
    says = "is needed: name another program, or just 3.11 or 3.12, or leave SLT_PYTHON unset"
    assert "SLT_PYTHON is old (3.10.12), but CPython 3.11 or 3.12 " + says in refusal(machine, SLT_PYTHON="old")
    assert "SLT_PYTHON is /none (missing), but " in refusal(machine, SLT_PYTHON="/none")


def test_a_version_may_be_named_and_then_no_other_is_taken(machine):
    assert machine.make_env(SLT_PYTHON=RUNNING.removeprefix("python"))[0] == 0
    other = OTHER.removeprefix("python")
    said = refusal(machine, SLT_PYTHON=other, SLT_OFFLINE="1")
    assert f"no Python {other} is on PATH (python3 is missing), and SLT_OFFLINE" in said


def test_an_environment_stays_with_its_python_until_another_is_named(machine):
    assert machine.make_env()[0] == 0
    (machine.venv / "mine").touch()
    machine.tool(RUNNING, "exit 127")
    assert machine.make_env(SLT_PYTHON=str(BASE)) == (0, f"make env: {machine.venv} is up to date\n")
    with (machine.repo / "environment.lock").open("a") as lock:
        lock.write("# changed\n")
    assert machine.make_env()[0] == 0
    assert (machine.venv / "mine").exists()
    assert "SLT_PYTHON is nothing (missing)" in refusal(machine, SLT_PYTHON="nothing")


def test_a_missing_python_is_downloaded_by_uv_after_it_was_said_what_and_where_to(machine, tmp_path):
    machine.tool(RUNNING, "exit 127")
    pretend_version(machine, "python3", "3.10.12")
    brought = tmp_path / "brought"
    machine.tool(
        "uv",
        f"""
        case "$1 $2" in
            "python dir") echo {tmp_path}; exit ;;
            "python list") echo "cpython-3.12.9-linux https://mirror/cpython-3.12.9.tar.gz"; exit ;;
            "python install") echo "$@" >>"$CALLS"; touch {brought}; exit ;;
            "python find") [ -e {brought} ] && echo {BASE} && exit; exit 2 ;;
        esac
        {UV}""",
    )
    code, said = machine.make_env()
    assert code == 0, said
    first, second, *_ = said.splitlines()
    assert first.startswith("make env: no Python 3.12 or 3.11 is on PATH (python3 is 3.10.12): uv downloads one (")
    assert f" in {tmp_path}):" in first
    assert second == "make env: cpython-3.12.9-linux from https://mirror/cpython-3.12.9.tar.gz"
    assert machine.calls()[0] == "python install cpython>=3.11,<3.13"
    shutil.rmtree(machine.venv)
    code, said = machine.make_env(SLT_OFFLINE="1")
    assert code == 0, said
    assert "downloads" not in said
    brought.unlink()
    shutil.rmtree(machine.venv)
    assert "python3 is 3.10.12), and SLT_OFFLINE or UV_OFFLINE forbids to download one" in refusal(
        machine, SLT_OFFLINE="1"
    )


def test_a_download_that_cannot_be_found_again_is_named(machine):
    machine.tool(RUNNING, "exit 127")
    assert "does not find it there: name a Python 3.11 or 3.12 in SLT_PYTHON instead" in refusal(machine)


PIP_OF_UV = """case "$*" in
    *'pip --version'*) exit;;
    *'-m pip'*) echo "$@" >>"$CALLS"; for file; do :; done; cat "$file" >>"$CALLS"
        mkdir -p "$(dirname "$file")/bin"; cp "$FAKE_UV" "$(dirname "$file")/bin/uv"; exit;;
"""


def with_pip(machine: Machine, name: str, cases: str = PIP_OF_UV) -> dict[str, str]:
    """Pretend a Python whose pip brings a pretended uv; returns the variable that it needs."""
    fake = machine.folder / "fake-uv"
    shutil.copy(machine.tools / "uv", fake)
    without_uv(machine)
    machine.tool(name, f'{cases}    {ITSELF} esac\nexec {BASE} "$@"')
    return {"FAKE_UV": str(fake)}


def test_without_uv_pip_brings_the_locked_one_with_its_hashes_for_any_python(machine):
    assert machine.make_env(**with_pip(machine, RUNNING))[0] == 0
    call, pin, *rest = machine.calls()
    hashes = rest[: rest.index(next(line for line in rest if line.startswith("venv ")))]
    assert "-m pip install --quiet --no-deps --require-hashes --only-binary :all: --upgrade --target" in call
    assert pin.startswith("uv==")
    assert ";" not in pin
    assert len(hashes) > 3
    assert all(line.strip().startswith(("--hash=sha256:", "# via")) for line in hashes)
    assert not machine.venv.with_name(".venv-uv").exists()


def test_a_python_that_does_not_fit_may_bring_uv_which_brings_one_that_does(machine, tmp_path):
    machine.tool(RUNNING, "exit 127")
    find = f'"python find") [ -e {tmp_path}/brought ] && echo {BASE} && exit; exit 2 ;;'
    machine.tool("uv", UV.replace('"python find") exit 2 ;;', f'"python install") touch {tmp_path}/brought ;; {find}'))
    unfit = PIP_OF_UV.replace('case "$*" in', 'case "$*" in\n    *implementation*) exit 1;;')
    code, said = machine.make_env(**with_pip(machine, "python3", unfit))
    assert code == 0, said
    assert any(call.startswith("python install") for call in machine.calls())


def test_a_python_with_venv_alone_makes_the_pip_that_brings_uv(machine):
    made = """case "$*" in
    *'pip --version'*) exit 1;;
    *"-m venv --clear $HOME"*) for folder; do :; done
        mkdir -p "$folder/bin"; cp "$WITH_PIP" "$folder/bin/python"; exit;;
"""
    variables = with_pip(machine, "with-pip")
    machine.tool(RUNNING, f'{made}    {ITSELF} esac\nexec {BASE} "$@"')
    code, said = machine.make_env(**variables, WITH_PIP=str(machine.tools / "with-pip"))
    assert code == 0, said
    assert "-m pip install" in machine.calls()[0]


def test_an_old_uv_is_as_good_as_none(machine):
    variables = with_pip(machine, RUNNING)
    machine.tool("uv", "echo uv 0.7.22")
    assert machine.make_env(**variables)[0] == 0
    assert "-m pip install" in machine.calls()[0]


def test_a_registry_that_cannot_be_reached_is_named_by_the_pip_that_wanted_uv(machine):
    refuses = """case "$*" in *'pip --version'*) exit;; *'-m pip'*) echo no matching distribution; exit 1;;"""
    variables = with_pip(machine, RUNNING, refuses)
    assert "the package registry could not be reached" in refusal(machine, **variables)
    assert "something is missing from the cache, and SLT_OFFLINE" in refusal(machine, **variables, SLT_OFFLINE="1")


def test_a_python_with_nothing_to_install_by_is_named_with_the_two_shortest_ways(machine):
    without_uv(machine)
    machine.python(RUNNING, refuses="*venv*|*pip*")
    machine.tool("apt-get", "exit 1")
    said = refusal(machine)
    assert f"no uv 0.8 or newer is on PATH, and {machine.tools / RUNNING} has neither pip nor venv" in said
    assert f"'sudo apt install {RUNNING}-venv' and run it again, {TWO_WAYS}" in said


def test_neither_a_python_nor_uv_is_answered_by_the_two_shortest_ways(machine):
    without_uv(machine)
    machine.tool(RUNNING, "exit 127")
    pretend_version(machine, "python3", "3.13.5")
    machine.tool("apt-get", "exit 1")
    said = refusal(machine)
    assert (
        "no Python 3.12 or 3.11 is on PATH (python3 is 3.13.5), nor is uv 0.8 or newer, which could download one"
        in said
    )
    assert f": 'sudo apt install python3-venv' and run it again, {TWO_WAYS}" in said


@pytest.mark.skipif(not REAL_UV.exists(), reason="uv is not in this environment")
@pytest.mark.parametrize("version", ["3.11", "3.12"])
def test_real_pythons_make_real_environments(machine, version):
    found = [f"/usr/bin/python{version}", *sorted(map(str, PYENV.glob(f"{version}.*/bin/python{version}")))]
    python = next((name for name in found if Path(name).exists()), None)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    with_real_uv(machine)
    code, said = machine.make_env(SLT_PYTHON=python)
    assert code == 0, said
    assert machine.made_with().startswith(f"{version}.")
    assert (machine.venv / "lib" / "libsndfile.so.1").exists()


def with_real_uv(machine: Machine) -> None:
    """Let the real uv do all but install packages."""
    installs = UV.partition("packages=")[2]
    machine.tool("uv", f'[ "$1" = pip ] || exec {REAL_UV} "$@"\n[ "$2" = sync ] || exit 0\npackages={installs}')


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Serve an archive with this Python in it where uv looks for the real ones; yields the variables it takes."""
    program = tmp_path / "python" / "bin" / RUNNING
    for folder in (program.parent, tmp_path / "python" / "lib" / RUNNING):
        folder.mkdir(parents=True)
    data = tmp_path / "python" / "lib" / RUNNING / "_sysconfigdata__linux_x86_64-linux-gnu.py"
    data.write_text("# system configuration generated and used by the sysconfig module\nbuild_time_vars = {}\n")
    program.write_text(f'#!/bin/sh\nexec {BASE} "$@"\n')
    program.chmod(0o755)
    archive = tmp_path / "cpython.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "python", "python")
    major, minor, patch = sys.version_info[:3]
    about = {
        "name": "cpython",
        "arch": {"family": "x86_64", "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": major,
        "minor": minor,
        "patch": patch,
        "prerelease": "",
        "url": "https://github.com/astral-sh/python-build-standalone/releases/download/2026/cpython.tar.gz",
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "variant": None,
        "build": None,
    }
    listed = tmp_path / "downloads.json"
    listed.write_text(json.dumps({f"cpython-{major}.{minor}.{patch}-linux-x86_64-gnu": about}))
    with serving(FileServer()) as server:
        server.files["/2026/cpython.tar.gz"] = archive.read_bytes()
        yield {
            "UV_PYTHON_INSTALL_MIRROR": server.url,
            "UV_PYTHON_DOWNLOADS_JSON_URL": str(listed),
            "UV_PYTHON_INSTALL_DIR": str(tmp_path / "pythons"),
        }


def test_a_python_is_downloaded_from_a_mirror_and_found_again_offline(machine, mirror, tmp_path):
    with_real_uv(machine)
    machine.tool(RUNNING, "exit 127")
    code, said = machine.make_env(**mirror)
    assert code == 0, said
    assert f"{mirror['UV_PYTHON_INSTALL_MIRROR']}/" in said.splitlines()[1]
    assert machine.made_with() == platform.python_version()
    assert list((tmp_path / "pythons").glob(f"cpython-*/bin/{RUNNING}"))
    assert not (tmp_path / ".local" / "bin").exists()
    shutil.rmtree(machine.venv)
    assert machine.make_env(**mirror, SLT_OFFLINE="1")[0] == 0


def test_a_mirror_that_does_not_answer_is_named(machine, mirror):
    with_real_uv(machine)
    machine.tool(RUNNING, "exit 127")
    variables = mirror | {"UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:9", "UV_HTTP_RETRIES": "0"}
    assert "Python could not be downloaded: check the network, HTTPS_PROXY or UV_PYTHON_INSTALL_MIRROR" in refusal(
        machine, **variables
    )
