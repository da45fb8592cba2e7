"""``slt report``: write one self-contained HTML page about runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Folders that slt evaluate --out or a training wrote, or results.json."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The HTML file to write.")],
    thumbnails: Annotated[int, typer.Option(min=0, help="Most thumbnails of clips; each takes about 4 kB.")] = 500,
) -> None:
    """Write one HTML file about runs: curves, scores, comparison, breakdowns and all translations; no network.

    Results on the same clips are compared, the first is the baseline.

    Example: slt report zero-shot fine-tuned --out report.html
    """
    from slt.core import log
    from slt.evaluate.report import write_report

    with log.bars() as bars:
        write_report(runs, out, n_pictures=thumbnails, progress=bars.update)
    log.result(str(out))
