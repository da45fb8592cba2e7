"""``slt features``: inspect, import and export feature stores."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from slt.core.errors import SltError
    from slt.data.features.store import Features

app = typer.Typer(no_args_is_help=True, help="Inspect, import and export feature stores.")


class Format(StrEnum):
    """How one clip's features are written to a file."""

    npy = "npy"
    pt = "pt"


@app.command()
def info(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A store, or a folder of <id>.npy or <id>.pt.")],
    verify: Annotated[bool, typer.Option("--verify", help="Read and verify everything.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Describe a feature store: number, width, extractor and settings.

    Example: slt features info features --verify
    """
    from json import dumps

    from slt.core import log
    from slt.data.features.open import open_features
    from slt.data.features.transfer import describe, read_all
    from slt_cli.failures import ItemsFailed

    features = open_features(store)
    facts = describe(features)
    if json:
        log.result(dumps(facts, ensure_ascii=False))
    else:
        for name, value in facts.items():
            log.result(f"{name}\t{value}")
    if verify and (failures := read_all(features)):
        raise ItemsFailed(failures, total=len(features), what="clips")


@app.command()
def export(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The store.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where <id>.npy or <id>.pt are written.")],
    format: Annotated[Format, typer.Option(help="NumPy's files, or torch's.")] = Format.npy,
) -> None:
    """Write the features of a store as one file per clip; existing files are kept.

    Example: slt features export features --out files --format npy
    """
    from slt.core import log
    from slt.data.features.open import open_features
    from slt.data.features.transfer import export_files

    features = open_features(store)
    with log.bars() as bars:
        failures = export_files(features, out, format.value, lambda done, total: bars.update("clips", done, total))
    _close(failures, len(features), f"{len(features) - len(failures)} clips are in {out}")


@app.command("import")
def import_(
    files: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder of <id>.npy or <id>.pt, folders below it too; or a store."),
    ],
    out: Annotated[Path, typer.Option(metavar="STORE", help="The store; clips in it are kept.")],
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Keypoint files: openpose, uni-sign, mediapipe-75, mediapipe-543, mediapipe-543-kaggle, pose.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="SKELETON",
            help="Convert keypoints: mediapipe-75, mediapipe-543, openpose-137, coco-wholebody-133.",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Pictures' size, where keypoints are in pixels: 1280x720.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=1, max=1000, help="Frames per second, where keypoint files do not say.")
    ] = None,
) -> None:
    """Import one file per clip into a store, or a store into another, which merges its files.

    With --layout the files are keypoints as other programs wrote them; docs/keypoints.md describes the layouts. The
    store's header says which skeleton it holds, and in which unit.

    Example: slt features import files --out features

    Example: slt features import openpose_output/json --layout openpose --to mediapipe-75 --size 1280x720 --out joints
    """
    from slt.core import log
    from slt.data.features.keypoints import ConvertedKeypoints, KeypointFolder, Reading
    from slt.data.features.open import open_features
    from slt.data.features.transfer import import_all

    features: Features
    if layout:
        features = KeypointFolder(files, Reading(layout=layout, to=to, size=_size(size), fps=fps))
    else:
        _refuse_without_layout(size=size, fps=fps)
        features = open_features(files)
        features = ConvertedKeypoints(features, to) if to else features
    with log.bars() as bars:
        failures = import_all(features, out, lambda done, total: bars.update("clips", done, total))
    for warning, count in (features.warnings if isinstance(features, KeypointFolder) else {}).items():
        log.warn(f"{count} {'clip' if count == 1 else 'clips'}: {warning}")
    _close(failures, len(features), f"{len(features) - len(failures)} clips are in {out}")


def _size(text: str | None) -> tuple[int, int] | None:
    from slt.core.errors import UserError

    if text is None:
        return None
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UserError(f"--size {text} is no size of a picture, expected width and height", fix="--size 1280x720")
    return int(width), int(height)


def _refuse_without_layout(**options: object) -> None:
    from slt.core.errors import UserError

    if given := [name for name, value in options.items() if value is not None]:
        raise UserError(f"--{given[0]} is about keypoint files, and no --layout says that they are any", fix="--layout")


def _close(failures: list[tuple[str, SltError]], total: int, done: str) -> None:
    from slt.core import log
    from slt_cli.failures import ItemsFailed

    log.say(done)
    if failures:
        raise ItemsFailed(failures, total=total, what="clips")
