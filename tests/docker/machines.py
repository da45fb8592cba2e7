"""Pretended machines for docker/make-env.sh: tools that stand before the real ones, and a copy of the script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNNING = f"python{sys.version_info[0]}.{sys.version_info[1]}"
BASE = Path(sys.base_prefix, "bin", RUNNING)
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
ITSELF = '*sys.executable*) echo "$0"; exit;;'
UV = """
[ "$1" = --version ] && echo uv 0.13.8 && exit
echo "$@" >>"$CALLS"
case "$1 $2" in
    "venv "*) exec "$6" -m venv --clear --without-pip "$7" ;;
    "python find") exit 2 ;;
    "pip sync") ;;
    *) exit ;;
esac
packages=$(echo "$(dirname "$(dirname "$4")")"/lib/python3.*/site-packages)
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
        for name in ("python3.12", "python3.11", "python3"):
            self.tool(name, "exit 127")
        self.python(RUNNING)
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

    def python(self, name: str, refuses: str = "") -> None:
        """Pretend an interpreter, which fails for a call that matches ``refuses`` (a pattern of the shell)."""
        pattern = refuses or "'no call'"
        self.tool(name, f'case "$*" in {pattern}) exit 1;; {ITSELF} esac\nexec {BASE} "$@"')

    def made_with(self) -> str:
        """Return the version of the environment's Python."""
        command = [self.venv / "bin" / "python", "-c", "import platform; print(platform.python_version())"]
        return subprocess.check_output(command, text=True).strip()

    def make_env(self, **variables: str) -> tuple[int, str]:
        """Run the script; returns its exit code and its words."""
        path = f"{self.tools}:/usr/bin:/bin"
        environment = {"PATH": path, "HOME": str(self.folder), "TMPDIR": str(self.folder)}
        environment |= {"CALLS": str(self.folder / "calls"), **variables}
        command = [self.repo / "docker" / "make-env.sh"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, cwd=self.folder)
        assert not done.stdout
        assert "this is a bug in the script" not in done.stderr, done.stderr
        return done.returncode, done.stderr

    def calls(self) -> list[str]:
        """Return what the pretended uv was called with."""
        return (self.folder / "calls").read_text().splitlines()


def refusal(machine: Machine, **variables: str) -> str:
    """Return the one line with which the script gives up."""
    code, said = machine.make_env(**variables)
    assert code == 1, said
    lines = said.splitlines()
    assert lines[-1].startswith("make env: ")
    return lines[-1]
