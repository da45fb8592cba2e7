"""A ``tokenizer.json`` alone gives the ids that transformers gives by it."""

from __future__ import annotations

import json

import pytest
from transformers.models.mbart.tokenization_mbart_fast import MBartTokenizerFast
from transformers.models.mbart50.tokenization_mbart50_fast import MBart50TokenizerFast
from transformers.models.t5.tokenization_t5_fast import T5TokenizerFast

from slt.core.errors import UserError
from slt.text.hf.kinds import KINDS
from slt.text.hf.pieces import sentencepiece_of
from slt.text.tokenizer import learn_tokenizer
from tests.text.hf_models import TEXTS

FAST = {T5TokenizerFast: {}, MBartTokenizerFast: {"src_lang": "de_DE"}, MBart50TokenizerFast: {"src_lang": "de_DE"}}
ODD = "  two  spaces, a ﬁgure of one letter and ☃ of none "


def saved(kind, folder):
    """Write what transformers writes of a tokenizer, and take the sentencepiece model away."""
    is_t5 = kind is T5TokenizerFast
    (folder / "pieces.model").write_bytes(learn_tokenizer(TEXTS, 60, padding_first=is_t5))
    kind(str(folder / "pieces.model")).save_pretrained(folder / "saved")
    for file in (folder / "saved").glob("*.model"):
        file.unlink()
    return folder / "saved" / "tokenizer.json"


@pytest.mark.parametrize("prefixed", [True, False])
@pytest.mark.parametrize("kind", FAST)
def test_the_ids_are_transformers(tmp_path, kind, prefixed):
    path, name = saved(kind, tmp_path), "t5" if kind is T5TokenizerFast else "mbart"
    content = json.loads(path.read_text())
    content["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"}
    if prefixed:  # as the published files have it, which are older
        content["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    path.write_text(json.dumps(content))
    theirs = kind(tokenizer_file=str(path), **FAST[kind])
    ours = KINDS[name].tokens(sentencepiece_of(path, name), len(theirs))
    for text in (*TEXTS, ODD.strip()):
        ids = theirs(text).input_ids
        assert ours.source(text, "deu_Latn") == ids
        assert ours.text(ids).split() == theirs.decode(ids, skip_special_tokens=True).split()


def test_without_a_table_of_characters_none_is_replaced(tmp_path):
    path = saved(T5TokenizerFast, tmp_path)
    content = json.loads(path.read_text())
    known = T5TokenizerFast(tokenizer_file=str(path)).get_vocab()
    for normalizer in (None, {"type": "Strip", "strip_left": True, "strip_right": True}):
        path.write_text(json.dumps({**content, "normalizer": normalizer}))
        tokens = KINDS["t5"].tokens(sentencepiece_of(path, "t5"), len(known))
        assert tokens.target("ﬁ").count(2) == 1  # not taken apart, and as such not known


@pytest.mark.parametrize(
    "broken",
    [
        {"model": {"type": "BPE", "vocab": {"the": 0}, "merges": []}},
        {"model": {"type": "Unigram", "vocab": [["<unk>", 0.0], ["a", -1.0]]}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"normalizer": {"normalizers": [{"type": "Precompiled", "precompiled_charsmap": "no base 64"}]}},
        {"model": None},
    ],
)
def test_other_tokenizers_are_refused(tmp_path, broken):
    path = saved(T5TokenizerFast, tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **broken}))
    with pytest.raises(UserError, match=r"tokenizer\.json is not the tokenizer of a t5") as raised:
        sentencepiece_of(path, "t5")
    assert "published sentencepiece model" in raised.value.fix


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UserError, match=r"cannot read the tokenizer .*absent.json"):
        sentencepiece_of(tmp_path / "absent.json", "t5")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read the tokenizer .*tokenizer.json: Expecting"):
        sentencepiece_of(tmp_path / "tokenizer.json", "t5")
