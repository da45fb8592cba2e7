"""NLLB tokenization of texts as SONAR's text models use it, on any reader of sentencepiece models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from slt.core.errors import UserError
from slt.core.log import warn
from slt.text.languages import check_languages

PADDING, UNKNOWN, START, END = 0, 1, 2, 3
"""Token ids; those of the pieces follow, then those of the languages."""

DATA_SYMBOLS = ("<MINED_DATA>", "<MMT_BT_DATA>", "<SMT_BT_DATA>")
"""Control symbols after the languages, which only training of NLLB used."""

Mode = Literal["source", "target"]


class NllbTokens(ABC):
    """Converts texts to NLLB token ids and back.

    A source is ``__lang__ pieces </s>``, a target ``</s> __lang__ pieces </s>``.

    Args:
        languages: FLORES-200 codes in the order of their tokens.

    Attributes:
        n_cut: number of texts truncated so far; the first one is reported by a warning.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        self.n_cut = 0
        self._languages = tuple(languages)

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of token ids."""

    @abstractmethod
    def encode(self, text: str, lang: str, mode: Mode) -> Tensor:
        """Return the (S,) int64 token ids of one text, with language and end token."""

    @abstractmethod
    def text(self, row: Tensor) -> str:
        """Return the text of (S,) token ids, without special tokens."""

    def rows(self, texts: Sequence[str], langs: Sequence[str], mode: Mode, limit: int) -> list[Tensor]:
        """Return each text's token ids with language and end token, truncated to ``limit``.

        Raises:
            UserError: an unknown language.
        """
        check_languages(langs, self._languages)
        rows = [self.encode(text, lang, mode) for text, lang in zip(texts, langs, strict=True)]
        cut = [text for text, row in zip(texts, rows, strict=True) if len(row) > limit]
        if cut and not self.n_cut:
            warn(f"texts longer than {limit} tokens are truncated; the first one starts with {cut[0][:40]!r}")
        self.n_cut += len(cut)
        return [row[:limit] for row in rows]

    def prompts(self, langs: Sequence[str]) -> Tensor:
        """Return the (L, 2) int64 prompts of L languages: the end token and the language token."""
        return torch.stack([self.encode("", lang, "target")[:2] for lang in langs])


def unreadable(path: Path) -> UserError:
    """Return the error of a file that is not a sentencepiece model."""
    return UserError(f"{path} is not a readable sentencepiece model")


def of_another_model(path: Path) -> UserError:
    """Return the error of a sentencepiece model whose control tokens have other ids."""
    return UserError(
        f"{path} is not an NLLB tokenizer: expected ids 0, 1 and 2 of its unknown, start and end tokens",
        fix="train it with sentencepiece's default ids and without a padding symbol",
    )
