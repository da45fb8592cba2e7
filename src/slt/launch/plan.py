"""A launch plan: one description of a job for this machine, torchrun, Apptainer and Slurm."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slt.core.errors import UserError
from slt.core.files import cannot_write
from slt.core.home import slt_home

TRAINING = "train-"  # the verbs that use several processes at once begin so
ARRAY_TASK = "SLURM_ARRAY_TASK_ID"
# torchrun's words for processes of one machine. Without the second they look for each other by the machine's name,
# which a container without a network cannot resolve: they would wait for each other for ever.
ON_ONE_NODE = ("--standalone", "--local-addr=127.0.0.1")
# What reaches into a container from around it, besides what the image says itself.
PASSED_ON = ("SLT_OFFLINE", "SLT_STOP_FILE", "SLT_TRACEBACK", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
PASSED_ON_PREFIXES = ("NCCL_", "SLURM_")
IMAGE_HOME = "/slt"  # SLT_HOME in the image


@dataclass(frozen=True, kw_only=True)
class Job:
    """One command of slt, and what it needs on each node it runs on.

    Attributes:
        run: the verb and its arguments, as one would type them after ``slt``.
        name: what people see it as; the verb, if empty.
        after: names of jobs of the same plan that must have ended well before.
        nodes: machines at once.
        gpus: graphics cards per node.
        processes: processes per node that train one model together; 0: one for each graphics card.
        array: into how many jobs the work is shared out, by ``--shard``; 0: it is not.
        cpus: processor cores per node.
        memory: memory per node as Slurm writes it (``64G``); empty: what the cluster gives.
        time: the longest it may run at a segment, as Slurm writes it (``24:00:00``); empty: what the cluster allows.
        grace_s: how long before that it is asked to save and stop, in seconds.
        accept_failures: whether jobs after it may begin when some items failed (exit code 3).
        sbatch: further options for sbatch, each as ``--name=value``.

    Raises:
        UserError: a number out of range, an empty command, or needs that exclude each other.
    """

    run: str
    name: str = ""
    after: tuple[str, ...] = ()
    nodes: int = 1
    gpus: int = 0
    processes: int = 0
    array: int = 0
    cpus: int = 4
    memory: str = ""
    time: str = ""
    grace_s: int = 120
    accept_failures: bool = False
    sbatch: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.words:
            raise UserError("run: expected a verb of slt and its arguments, found nothing")
        if not re.fullmatch(r"[\w.-]*", self.name):
            raise UserError(f"name: expected letters, digits, dots and hyphens, found {self.name!r}")
        for name, least in {"nodes": 1, "gpus": 0, "processes": 0, "array": 0, "cpus": 1, "grace_s": 10}.items():
            if getattr(self, name) < least:
                raise UserError(f"{name}: expected {least} or more, found {getattr(self, name)}")
        if self.n_processes * self.nodes > 1 and not self.words[0].startswith(TRAINING):
            raise UserError(
                f"{self.words[0]} is one process on one graphics card, found {self.nodes} x {self.n_processes}",
                fix="share it out by --array" if self.words[0] == "extract-features" else None,
            )
        wrong = next((option for option in self.sbatch if not option.startswith("--") or "\n" in option), None)
        if wrong:
            raise UserError(f"sbatch: expected --name=value, found {wrong!r}")

    @property
    def words(self) -> tuple[str, ...]:
        """The verb and its arguments, one by one."""
        try:
            return tuple(shlex.split(self.run))
        except ValueError as error:
            raise UserError(f"run: {error} in {self.run!r}") from error

    @property
    def title(self) -> str:
        """Its name, or else the verb."""
        return self.name or self.words[0]

    @property
    def n_processes(self) -> int:
        """Processes on each node."""
        return self.processes or max(1, self.gpus)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where slt itself is taken from, and the folder it works in.

    Attributes:
        image: a SIF; None: the environment that this process runs in.
        binds: folders of the machine that are seen in the container at their own paths.
        folder: the working folder, seen in the container too.
    """

    image: Path | None = None
    binds: tuple[Path, ...] = ()
    folder: Path

    def program(self, name: str) -> str:
        """Return how a program of the environment is called."""
        return name if self.image else str(Path(sys.executable).with_name(name))

    def check(self, words: tuple[str, ...]) -> None:
        """Check that the image is there, and that the container sees the files the words name.

        Raises:
            UserError: it is not, or does not.
        """
        if self.image is None:
            return
        if not self.image.exists():
            raise UserError(f"no image at {self.image}", fix="`make sif` makes slt.sif from the Docker image")
        seen = [Path(os.path.abspath(bind)) for bind in (*self.binds, self.folder)]
        for word in words:
            path = Path(os.path.abspath(self.folder / word.rpartition("=")[2]))
            if ("/" in word or path.exists()) and not any(path.is_relative_to(folder) for folder in seen):
                raise UserError(f"the container does not see {path}", fix=f"--bind {path.parent}")

    def make_home(self) -> None:
        """Make ``SLT_HOME``, which the container is given and Apptainer does not make.

        Raises:
            SltError: it cannot be made.
        """
        if self.image is None:
            return
        try:
            slt_home().mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(slt_home(), error) from error

    def contained(self, *, gpus: bool) -> list[str]:
        """Return the words that run what follows them in the container; none without an image.

        Nothing of the machine is seen but what is named here: not the user's home, whose Python packages would mix
        with the image's, and no variable but those that `passed_on` gives.
        """
        if self.image is None:
            return []
        home = [f"{slt_home().absolute()}:{IMAGE_HOME}"]
        # The container's own /tmp is memory, and little of it.
        binds = [*home, f"{os.environ.get('TMPDIR', '/tmp')}:/tmp", *map(str, self.binds), str(self.folder)]
        words = ["apptainer", "exec", "--containall", *(["--nv"] if gpus else [])]
        for bind in dict.fromkeys(binds):
            words += ["--bind", bind]
        return [*words, "--pwd", str(self.folder), str(self.image.absolute())]


def command(job: Job, place: Place) -> list[str]:
    """Return the words that run a job's command on this machine, in one process or several, contained or not."""
    words = [place.program("slt"), *job.words]
    if job.n_processes > 1:
        words = [*torchrun(job, place), *ON_ONE_NODE, "--no-python", *words]
    if place.image is None:
        return words
    told = passed_on(os.environ)
    return [*(["env", *told] if told else []), *place.contained(gpus=Path("/dev/nvidiactl").exists()), *words]


def torchrun(job: Job, place: Place) -> list[str]:
    """Return the words that run, in as many copies as the job has processes, what follows ``--no-python``."""
    return [place.program("torchrun"), f"--nproc-per-node={job.n_processes}"]


def passed_on(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that a container is given, as ``NAME=value``, by the names Apptainer takes them from."""
    names = [name for name in environment if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)]
    return [f"APPTAINERENV_{name}={environment[name]}" for name in sorted(names)]
