"""`train-translator`, whole: what it leaves behind, what it begins with, and what it learns."""

from __future__ import annotations

import json

import pytest
import torch

from slt.assets.store import find_bundle
from slt.core.errors import Stopped, UserError
from slt.core.runs import open_run
from slt.models.checkpoint import read_weights
from slt.pipeline.translator import Translator
from slt.recipe.load import check_verb, to_yaml
from slt.text.hf.kinds import KINDS as HF_KINDS
from slt.train.decoders import Given
from slt.train.dry_run import random_targets
from slt.train.hf_decoders import build_hf
from slt.train.loggers import read_figures
from slt.train.prepare import prepare
from slt.train.run import build_module, train
from tests.bundles import write_clip
from tests.text.hf_models import LANGS, TEXTS, WIDTH, make_output, make_text
from tests.train.conftest import HF
from tests.train.drawn import write_drawn
from tests.train.whole import figures_of, finish


@pytest.fixture
def make_translator(make):
    """Make a recipe for `train-translator`; keywords as for `make`."""

    def changed(kind="t5", /, **groups):
        usual = {
            "decoder": {"kind": kind, "shape": HF[kind], "vocab_size": 60},
            "objective": {"kind": "cross-entropy", "label_smoothing": 0.1},
        }
        data = {"langs": LANGS[kind], **groups.pop("data", {})}
        trainer = {"monitor": "loss", **groups.pop("trainer", {})}
        recipe = make(**{**usual, "data": data, "trainer": trainer, **groups})
        check_verb(recipe, "train-translator")
        return recipe

    return changed


@pytest.fixture
def published(tmp_path):
    """The folder of a tiny T5, as its authors would publish it."""
    folder = tmp_path / "tiny-t5"
    text = make_text("t5")
    text.model.save_pretrained(folder)
    (folder / HF_KINDS["t5"].tokenizer).write_bytes(text.tokens.proto)
    return folder


DEEP = {"t5": {"num_layers": 3, "num_decoder_layers": 3}, "mbart": {"decoder_layers": 4}}


def kept_and_gradients(make_translator, kind, *, checkpointing):
    """Return how many numbers a decoder's loss keeps for the backward pass, and the gradients."""
    decoder = {"kind": kind, "shape": HF[kind] | DEEP[kind], "vocab_size": 60, "checkpointing": checkpointing}
    given = Given(output={"sequence": WIDTH}, texts=TEXTS, langs=LANGS[kind])
    torch.manual_seed(0)
    text, _ = build_hf(make_translator(kind, decoder=decoder).decoder, given)
    torch.manual_seed(0)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one.numel()) or one, lambda one: one):
        loss, _ = text.loss(make_output(30, 20), TEXTS[:2], ["eng_Latn"] * 2)
    loss.backward()
    return sum(kept), {name: weight.grad for name, weight in text.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("kind", DEEP)
def test_a_decoder_that_recomputes_keeps_less_and_changes_no_gradient(make_translator, kind):
    kept, gradients = kept_and_gradients(make_translator, kind, checkpointing=False)
    less, same = kept_and_gradients(make_translator, kind, checkpointing=True)
    assert less < 0.7 * kept
    assert same.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(same[name], gradient)


def built(recipe):
    return build_module(recipe, prepare(recipe, random_targets, processes=1))


def rates(run):
    """Return, by group of weights, the epochs and the learning rates that were noted of it."""
    found = {}
    for row in read_figures(run.metrics):
        what, _, group = row["figure"].partition("/")
        if what == "lr":
            found.setdefault(group, []).append((float(row["epoch"]), float(row["value"])))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(HF))
def test_it_leaves_a_bundle_that_translates_and_that_training_goes_on_with(make_translator, tmp_path, kind):
    run = finish(make_translator(kind, trainer={"text_every": 1, "epochs": 3}), tmp_path / "run")
    losses = figures_of(run, "val/loss")
    assert losses[-1] < losses[0]
    assert not figures_of(run, "val/cosine"), "nothing is compared with SONAR's embeddings"
    translator = Translator(run.folder)
    found = translator.translate(write_clip(tmp_path / "clip.mp4"), LANGS[kind])
    assert set(found.texts) == set(translator.load().decoder.languages) == set(LANGS[kind])
    if kind == "t5":
        with pytest.raises(UserError, match="float16 for a t5's text: its feed-forward layers exceed float16's 65,504"):
            Translator(run.folder, text_dtype="float16").load()
    weights = read_weights(run.bundle / "text_decoder.safetensors")
    begun = built(make_translator(kind, decoder={"kind": kind, "weights": str(run.folder)})).decoder.state_dict()
    assert set(begun) == set(weights)
    assert all(begun[name].equal(value) for name, value in weights.items())


