"""The tokenizers of the decoders give the ids that transformers' own give."""

from __future__ import annotations

import pytest
from transformers.models.byt5.tokenization_byt5 import ByT5Tokenizer
from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES as CC25_CODES
from transformers.models.mbart.tokenization_mbart import MBartTokenizer
from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES as MBART50_CODES
from transformers.models.mbart50.tokenization_mbart50 import MBart50Tokenizer
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as NLLB_CODES
from transformers.models.nllb.tokenization_nllb import NllbTokenizer
from transformers.models.t5.tokenization_t5 import T5Tokenizer

from slt.core.errors import UserError
from slt.text.hf.tokens import (
    CC25,
    MBART50,
    MBART_LANGUAGES,
    NLLB_LANGUAGES,
    ByT5Tokens,
    MBartTokens,
    NllbTokens,
    T5Tokens,
    read_proto,
)
from slt.text.languages import FLORES_200, nearest_languages
from slt.text.tokenizer import learn_tokenizer
from tests.text.hf_models import TEXTS

ODD = "the weather ☃ is nice"  # with a character that no piece has


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Sentencepiece models as T5 and as mBART have them."""
    folder = tmp_path_factory.mktemp("tokenizers")
    paths = {"t5": folder / "spiece.model", "mbart": folder / "sentencepiece.bpe.model"}
    for kind, path in paths.items():
        path.write_bytes(learn_tokenizer(TEXTS, 60, padding_first=kind == "t5"))
    return paths


def test_the_languages_are_transformers_in_their_order():
    assert list(MBART_LANGUAGES.values()) == MBART50_CODES
    assert MBART50_CODES[:CC25] == CC25_CODES
    assert set(MBART_LANGUAGES) <= set(FLORES_200)
    for flores, code in MBART_LANGUAGES.items():
        assert flores in nearest_languages(code[:2], FLORES_200)


@pytest.mark.parametrize("text", [*TEXTS, ODD])
def test_a_t5s_ids(files, text):
    theirs = T5Tokenizer(str(files["t5"]), extra_ids=0, legacy=True)
    ours = T5Tokens(files["t5"].read_bytes(), len(theirs))
    ids = theirs(text).input_ids
    assert ours.target(text) == ours.source(text, "eng_Latn") == ids
    assert (ours.pad, ours.end, ours.prompt("eng_Latn")) == (theirs.pad_token_id, theirs.eos_token_id, [0])
    assert ours.text(ids) == theirs.decode([one for one in ids if one > 2])


@pytest.mark.parametrize("text", [*TEXTS, ODD])
@pytest.mark.parametrize("kind", [MBartTokenizer, MBart50Tokenizer])
def test_an_mbarts_ids(files, kind, text):
    theirs = kind(str(files["mbart"]), src_lang="de_DE", tgt_lang="en_XX")
    ours = MBartTokens(files["mbart"].read_bytes(), len(theirs))
    assert ours.source(text, "deu_Latn") == theirs(text).input_ids
    labels = theirs(text_target=text).input_ids
    # transformers hands the decoder the labels with the last one moved to the front
    fed = [labels[-1], *labels[:-1]]
    prompt, target = ours.prompt("eng_Latn"), ours.target(text)
    n = len(prompt) + len(target) - 1
    assert fed[:n] == prompt + target[:-1]
    assert labels[len(prompt) - 1 : n] == target
    # all that is left: cc25 also learns to write the language behind the end, where a search has stopped
    assert labels[n:] == ([] if kind is MBart50Tokenizer else prompt)
    assert (ours.pad, ours.end) == (theirs.pad_token_id, theirs.eos_token_id)
    assert ours.text(target) == theirs.decode([one for one in target if one > 3])
    forbidden = {0, theirs.pad_token_id, theirs.unk_token_id, theirs.mask_token_id}
    assert set(ours.forbidden) == forbidden | set(theirs.lang_code_to_id.values())


@pytest.mark.parametrize("text", [*TEXTS, ODD, "日本 ☃"])
def test_a_byt5s_ids(text):
    theirs = ByT5Tokenizer()
    ours = ByT5Tokens(b"", len(theirs))
    ids = theirs(text).input_ids
    assert ours.target(text) == ours.source(text, "eng_Latn") == ids
    assert (ours.pad, ours.end, ours.prompt("eng_Latn")) == (theirs.pad_token_id, theirs.eos_token_id, [0])
    assert ours.text([0, *ids]) == theirs.decode(ids[:-1]) == text
    assert ours.text(ids[:-2]) == theirs.decode(ids[:-2]), "half a letter is none"


@pytest.mark.parametrize("text", [*TEXTS, ODD])
def test_an_nllbs_ids(files, text):
    theirs = NllbTokenizer(str(files["mbart"]), src_lang="deu_Latn", tgt_lang="eng_Latn")
    ours = NllbTokens(files["mbart"].read_bytes(), len(theirs) + 2)  # published ones have two rows to spare
    assert tuple(NLLB_CODES) == NLLB_LANGUAGES == ours.languages
    # A new tokenizer of transformers puts the mask before the languages, those that are published behind them.
    moved = {theirs.convert_tokens_to_ids(code): theirs.convert_tokens_to_ids(code) - 1 for code in NLLB_CODES}
    source, labels = (
        [moved.get(one, one) for one in theirs(**{what: text}).input_ids] for what in ("text", "text_target")
    )
    assert ours.source(text, "deu_Latn") == source
    prompt, target = ours.prompt("eng_Latn"), ours.target(text)
    assert [*prompt, *target] == [2, *labels], "a model of this kind starts with its end token"
    assert ours.text(target) == theirs.decode([one for one in target if one > 3])
    assert set(ours.forbidden) == {0, 1, 3, *range(len(theirs.sp_model) + 1, len(theirs) + 2)}


def test_an_nllbs_languages_have_the_published_ids():
    first = 256_001  # behind 256,000 pieces
    assert first + NLLB_LANGUAGES.index("eng_Latn") == 256_047
    assert first + NLLB_LANGUAGES.index("fra_Latn") == 256_057


def test_tables_with_too_few_rows_are_refused(files):
    with pytest.raises(UserError, match="found 100 embedding rows, expected at least 259, a ByT5's tokens"):
        ByT5Tokens(b"", 100)
    with pytest.raises(UserError, match=r"found 200 embedding rows for \d+ pieces, expected at least 2"):
        NllbTokens(files["mbart"].read_bytes(), 200)


def test_a_t5s_table_may_be_larger_and_no_smaller_than_its_tokenizer(files):
    proto = files["t5"].read_bytes()
    n = T5Tokens.n_tokens(proto)
    assert T5Tokens(proto, n + 3).forbidden == (0, 2, n, n + 1, n + 2)
    with pytest.raises(UserError, match=f"the tokenizer has {n} pieces, expected at most {n - 1}"):
        T5Tokens(proto, n - 1)


def test_an_mbarts_table_says_which_languages_it_has(files):
    proto = files["mbart"].read_bytes()
    n = MBartTokens.n_tokens(proto)
    assert len(MBartTokens(proto, n).languages) == MBART50
    assert len(MBartTokens(proto, n - MBART50 + CC25).languages) == CC25
    with pytest.raises(UserError, match=rf"found {n - 1} embedding rows .* expected {n - 27} \(mbart-large-cc25\)"):
        MBartTokens(proto, n - 1)


def test_foreign_tokenizers_are_refused(files, tmp_path):
    with pytest.raises(UserError, match=r"not a tokenizer for T5: .* have the ids \(-1, 2, 0\), expected \(0, 1, 2\)"):
        T5Tokens(files["mbart"].read_bytes(), 100)
    with pytest.raises(UserError, match="not a tokenizer for mBART"):
        MBartTokens(files["t5"].read_bytes(), 100)
    with pytest.raises(UserError, match="not a readable sentencepiece model"):
        T5Tokens(b"nothing of the kind", 100)
    with pytest.raises(UserError, match=r"cannot read the tokenizer .*absent"):
        read_proto(tmp_path / "absent.model")
