"""Embeddings of all target texts: read from a cache of `slt embed-text`, or computed once beside the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from slt.assets.lock import folder_lock
from slt.data.embeddings import EmbeddingCache, embedding_writer, text_id

TEXTS_AT_ONCE = 256
ROWS_AT_ONCE = 4096


class Embeds(Protocol):
    """What makes embeddings of texts."""

    def embed(self, texts: Sequence[str], lang: str) -> Tensor:
        """Return (B, D), of texts that are all in one language."""
        ...


@dataclass(frozen=True, kw_only=True)
class TextSpace:
    """A frozen text encoder, not loaded before there is something to embed.

    Attributes:
        dim: width of an embedding.
        sha256: tells the encoder from others; None: it is not here, and embeddings must be given.
        load: load it.
    """

    dim: int
    sha256: str | None
    load: Callable[[], Embeds]


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Sentence embeddings by text.

    Attributes:
        table: (T, D) float32.
        rows: (text, language) → row of the table.
    """

    table: NDArray[np.float32]
    rows: dict[tuple[str, str], int]

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return int(self.table.shape[1])

    @property
    def variance(self) -> float:
        """Mean variance of a number of an embedding: the squared distance of the best constant guess."""
        if not self.dim:
            return 1.0
        middle = self.table.mean(0, dtype=np.float64)
        # In blocks: of a large corpus, float64 copies of the whole table would take gigabytes.
        starts = range(0, len(self.table), ROWS_AT_ONCE)
        away = (self.table[start : start + ROWS_AT_ONCE] - middle for start in starts)
        return max(sum(float((rows * rows).sum()) for rows in away) / self.table.size, 1e-12)

    @property
    def mean_length(self) -> float:
        """Mean Euclidean length of an embedding."""
        return float(np.sqrt(np.einsum("td,td->t", self.table, self.table)).mean(dtype=np.float64))

    def centred(self, pairs: Iterable[tuple[str, str]]) -> Targets:
        """Return them as seen from the mean of some (text, language) pairs.

        Reference: Mu and Viswanath 2018, arXiv 1702.01417, section 2 (the common direction of embeddings).
        """
        middle = self.table[[self.rows[pair] for pair in pairs]].mean(0, dtype=np.float64)
        return Targets(table=(self.table - middle).astype(np.float32), rows=self.rows)

    def of(self, text: str, lang: str) -> NDArray[np.float32]:
        """Return (D,), the embedding of a text."""
        return self.table[self.rows[text, lang]]


def no_targets(texts: Iterable[tuple[str, str]]) -> Targets:
    """Return embeddings of no width, where nothing is compared with a text's embedding."""
    rows = {pair: row for row, pair in enumerate(texts)}
    return Targets(table=np.zeros((len(rows), 0), np.float32), rows=rows)


def read_targets(
    texts: Iterable[tuple[str, str]],
    space: TextSpace,
    *,
    given: Path | None,
    beside: Path,
    progress: Callable[[str, int, int | None], None],
) -> Targets:
    """Return the embeddings of texts.

    Args:
        texts: (text, language) pairs.
        space: whose text encoder makes them.
        given: a cache that `slt embed-text` filled; None: fill ``beside``.
        beside: where embeddings are kept that are made here; a killed run goes on there.
        progress: called with how many are made.

    Raises:
        UserError: some are missing in ``given``, or it is of another text encoder; or that is not here.
    """
    pairs = list(texts)
    if given is None:
        with folder_lock(beside.parent):  # of several processes, the first makes them
            _make(pairs, space, beside, progress)
    cache = EmbeddingCache.open(given or beside, weights_sha256=space.sha256)
    table = cache.get([text for text, _ in pairs], [lang for _, lang in pairs])
    return Targets(table=np.asarray(table, np.float32), rows={pair: row for row, pair in enumerate(pairs)})


def _make(
    pairs: list[tuple[str, str]],
    space: TextSpace,
    folder: Path,
    progress: Callable[[str, int, int | None], None],
) -> None:
    """Embed what is not in ``folder`` yet."""
    if space.sha256 is None:
        space.load()  # says why it cannot
        return
    with embedding_writer(folder, weights_sha256=space.sha256, width=space.dim) as writer:
        missing = [pair for pair in pairs if text_id(*pair) not in writer]
        if not missing:
            return
        encoder = space.load()
        done = 0
        for lang in dict.fromkeys(lang for _, lang in missing):
            own = [text for text, its in missing if its == lang]
            for start in range(0, len(own), TEXTS_AT_ONCE):
                part = own[start : start + TEXTS_AT_ONCE]
                for one, embedding in zip(part, encoder.embed(part, lang).float().cpu().numpy(), strict=True):
                    writer.add(text_id(one, lang), embedding[None])
                done += len(part)
                progress("texts embedded", done, len(missing))
