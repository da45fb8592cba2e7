"""Folders as transformers' models are published in, read strictly."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from transformers.models.t5.tokenization_t5_fast import T5TokenizerFast

from slt.core.errors import UserError
from slt.text.hf.folder import files_of, load_published
from slt.text.hf.kinds import KINDS as TABLE
from slt.text.hf.model import _logits
from tests.text.hf_models import KINDS, LANGS, TEXTS, make_output, make_text


@pytest.fixture
def published(tmp_path):
    """Write one as its authors would; return it and its folder."""

    def write(kind, *, torch_file=False, **changed):
        text = make_text(kind, text_encoder=True, **changed)
        text.model.save_pretrained(tmp_path, safe_serialization=not torch_file)
        if TABLE[kind].tokenizer:
            (tmp_path / TABLE[kind].tokenizer).write_bytes(text.tokens.proto)
        return text, tmp_path

    return write


@pytest.mark.parametrize("torch_file", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_gives_the_model_that_was_put_there(published, kind, torch_file):
    text, folder = published(kind, torch_file=torch_file)
    found = load_published(folder, replace(text.config, model={}, dropout=0.3)).eval()
    for name, value in text.model.state_dict().items():
        torch.testing.assert_close(found.model.state_dict()[name], value)
    assert found.model.config.to_dict()[TABLE[kind].dropout] == 0.3
    assert all(value.is_contiguous() and not value.is_meta for value in found.state_dict().values())
    found.bridge.load_state_dict(text.bridge.state_dict())
    output = make_output(4, 2)
    assert found.translate(output, LANGS[kind], max_tokens=6) == text.translate(output, LANGS[kind], max_tokens=6)
    torch.testing.assert_close(found.embed(TEXTS, "eng_Latn"), text.embed(TEXTS, "eng_Latn"))


def test_an_mbart_that_only_writes_leaves_its_encoder_where_it_is(published):
    text, folder = published("mbart")
    found = load_published(folder, replace(text.config, text_encoder=False))
    assert not any(name.startswith("model.model.encoder") for name in found.state_dict())


def test_a_table_of_its_own_for_what_is_written_is_kept(published):
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "tie_word_embeddings": False}
    text, folder = published("t5", model={**shape, "feed_forward_proj": "gated-gelu"})  # as flan-t5 has it
    found = load_published(folder, replace(text.config, model={}))
    torch.testing.assert_close(found.model.lm_head.weight, text.model.lm_head.weight)
    assert not torch.equal(found.model.lm_head.weight, found.model.shared.weight)


def test_a_tokenizer_as_json_will_do(published):
    text, folder = published("t5")
    T5TokenizerFast(str(folder / "spiece.model")).save_pretrained(folder)
    (folder / "spiece.model").unlink()
    found = load_published(folder, replace(text.config, model={}))
    assert found.tokens.target(TEXTS[0]) == T5TokenizerFast.from_pretrained(folder)(TEXTS[0]).input_ids


def test_what_a_folder_lacks_is_told(published, tmp_path):
    text, folder = published("t5")
    config = replace(text.config, model={})
    (folder / TABLE["mbart"].tokenizer).write_bytes(b"")
    with pytest.raises(UserError, match=r"holds a model of type 't5', expected mbart"):
        load_published(folder, replace(config, kind="mbart"))
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**described, "d_ff": 64}))
    with pytest.raises(UserError, match=r"does not fit T5ForConditionalGeneration: .* of another shape"):
        load_published(folder, config)
    for key, value in (("feed_forward_proj", "gated-nonsense"), ("d_model", "sixteen"), ("num_heads", -1)):
        (folder / "config.json").write_text(json.dumps({**described, key: value}))
        with pytest.raises(UserError, match=r"config\.json is not a valid t5 configuration: \w+Error"):
            load_published(folder, config)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is not JSON"):
        load_published(folder, config)
    for name in ("config.json", "model.safetensors", "spiece.model"):
        (folder / name).unlink()
    with pytest.raises(
        UserError,
        match=r"lacks config\.json, model\.safetensors or pytorch_model\.bin, spiece\.model or tokenizer\.json$",
    ):
        files_of(folder, "t5")


def test_a_configuration_with_a_program_is_not_run(published, monkeypatch):
    text, folder = published("t5")
    (folder / "code.py").write_text("raise SystemExit('this was run')")
    evil = {"model_type": "evil", "auto_map": {"AutoConfig": "code.Config"}}
    (folder / "config.json").write_text(json.dumps(evil))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("nobody is asked whether to run it"))
    with pytest.raises(UserError, match=r"config\.json is not a valid t5 configuration"):
        load_published(folder, replace(text.config, model={}))


@pytest.mark.parametrize("kind", ["t5", "mt5", "byt5"])
def test_what_begins_from_nothing_is_undecided_at_first(kind):
    torch.manual_seed(0)
    text = make_text(kind)
    states = torch.randn(200, text.width)  # as the last normalisation leaves them
    with torch.inference_mode():
        logits = _logits(text.model, states)
    assert 0.3 < logits.std() < 3
