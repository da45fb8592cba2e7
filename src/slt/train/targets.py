"""The embeddings of all target texts: read from where `slt embed-text` put them, or made once, beside the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from slt.assets.cards import text_model_hash
from slt.assets.lock import folder_lock
from slt.assets.store import Bundle
from slt.data.embeddings import EmbeddingCache, embedding_writer, text_id
from slt.errors import UserError
from slt.models.checkpoint import read_weights
from slt.text.config import SonarTextConfig
from slt.text.sonar.model import SonarText

TEXTS_AT_ONCE = 256


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
        return max(float(self.table.var(0, dtype=np.float64).mean()), 1e-12)

    @property
    def mean_length(self) -> float:
        """Mean Euclidean length of an embedding."""
        return float(np.linalg.norm(self.table, axis=1).mean(dtype=np.float64))

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
    bundle: Bundle,
    *,
    given: Path | None,
    beside: Path,
    progress: Callable[[str, int, int | None], None],
) -> Targets:
    """Return the embeddings of texts, by the bundle's text encoder.

    Args:
        texts: (text, language) pairs.
        bundle: whose text encoder.
        given: a cache that `slt embed-text` filled; None: fill ``beside``.
        beside: where embeddings are kept that are made here; a killed run goes on there.
        progress: told how many are made.

    Raises:
        UserError: some are missing in ``given``, or it is of another text encoder; or the bundle has none.
    """
    pairs = list(texts)
    file = bundle.card.decoder.text_encoder
    sha256 = text_model_hash(bundle.card) if file else None
    if given is None:
        if file is None or sha256 is None:
            raise UserError(
                f"the bundle {bundle.card.name} has no text encoder to make the targets with",
                fix="import it with --text-encoder, or give embeddings: --set data.embeddings=FILE",
            )
        with folder_lock(beside.parent):  # of several processes, the first makes them
            _make(pairs, bundle, file, sha256, beside, progress)
    cache = EmbeddingCache.open(given or beside, weights_sha256=sha256)
    table = cache.get([text for text, _ in pairs], [lang for _, lang in pairs])
    return Targets(table=np.asarray(table, np.float32), rows={pair: row for row, pair in enumerate(pairs)})


def _make(
    pairs: list[tuple[str, str]],
    bundle: Bundle,
    file: str,
    sha256: str,
    folder: Path,
    progress: Callable[[str, int, int | None], None],
) -> None:
    """Embed what is not in ``folder`` yet."""
    card = bundle.card
    config = SonarTextConfig.from_json({**card.decoder.config, "languages": card.languages})
    with embedding_writer(folder, weights_sha256=sha256, width=config.encoder.model_dim) as writer:
        missing = [pair for pair in pairs if text_id(*pair) not in writer]
        if not missing:
            return
        text = SonarText.load(
            config,
            read_weights(bundle.path(card.decoder.weights)),
            bundle.path(card.decoder.tokenizer),
            read_weights(bundle.path(file)),
            device="cuda" if torch.cuda.is_available() else "cpu",
        )
        done = 0
        for lang in dict.fromkeys(lang for _, lang in missing):
            own = [text for text, its in missing if its == lang]
            for start in range(0, len(own), TEXTS_AT_ONCE):
                part = own[start : start + TEXTS_AT_ONCE]
                for one, embedding in zip(part, text.embed(part, lang).float().cpu().numpy(), strict=True):
                    writer.add(text_id(one, lang), embedding[None])
                done += len(part)
                progress("texts embedded", done, len(missing))
