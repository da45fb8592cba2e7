"""Embed sentences into a cache with SONAR's text encoder, batched by length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slt.assets.cards import text_model_hash
from slt.bundle.load import load_text
from slt.core.signals import StopRequests
from slt.data.embeddings import embedding_writer, text_id
from slt.text.languages import check_languages

TEXTS_AT_ONCE = 64


def embed_texts(
    texts: Mapping[str, Sequence[str]],
    folder: Path,
    model: str,
    *,
    device: str = "auto",
    dtype: str = "float32",
    text_engine: str | None = None,
    stop: StopRequests | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Embed texts into a cache; skip those already there.

    Args:
        texts: FLORES-200 code → distinct texts.
        folder: folder of the cache; created if absent.
        model: name or folder of a bundle.
        device: as for ``slt.bundle.load.load_bundle``.
        dtype: likewise.
        text_engine: likewise.
        stop: checked between batches.
        progress: called with (texts done, texts in all).

    Returns:
        The number of embedded texts.

    Raises:
        UserError: no such bundle, no text encoder, an unsupported language, or a folder with other contents.
        Stopped: a stop was requested; embedded texts stay in the cache.
    """
    card, loaded = load_text(model, device=device, dtype=dtype, text_engine=text_engine)
    text_model: Any = loaded  # only SONAR decoders have a text encoder
    check_languages(list(texts), card.languages)
    width = text_model.config.encoder.model_dim
    n_texts, done = sum(map(len, texts.values())), 0
    with embedding_writer(folder, weights_sha256=text_model_hash(card), width=width) as writer:
        # Sorted by length per language: the model embeds one language at a time.
        todo = {
            lang: sorted((text for text in some if text_id(text, lang) not in writer), key=len)
            for lang, some in texts.items()
        }
        n_todo = sum(map(len, todo.values()))
        if progress:
            progress(n_texts - n_todo, n_texts)
        for lang, some in todo.items():
            for start in range(0, len(some), TEXTS_AT_ONCE):
                part = some[start : start + TEXTS_AT_ONCE]
                rows = text_model.embed(part, lang).float().cpu().numpy()
                for text, row in zip(part, rows, strict=True):
                    writer.add(text_id(text, lang), row[np.newaxis])
                done += len(part)
                if progress:
                    progress(n_texts - n_todo + done, n_texts)
                if stop:
                    stop.check()
    return n_todo
