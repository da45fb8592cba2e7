"""Manifests as a Hugging Face dataset: a parquet file per split, and a card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.data.layouts import COLUMNS
from slt.data.manifest import Clip, Manifest
from slt.data.parquet import PARQUET, write_rows

CARD = "README.md"
FOLDER = "data"


def export_manifests(manifests: Sequence[Manifest], out: Path) -> dict[str, int]:
    """Write a dataset that ``datasets.load_dataset`` reads; return the number of clips of each split.

    Paths become right from where the files lie. A clip belongs to the split that its column ``split`` names, or else to
    one called like its manifest.

    Raises:
        UserError: two clips of one id in a split, or ``out`` holds other files or cannot be written to.
    """
    splits: dict[str, dict[str, Clip]] = {}
    for manifest in manifests:
        for here in manifest.clips:
            clip = manifest.clip_from(here, out / FOLDER)
            name = re.sub(r"\W", "_", clip.extra.get("split") or manifest.path.stem)
            if splits.setdefault(name, {}).setdefault(clip.id, clip) is not clip:
                raise UserError(f"the split {name} has two clips of the id {clip.id}", fix="give each manifest once")
    files = {name: f"{FOLDER}/{name}-00000-of-00001{PARQUET}" for name in splits}
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} if out.is_dir() else set()
    if others := sorted(there - {CARD, *files.values()}):
        raise UserError(f"{out} holds other files, {others[0]} for one", fix="name an empty folder, or a new one")
    extras = dict.fromkeys(name for clips in splits.values() for clip in clips.values() for name in clip.extra)
    columns = [*COLUMNS, *extras]
    for name, clips in splits.items():
        write_rows(out / files[name], columns, [_row(clip) for clip in clips.values()])
    counts = {name: len(clips) for name, clips in splits.items()}
    with atomic_write(out / CARD) as file:
        file.write(card(counts, columns).encode())
    return counts


def _row(clip: Clip) -> dict[str, object]:
    own = {name: getattr(clip, name) for name in COLUMNS}
    return own | dict(clip.extra)


def card(splits: Mapping[str, int], columns: Sequence[str]) -> str:
    """Return a dataset's card; its YAML tells ``datasets`` which file is which split.

    Args:
        splits: name → number of clips.
        columns: of every file.
    """
    files = [line for name in splits for line in (f"  - split: {name}", f"    path: {FOLDER}/{name}-*.parquet")]
    head = [
        "---",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *files,
        "tags:",
        "- sign-language",
        "- slt",
        "---",
    ]
    counts = [f"| {name} | {count:,} |" for name, count in splits.items()]
    body = ["# Clips of a sign-language corpus", "", "| split | clips |", "|---|---|", *counts, ""]
    names = ", ".join(f"`{name}`" for name in columns)
    body += [
        f"Columns: {names}.",
        "",
        "`video` is a path, relative to the folder of the file it stands in; the videos themselves are not here.",
        "",
    ]
    return "\n".join([*head, "", *body])
