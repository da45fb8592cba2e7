"""Run folders: what a run needs to be reproduced, and what it wrote."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.core.leftovers import remove_leftovers

RECIPE, ENVIRONMENT, ASSETS, OUTCOME = "recipe.yaml", "environment.json", "assets.json", "outcome.json"
WAIT_S = 300.0  # for the first process; longer than any file system takes to show a new file
NAMED_AT_MOST = 5
TOLD = ("slt", "torch", "fairseq2", "sonar-space", "transformers", "lightning", "numpy", "sacrebleu")


@dataclass(frozen=True, kw_only=True)
class Run:
    """A folder that one training wrote.

    Attributes:
        folder: where it lies.
    """

    folder: Path

    @property
    def recipe(self) -> Path:
        """The recipe, every key resolved."""
        return self.folder / RECIPE

    @property
    def metrics(self) -> Path:
        """Every figure of every step: ``step,epoch,figure,value``."""
        return self.folder / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """Where weights and the state to go on from lie."""
        return self.folder / "checkpoints"

    @property
    def last(self) -> Path:
        """The state to go on from."""
        return self.checkpoints / "last.ckpt"

    @property
    def bundle(self) -> Path:
        """The best model, once training is over."""
        return self.folder / "bundle"

    @property
    def encoder(self) -> Path:
        """The best encoder alone, once a training is over that was of nothing else; a bundle would need a decoder."""
        return self.folder / "encoder.safetensors"

    @property
    def outcome(self) -> Path:
        """What training came to, once it is over."""
        return self.folder / OUTCOME

    def note(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file into the folder."""
        with atomic_write(self.folder / name) as file:
            file.write((json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode())


def process_rank() -> int:
    """Return which of the processes that were started together this is, by torchrun's or Slurm's word."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))


def open_run(folder: Path, recipe: str) -> Run:
    """Create a run in ``folder``, or resume the run of the same recipe there.

    Of several processes that were started together the first begins it, and the others wait for that. A recipe by
    which nothing was trained, since it named what is not there say, makes room for another one.

    Args:
        folder: made when it is not there.
        recipe: its text; equal to the one in the folder, if anything was trained by that.

    Raises:
        UserError: the folder holds a run of another recipe, or something else; or cannot be written to.
    """
    run = Run(folder=folder)
    remove_leftovers(folder)
    waited_until = time.monotonic() + WAIT_S
    while process_rank() and _differs(run, recipe) and not run.metrics.is_file() and time.monotonic() < waited_until:
        time.sleep(0.1)
    if not (told := _differs(run, recipe)):
        return run
    if run.recipe.is_file() and run.metrics.is_file():
        raise UserError(
            f"{folder} holds a run of another recipe; this one says {told}",
            fix=f"choose another folder with --out, or go on with that run: --resume {folder}",
        )
    if not run.recipe.is_file() and folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty, and no run", fix="choose another folder with --out")
    run.note(ENVIRONMENT, environment())
    with atomic_write(run.recipe) as file:  # last: from now on it is a run
        file.write(recipe.encode())
    return run


def _differs(run: Run, recipe: str) -> str:
    """Describe the keys of a recipe that differ from those of a run; empty when none does."""
    if not run.recipe.is_file():
        return "all"
    there, here = (dict(_keys(_values(text))) for text in (run.recipe.read_text("utf-8"), recipe))
    changed = [key for key in {**here, **there} if here.get(key) != there.get(key)]
    told = [f"{key} {here.get(key, 'nothing')}, there {there.get(key, 'nothing')}" for key in changed]
    more = [f"and {len(told) - NAMED_AT_MOST} more"] if len(told) > NAMED_AT_MOST else []
    return "; ".join(told[:NAMED_AT_MOST] + more)


def _values(recipe: str) -> Any:
    try:
        return yaml.safe_load(recipe) or {}
    except yaml.YAMLError:
        return {}  # the run's file is damaged: then nothing in it is the same


def _keys(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each key of a recipe, dotted as ``--set`` takes it, with its value as JSON."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _keys(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, json.dumps(value, ensure_ascii=False, default=str)


def find_run(folder: Path) -> Run:
    """Return the run in ``folder``.

    Raises:
        UserError: there is none.
    """
    if not (folder / RECIPE).is_file():
        raise UserError(f"{folder} is no run: it has no {RECIPE}", fix="name a folder that a training wrote")
    return Run(folder=folder)


def environment() -> dict[str, Any]:
    """Return what a run stands on: machine, versions, the code's revision and the command; without torch."""
    return {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "versions": {name: _version(name) for name in TOLD},
        "git": git_revision(Path(__file__).parent),
    }


def git_revision(folder: Path) -> str | None:
    """Return the commit a folder's files are of, with ``+`` when they were changed since; None outside git."""
    words = ("git", "-C", str(folder))
    try:
        revision = subprocess.run([*words, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        changed = subprocess.run([*words, "status", "--porcelain"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return revision.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