@pytest.mark.slow
def test_stopped_and_gone_on_with_it_ends_the_same(make_translator, tmp_path, monkeypatch):
    recipe = make_translator(optim={"ema": 0.9})
    straight = finish(recipe, tmp_path / "straight")
    (tmp_path / "stop").touch()
    monkeypatch.setenv("SLT_STOP_FILE", str(tmp_path / "stop"))
    run = open_run(tmp_path / "stopped", to_yaml(recipe))
    for _ in range(2):  # each time after an update
        with pytest.raises(Stopped, match="stopped as asked"):
            train(recipe, run)
    monkeypatch.delenv("SLT_STOP_FILE")
    train(recipe, run)
    ends = [torch.load(one.last, weights_only=True)["state_dict"] for one in (run, straight)]
    assert any(name.startswith("decoder.model.decoder.") for name in ends[0])
    torch.testing.assert_close(*ends, rtol=0, atol=1e-6)
    tokenizers = [(one.bundle / "tokenizer.model").read_bytes() for one in (run, straight)]
    assert tokenizers[0] == tokenizers[1]


@pytest.mark.slow
def test_it_begins_with_a_published_folder_and_notes_its_hashes_and_licence(make_translator, published, tmp_path):
    recipe = make_translator(decoder={"kind": "t5", "weights": str(published), "train": "frozen"})
    run = finish(recipe, tmp_path / "run")
    noted = json.loads((run.folder / "assets.json").read_text())["decoder"]
    assert noted["weights"] == str(published)
    assert set(noted["sha256"]) == {"config.json", "model.safetensors", "spiece.model"}
    assert "unknown (of the text model tiny-t5)" in find_bundle(str(run.folder)).card.licence
    before = make_text("t5").model.state_dict()
    after = read_weights(run.bundle / "text_decoder.safetensors")
    assert all(after[f"model.{name}"].equal(value) for name, value in before.items()), "frozen, so as it was"
    assert (run.bundle / "tokenizer.model").read_bytes() == (published / "spiece.model").read_bytes()


@pytest.mark.slow
def test_of_a_bundles_decoder_only_what_fits_is_taken(make, make_translator, tmp_path, capsys):
    run = finish(make_translator(trainer={"epochs": 1}), tmp_path / "run")
    again = {"kind": "t5", "weights": str(run.folder), "source": "sentence"}
    found = built(make_translator(decoder=again)).decoder.state_dict()
    assert "the bridge to the t5 begins at random: the one of" in capsys.readouterr().err
    weights = read_weights(run.bundle / "text_decoder.safetensors")
    changed = {name for name, value in weights.items() if not found[name].equal(value)}
    assert {name.partition(".")[0] for name in changed} == {"bridge"}
    with pytest.raises(UserError, match=r"decoder\.weights .*run.* has a t5 text decoder, expected mbart"):
        built(make_translator("mbart", decoder={"kind": "mbart", "weights": str(run.folder)}))
    with pytest.raises(UserError, match=r"decoder\.bundle .*run has a t5 text decoder, expected sonar") as raised:
        prepare(make(decoder={"kind": "sonar", "bundle": str(run.folder)}), random_targets, processes=1)
    assert "slt train-translator go on with it" in raised.value.fix


def test_a_decoder_that_is_not_there_is_told_before_any_clip_is_read(make_translator, published):
    begins = {"kind": "t5", "weights": str(published)}
    recipe = make_translator(decoder=begins, data={"train": {"manifest": "absent.tsv", "features": "absent"}})
    with pytest.raises(UserError, match=r"absent\.tsv"):
        prepare(recipe, random_targets, processes=1)
    (published / "spiece.model").unlink()
    with pytest.raises(UserError, match=r"is not the folder of a t5 .* lacks spiece\.model or tokenizer\.json"):
        prepare(recipe, random_targets, processes=1)


