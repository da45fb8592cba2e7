"""Read a pipeline file: several jobs, their resources, and their dependencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.registry import did_you_mean
from slt.launch.plan import Job


@dataclass(frozen=True, kw_only=True)
class _Pipeline:
    steps: Mapping[str, Any]


def read_pipeline(path: Path, defaults: Mapping[str, Any]) -> tuple[Job, ...]:
    """Read the jobs of a YAML file, in an order in which each comes behind those it waits for.

    Args:
        path: ``steps:``, and under it each job by its name, with the fields of `Job`.
        defaults: fields of every job that does not give them itself.

    Raises:
        UserError: it cannot be read, or asks for what there is not; all mistakes of the jobs together.
    """
    import yaml

    try:
        read = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    steps = parse(_Pipeline, read, where=str(path)).steps
    jobs, mistakes = [], []
    for name, step in steps.items():
        given = {**defaults, **step} if isinstance(step, Mapping) else step
        try:
            jobs.append(parse(Job, {"name": name, **given} if isinstance(given, dict) else given, where=name))
        except UserError as error:
            mistakes.append(error.message)
    if mistakes:
        raise UserError(f"{path}: {'; '.join(mistakes)}")
    if not jobs:
        raise UserError(f"{path} has no steps")
    return _in_order(jobs, path)


def _in_order(jobs: Sequence[Job], path: Path) -> tuple[Job, ...]:
    names = [job.title for job in jobs]
    for job in jobs:
        unknown = next((name for name in job.after if name not in names), None)
        if unknown:
            raise UserError(
                f"{path}: {job.title} comes after {unknown!r}, which is no step; known: {', '.join(names)}",
                fix=did_you_mean(unknown, names),
            )
    done: list[Job] = []
    left = list(jobs)
    while left:
        finished = {job.title for job in done}
        ready = next((job for job in left if finished.issuperset(job.after)), None)
        if ready is None:
            raise UserError(f"{path}: {', '.join(job.title for job in left)} wait for each other")
        done.append(ready)
        left.remove(ready)
    return tuple(done)
