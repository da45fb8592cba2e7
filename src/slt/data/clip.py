"""A clip: one signed sentence, as a manifest describes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

LANG = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
LONGEST_ID = 200  # bytes: ids name files, and no file system here takes more than 255
_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One signed sentence.

    Attributes:
        id: its name, unlike any other's; fit to name a file.
        video: where its video lies, relative to the manifest's folder or absolute; None: not known.
        start_s: its first moment in the video, in seconds; None: the video's beginning.
        end_s: where it ends, that moment itself excluded; None: the video's end.
        text: what is signed.
        lang: the FLORES-200 code of ``text``; None: not known.
        extra: the manifest's other columns where they are not empty: split, signer, pose, features, n_frames…
    """

    id: str
    video: str | None
    start_s: float | None = None
    end_s: float | None = None
    text: str | None = None
    lang: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def duration_s(self) -> float | None:
        """How long it is by its times or, of a whole video, by the column ``duration``; None: unknown."""
        if self.end_s is not None:
            return self.end_s - (self.start_s or 0.0)
        said = self.extra.get("duration", "") if self.start_s is None else ""
        return float(said) if is_number(said) else None

    def texts(self) -> dict[str, str]:
        """Return language → sentence; a text whose language is unknown is not among them."""
        own = {self.lang: self.text} if self.lang and self.text else {}
        return own | {code: text for name, text in self.extra.items() if (code := text_lang(name))}


def text_lang(column: str) -> str | None:
    """Return the language of a ``text_<code>`` column, None for any other."""
    code = column.removeprefix("text_")
    return code if code != column and LANG.fullmatch(code) else None


def complaint_about_id(name: str) -> str | None:
    """Describe what is expected of an id where ``name`` is not fit to be one: ids name files in many folders."""
    if not name or name != name.strip():
        return "a name, without blanks around it"
    if name in (".", "..") or set(name) & {"/", "\\"}:
        return "a name without path separators"
    if not name.isprintable():
        return "a name of characters that can be seen"
    if len(name.encode()) > LONGEST_ID:
        return f"a name of at most {LONGEST_ID} bytes"
    return None


def is_number(cell: str) -> bool:
    """Return whether a cell holds a finite number that is not negative."""
    return _NUMBER.fullmatch(cell) is not None and isfinite(float(cell))
