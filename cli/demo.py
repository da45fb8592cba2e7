"""``slt demo``: run the shipped model on the shipped clips, or train it from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    train: Annotated[bool, typer.Option("--train", help="Train the demo model from nothing instead.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --train: folder of the run and its bundle.")
    ] = None,
) -> None:
    """Translate the shipped held-out clips and compare with the references.

    With --train: draw a corpus, train all parts of the demo model on it, and write a bundle.

    Example: slt demo
    """
    from slt.core.errors import UserError

    if train:
        from slt.demo.train import train_demo

        train_demo(out or Path("demo-run"))
        return
    if out:
        raise UserError("--out names the folder of a training, and --train is missing", fix="give --train with it")
    from slt.demo.show import show_demo

    show_demo()
