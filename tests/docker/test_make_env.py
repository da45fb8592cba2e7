"""docker/make-env.sh with pretended tools: what it says on machines that lack something, and what it leaves alone."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = """
[ "$1" = --version ] && exit 0
echo "$@" >>"$CALLS"
[ "$2" = sync ] || exit 0
packages=$(dirname "$(dirname "$4")")/lib/python3.11/site-packages
mkdir -p "$packages/_soundfile_data" "$packages/fairseq2n"
touch "$packages/_soundfile_data/libsndfile_x86_64.so"
touch "$packages/fairseq2n/__init__.py" "$packages/fairseq2n/bindings.py"
echo "Installed 1 package in 1ms"
echo " + torch==2.9.1"
"""


class Machine:
    """A copy of the repository's environment files, and a folder of tools that come before the machine's own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.repo, self.tools = folder, folder / "repo", folder / "tools"
        (self.repo / "docker").mkdir(parents=True)
        self.tools.mkdir()
        for name in ("docker/make-env.sh", "environment.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.repo / name)
        (self.tools / "python3.11").symlink_to(Path(sys.base_prefix, "bin", "python3.11"))
        self.tool("uv", UV)

    @property
    def venv(self) -> Path:
        return self.repo / ".venv"

    def tool(self, name: str, script: str) -> None:
        """Pretend a program."""
        path = self.tools / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def make_env(self, **variables: str) -> tuple[int, str]:
        """Run the script; returns its exit code and its words."""
        path = f"{self.tools}:/usr/bin:/bin"
        environment = {"PATH": path, "HOME": str(self.folder), "CALLS": str(self.folder / "calls"), **variables}
        command = [self.repo / "docker" / "make-env.sh"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert not done.stdout
        return done.returncode, done.stderr

    def calls(self) -> list[str]:
        """Return what the pretended uv was called with."""
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def refusal(machine: Machine, **variables: str) -> str:
    """Return the one line with which the script gives up."""
    code, said = machine.make_env(**variables)
    assert code == 1, said
    lines = said.splitlines()
    assert lines[-1].startswith("make env: ")
    return lines[-1]


def test_it_makes_links_and_proves_the_environment_and_then_leaves_it_alone(machine):
    code, said = machine.make_env()
    assert code == 0, said
    assert said.splitlines()[-1].startswith("make env: done in ")
    assert said.splitlines()[-1].endswith(f" in {machine.venv}")
    assert " + torch" not in said
    link = machine.venv / "lib" / "libsndfile.so.1"
    assert os.readlink(link) == "python3.11/site-packages/_soundfile_data/libsndfile_x86_64.so"
    assert link.exists()
    sync, install = machine.calls()
    assert "--require-hashes --only-binary :all:" in sync
    assert "--offline --no-deps --no-build-isolation -e" in install
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert machine.make_env() == (0, f"make env: {machine.venv} is up to date\n")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 0.5
    assert len(machine.calls()) == 2


def test_a_changed_lock_is_installed_into_the_same_environment(machine):
    machine.make_env()
    (machine.venv / "mine").touch()
    with (machine.repo / "environment.lock").open("a") as lock:
        lock.write("# changed\n")
    assert machine.make_env()[0] == 0
    assert len(machine.calls()) == 4
    assert (machine.venv / "mine").exists()


def test_an_environment_that_was_moved_is_made_anew(machine, tmp_path):
    machine.make_env()
    (machine.venv / "mine").touch()
    machine.repo = machine.repo.rename(tmp_path / "elsewhere")
    assert machine.make_env()[0] == 0
    assert not (machine.venv / "mine").exists()


def test_an_interrupted_installation_is_continued(machine):
    machine.tool("uv", "[ \"$1\" = --version ] || { echo 'error: killed' >&2; exit 137; }")
    assert "it failed" in refusal(machine)
    (machine.venv / "mine").touch()
    machine.tool("uv", UV)
    assert machine.make_env()[0] == 0
    assert (machine.venv / "mine").exists()


def test_an_installation_that_does_not_load_is_not_called_done(machine):
    machine.tool("uv", UV.replace("fairseq2n/bindings.py", "fairseq2n/other.py"))
    assert "python -c import fairseq2n.bindings" in refusal(machine)
    assert not (machine.venv / ".slt-stamp").exists()


def test_another_kind_of_machine_is_refused(machine):
    machine.tool("uname", '[ "$1" = -m ] && echo aarch64 || echo Linux')
    assert "this is Linux on aarch64, but fairseq2 has wheels for Linux on x86_64 only" in refusal(machine)


@pytest.mark.parametrize(("says", "found"), [("echo glibc 2.17", "glibc 2.17"), ("exit 1", "not glibc")])
def test_an_old_c_library_is_refused(machine, says, found):
    machine.tool("getconf", says)
    assert f"the C library is {found}, but the wheels need glibc 2.28 or newer" in refusal(machine)


def test_a_missing_python_is_named_with_ways_to_get_it(machine):
    machine.tool("python3.11", "exit 127")
    machine.tool("python3", '[ "$1" = -V ] && echo Python 3.12.3 || exit 1')
    said = refusal(machine)
    assert "Python 3.11 is missing (python3 is Python 3.12.3)" in said
    assert "'sudo apt install python3.11 python3.11-venv', or without root" in said


def test_python3_serves_when_it_is_of_the_right_version(machine):
    (machine.tools / "python3").symlink_to((machine.tools / "python3.11").readlink())
    machine.tool("python3.11", "exit 127")
    assert machine.make_env()[0] == 0


def test_a_python_without_ensurepip_is_named_unless_there_is_uv(machine):
    python = (machine.tools / "python3.11").readlink()
    machine.tool("python3.11", f'case "$2" in *ensurepip*) exit 1;; esac\nexec {python} "$@"')
    assert machine.make_env()[0] == 0
    shutil.rmtree(machine.venv)
    machine.tool("uv", "exit 127")
    assert "python3.11 has no venv and ensurepip: 'sudo apt install python3.11-venv'" in refusal(machine)


def test_too_little_room_is_named_with_the_place(machine):
    machine.tool("df", "printf 'Filesystem 1024-blocks Used Available\\n/dev/x 9 9 3145728 1 /\\n'")
    assert f"3 GB are free under {machine.repo}, but 9 GB are needed" in refusal(machine)


def test_without_uv_the_locked_one_is_installed_with_its_hashes(machine):
    machine.tool("uv", "exit 127")
    machine.tool(
        "python3.11",
        """case "$*" in
        *'-m venv'*) for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python";;
        *'-m pip'*) echo "$@" >>"$CALLS"; for file; do :; done; cat "$file" >>"$CALLS"
            echo no matching distribution; exit 1;;
        esac""",
    )
    assert "the package registry could not be reached" in refusal(machine)
    call, pin, *hashes = machine.calls()
    assert "-m pip install --quiet --no-deps --require-hashes --only-binary :all: -r" in call
    assert pin.startswith("uv==")
    assert len(hashes) > 3
    assert all(line.strip().startswith(("--hash=sha256:", "# via")) for line in hashes)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("error sending request for url: dns error", "the package registry could not be reached: check the network"),
        ("operation timed out", "the package registry could not be reached"),
        ("invalid peer certificate: UnknownIssuer", "certificate is not trusted: set SSL_CERT_FILE"),
        ("Hash mismatch for torch", "a downloaded file is not the one environment.lock names"),
        ("No space left on device (os error 28)", "the disk is full"),
        ("Network connectivity is disabled: --offline", "SLT_OFFLINE or UV_OFFLINE forbids the network"),
    ],
)
def test_a_failed_installation_says_what_stood_in_the_way(machine, words, says):
    machine.tool("uv", f"[ \"$1\" = --version ] || {{ echo '{words}' >&2; exit 2; }}")
    code, said = machine.make_env()
    assert code == 1
    assert words in said
    assert says in said.splitlines()[-1]


def test_offline_is_passed_on_and_other_environments_are_left(machine):
    machine.tool("uv", f'echo "offline=$UV_OFFLINE python=$PYTHONPATH cert=$PIP_CERT" >>"$CALLS"\n{UV}')
    certificates = machine.folder / "ca.pem"
    certificates.write_text("a certificate")
    assert machine.make_env(SLT_OFFLINE="1", PYTHONPATH="/elsewhere", SSL_CERT_FILE=str(certificates))[0] == 0
    assert f"offline=1 python= cert={certificates}" in machine.calls()
