"""Tokenizers of T5, mT5, ByT5, mBART and NLLB; languages as FLORES-200 codes.

Reference: Raffel et al. 2020, arXiv 1910.10683; Xue et al. 2022, arXiv 2105.13626 (ByT5); Liu et al. 2020, arXiv
2001.08210 (mBART); Tang et al. 2020, arXiv 2008.00401 (mBART-50); NLLB Team 2022, arXiv 2207.04672.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from slt.core.errors import UserError
from slt.text.languages import LANGUAGE_NAMES

_TABLE = """
arb_Arab ar_AR   ces_Latn cs_CZ   deu_Latn de_DE   eng_Latn en_XX   spa_Latn es_XX   est_Latn et_EE
fin_Latn fi_FI   fra_Latn fr_XX   guj_Gujr gu_IN   hin_Deva hi_IN   ita_Latn it_IT   jpn_Jpan ja_XX
kaz_Cyrl kk_KZ   kor_Hang ko_KR   lit_Latn lt_LT   lvs_Latn lv_LV   mya_Mymr my_MM   npi_Deva ne_NP
nld_Latn nl_XX   ron_Latn ro_RO   rus_Cyrl ru_RU   sin_Sinh si_LK   tur_Latn tr_TR   vie_Latn vi_VN
zho_Hans zh_CN   afr_Latn af_ZA   azj_Latn az_AZ   ben_Beng bn_IN   pes_Arab fa_IR   heb_Hebr he_IL
hrv_Latn hr_HR   ind_Latn id_ID   kat_Geor ka_GE   khm_Khmr km_KH   mkd_Cyrl mk_MK   mal_Mlym ml_IN
khk_Cyrl mn_MN   mar_Deva mr_IN   pol_Latn pl_PL   pbt_Arab ps_AF   por_Latn pt_XX   swe_Latn sv_SE
swh_Latn sw_KE   tam_Taml ta_IN   tel_Telu te_IN   tha_Thai th_TH   tgl_Latn tl_XX   ukr_Cyrl uk_UA
urd_Arab ur_PK   xho_Latn xh_ZA   glg_Latn gl_ES   slv_Latn sl_SI
"""
MBART_LANGUAGES: Mapping[str, str] = dict(zip(_TABLE.split()[::2], _TABLE.split()[1::2], strict=True))
"""FLORES-200 code → mBART code, in the order of the language tokens' ids; mbart-large-cc25 has the first 25."""

NLLB_LANGUAGES = tuple(LANGUAGE_NAMES)
"""In the order of NLLB's language tokens."""
CC25, MBART50 = 25, 52
MASK = 1
"""Number of tokens after the languages."""


class Tokens(Protocol):
    """Tokenizer of a text decoder, made of a serialised sentencepiece model and the model's number of embedding rows.

    Attributes:
        spread: tokens in the place of one subword of the others: 1, or several for bytes.
        pad: padding id.
        end: id of the end token.
        size: number of ids.
        forbidden: ids that never occur in a text.
        proto: serialised sentencepiece model.
    """

    spread: int
    pad: int
    end: int
    size: int
    forbidden: tuple[int, ...]
    proto: bytes

    def source(self, text: str, lang: str) -> list[int]:
        """Return the token ids of a text for the model's own encoder."""
        ...

    def prompt(self, lang: str) -> list[int]:
        """Return the ids that precede a text in the decoder; equally many for every language."""
        ...

    def target(self, text: str) -> list[int]:
        """Return the ids of a text after the prompt, including the end token."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens."""
        ...


class T5Tokens:
    """T5 and mT5 tokenizer: padding, end and unknown are the first sentencepiece pieces; no language tokens.

    Args:
        proto: serialised sentencepiece model.
        size: rows of the model's embedding table; rows beyond the pieces are unused.

    Raises:
        UserError: not a sentencepiece model, other ids of control tokens, or more pieces than rows.
    """

    spread = 1

    def __init__(self, proto: bytes, size: int) -> None:
        self.proto, self.size = proto, size
        self._pieces = _open(proto)
        self.pad, self.end = 0, 1
        found = (self._pieces.pad_id(), self._pieces.eos_id(), self._pieces.unk_id())
        _check_ids(found, (0, 1, 2), "padding, end and unknown", "T5")
        n_pieces = self._pieces.get_piece_size()
        if n_pieces > size:
            raise UserError(f"the tokenizer has {n_pieces} pieces, expected at most {size}, the T5's embedding rows")
        self.forbidden = (0, 2, *range(n_pieces, size))

    @classmethod
    def n_tokens(cls, proto: bytes) -> int:
        """Return the number of embedding rows of a new model."""
        return int(_open(proto).get_piece_size())

    def source(self, text: str, lang: str) -> list[int]:
        """See ``Tokens``."""
        return self.target(text)

    def prompt(self, lang: str) -> list[int]:
        """See ``Tokens``."""
        return [self.pad]

    def target(self, text: str) -> list[int]:
        """See ``Tokens``."""
        return [*self._pieces.encode(text), self.end]

    def text(self, ids: Sequence[int]) -> str:
        """See ``Tokens``."""
        return str(self._pieces.decode([one for one in ids if one > 2 and one < self._pieces.get_piece_size()]))


