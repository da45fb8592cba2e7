"""Render a job as a Slurm script and submit it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from slt.core.errors import SltError, UserError
from slt.core.files import atomic_write
from slt.launch.plan import ARRAY_TASK, ON_ONE_NODE, PASSED_ON, PASSED_ON_PREFIXES, Job, Place, torchrun


def script(job: Job, place: Place, folder: Path) -> str:
    """Return a job's script for sbatch.

    The command runs as one step on every node. Some time before the job's end Slurm sends USR1 to this script alone,
    since a signal to a step would also reach what keeps a container together. The script leaves a file, which the
    command looks for: it saves, and stops. Then the job is put back into the queue, and goes on where it was.

    Args:
        job: what to run.
        place: where slt and its working folder are.
        folder: where the logs and the stop file go; absolute, and seen by every node.
    """
    if not folder.is_relative_to(place.folder):
        place = replace(place, binds=(*place.binds, folder))
    parts = [
        "#!/bin/bash",
        *(f"#SBATCH {option}" for option in _options(job, place, folder)),
        "set -u",
        _STOP_FILE.format(folder=shlex.quote(str(folder))),
        *_environment(job, place),
        _STEP.format(step=_step(job, place)),
    ]
    if job.accept_failures:
        parts.append('[ "$code" != 3 ] || exit 0 # some items failed, as its log tells: what comes after may begin')
    return "\n".join([*parts, 'exit "$code"\n'])


_STOP_FILE = """
# Asked by Slurm, or by `scancel --signal=USR1 --batch JOB`: the command saves what it has, and stops.
export SLT_STOP_FILE={folder}/.stop-$SLURM_JOB_ID
rm -f "$SLT_STOP_FILE"
trap 'woken=1; : >"$SLT_STOP_FILE"' USR1
trap 'woken=1' TERM # to outlive the step, which gets it too
"""
_STEP = """
{step} &
while # a signal ends the waiting early, and not the step
    woken=
    wait $!
    code=$?
    [ -n "$woken" ]
do :; done
if [ -e "$SLT_STOP_FILE" ]; then
    rm -f "$SLT_STOP_FILE"
    case $code in
    0 | 3) ;; # it had just finished
    *) scontrol requeue "$SLURM_JOB_ID" && exit 0 ;;
    esac
fi"""


def _options(job: Job, place: Place, folder: Path) -> list[str]:
    options = {
        "job-name": job.title,
        "nodes": str(job.nodes),
        "ntasks-per-node": "1",
        "cpus-per-task": str(job.cpus),
        "gres": f"gpu:{job.gpus}" if job.gpus else "",
        "mem": job.memory,
        "time": job.time,
        "array": f"0-{job.array - 1}" if job.array else "",
        "chdir": str(place.folder),
        "output": str(folder / ("%x-%A_%a.log" if job.array else "%x-%j.log")),
        "open-mode": "append",
        "signal": f"B:USR1@{job.grace_s}",
    }
    return [*(f"--{name}={value}" for name, value in options.items() if value), "--requeue", *job.sbatch]


def _environment(job: Job, place: Place) -> list[str]:
    """Return the lines that set the variables of the step; those of this machine travel with sbatch."""
    lines = [f"export OMP_NUM_THREADS={max(1, job.cpus // job.n_processes)}"]
    if _is_distributed(job) and job.nodes > 1:
        # A port of its own for each job, on the first node.
        lines += [
            'head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            "port=$((20000 + SLURM_JOB_ID % 20000))",
        ]
    if place.image:
        names = " | ".join([*PASSED_ON, *(f"{prefix}*" for prefix in PASSED_ON_PREFIXES)])
        lines += [
            "for name in $(compgen -e); do # what the container is told of",
            "    case $name in",
            f'    {names}) export "APPTAINERENV_$name=${{!name}}" ;;',
            "    esac",
            "done",
        ]
    return lines


def _step(job: Job, place: Place) -> str:
    """Return the step's command, as the shell reads it."""
    words = [shlex.quote(word) for word in [place.program("slt"), *job.words]]
    if job.array:
        words.append(f'--shard "${ARRAY_TASK}/{job.array}"')
    if _is_distributed(job):
        words = [*(shlex.quote(word) for word in torchrun(job, place)), *_rendezvous(job), "--no-python", *words]
    inside = [shlex.quote(word) for word in place.contained(gpus=bool(job.gpus))]
    return " ".join(["srun", "--kill-on-bad-exit=1", f"--cpus-per-task={job.cpus}", *inside, *words])


def _rendezvous(job: Job) -> list[str]:
    if job.nodes == 1:
        return [*ON_ONE_NODE]
    return [
        f"--nnodes={job.nodes}",
        '--rdzv-id="$SLURM_JOB_ID"',
        "--rdzv-backend=c10d",
        '--rdzv-endpoint="$head:$port"',
    ]


def _is_distributed(job: Job) -> bool:
    return job.nodes * job.n_processes > 1


def write_scripts(jobs: Sequence[Job], place: Place, folder: Path) -> dict[str, Path]:
    """Write each job's script into the folder, and return the files by the jobs' names.

    Raises:
        SltError: the folder cannot be written.
    """
    paths = {job.title: folder / f"{job.title}.sh" for job in jobs}
    for job in jobs:
        with atomic_write(paths[job.title]) as file:
            file.write(script(job, place, folder).encode())
    return paths


def submit(jobs: Sequence[Job], scripts: Mapping[str, Path], *, after: Sequence[str] = ()) -> dict[str, str]:
    """Put jobs into the queue, each behind those it comes after; all of them or none.

    Args:
        jobs: in an order in which each comes behind those it comes after.
        scripts: each job's script by its name.
        after: numbers of jobs already in the queue that every one of these must wait for.

    Returns:
        Slurm's number of each job by its name.

    Raises:
        UserError: Slurm is not here.
        SltError: Slurm refused one; those before it were taken back.
    """
    if shutil.which("sbatch") is None:
        raise UserError(
            "there is no sbatch here", fix="run this on a login node of a cluster with Slurm, or use --dry-run"
        )
    numbers: dict[str, str] = {}
    for job in jobs:
        waits = [*after, *(numbers[name] for name in job.after)]
        behind = [f"--dependency=afterok:{':'.join(waits)}", "--kill-on-invalid-dep=yes"] if waits else []
        done = subprocess.run(
            ["sbatch", "--parsable", *behind, scripts[job.title]], capture_output=True, text=True, check=False
        )
        if done.returncode:
            if numbers:
                subprocess.run(["scancel", *numbers.values()], capture_output=True, check=False)
            said = done.stderr.strip().removeprefix("sbatch: error: ").partition("\n")[0]
            raise SltError(
                f"Slurm refused {job.title}: {said}", fix="nothing of it was queued: fix it and launch again"
            )
        numbers[job.title] = done.stdout.strip().partition(";")[0]
    return numbers