def test_a_language_that_it_does_not_write_is_told(make_translator):
    with pytest.raises(UserError, match="does not support mlt_Latn"):
        built(make_translator("mbart", data={"langs": ["eng_Latn", "mlt_Latn"]}))
    with pytest.raises(UserError, match="unknown language 'en'"):
        built(make_translator(data={"langs": ["en"]}))


@pytest.mark.slow
def test_parts_are_unfrozen_by_epoch_and_the_encoder_learns_at_a_fifth(make_translator, tmp_path):
    begins = {"decoder.bridge.*": 0, "decoder.*": 2, "*": 4}
    recipe = make_translator(
        stages=[{"from_epoch": epoch, "train": [pattern]} for pattern, epoch in begins.items()],
        optim={"lr": 1e-3, "lr_factors": {"encoder": 0.2}, "warmup_steps": 0, "schedule": "constant"},
        data={"batch_rows": 20},
        trainer={"epochs": 6, "validate_every": 6},
    )
    noted = rates(finish(recipe, tmp_path / "run"))
    expected = {"decoder/decay": (0, 1e-3), "decoder/decay/stages-12": (2, 1e-3), "encoder/decay/stages-2": (4, 2e-4)}
    assert set(noted) == {name.replace("/decay", decay) for name in expected for decay in ("/decay", "/no-decay")}
    for group, (epoch, rate) in expected.items():
        assert {int(at) for at, _ in noted[group]} == set(range(6))
        assert all(value == (rate if at >= epoch else 0) for at, value in noted[group]), group


@pytest.mark.slow
def test_a_frozen_encoder_stays_as_it_is(make_translator, bundle, tmp_path):
    recipe = make_translator(
        encoder={"kind": "sonar-t5", "weights": str(bundle), "frozen": True}, trainer={"epochs": 4}
    )
    run = finish(recipe, tmp_path / "run")
    assert {group.partition("/")[0] for group in rates(run)} == {"decoder"}
    before, after = (read_weights(folder / "encoder.safetensors") for folder in (bundle, run.bundle))
    assert all(after[name].equal(value) for name, value in before.items())


def is_short(meaning):
    """Keep sentences that say what or where someone is: a small part of the drawn language."""
    return not (meaning.verb or meaning.time or meaning.place)


@pytest.fixture
def make_learner(make_translator):
    """Make a recipe whose models are just large enough for drawn sentences; keywords as for `make`."""

    def changed(splits, *, depth=1, smoothing=0.1, **trainer):
        shape = {"d_model": 64, "d_kv": 16, "num_heads": 4, "d_ff": 128, "num_layers": 1, "num_decoder_layers": depth}
        return make_translator(
            extractor=None,
            encoder={"kind": "sonar-t5", "shape": {**shape, "vocab_size": 4}},
            decoder={"kind": "t5", "shape": shape, "vocab_size": 200, "dropout": 0.0},
            objective={"kind": "cross-entropy", "label_smoothing": smoothing},
            data={**splits, "batch_rows": 1024, "batch_clips": 16, "augment": {}},
            optim={"lr": 3e-3, "warmup_steps": 20},
            trainer={"text_every": 1, "text_clips": 60, "monitor": "bleu", **trainer},
        )

    return changed


@pytest.mark.slow
def test_it_learns_drawn_clips_by_heart(make_learner, tmp_path):
    few = write_drawn(tmp_path, {"train": 20})["train"]
    recipe = make_learner({"train": few, "val": few}, depth=2, smoothing=0.0, epochs=60, validate_every=60)
    run = finish(recipe, tmp_path / "run")
    assert max(figures_of(run, "val/bleu")) >= 95


@pytest.mark.slow
def test_it_translates_sentences_it_never_saw_and_not_without_the_signing(make_learner, tmp_path, capsys):
    best = {}
    for signed in (True, False):
        splits = write_drawn(tmp_path / str(signed), {"train": 12000, "val": 1200}, keep=is_short, signed=signed)
        run = finish(make_learner(splits, epochs=12, validate_every=12), tmp_path / f"run-{signed}")
        best[signed] = max(figures_of(run, "val/bleu"))
    assert "validation sentences are training sentences too" not in capsys.readouterr().err
    assert best[True] >= 60
    assert best[True] >= best[False] + 40
