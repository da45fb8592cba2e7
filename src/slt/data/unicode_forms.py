"""Unicode forms of texts: the same letter composed (NFC) or decomposed (NFD), which metrics take for different ones."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

Form: TypeAlias = Literal["NFC", "NFKC"]
"""Forms that texts can be brought to; NFKC also unites wide and narrow letters."""

MIXED = "mixed forms"


def form_of(text: str) -> str | None:
    """Return ``NFC`` or ``NFD``, ``MIXED`` for a text in neither; None when the text is the same in both."""
    composed, decomposed = (unicodedata.is_normalized(form, text) for form in ("NFC", "NFD"))
    if composed and decomposed:
        return None
    return "NFC" if composed else "NFD" if decomposed else MIXED


def forms_of(texts: Iterable[str]) -> list[str]:
    """Return the forms that occur in texts, sorted."""
    return sorted({form for text in texts if (form := form_of(text))})


def normalise(text: str, form: Form | None) -> str:
    """Return a text in a form; None: as it is."""
    return unicodedata.normalize(form, text) if form else text


def difference(hypotheses: Sequence[str], references: Sequence[str]) -> str | None:
    """Describe how the Unicode forms of hypotheses and references differ; None when they do not."""
    ours, theirs = forms_of(hypotheses), forms_of(references)
    if len({*ours, *theirs}) < 2:
        return None
    return (
        f"Unicode forms differ: hypotheses are in {' and '.join(ours) or 'ASCII'}, references in "
        f"{' and '.join(theirs) or 'ASCII'}, so equal letters count as different; score with --normalise NFC"
    )
