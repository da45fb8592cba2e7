"""What a recipe may say of the part that writes the text, and what of that does not go with the rest."""

from __future__ import annotations

import pytest

from slt.core.errors import UserError
from slt.recipe.load import load_recipe

MBART = "decoder={kind: mbart}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["decoder.shape.d_kv=0"], "d_kv 0, expected at least 1"),
        (["decoder.weights=t5-small"], "shape is that of the weights, t5-small: remove it"),
        (["decoder.vocab_size=0"], "vocab_size 0, expected at least 1"),
        (["decoder.dropout=1"], "dropout 1.0, expected 0 or more, below 1"),
        (["decoder.train=lora"], "decoder.train: expected one of 'frozen', 'full'"),
        (["decoder={kind: mbart, shape: {decoder_layers: 0}}"], "decoder_layers 0, expected at least 1"),
        (["decoder={kind: mbart, shape: {d_model: 100}}"], "d_model 100, expected a multiple of (16, 16) heads"),
        (["decoder={kind: mbart, dropout: -1}"], "dropout -1.0, expected 0 or more, below 1"),
        (["decoder={kind: bart}"], "decoder.kind: unknown 'bart', known: sonar, t5, mt5, byt5, mbart, nllb"),
    ],
)
def test_impossible_decoders_are_refused(changes, said):
    assert said in refusal(changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["trainer.precision=fp16"], "precision fp16 with a T5: its feed-forward layers exceed float16's 65,504"),
        (["trainer.precision=fp16", MBART], "precision fp16 with a T5"),  # that of the encoder
        (["trainer.precision=fp16", "encoder={kind: mlp}"], "precision fp16 with a T5"),  # that of the decoder
        (["encoder=null"], "decoder t5 without an encoder: it would have nothing to read"),
        (["objective={kind: sonar-space}"], "objective sonar-space with a t5, which has no such space"),
        (["objective={kind: sonar-space}", "encoder=null"], "nothing would land in that space"),
        (["objective.noise=0.1"], "noise is on SONAR's embeddings, which a t5 does not read; set objective.noise=0"),
        (["trainer.monitor=cosine"], "monitor cosine is a figure of embeddings beside those of the texts"),
        (["data.embeddings=targets"], "data.embeddings are targets in SONAR's space, of which a t5 has no use"),
        (["data.langs=[eng_Latn, deu_Latn]"], "names eng_Latn, deu_Latn, but a t5 writes one language; take mbart"),
        (["extractor.frozen=0.5"], "train-translator leaves the extractor as it is"),
        (["decoder={kind: sonar, bundle: demo}"], "train-translator needs a t5 or mbart decoder"),
    ],
)
def test_what_does_not_go_with_a_t5_is_told(changes, said):
    assert said in refusal(changes)


def test_a_pose_encoder_is_not_shared_out():
    with pytest.raises(UserError, match="strategy fsdp with an stgcn encoder"):
        load_recipe("synthetic-stgcn", "train-translator", ["trainer.strategy=fsdp"])


@pytest.mark.parametrize("changes", [[MBART, "data.langs=[eng_Latn, deu_Latn]"], ["decoder.train=frozen"]])
def test_what_does_go_with_it_is_taken(changes):
    recipe = load_recipe("synthetic-t5", "train-translator", changes)
    assert recipe.decoder.train == ("full" if MBART in changes else "frozen")


@pytest.mark.parametrize("verb", ["train-encoder", "train-decoder", "train-features"])
def test_other_trainers_refuse_it(verb):
    with pytest.raises(UserError, match=f"{verb} is for SONAR's decoder; a t5 is trained by train-translator"):
        load_recipe("synthetic-t5", verb)


def test_fp16_is_for_systems_without_a_t5():
    changes = ["trainer.precision=fp16", "encoder={kind: mlp}", MBART]
    assert load_recipe("synthetic-t5", "train-translator", changes).trainer.precision == "fp16"


def refusal(changes):
    with pytest.raises(UserError) as raised:
        load_recipe("synthetic-t5", "train-translator", changes)
    return str(raised.value)
