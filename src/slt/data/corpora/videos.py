"""Find the videos of a corpus in a folder tree."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from pathlib import Path

from slt.core.errors import UserError
from slt.data.corpora.registry import SUFFIXES, stem
from slt.video.folder import SUFFIXES as IMAGE_SUFFIXES

_INNER = "1"  # PHOENIX-2014-T keeps frames in NAME/1 in some copies, and in NAME in others


class VideoIndex:
    """The video files and folders of frames below a folder, by name.

    Args:
        folder: where to look; None knows no video.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder.absolute() if folder else None
        self._places: dict[str, list[Path]] = defaultdict(list)
        if folder is None:
            return
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder, expected the corpus's videos", fix="give the folder of videos")
        for place in _places(folder.absolute()):
            self._places[_key(place)].append(place)

    def find(self, name: str, split: str) -> Path | None:
        """Return the absolute path of the video of this name, None when it is not here.

        Args:
            name: a path below the folder, or a name with or without suffix.
            split: the part of the corpus it should be of: of several with one name, the one in that folder is taken.
        """
        if self._folder is None:
            return None
        direct = self._folder / name
        if Path(name).suffix.lower() in SUFFIXES and direct.is_file():
            return direct
        places = self._places.get(_normal(stem(name)), [])
        names = {split, "dev"} if split == "val" else {split}
        near = [place for place in places if any(part in names for part in place.relative_to(self._folder).parts)]
        return next(iter(near or places), None)


def _places(folder: Path) -> list[Path]:
    """Return every video file and folder of frames below ``folder``; links to folders are followed, once each."""
    found: list[Path] = []
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        if any(os.path.splitext(file)[1].lower() in IMAGE_SUFFIXES for file in files):
            found.append(Path(here))
        found += [Path(here, file) for file in files if file.lower().endswith(SUFFIXES) and not file.startswith(".")]
    return sorted(found)


def _key(place: Path) -> str:
    inner = place.name == _INNER and place.is_dir()
    return _normal(stem(place.parent.name if inner else place.name))


def _normal(name: str) -> str:
    """Some systems write ü as one letter, some as two."""
    return unicodedata.normalize("NFC", name)
