"""``slt demo``: run the shipped models on the shipped clips, or train one of them from nothing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Shipped(StrEnum):
    """The models inside the package."""

    demo = "demo"
    fingerspelling = "fingerspelling"


def demo(
    model: Annotated[
        Shipped, typer.Argument(metavar="MODEL", help="With --train: which, demo or fingerspelling.")
    ] = Shipped.demo,
    train: Annotated[bool, typer.Option("--train", help="Train a shipped model from nothing instead.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --train: folder of the run and its bundle.")
    ] = None,
    poses: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With --train fingerspelling: folder of recorded letters; default: the installed package's.",
        ),
    ] = None,
) -> None:
    """Translate the shipped held-out clips and compare with the references.

    With --train: draw a corpus, train all parts of the demo model on it, and write a bundle. With --train
    fingerspelling: train the model of fingerspelling on recorded letters (docs/fingerspelling.md), without the American
    signer for its score, then on all.

    Example: slt demo
    """
    from slt.core.errors import UserError

    if poses and not (train and model == Shipped.fingerspelling):
        raise UserError("--poses is for --train fingerspelling alone", fix="remove --poses")
    if train and model == Shipped.fingerspelling:
        from slt.demo.spelling_train import train_fingerspelling

        train_fingerspelling(out or Path("fingerspelling-run"), poses=poses)
        return
    if train:
        from slt.demo.train import train_demo

        train_demo(out or Path("demo-run"))
        return
    if out:
        raise UserError("--out names the folder of a training, and --train is missing", fix="give --train with it")
    if model != Shipped.demo:
        raise UserError(
            f"slt demo shows both shipped models; found {model.value}",
            fix=f"slt translate VIDEO --model {model.value}, or --train to train it",
        )
    from slt.demo.show import show_demo

    show_demo()
