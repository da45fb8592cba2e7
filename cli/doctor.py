"""``slt doctor``: check that everything the models need is installed and compatible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from slt_cli.tables import print_checks

if TYPE_CHECKING:
    from slt.env.checks import CheckResult

MENDING_NEEDED = 2


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Skip running a model.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds after which a check counts as hanging.")] = 180,
) -> None:
    """Check the environment: what was found, what was expected, and how to fix it.

    Loads the native libraries and runs a tiny SONAR model. Exits with 2 when something must be fixed.

    Example: slt doctor --quick
    """
    import time
    from json import dumps

    from slt.core import log
    from slt.env.checks import failures
    from slt.env.doctor import examine

    began = time.monotonic()
    results = examine(quick=quick, timeout_s=timeout)
    took_s = time.monotonic() - began
    failed = failures(results)
    if json:
        checks = [vars(result) for result in results]
        log.result(dumps({"ok": not failed, "seconds": round(took_s, 2), "checks": checks}, indent=2))
    else:
        print_checks(results)
        log.say(_verdict(results, failed, took_s))
    if failed:
        raise typer.Exit(MENDING_NEEDED)


def _verdict(results: list[CheckResult], failed: list[CheckResult], took_s: float) -> str:
    from slt.core import log

    if failed:
        names = ", ".join(result.name for result in failed)
        return f"{len(failed)} of {len(results)} checks need mending: {names} ({log.seconds(took_s)})"
    warned = [result.name for result in results if result.status == "warn"]
    but = f", though not ideal: {', '.join(warned)}" if warned else ""
    return f"everything works{but} ({log.seconds(took_s)})"
