"""Small habits a person forgets and a test does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "cli").rglob("*.py")])
PACKAGES = [path.parent for path in CODE if path.name == "__init__.py"]
FOLDERS = ("src", "cli", "tests", "docs", "docker", "benchmarks", ".ci")
PERSONAL = re.compile(r"(?<![\w.$}~/])/(?:home|root|Users|work)/\w")


def texts() -> list[Path]:
    """Return every text file of the repository that people write."""
    paths = [*ROOT.glob("*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    own = {".git"}  # of a worktree, a file
    binary = {".safetensors", ".model", ".mp4", ".pyc", ".npy", ".png"}
    return [path for path in paths if path.is_file() and path.suffix not in binary and path.name not in own]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_package_files_are_empty_but_for_the_front_door(package):
    assert package.name == "slt" or not (package / "__init__.py").read_text("utf-8").strip()


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_over(path):
    assert not re.findall(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text("utf-8"))


def test_no_file_names_a_folder_of_somebodys_machine():
    found = {path: PERSONAL.findall(path.read_text("utf-8", "replace")) for path in texts()}
    assert not {path for path, names in found.items() if names}
