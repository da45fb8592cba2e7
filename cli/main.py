"""The ``slt`` command: its verbs, and the mapping from failures to exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from slt.core import log
from slt.core.errors import as_slt_error
from slt.core.threads import wait_without_spinning
from slt_cli import (
    check_manifest,
    compare,
    compare_embeddings,
    demo,
    doctor,
    embed,
    evaluate,
    export_manifest,
    extract,
    features,
    launch,
    models,
    prepare,
    report,
    serve,
    train,
    translate,
)
from slt_cli.commands import Commands

INTERRUPTED = 130
HELP_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=HELP_SETTINGS,
    epilog="Exit codes: 0 done; 1 failure of slt or the machine; 2 user error; 3 some items failed; 75 stopped.",
)
app.command()(doctor.doctor)
app.command()(demo.demo)
app.command()(translate.translate)
app.command()(check_manifest.check_manifest)
app.command()(evaluate.evaluate)
app.command()(compare.compare)
app.command()(compare_embeddings.compare_embeddings)
app.command()(report.report)
app.command()(serve.serve)
for verb in train.TRAINERS:
    app.command(verb)(train.trainer(verb))
app.command()(extract.extract_features)
app.command()(embed.embed_text)
app.command()(export_manifest.export_manifest)
app.add_typer(models.app, name="models")
app.add_typer(launch.app, name="launch")
app.add_typer(prepare.app, name="prepare")
app.add_typer(features.app, name="features")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        log.result(f"slt {version('slt')}")
        raise typer.Exit


@app.callback()
def slt(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Translate sign-language video into text, in any of the languages a model knows."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: its words without the program's name; None takes them from the process.

    Returns:
        The exit code: 0 all done, 1 ours or the machine's failure, 2 the user's to mend, 3 some items failed,
        130 interrupted.
    """
    wait_without_spinning()
    # A file's name need not be text, nor the terminal able to show every script; neither is worth failing for.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(args=None if argv is None else list(argv), prog_name="slt")
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        if code == INTERRUPTED:
            log.say("interrupted")
        return code
    except Exception as error:
        if "SLT_TRACEBACK" in os.environ:
            traceback.print_exc()
        known = as_slt_error(error)
        log.fail(known)
        return known.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
