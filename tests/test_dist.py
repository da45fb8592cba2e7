"""What `make dist` makes: a whole sdist, and a wheel that works with the lock as constraints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from tests.docker.machines import BASE

ROOT = Path(__file__).parents[1]
UV = Path(sys.prefix, "bin", "uv")


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", str(cwd)), **variables}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not UV.exists():
        pytest.skip("uv is not in this environment")
    folder = tmp_path_factory.mktemp("dist")
    done = run(ROOT / "docker" / "dist.sh", sys.prefix, folder, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_sdist_is_the_whole_project(dist):
    (sdist,) = dist.glob("slt-*.tar.gz")
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    for wanted in ("Makefile", "environment.lock", "docker/make-env.sh", "tests/conftest.py", "docs/install.md"):
        assert wanted in names
    assert {"cli/py.typed", "src/slt/demo/bundle/card.json", "src/slt/recipe/shipped/how2sign.yaml"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", "lib/", "build/"))]


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    environment = tmp_path / "environment"
    done = run(UV, "venv", "--quiet", "--no-project", "--python", BASE, environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return environment


@pytest.mark.slow
def test_the_wheel_installs_with_the_lock_as_constraints_and_nothing_else(dist, fresh):
    (wheel,) = dist.glob("slt-*.whl")
    install = [UV, "pip", "install", "--dry-run", "--offline", "--python", fresh, "--constraints", "environment.lock"]
    cache = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    done = run(*install, wheel, cwd=dist, UV_CACHE_DIR=cache)
    if "the network was disabled" in done.stderr:
        pytest.skip("uv's cache knows too little of the packages in the lock: `make dist` installs them with a network")
    assert done.returncode == 0, done.stderr
    wanted = set(re.findall(r"^ \+ (\S+==\S+)$", done.stderr, re.M))
    locked = {line.partition(" ;")[0] for line in (ROOT / "environment.lock").read_text("utf-8").splitlines()}
    assert len(wanted) > 100
    assert wanted <= locked


@pytest.mark.slow
def test_the_wheel_translates_in_an_environment_without_the_repository(dist, fresh, tmp_path):
    (wheel,) = dist.glob("slt-*.whl")
    assert run(UV, "pip", "install", "--offline", "--no-deps", "--python", fresh, wheel, cwd=tmp_path).returncode == 0
    (packages,) = fresh.glob("lib/python3.*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))  # the packages of the lock, as they are here
    for library in Path(sys.prefix, "lib").glob("lib*.so*"):
        (fresh / "lib" / library.name).symlink_to(library)
    where = run(
        fresh / "bin" / "python", "-c", "import slt, slt_cli; print(slt.__file__, slt_cli.__path__)", cwd=tmp_path
    )
    assert where.stdout.count(str(packages)) == 2
    clip = packages / "slt" / "demo" / "clips" / "videos" / "test" / "test-000000.mp4"
    done = run(fresh / "bin" / "slt", "translate", clip, cwd=tmp_path, SLT_HOME=str(tmp_path), SLT_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "The farmer carries the beautiful bird.\n"
