"""NLLB tokenization of texts, and its inverse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from fairseq2.data.tokenizers.sentencepiece import SentencePieceModel
from fairseq2.models.nllb.tokenizer import NllbTokenizer
from torch import Tensor

from slt.core.errors import UserError
from slt.core.log import warn
from slt.text.languages import check_languages

PADDING = 0
Mode = Literal["source", "target"]


def load_tokenizer(path: Path, languages: Sequence[str]) -> NllbTokenizer:
    """Read a sentencepiece model as an NLLB tokenizer: padding prepended, languages appended in their order.

    Raises:
        UserError: not a sentencepiece model, or its control tokens have other ids.
    """
    symbols = [f"__{lang}__" for lang in languages]
    symbols += ["<MINED_DATA>", "<MMT_BT_DATA>", "<SMT_BT_DATA>", "<pad>@0"]
    try:
        model = SentencePieceModel(path, symbols)
    except RuntimeError as error:
        raise UserError(f"{path} is not a readable sentencepiece model") from error
    if (model.pad_idx, model.unk_idx, model.bos_idx, model.eos_idx) != (PADDING, 1, 2, 3):
        raise UserError(
            f"{path} is not an NLLB tokenizer: expected ids 0, 1 and 2 of its unknown, start and end tokens",
            fix="train it with sentencepiece's default ids and without a padding symbol",
        )
    return NllbTokenizer(model, set(languages), languages[0])


class Tokens:
    """Converts texts to NLLB token ids and back.

    Attributes:
        n_cut: number of texts truncated so far; the first one is reported by a warning.
    """

    def __init__(self, tokenizer: NllbTokenizer, languages: Sequence[str]) -> None:
        self.n_cut = 0
        self._tokenizer, self._languages = tokenizer, tuple(languages)
        self._open()

    def _open(self) -> None:
        self._decoder = self._tokenizer.create_decoder()
        self._encoders = {
            (lang, mode): self._tokenizer.create_encoder(lang=lang, mode=mode)
            for lang in self._languages
            for mode in ("source", "target")
        }

    # fairseq2's token encoders cannot be copied or pickled, which weight averaging and worker processes need.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_decoder", "_encoders"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def rows(self, texts: Sequence[str], langs: Sequence[str], mode: Mode, limit: int) -> list[Tensor]:
        """Return each text's token ids with language and end token, truncated to ``limit``.

        Raises:
            UserError: an unknown language.
        """
        check_languages(langs, self._languages)
        rows = [self._encoders[lang, mode](text) for text, lang in zip(texts, langs, strict=True)]
        cut = [text for text, row in zip(texts, rows, strict=True) if len(row) > limit]
        if cut and not self.n_cut:
            warn(f"texts longer than {limit} tokens are truncated; the first one starts with {cut[0][:40]!r}")
        self.n_cut += len(cut)
        return [row[:limit] for row in rows]

    def prompts(self, langs: Sequence[str]) -> Tensor:
        """Return the (L, 2) int64 prompts of L languages: the end token and the language token."""
        return torch.stack([self._encoders[lang, "target"]("")[:2] for lang in langs])

    def text(self, row: Tensor) -> str:
        """Return the text of one row of token ids."""
        return str(self._decoder(row.cpu()))
