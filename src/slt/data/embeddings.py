"""Cache of sentence embeddings: a feature store keyed by language and text hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.data.features.header import StoreHeader
from slt.data.features.store import FeatureStore
from slt.data.features.writer import FeatureWriter

MADE_BY = "sonar-text"
TEXTS_PER_SHARD = 50_000
FILL = "slt embed-text MANIFEST --model MODEL --out {}"


class EmbeddingCache:
    """The embeddings in a folder, of one text encoder, as they were when it was opened.

    Attributes:
        folder: where it lies.
        header: of the store that it is; ``weights_sha256`` is that of the text encoder.
    """

    def __init__(self, store: FeatureStore) -> None:
        self.folder = store.folder
        self.header = store.header
        self._store = store

    @classmethod
    def open(cls, folder: Path, *, weights_sha256: str | None = None) -> EmbeddingCache:
        """Open the cache in ``folder``.

        Args:
            folder: where it lies.
            weights_sha256: of the text encoder whose embeddings are wanted; None: whichever they are of.

        Raises:
            UserError: there is none, it is a store of something else, or of another text encoder.
            SltError: its files cannot be read.
        """
        store = FeatureStore.open(folder)
        fix = FILL.format("ANOTHER_FOLDER")
        store.header.check_fits(where=folder, fix=fix, extractor=MADE_BY, weights_sha256=weights_sha256)
        return cls(store)

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, key: tuple[str, str]) -> bool:
        """Return whether the embedding of a (text, language) is there."""
        return text_id(*key) in self._store

    def get(self, texts: Sequence[str], langs: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of B texts, (B, D).

        Args:
            texts: the texts, to the letter as they were embedded.
            langs: the FLORES-200 code of each.

        Raises:
            UserError: some are not there.
            SltError: what is on the disk is not what was written.
        """
        keys = [text_id(text, lang) for text, lang in zip(texts, langs, strict=True)]
        if missing := [i for i, key in enumerate(keys) if key not in self._store]:
            first = missing[0]
            raise UserError(
                f"{self.folder} lacks the embeddings of {len(missing)} of {len(keys)} texts,"
                f" the first of them {texts[first]!r:.80} in {langs[first]}",
                fix=FILL.format(self.folder),
            )
        table = np.empty((len(keys), self.header.feature_dim), np.float32)
        for row, key in zip(table, keys, strict=True):
            row[:] = self._store[key][0]
        return table


def embedding_writer(folder: Path, *, weights_sha256: str, width: int) -> FeatureWriter:
    """Return what appends embeddings, each (1, width), under the ids that ``text_id`` gives.

    Raises:
        UserError: ``folder`` holds something else, or the embeddings of another text encoder.
        SltError: it cannot be written to.
    """
    header = StoreHeader(feature_dim=width, dtype="float32", extractor=MADE_BY, weights_sha256=weights_sha256)
    return FeatureWriter(folder, header, clips_per_shard=TEXTS_PER_SHARD)


def text_id(text: str, lang: str) -> str:
    """Return the id under which the embedding of a text is kept."""
    return f"{lang}:{hashlib.sha256(text.encode()).hexdigest()}"
