"""Find the T5 or mBART that a text decoder starts from, by published name or folder."""

from __future__ import annotations

from pathlib import Path

from slt.assets.published import PUBLISHED_TEXT, files_folder
from slt.assets.store import fetched_file
from slt.core.errors import UserError
from slt.core.registry import did_you_mean


def find_text_model(name_or_path: str) -> Path:
    """Return the folder of a text model; files that were fetched are as they first came.

    Args:
        name_or_path: a key of ``PUBLISHED_TEXT``, or a folder.

    Raises:
        UserError: there is none, or its files changed since they were fetched.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path
    if name_or_path not in PUBLISHED_TEXT:
        raise UserError(
            f"no text model {name_or_path!r}: neither a folder, nor one of {', '.join(PUBLISHED_TEXT)}",
            fix=did_you_mean(name_or_path, PUBLISHED_TEXT),
        )
    folder, files = files_folder(name_or_path), [file.name for file in PUBLISHED_TEXT[name_or_path].files]
    for file in files:
        fetched_file(name_or_path, file)
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise UserError(
            f"{name_or_path} is not here: {folder} lacks {', '.join(missing)}",
            fix=f"slt models fetch {name_or_path}; or, without a network, put these files there as its authors "
            "publish them",
        )
    return folder


def licence_of(name_or_path: str) -> str:
    """Return the licence of a text model's weights, as far as it is known."""
    if Path(name_or_path).expanduser().is_dir():
        return f"unknown (of the text model {Path(name_or_path).name})"
    return PUBLISHED_TEXT[name_or_path].licence
