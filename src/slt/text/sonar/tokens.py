"""fairseq2's NLLB tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from slt.text.nllb import DATA_SYMBOLS, END, PADDING, START, UNKNOWN, Mode, NllbTokens, of_another_model, unreadable
from slt.text.sonar.library import NllbTokenizer, SentencePieceModel


def load_tokenizer(path: Path, languages: Sequence[str]) -> NllbTokenizer:
    """Read a sentencepiece model as an NLLB tokenizer: padding prepended, languages appended in their order.

    Raises:
        UserError: not a sentencepiece model, or its control tokens have other ids.
    """
    symbols = [*(f"__{lang}__" for lang in languages), *DATA_SYMBOLS, "<pad>@0"]
    try:
        model = SentencePieceModel(path, symbols)
    except RuntimeError as error:
        raise unreadable(path) from error
    if (model.pad_idx, model.unk_idx, model.bos_idx, model.eos_idx) != (PADDING, UNKNOWN, START, END):
        raise of_another_model(path)
    return NllbTokenizer(model, set(languages), languages[0])


class Tokens(NllbTokens):
    """Converts texts to token ids and back with fairseq2.

    Attributes:
        tokenizer: fairseq2's tokenizer.
    """

    def __init__(self, tokenizer: NllbTokenizer, languages: Sequence[str]) -> None:
        super().__init__(languages)
        self.tokenizer = tokenizer
        self._open()

    def _open(self) -> None:
        self._decoder = self.tokenizer.create_decoder()
        self._encoders = {
            (lang, mode): self.tokenizer.create_encoder(lang=lang, mode=mode)
            for lang in self._languages
            for mode in ("source", "target")
        }

    # fairseq2's token encoders cannot be copied or pickled, which weight averaging and worker processes need.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_decoder", "_encoders"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def size(self) -> int:
        """See ``NllbTokens``."""
        return self.tokenizer.vocab_info.size

    def encode(self, text: str, lang: str, mode: Mode) -> Tensor:
        """See ``NllbTokens``."""
        return self._encoders[lang, mode](text)

    def text(self, row: Tensor) -> str:
        """See ``NllbTokens``."""
        return str(self._decoder(row.cpu()))
