"""Export features in files of many clips: which clips go into which file is decided before the first is written.

The plan lies beside the files (``features.json``) with the header of the features, so that an export that was killed
goes on with the files that are missing, and an import knows how many clips there should be.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from slt.core.config import parse
from slt.core.errors import SltError, UserError
from slt.core.files import atomic_write
from slt.core.log import warn
from slt.core.signals import stop_requests
from slt.data.features.header import StoreHeader
from slt.data.features.store import Features
from slt.data.features.transfer import Failures, Progress
from slt.data.manifest import Clip

PLAN_NAME = "features.json"
FAILURES = "failures"
FILE_BYTES = 512 << 20

Rows = Iterator[tuple[str, NDArray[Any], Mapping[str, Any]]]
"""Of each clip its id, its features (N, feature_dim), and what a manifest says of it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an export is of.

    Attributes:
        kind: webdataset or hf-datasets.
        header: of the features.
        clips: in all files.
        ids_sha256: of all ids in order, each ended by a line feed, and of the columns written beside them.
        files: how many.
    """

    kind: str
    header: StoreHeader
    clips: int
    ids_sha256: str
    files: int


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """One format.

    Attributes:
        name: as the command line calls it.
        path: of a file, relative to the folder, with {number} and {count} in it.
        write: writes the clips of one file; called with the file, the clips, the header, and the manifest's columns.
    """

    name: str
    path: str
    write: Callable[[BinaryIO, Rows, StoreHeader, Sequence[str]], None]


def export_shards(
    features: Features,
    out: Path,
    kind: FileKind,
    *,
    clips: Mapping[str, Clip] | None = None,
    file_bytes: int = FILE_BYTES,
    progress: Progress = lambda done, total: None,
) -> Failures:
    """Write all clips into files of about ``file_bytes``, unless they are there; return what could not be read.

    Args:
        features: where from.
        out: the folder.
        kind: the format.
        clips: what a manifest says of each clip, by id; None: nothing.
        file_bytes: of features in a file.
        progress: called after each file.

    Raises:
        UserError: ``out`` holds another export, or cannot be written to; the manifest lacks clips.
        Stopped: that was asked for; whole files stay.
    """
    ids = features.ids
    parts = list(_parts(features, ids, file_bytes))
    _begin(out, _plan(features, ids, kind, len(parts), clips))
    columns = list(dict.fromkeys(name for id in ids for name in manifest_row(clips[id]))) if clips else []
    failures: Failures = []
    done = 0
    with stop_requests() as stop:
        for number, part in enumerate(parts):
            path = out / kind.path.format(number=number, count=len(parts))
            failed_before = out / FAILURES / f"{path.name}.tsv"
            if not path.exists() or failed_before.exists():
                failed: Failures = []
                with atomic_write(path) as file:
                    rows = _read(features, part, clips, failed)
                    kind.write(file, rows, features.header, columns)
                _note(failed_before, failed)
                failures += failed
            done += len(part)
            progress(done, len(ids))
            stop.check()
    return failures


def read_plan(folder: Path) -> Plan | None:
    """Read the plan of an export; None where there is none, as in what others wrote.

    Raises:
        UserError: it is damaged.
    """
    path = folder / PLAN_NAME
    try:
        return parse(Plan, json.loads(path.read_text("utf-8")), where=str(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}", fix="export again into another folder") from error


def check_whole(folder: Path, plan: Plan | None, n_clips: int) -> None:
    """Refuse an export that is not whole; warn of one without the clips that failed.

    Raises:
        UserError: clips are missing.
    """
    if plan is None or n_clips == plan.clips:
        return
    lists = [path.read_text("utf-8").splitlines() for path in (folder / FAILURES).glob("*.tsv")]
    said = f"{folder} holds {n_clips} of the {plan.clips} clips that were to be exported"
    if n_clips + sum(len(lines) - 1 for lines in lists) != plan.clips:
        raise UserError(
            said, fix="run slt features export again with the same options: it goes on where it was stopped"
        )
    warn(f"{said}; those that failed are listed in {folder / FAILURES}")


def manifest_row(clip: Clip) -> dict[str, Any]:
    """Return what a manifest says of a clip, by column; without its id, its file of features, and empty cells."""
    own = {"video": clip.video, "start_s": clip.start_s, "end_s": clip.end_s, "text": clip.text, "lang": clip.lang}
    said = {name: value for name, value in own.items() if value is not None} | dict(clip.extra)
    said.pop("features", None)
    return said


def _parts(features: Features, ids: Sequence[str], file_bytes: int) -> Iterator[Sequence[str]]:
    row_bytes = features.header.feature_dim * (2 if features.header.dtype == "float16" else 4)
    first, size = 0, 0
    for number, id in enumerate(ids):
        n_bytes = features.length(id) * row_bytes
        if size and size + n_bytes > file_bytes:
            yield ids[first:number]
            first, size = number, 0
        size += n_bytes
    if first < len(ids):
        yield ids[first:]


def _plan(features: Features, ids: Sequence[str], kind: FileKind, files: int, clips: Mapping[str, Clip] | None) -> Plan:
    missing = [] if clips is None else [id for id in ids if id not in clips]
    if missing:
        raise UserError(
            f"the manifest has no row for {len(missing)} of {len(ids)} clips, {missing[0]} for one",
            fix="give all manifests that the features were extracted from",
        )
    digest = hashlib.sha256()
    for id in ids:
        digest.update(f"{id}\n".encode())
    if clips is not None:
        digest.update(repr([sorted(manifest_row(clips[id]).items()) for id in ids]).encode())
    return Plan(kind=kind.name, header=features.header, clips=len(ids), ids_sha256=digest.hexdigest(), files=files)


def _begin(out: Path, plan: Plan) -> None:
    if (found := read_plan(out)) is not None:
        if found != plan:
            raise UserError(
                f"{out} holds an export of {found.clips} clips as {found.kind} that began otherwise: the store, the"
                " manifest or an option has changed since",
                fix="name another folder",
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} holds other files", fix="name an empty folder, or one that does not exist")
    with atomic_write(out / PLAN_NAME) as file:
        file.write((json.dumps(dataclasses.asdict(plan), indent=2) + "\n").encode())


def _read(
    features: Features,
    ids: Sequence[str],
    clips: Mapping[str, Clip] | None,
    failed: Failures,
) -> Rows:
    for id in ids:
        try:
            rows = features[id]
        except SltError as error:
            failed.append((id, error))
        else:
            yield id, rows, manifest_row(clips[id]) if clips else {}


def _note(path: Path, failed: Failures) -> None:
    """List what failed, so that the next run tries the file again."""
    if not failed:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as file:
        rows = [f"{id}\t{' '.join(error.message.split())}" for id, error in failed]
        file.write(("\n".join(["id\terror", *rows]) + "\n").encode(errors="backslashreplace"))


def little_endian(features: NDArray[Any]) -> NDArray[Any]:
    """Return features as little-endian float16 or float32, row after row."""
    return np.ascontiguousarray(features, features.dtype.newbyteorder("<"))
