"""The ids and texts of sentencepiece alone are those of fairseq2's NLLB tokenizer."""

from __future__ import annotations

import copy
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch

from slt.core.errors import UserError
from slt.text.languages import FLORES_200
from slt.text.m2m100.tokens import SentencePieceTokens
from slt.text.sonar.tokens import Tokens, load_tokenizer

from ..conftest import LANGS, SENTENCES

TEXTS = [
    *SENTENCES["eng_Latn"],
    *SENTENCES["deu_Latn"],
    "",
    " ",
    "  the   weather\tis\nnice  ",
    "schön und scho\u0308n",
    "ＦＵＬＬ ﬁ ½ \u200b \u00a0x",
    "天气很好",
    "</s> __eng_Latn__ <pad> <unk> <s> ▁the ⁇",
    "\x00\x01 \ud7ff 🙂",
]


@pytest.fixture(scope="module")
def both(golden: dict[str, Any]) -> tuple[SentencePieceTokens, Tokens]:
    path = golden["tokenizer"]
    return SentencePieceTokens.read(path, FLORES_200), Tokens(load_tokenizer(path, FLORES_200), FLORES_200)


@pytest.mark.parametrize("mode", ["source", "target"])
def test_every_text_has_the_same_ids(both: tuple[SentencePieceTokens, Tokens], mode: Any) -> None:
    for lang in (*LANGS, FLORES_200[0], FLORES_200[-1]):
        for text in TEXTS:
            ours, theirs = (tokens.encode(text, lang, mode).tolist() for tokens in both)
            assert ours == theirs, text
    assert both[0].size == both[1].size


def test_every_row_of_ids_is_the_same_text(both: tuple[SentencePieceTokens, Tokens]) -> None:
    draw = random.Random(3)
    rows = [[draw.randrange(both[1].size) for _ in range(draw.randrange(1, 12))] for _ in range(300)]
    for row in [*rows, *([one] for one in range(both[1].size))]:
        ours, theirs = (tokens.text(torch.tensor(row)) for tokens in both)
        assert ours == theirs, row


def test_prompts_are_the_same(both: tuple[SentencePieceTokens, Tokens]) -> None:
    ours, theirs = (tokens.prompts(FLORES_200) for tokens in both)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_it_can_be_copied(both: tuple[SentencePieceTokens, Tokens], duplicate: Any) -> None:
    twin = duplicate(both[0])
    assert torch.equal(twin.encode(TEXTS[0], "eng_Latn", "target"), both[0].encode(TEXTS[0], "eng_Latn", "target"))


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.model").write_bytes(b"\x00\x01\x02")
    for name in ("torn.model", "absent.model"):
        with pytest.raises(UserError, match=f"{name} is not a readable sentencepiece model"):
            SentencePieceTokens.read(tmp_path / name, ["eng_Latn"])


@pytest.mark.parametrize("ids", [{"unk_id": 2, "bos_id": 0, "eos_id": 1}, {"pad_id": 3}])
def test_a_tokenizer_with_other_ids_is_refused(tmp_path: Path, ids: dict[str, int]) -> None:
    with open(tmp_path / "other.model", "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES["eng_Latn"]),
            model_writer=file,
            vocab_size=30,
            hard_vocab_limit=False,
            minloglevel=2,
            **ids,
        )
    with pytest.raises(UserError, match="expected ids 0, 1 and 2"):
        SentencePieceTokens.read(tmp_path / "other.model", ["eng_Latn"])
