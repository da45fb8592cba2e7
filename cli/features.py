"""``slt features``: inspect, import, export and compact feature stores."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_cli.commands import Commands

if TYPE_CHECKING:
    from slt.core.errors import SltError
    from slt.data.features.store import Features
    from slt.data.features.transfer import Failures, Progress

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Inspect, import, export and compact feature stores.")


class Format(StrEnum):
    """How features are written to files."""

    npy = "npy"
    pt = "pt"
    pose = "pose"
    webdataset = "webdataset"
    hf_datasets = "hf-datasets"


PER_CLIP = (Format.npy, Format.pt, Format.pose)


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
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the files.")],
    format: Annotated[
        Format,
        typer.Option(help="npy, pt, pose: one file per clip; webdataset: tar shards; hf-datasets: parquet and a card."),
    ] = Format.npy,
    manifest: Annotated[
        list[Path] | None,
        typer.Option(metavar="MANIFEST", help="Write texts and all else that manifests say beside the features."),
    ] = None,
    file_mb: Annotated[int, typer.Option(metavar="MB", min=1, help="Features in one shard or parquet file.")] = 512,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="pose: size of the videos in pixels; default 1024x1024.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=1, max=1000, help="pose: frames per second; default: the extractor's.")
    ] = None,
) -> None:
    """Write the features of a store as other programs read them; existing files are kept, a killed export goes on.

    Example: slt features export features --out shards --format webdataset --manifest corpus/train.tsv

    Example: slt features export features --out dataset --format hf-datasets
    """
    from slt.core import log
    from slt.data.features.open import open_features

    features = open_features(store)
    _refuse_useless(format, manifest=manifest, size=size, fps=fps)
    with log.bars() as bars:

        def progress(done: int, total: int) -> None:
            bars.update("clips", done, total)

        if format in PER_CLIP:
            failures = _export_files(features, store, out, format, _picture(size), fps, progress)
        else:
            failures = _export_shards(features, out, format, manifest or [], file_mb << 20, progress)
    _close(failures, len(features), f"{len(features) - len(failures)} clips are in {out}")


@app.command("import")
def import_(
    files: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Files <id>.npy or <id>.pt in folders, WebDataset shards, a Hugging Face dataset; or a store.",
        ),
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
    """Import features into a store: one file per clip, WebDataset shards, a Hugging Face dataset, or another store.

    Nothing in a file is run or unpacked; archives with paths outside are refused.

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
        features = KeypointFolder(files, Reading(layout=layout, to=to, size=_picture(size), fps=fps))
    else:
        _refuse_without_layout(size=size, fps=fps)
        features = open_features(files)
        features = ConvertedKeypoints(features, to) if to else features
    with log.bars() as bars:
        failures = import_all(features, out, lambda done, total: bars.update("clips", done, total))
    for warning, count in (features.warnings if isinstance(features, KeypointFolder) else {}).items():
        log.warn(f"{count} {'clip' if count == 1 else 'clips'}: {warning}")
    _close(failures, len(features), f"{len(features) - len(failures)} clips are in {out}")


@app.command()
def compact(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The store; readers may have it open.")],
    shard_mb: Annotated[
        int, typer.Option(metavar="MB", min=1, help="Size of a merged file; the disk needs so much free space.")
    ] = 1024,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also merge files of killed writers; only when nobody is writing.")
    ] = False,
) -> None:
    """Merge the files of a store into few large ones, in place.

    Every record is checked and copied as it stands. A merged file gets its name when it is whole, and only then the old
    ones go: a kill at any moment loses nothing, and the same command goes on.

    Example: slt features compact features
    """
    from slt.core import log
    from slt.data.features.compact import compact
    from slt_cli.failures import ItemsFailed

    with log.bars() as bars:
        merged = compact(
            store,
            shard_bytes=shard_mb << 20,
            unfinished=unfinished,
            progress=lambda done, total: bars.update("MB", done >> 20, total >> 20),
        )
    for path, why in merged.left.items():
        log.warn(f"{path} is left as it is: {why}")
    repeated = f"; {merged.n_repeated} repeated entries dropped" if merged.n_repeated else ""
    log.say(f"{merged.n_clips} clips in {merged.n_after} files, before in {merged.n_before}{repeated}")
    if merged.failures:
        raise ItemsFailed(merged.failures, total=merged.n_clips + len(merged.failures), what="clips")


def _export_files(
    features: Features,
    store: Path,
    out: Path,
    format: Format,
    size: tuple[int, int] | None,
    fps: float | None,
    progress: Progress,
) -> Failures:
    from slt.core import log
    from slt.data.features.transfer import FILE_WRITERS, export_files

    if format is not Format.pose:
        return export_files(features, out, format.value, FILE_WRITERS[format.value], progress)
    from slt.data.features.pose_files import SIZE, PoseWriter

    writer = PoseWriter(features.header, store, size=size, fps=fps)
    if size is None:
        log.say(f"positions are in pixels of {SIZE[0]} x {SIZE[1]}; --size gives the videos' own size")
    if fps is None:
        log.say(f"the files say {writer.fps:g} frames per second; --fps gives another rate")
    return export_files(features, out, format.value, writer, progress)


def _export_shards(
    features: Features, out: Path, format: Format, manifests: list[Path], file_bytes: int, progress: Progress
) -> Failures:
    from slt.data.features.export import export_shards
    from slt.data.features.hf_dataset import HF_DATASET, write_card
    from slt.data.features.webdataset import WEBDATASET
    from slt.data.manifest import read_manifest

    clips = {clip.id: clip for path in manifests for clip in read_manifest(path).clips} if manifests else None
    kind = WEBDATASET if format is Format.webdataset else HF_DATASET
    failures = export_shards(features, out, kind, clips=clips, file_bytes=file_bytes, progress=progress)
    if kind is HF_DATASET:
        write_card(out, features.header, len(features) - len(failures))
    return failures


def _refuse_useless(format: Format, **options: object) -> None:
    """Refuse options that the format has no use for."""
    from slt.core.errors import UserError

    useful = {"size", "fps"} if format is Format.pose else set() if format in PER_CLIP else {"manifest"}
    if given := [name for name, value in options.items() if value is not None and name not in useful]:
        raise UserError(f"--{given[0]} is of no use with --format {format.value}", fix=f"leave --{given[0]} out")


def _picture(text: str | None) -> tuple[int, int] | None:
    from slt.core.errors import UserError

    if text is None:
        return None
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 0 < int(width) < 1 << 16 and 0 < int(height) < 1 << 16):
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
