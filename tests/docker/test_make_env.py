"""docker/make-env.sh with pretended tools: what it says on machines that lack something, and what it leaves alone."""

from __future__ import annotations

import os
import platform
import resource

import pytest

from tests.docker.machines import RUNNING, UV, refusal


def test_it_makes_links_and_proves_the_environment_and_then_leaves_it_alone(machine):
    code, said = machine.make_env()
    assert code == 0, said
    assert said.splitlines()[-1].startswith("make env: done in ")
    assert said.splitlines()[-1].endswith(f" in {machine.venv}, Python {platform.python_version()}")
    assert " + torch" not in said
    link = machine.venv / "lib" / "libsndfile.so.1"
    assert os.readlink(link) == f"{RUNNING}/site-packages/_soundfile_data/libsndfile_x86_64.so"
    assert link.exists()
    venv, sync, install = machine.calls()
    assert venv == f"venv --quiet --no-project --clear --python {machine.tools / RUNNING} {machine.venv}"
    assert "--require-hashes --only-binary :all:" in sync
    assert "--offline --no-deps --no-build-isolation -e" in install
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert machine.make_env() == (0, f"make env: {machine.venv} is up to date\n")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 0.5
    assert len(machine.calls()) == 3


def test_a_changed_lock_is_installed_into_the_same_environment(machine):
    machine.make_env()
    (machine.venv / "mine").touch()
    with (machine.repo / "environment.lock").open("a") as lock:
        lock.write("# changed\n")
    assert machine.make_env()[0] == 0
    assert len(machine.calls()) == 5
    assert (machine.venv / "mine").exists()


def test_an_environment_that_was_moved_is_made_anew(machine, tmp_path):
    machine.make_env()
    (machine.venv / "mine").touch()
    machine.repo = machine.repo.rename(tmp_path / "elsewhere")
    assert machine.make_env()[0] == 0
    assert not (machine.venv / "mine").exists()


def test_an_interrupted_installation_is_continued(machine):
    machine.tool("uv", UV.replace('\n    "pip sync") ;;', "\n    *sync) echo 'error: killed' >&2; exit 137 ;;"))
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
    assert "this is Linux on aarch64, but environment.lock is for Linux on x86_64: use such a machine" in refusal(
        machine
    )


@pytest.mark.parametrize(("says", "found"), [("echo glibc 2.17", "glibc 2.17"), ("exit 1", "not glibc")])
def test_an_old_c_library_is_refused(machine, says, found):
    machine.tool("getconf", says)
    assert f"the C library is {found}, but the wheels need glibc 2.28 or newer" in refusal(machine)


def test_too_little_room_is_named_with_the_place(machine):
    machine.tool("df", "printf 'Filesystem 1024-blocks Used Available\\n/dev/x 9 9 3145728 1 /\\n'")
    assert f"3 GB are free under {machine.repo}, but 10 GB are needed" in refusal(machine)


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
    machine.tool("uv", f"[ \"$1\" = --version ] && echo uv 0.13.8 && exit; echo '{words}' >&2; exit 2")
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


def test_what_a_hosted_notebook_sets_for_uv_and_pip_is_set_aside_but_not_where_packages_are(machine):
    machine.tool("uv", f'env | grep -E "^(UV|PIP)_" >>"$CALLS"\n{UV}')
    hosts = {
        "UV_SYSTEM_PYTHON": "true",
        "UV_CONSTRAINT": "/etc/constraints",
        "UV_OVERRIDE": "/etc/overrides",
        "UV_PRERELEASE": "allow",
        "UV_PYTHON_DOWNLOADS": "automatic",
        "PIP_CONSTRAINT": "/etc/constraints",
        "PIP_TARGET": "/usr/lib/python",
        "PIP_USER": "1",
    }
    kept = {
        "PIP_CERT": "/ca",
        "UV_DEFAULT_INDEX": "mirror",
        "UV_CACHE_DIR": "/cache",
        "UV_HTTP_TIMEOUT": "9",
        "PIP_INDEX_URL": "mirror",
    }
    assert machine.make_env(**hosts, **kept)[0] == 0
    set_for_uv = {line for line in machine.calls() if "=" in line and line.startswith(("UV_", "PIP_"))}
    ours = {
        "UV_PYTHON_DOWNLOADS=manual",
        "UV_PYTHON_INSTALL_BIN=0",
        "PIP_USER=0",
        "PIP_DISABLE_PIP_VERSION_CHECK=1",
        "PIP_ROOT_USER_ACTION=ignore",
    }
    assert set_for_uv == ours | {f"{name}={value}" for name, value in kept.items()}


def test_a_folder_of_something_else_is_not_emptied(machine):
    machine.venv.mkdir()
    (machine.venv / "thesis.tex").touch()
    assert f"{machine.venv} holds files of something else than an environment" in refusal(machine)
    assert (machine.venv / "thesis.tex").exists()
