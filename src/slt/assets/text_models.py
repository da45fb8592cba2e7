"""Find the T5 or mBART that a text decoder starts from, by published name or folder."""

from __future__ import annotations

from pathlib import Path

from slt.assets.published import PUBLISHED_TEXT, files_folder
from slt.assets.store import fetched_file
from slt.core.errors import UserError
from slt.core.registry import did_you_mean


def find_text_model(name_or_path: str, *, weights: bool = True) -> Path:
    """Return the folder of a text model; files that were fetched are as they first came.

    Args:
        name_or_path: a key of ``PUBLISHED_TEXT``, a folder, or a page ``OWNER/NAME`` of the hub from which files were
            fetched.
        weights: the weights must be there too.

    Raises:
        UserError: there is none, or its files changed since they were fetched.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path
    if "/" in name_or_path and (page := files_folder(name_or_path.replace("/", "--"))).is_dir():
        return page  # of ``slt.assets.hub_page``
    if name_or_path not in PUBLISHED_TEXT:
        raise UserError(
            f"no text model {name_or_path!r}: neither a folder, nor one of {', '.join(PUBLISHED_TEXT)}",
            fix=did_you_mean(name_or_path, PUBLISHED_TEXT),
        )
    folder = files_folder(name_or_path)
    files = [file.name for file in PUBLISHED_TEXT[name_or_path].files if weights or not is_weights(file.name)]
    for file in files:
        fetched_file(name_or_path, file)
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise UserError(
            f"{name_or_path} is not here: {folder} lacks {', '.join(missing)}",
            fix=f"slt models fetch {name_or_path}; or, without a network, put these files there as its authors "
            "publish them",
        )
    return folder


def is_weights(name: str) -> bool:
    """Return whether a published file of this name holds weights."""
    return name.endswith((".safetensors", ".bin", ".pt", ".pth"))


def licence_of(name_or_path: str) -> str:
    """Return the licence of a text model's weights, as far as it is known."""
    if Path(name_or_path).expanduser().is_dir():
        return f"unknown (of the text model {Path(name_or_path).name})"
    return PUBLISHED_TEXT[name_or_path].licence
