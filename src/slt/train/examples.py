"""Collect clips and their texts for training, and check them before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from slt.core.errors import UserError
from slt.data.manifest import Clip, Manifest
from slt.recipe.data import Data
from slt.train.sources import Source

NAMED_AT_MOST = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One clip to learn from.

    Attributes:
        clip: what the manifest says of it.
        texts: target language → its text; at least one.
        length: as its source counts.
    """

    clip: Clip
    texts: Mapping[str, str]
    length: int


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One split, ready to be read.

    Attributes:
        examples: the clips that can be learnt from.
        source: where their input comes from.
        left_out: clips that cannot be learnt from, each with the reason.
    """

    examples: tuple[Example, ...]
    source: Source
    left_out: Mapping[str, str]

    @property
    def lengths(self) -> list[int]:
        """Of each example."""
        return [example.length for example in self.examples]

    def source_alone(self) -> Corpus:
        """Return it without its clips, for a process that is told which clip to read."""
        return replace(self, examples=(), left_out={})


def read_corpus(manifest: Manifest, source: Source, data: Data, langs: Sequence[str]) -> Corpus:
    """Gather one split.

    Args:
        manifest: of the clips.
        source: of their input.
        data: what of it can be used.
        langs: the languages of the texts that count.

    Raises:
        UserError: clips without input, unless they may be missing; or no clip at all that can be used.
    """
    examples: list[Example] = []
    left_out: dict[str, str] = {}
    lacking: dict[str, list[str]] = {}
    for clip in manifest.clips:
        texts = {lang: text for lang, text in clip.texts().items() if lang in langs and text.strip()}
        length = source.length(clip, texts)
        if not texts:
            left_out[clip.id] = f"no text in {', '.join(langs)}"
        elif not length:
            left_out[clip.id] = source.missing(clip)
            lacking.setdefault(left_out[clip.id], []).append(clip.id)
        elif length > data.max_rows:
            left_out[clip.id] = f"a length of {length}, more than max_rows {data.max_rows}"
        else:
            examples.append(Example(clip=clip, texts=texts, length=length))
    if lacking and not data.allow_missing:
        n_clips = len(manifest.clips)
        raise UserError(
            "; ".join(
                f"{why}, of {len(names)} of {n_clips} clips of {manifest.path}: {_some(names)}"
                for why, names in lacking.items()
            ),
            fix="make them, or leave these clips out with --set data.allow_missing=true",
        )
    if not examples:
        why = next(iter(left_out.values()), "it is empty")
        raise UserError(f"{manifest.path} has no clip to learn from: {why}")
    return Corpus(examples=tuple(examples), source=source, left_out=left_out)


def shared_sentences(train: Corpus, val: Corpus) -> list[str]:
    """Return the validation texts that are training texts too, but for case and space."""
    known = {_plain(text) for example in train.examples for text in example.texts.values()}
    return [text for example in val.examples for text in example.texts.values() if _plain(text) in known]


def all_texts(*corpora: Corpus) -> Iterator[tuple[str, str]]:
    """Yield each (text, language) of the corpora once."""
    pairs = (pair for corpus in corpora for example in corpus.examples for pair in example.texts.items())
    yield from dict.fromkeys((text, lang) for lang, text in pairs)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return ", ".join(names[:NAMED_AT_MOST]) + more


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
