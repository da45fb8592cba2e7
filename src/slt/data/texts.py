"""The sentences of manifests by language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from slt.core.errors import UserError
from slt.data.manifest import read_manifest


def gather_texts(paths: Iterable[Path], langs: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Return language → its different sentences, of all manifests together.

    Args:
        paths: manifests.
        langs: the languages wanted; None: all there are.

    Raises:
        UserError: a manifest with mistakes, one without a sentence whose language is known, or a language wanted that
            no manifest has.
    """
    texts: dict[str, dict[str, None]] = {}
    for path in paths:
        n_texts = 0
        for clip in read_manifest(path).clips:
            for lang, text in clip.texts().items():
                n_texts += 1
                texts.setdefault(lang, {})[text] = None
        if not n_texts:
            raise UserError(
                f"{path} has no sentence whose language is known",
                fix="name it in a column lang, or call the sentences' column text_eng_Latn",
            )
    if missing := [lang for lang in langs or () if lang not in texts]:
        raise UserError(f"no manifest has sentences in {', '.join(missing)}; there are: {', '.join(sorted(texts))}")
    return {lang: list(found) for lang, found in texts.items() if langs is None or lang in langs}
