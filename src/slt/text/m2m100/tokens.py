"""NLLB tokenizer on a sentencepiece model, with the ids that fairseq2 gives.

Reference: NLLB Team et al. 2022, arXiv 2207.04672, section 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slt.text.nllb import DATA_SYMBOLS, END, Mode, NllbTokens, of_another_model, unreadable

_SHIFT = 1
"""Padding has id 0 and is not in the sentencepiece model, whose ids follow."""


class SentencePieceTokens(NllbTokens):
    """Converts texts to token ids and back with sentencepiece.

    Args:
        pieces: a sentencepiece processor.
        languages: FLORES-200 codes in the order of their tokens.
    """

    def __init__(self, pieces: Any, languages: Sequence[str]) -> None:
        super().__init__(languages)
        self._pieces = pieces
        self._n_pieces: int = pieces.get_piece_size()
        self._ids = {lang: _SHIFT + self._n_pieces + place for place, lang in enumerate(self._languages)}

    @classmethod
    def read(cls, path: Path, languages: Sequence[str]) -> SentencePieceTokens:
        """Read a sentencepiece model.

        Raises:
            UserError: not a sentencepiece model, or its control tokens have other ids.
        """
        import sentencepiece

        try:
            pieces = sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
        except (OSError, RuntimeError) as error:
            raise unreadable(path) from error
        if (pieces.unk_id(), pieces.bos_id(), pieces.eos_id(), pieces.pad_id()) != (0, 1, 2, -1):
            raise of_another_model(path)
        return cls(pieces, languages)

    @property
    def size(self) -> int:
        """See ``NllbTokens``."""
        return _SHIFT + self._n_pieces + len(self._languages) + len(DATA_SYMBOLS)

    def encode(self, text: str, lang: str, mode: Mode) -> Tensor:
        """See ``NllbTokens``."""
        start = [self._ids[lang]] if mode == "source" else [END, self._ids[lang]]
        return torch.tensor([*start, *(_SHIFT + piece for piece in self._pieces.encode(text)), END])

    def text(self, row: Tensor) -> str:
        """See ``NllbTokens``."""
        return str(self._pieces.decode([one - _SHIFT for one in row.tolist() if 0 <= one - _SHIFT < self._n_pieces]))
