"""``slt prepare``: corpora, brought into the form that training and evaluation read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Bring a corpus into the form that training and evaluation read.")


class Split(StrEnum):
    """The parts of a corpus; no two share a sentence or a signer."""

    train = "train"
    val = "val"
    test = "test"


@app.command()
def synthetic(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The corpus folder; a run that was stopped goes on in it.")],
    clips: Annotated[int, typer.Option(min=1, help="How many clips to draw.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same corpus.")] = 0,
    split: Annotated[
        Split | None, typer.Option(help="Draw this part only; without it, train, val and test at 8 : 1 : 1.")
    ] = None,
) -> None:
    """Draw a corpus of the synthetic signed language: videos, English and German text.

    Prints the manifest of every split.

    Example: slt prepare synthetic --out corpus --clips 100 --seed 1
    """
    from slt import log
    from slt.data.synthetic.corpus import share_out, write_corpus

    n_clips = {split.value: clips} if split else share_out(clips)
    with log.bars() as bars:
        manifests = write_corpus(out, n_clips, seed, progress=lambda done, total: bars.update("clips", done, total))
    for manifest in manifests.values():
        log.result(str(manifest))
