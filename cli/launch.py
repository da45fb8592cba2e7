"""``slt launch``: run another command of slt on Slurm, in several processes, or in a container."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slt_cli.commands import Commands

if TYPE_CHECKING:
    from slt.launch.plan import Job, Place

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Run another slt command on a cluster, in several processes, or in a container.",
)
PIPELINE = "pipeline"
WORDS_HELP = "A verb of slt and its arguments, after --."

Words = Annotated[list[str], typer.Argument(metavar="VERB ARGS", help=WORDS_HELP)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be run, and exit.")]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Processes per node that train one model together; one for each GPU.")
]
Image = Annotated[Path | None, typer.Option(metavar="SIF", help="Run in this image instead of this environment.")]
Bind = Annotated[
    list[Path] | None, typer.Option(metavar="DIR", help="A folder the container sees, besides this one; repeatable.")
]


@app.command()
def slurm(
    ctx: typer.Context,
    words: Annotated[
        list[str], typer.Argument(metavar="VERB ARGS | pipeline FILE", help=f"{WORDS_HELP} Or a file of several.")
    ],
    name: Annotated[str | None, typer.Option(help="Job name; default: the verb.")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Nodes; default 1.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="GPUs per node; default none.")] = None,
    processes: Processes = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="CPU cores per node; default 4.")] = None,
    memory: Annotated[str | None, typer.Option(metavar="64G", help="Memory per node.")] = None,
    time: Annotated[str | None, typer.Option(metavar="D-HH:MM:SS", help="Time limit of one run of the job.")] = None,
    grace_s: Annotated[
        int | None,
        typer.Option(min=10, help="Seconds before the limit at which it is asked to save and stop; default 120."),
    ] = None,
    array: Annotated[
        int | None, typer.Option(min=1, help="Number of array jobs that share the work, by --shard.")
    ] = None,
    after: Annotated[
        list[str] | None, typer.Option(metavar="JOB", help="Start after this job has succeeded; repeatable.")
    ] = None,
    sbatch: Annotated[
        list[str] | None, typer.Option(metavar="--NAME=VALUE", help="A further option for sbatch; repeatable.")
    ] = None,
    image: Image = None,
    bind: Bind = None,
    logs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of scripts and logs; default runs/launch/NAME.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Submit a command to Slurm and print the job id.

    Before its time is over, or when the cluster wants the machine back, the command is asked to save and stop, and the
    job goes back into the queue by itself until it is done. With pipeline FILE: several commands that wait for each
    other, each with its own needs (docs/hpc.md); the options here hold for those that give none themselves.

    Example: slt launch slurm --gpus 4 --time 24:00:00 -- train-encoder recipe.yaml
    """
    from slt.core import log
    from slt.launch.slurm import script, submit, write_scripts

    given = {
        **{"nodes": nodes, "gpus": gpus, "processes": processes, "cpus": cpus, "memory": memory, "time": time},
        **{"grace_s": grace_s, "array": array, "sbatch": sbatch},
    }
    jobs = _jobs(words, name, {field: value for field, value in given.items() if value is not None})
    place = _place(image, bind)
    for job in jobs:
        _check(ctx, job, place)
    title = name or (Path(words[1]).stem if _is_pipeline(words) else words[0])
    folder = (logs or Path("runs", "launch", title)).absolute()
    if dry_run:
        log.result("\n".join(script(job, place, folder) for job in jobs).rstrip("\n"))
        return
    place.make_home()
    scripts = write_scripts(jobs, place, folder)
    numbers = submit(jobs, scripts, after=after or ())
    for job in jobs:
        log.result(f"{job.title}\t{numbers[job.title]}")
    log.say(f"logs: {folder}; `squeue --me` shows the queue, `scancel {' '.join(numbers.values())}` takes it back")


@app.command()
def torchrun(ctx: typer.Context, words: Words, processes: Processes = None, dry_run: DryRun = False) -> None:
    """Train one model in several processes on this machine.

    Example: slt launch torchrun --processes 2 -- train-encoder recipe.yaml
    """
    _here(ctx, words, processes, _place(None, None), dry_run=dry_run)


@app.command()
def apptainer(
    ctx: typer.Context,
    words: Words,
    image: Image = None,
    bind: Bind = None,
    processes: Processes = None,
    dry_run: DryRun = False,
) -> None:
    """Run a command in the image, which sees this folder, SLT_HOME, /tmp and nothing else of the machine.

    Example: slt launch apptainer --image slt.sif -- translate video.mp4
    """
    from slt.core.errors import UserError

    if image is None:
        raise UserError("no image was named", fix="--image slt.sif, which `make sif` makes")
    _here(ctx, words, processes, _place(image, bind), dry_run=dry_run)


def _here(ctx: typer.Context, words: Sequence[str], processes: int | None, place: Place, *, dry_run: bool) -> None:
    """Replace this process by the command."""
    import os
    import shlex
    import shutil

    from slt.core import log
    from slt.core.errors import UserError
    from slt.launch.plan import command

    (job,) = _jobs(words, None, {"processes": processes} if processes else {})
    _check(ctx, job, place)
    line = command(job, place)
    if dry_run:
        log.result(shlex.join(line))
        return
    program = "apptainer" if place.image else line[0]
    if shutil.which(program) is None:
        raise UserError(f"there is no {program} here", fix="install it, or use --dry-run to see what would be run")
    place.make_home()
    os.execvp(line[0], line)


def _is_pipeline(words: Sequence[str]) -> bool:
    return len(words) == 2 and words[0] == PIPELINE


def _jobs(words: Sequence[str], name: str | None, given: dict[str, Any]) -> Sequence[Job]:
    import shlex

    from slt.core.config import parse
    from slt.launch.plan import Job
    from slt.launch.steps import read_pipeline

    if _is_pipeline(words):
        return read_pipeline(Path(words[1]), given)
    named = {"name": name} if name else {}
    return (parse(Job, {**given, **named, "run": shlex.join(words)}, where="slt launch"),)


def _place(image: Path | None, bind: Sequence[Path] | None) -> Place:
    from slt.launch.plan import Place

    return Place(image=image, binds=tuple(bind or ()), folder=Path.cwd())


def _check(ctx: typer.Context, job: Job, place: Place) -> None:
    """Parse the command as it will be parsed when its turn has come: a misspelt option must not wait in a queue.

    Raises:
        UserError: there is no such command, or it does not take these words.
    """
    from slt_cli.arguments import check_arguments

    shard = ["--shard", f"0/{job.array}"] if job.array else []
    check_arguments([*job.words, *shard], ctx.find_root().command)
    place.check(job.words)