class ByT5Tokens:
    """ByT5 tokenizer: padding, end and unknown, then the 256 bytes of UTF-8; no sentencepiece model.

    Args:
        proto: stands in for a sentencepiece model; not read.
        size: rows of the model's embedding table; rows beyond the bytes are unused.

    Raises:
        UserError: fewer rows than tokens.
    """

    spread = 4
    FIRST, N_TOKENS, N_ROWS = 3, 259, 384
    NO_PIECES = b"ByT5 reads UTF-8 bytes and has no sentencepiece model.\n"

    def __init__(self, proto: bytes, size: int) -> None:
        self.proto, self.size = proto, size
        self.pad, self.end = 0, 1
        if size < self.N_TOKENS:
            raise UserError(f"found {size} embedding rows, expected at least {self.N_TOKENS}, a ByT5's tokens")
        self.forbidden = (0, 2, *range(self.N_TOKENS, size))

    @classmethod
    def n_tokens(cls, proto: bytes) -> int:
        """Return the number of embedding rows of a new model."""
        return cls.N_ROWS

    def source(self, text: str, lang: str) -> list[int]:
        """See ``Tokens``."""
        return self.target(text)

    def prompt(self, lang: str) -> list[int]:
        """See ``Tokens``."""
        return [self.pad]

    def target(self, text: str) -> list[int]:
        """See ``Tokens``."""
        return [*(byte + self.FIRST for byte in text.encode()), self.end]

    def text(self, ids: Sequence[int]) -> str:
        """See ``Tokens``; bytes that are no UTF-8 are left out."""
        kept = bytes(one - self.FIRST for one in ids if self.FIRST <= one < self.N_TOKENS)
        return kept.decode(errors="ignore")


class MBartTokens:
    """mBART tokenizer: four control tokens, pieces, languages and a mask token.

    Args:
        proto: serialised sentencepiece model.
        size: rows of the model's embedding table; distinguishes mBART (25 languages) from mBART-50 (52).

    Raises:
        UserError: not a sentencepiece model, other ids of control tokens, or another number of rows.
    """

    spread = 1
    WHOSE, N_LANGUAGES = "mBART", MBART50

    def __init__(self, proto: bytes, size: int) -> None:
        self.proto, self.size = proto, size
        self._pieces = _open(proto)
        self.pad, self.end = 1, 2
        found = (self._pieces.unk_id(), self._pieces.bos_id(), self._pieces.eos_id())
        _check_ids(found, (0, 1, 2), "unknown, start and end", self.WHOSE)
        self._first = self._pieces.get_piece_size() + 1  # id of the first language: pieces are shifted by one
        self.languages = self._find_languages(size - self._first - MASK)
        self._language_first = len(self.languages) != CC25
        self.forbidden = (0, self.pad, 3, *range(self._first, size))

    @classmethod
    def n_tokens(cls, proto: bytes) -> int:
        """Return the number of embedding rows of a new model."""
        return int(_open(proto).get_piece_size()) + 1 + cls.N_LANGUAGES + MASK

    def _find_languages(self, n_rows: int) -> tuple[str, ...]:
        """Return the languages of a model that has so many rows between the pieces and the mask."""
        if n_rows not in (CC25, MBART50):
            cc25, mbart50 = self._first + CC25 + MASK, self._first + MBART50 + MASK
            raise UserError(
                f"found {self.size} embedding rows for {self._first - 1} pieces, expected {cc25} (mbart-large-cc25) "
                f"or {mbart50} (mbart-large-50)",
                fix="give the tokenizer and the weights of the same mBART",
            )
        return tuple(MBART_LANGUAGES)[:n_rows]

    def source(self, text: str, lang: str) -> list[int]:
        """See ``Tokens``."""
        code = self._code(lang)
        return [code, *self.target(text)] if self._language_first else [*self.target(text), code]

    def prompt(self, lang: str) -> list[int]:
        """See ``Tokens``."""
        return [self.end, self._code(lang)] if self._language_first else [self._code(lang)]

    def target(self, text: str) -> list[int]:
        """See ``Tokens``."""
        # sentencepiece's start and end never occur in a text; its unknown has id 3 in mBART.
        return [*(one + 1 if one else 3 for one in self._pieces.encode(text)), self.end]

    def text(self, ids: Sequence[int]) -> str:
        """See ``Tokens``."""
        return str(self._pieces.decode([one - 1 for one in ids if 3 < one < self._first]))

    def _code(self, lang: str) -> int:
        return self._first + self.languages.index(lang)


class NllbTokens(MBartTokens):
    """NLLB tokenizer: as mBART-50's, with 202 languages; rows beyond the mask token are unused.

    Raises:
        UserError: not a sentencepiece model, other ids of control tokens, or too few rows.
    """

    WHOSE, N_LANGUAGES = "NLLB", len(NLLB_LANGUAGES)

    def _find_languages(self, n_rows: int) -> tuple[str, ...]:
        if n_rows < self.N_LANGUAGES:
            raise UserError(
                f"found {self.size} embedding rows for {self._first - 1} pieces, expected at least "
                f"{self._first + self.N_LANGUAGES + MASK}",
                fix="give the tokenizer and the weights of the same NLLB",
            )
        return NLLB_LANGUAGES


def read_proto(path: Path) -> bytes:
    """Read a sentencepiece file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the tokenizer {path}: {error.strerror}") from error


def _open(proto: bytes) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_proto=proto)
    except RuntimeError as error:
        raise UserError("the tokenizer is not a readable sentencepiece model") from error


def _check_ids(found: tuple[int, ...], expected: tuple[int, ...], what: str, whose: str) -> None:
    if found != expected:
        raise UserError(
            f"this is not a tokenizer for {whose}: {what} have the ids {found}, expected {expected}",
            fix="give the sentencepiece model published with the weights",
        )
