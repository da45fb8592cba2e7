"""Score a bundle on held-out clips, through ``Translator``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slt.data.synthetic.grammar import LANGUAGES
from slt.data.synthetic.labels import LabelledClip
from slt.evaluate.text_metrics import bleu
from slt.pipeline.result import Failure
from slt.pipeline.translator import Translator


@dataclass(frozen=True, kw_only=True)
class Score:
    """A bundle's score in one language.

    Attributes:
        bleu: sacrebleu's corpus BLEU, 0..100, with its default 13a tokenizer.
        exact: share of the clips whose text is right to the letter.
        n_clips: how many clips.
    """

    bleu: float
    exact: float
    n_clips: int


def score_bundle(
    bundle: str | Path, clips: Sequence[LabelledClip], *, progress: Callable[[int, int], None] | None = None
) -> dict[str, Score]:
    """Translate ``clips`` and compare with what was signed; a clip that fails counts as an empty text.

    Args:
        bundle: its name or folder.
        clips: what ``labels.read_clips`` gave.
        progress: called with (clips done, clips in all).
    """
    texts: dict[str, list[str]] = {lang: [] for lang in LANGUAGES}
    found = Translator(bundle).translate_many([clip.video for clip in clips], LANGUAGES)
    for done, item in enumerate(found, 1):
        for lang, said in texts.items():
            said.append("" if isinstance(item, Failure) else item.text(lang))
        if progress:
            progress(done, len(clips))
    return {lang: score_texts(said, [clip.texts[lang] for clip in clips]) for lang, said in texts.items()}


def score_texts(texts: Sequence[str], references: Sequence[str]) -> Score:
    """Compare texts with their references, one each."""
    right = sum(text == reference for text, reference in zip(texts, references, strict=True))
    return Score(bleu=bleu(texts, references).value, exact=right / len(references), n_clips=len(references))
