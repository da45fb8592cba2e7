"""Aligning an encoder with text: what is learnt, what is left behind, and what can begin with it."""

from __future__ import annotations

import math
import re
from functools import partial

import numpy as np
import pytest
import torch

from slt.core.errors import UserError
from slt.core.runs import open_run
from slt.models.checkpoint import read_metadata, read_weights
from slt.recipe.load import check_verb, to_yaml
from slt.recipe.parts import Contrastive
from slt.train import hf_decoders
from slt.train.dry_run import random_targets
from slt.train.loader import Batch
from slt.train.loggers import read_figures
from slt.train.objectives import Step, as_output, contrastive
from slt.train.parts import Widths, build_encoder
from slt.train.prepare import prepare
from slt.train.run import train
from slt.train.targets import Targets, read_targets
from tests.train.conftest import only_keypoints

SHAPE = {"d_model": 32, "num_heads": 2, "d_ff": 64, "num_visual_layers": 1, "num_blocks": 1, "kernel_size": 5}


def info_nce(sentences, targets, **settings):
    """Return the mean of the term, as the objective gives it."""
    batch = Batch(
        ids=tuple(map(str, range(len(targets)))),
        texts=("",) * len(targets),
        langs=("eng_Latn",) * len(targets),
        targets=targets,
        features=None,
        windows=None,
        n_clips=len(targets),
    )
    settings = Contrastive(kind="contrastive", **settings)
    step = Step(output=as_output(sentences), batch=batch, settings=settings, variance=1.0, decode_loss=None)
    (term,) = contrastive(step).values()
    return term.total / term.count


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_objective_is_that_of_a_plain_loop(smoothing):
    torch.manual_seed(0)
    sentences, targets = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3)
    targets[4] = 2 * targets[1]  # the same sentence again, so neither is the other's negative
    similar = torch.nn.functional.cosine_similarity(sentences[:, None], targets[None], dim=2) / 0.5
    loss = 0.0
    for i in range(5):
        allowed = [j for j in range(5) if {i, j} != {1, 4}]
        for scores in (similar[i], similar[:, i]):
            told = {j: scores[j] - torch.logsumexp(scores[allowed], 0) for j in allowed}
            loss = loss - (1 - smoothing) * told[i] - smoothing * sum(told.values()) / len(told)
    found = info_nce(sentences, targets, temperature=0.5, label_smoothing=smoothing)
    torch.testing.assert_close(found, loss / 10)
    found.backward()
    assert sentences.grad.isfinite().all()


def test_half_precision_changes_neither_the_objective_nor_which_sentences_are_the_same():
    torch.manual_seed(0)
    sentences, targets = torch.randn(6, 16), torch.randn(6, 16)
    targets[3:] = targets[:3]
    expected = info_nce(sentences, targets, temperature=0.07)
    with torch.autocast("cpu", torch.bfloat16):
        found = info_nce(sentences, targets, temperature=0.07)
    assert found.dtype == torch.float32
    assert found.equal(expected)


def test_targets_are_seen_from_the_mean_of_the_training_sentences():
    rows = {("a", "x"): 0, ("b", "x"): 1, ("c", "x"): 2}
    targets = Targets(table=np.array([[3.0, 0.0], [1.0, 2.0], [9.0, 9.0]], np.float32), rows=rows)
    assert targets.centred([("a", "x"), ("b", "x")]).table.tolist() == [[1, -1], [-1, 1], [7, 8]]


@pytest.fixture
def make_vlp(make, two_streams):
    """Make a recipe for `train-vlp`; keywords as for `make`."""

    def changed(**groups):
        usual = {
            "extractor": None,
            "encoder": {"kind": "fusion", "shape": SHAPE},
            "objective": {"kind": "contrastive", "label_smoothing": 0.1},
        }
        data = {**two_streams, "batch_rows": 400, "augment": {}, **groups.pop("data", {})}
        trainer = {"epochs": 15, "validate_every": 5, "monitor": "recall@1", **groups.pop("trainer", {})}
        return make(**{**usual, "data": data, "trainer": trainer, **groups})

    return changed


@pytest.mark.slow
def test_it_finds_the_sentences_and_leaves_an_encoder_that_another_run_begins_with(make_vlp, tmp_path, capsys):
    recipe = make_vlp()
    run = open_run(tmp_path / "run", to_yaml(recipe))
    assert train(recipe, run) == run.encoder
    recalls = [float(row["value"]) for row in read_figures(run.metrics) if row["figure"] == "val/recall@1"]
    assert recalls[-1] > 50  # of 12 clips, so guessing finds 8
    assert not run.bundle.exists()
    assert train(recipe, run) == run.encoder
    assert f"what it made is {run.encoder}" in capsys.readouterr().err
    notes, weights = read_metadata(run.encoder), read_weights(run.encoder)
    assert notes["kind"] == "fusion"
    assert notes["config"]["d_model"] == 32
    begun = make_vlp(encoder={"kind": "fusion", "weights": str(run.folder)}).encoder
    widths = Widths(feature_dim=225, visual_dim=12, target_dim=weights["projection.weight"].shape[0], target_length=1.0)
    again = build_encoder(begun, widths)
    assert all(value.equal(weights[name]) for name, value in again.state_dict().items())
    other = make_vlp(encoder={"kind": "transformer", "weights": str(run.folder)}, data=_keypoints(recipe)).encoder
    with pytest.raises(UserError, match=r"encoder\.weights .*run is a fusion, but encoder\.kind is transformer"):
        build_encoder(other, widths)
    wider = {"kind": "fusion", "weights": str(run.folder), "shape": {"d_model": 64, "num_heads": 2}}
    with pytest.raises(UserError, match="run has another shape: d_model 32 and not 64"):
        build_encoder(make_vlp(encoder=wider).encoder, widths)
    other_dropout = {**wider, "shape": {"d_model": 32, "num_heads": 2, "dropout_rate": 0.3}}
    assert build_encoder(make_vlp(encoder=other_dropout).encoder, widths).config.dropout_rate == 0.3


def test_weights_that_are_not_there_yet(make_vlp, tmp_path):
    recipe = make_vlp()
    open_run(tmp_path / "begun", to_yaml(recipe))
    widths = Widths(feature_dim=225, visual_dim=12, target_dim=8, target_length=1.0)
    for name, said in (("begun", "is a run that left no encoder"), ("absent", "there is no such file or run")):
        encoder = make_vlp(encoder={"kind": "fusion", "weights": str(tmp_path / name)}).encoder
        with pytest.raises(UserError, match=said):
            build_encoder(encoder, widths)


def _keypoints(recipe):
    splits = {"train": recipe.data.train, "val": recipe.data.val}
    return {name: only_keypoints({"manifest": one.manifest, "features": one.features}) for name, one in splits.items()}


def test_batches_have_something_to_tell_apart(make_vlp):
    prepared = prepare(make_vlp(data={"batch_rows": 1}), random_targets, processes=1)
    assert min(map(len, prepared.batches.epoch(0))) >= 4
    rows = [
        prepared.targets.rows[text, "eng_Latn"] for text in {one.texts["eng_Latn"] for one in prepared.train.examples}
    ]
    assert np.abs(prepared.targets.table[rows].mean(0)).max() < 1e-6


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"encoder": None}, "objective contrastive without an encoder"),
        ({"trainer": {"monitor": "bleu", "text_every": 1}}, "monitor bleu with objective contrastive, which decodes"),
        ({"data": {"batch_clips": 3}}, "batch_clips 3, but objective contrastive needs at least 4"),
        ({"objective": {"kind": "contrastive", "temperature": 0}}, "temperature 0.0, expected more than 0"),
        ({"objective": {"kind": "contrastive", "label_smoothing": 1}}, "label_smoothing 1.0, expected 0 or more"),
    ],
)
def test_recipes_that_cannot_align_are_refused(make_vlp, groups, said):
    with pytest.raises(UserError, match=re.escape(said)):
        make_vlp(**groups)


def test_verb_and_objective_belong_together(make, make_vlp):
    check_verb(make_vlp(), "train-vlp")
    with pytest.raises(UserError, match="train-encoder cannot learn objective contrastive: train-vlp can"):
        check_verb(make_vlp(), "train-encoder")
    with pytest.raises(UserError, match="train-vlp needs objective contrastive, found sonar-space"):
        check_verb(make(), "train-vlp")
    frozen = make_vlp(encoder={"kind": "fusion", "shape": SHAPE, "frozen": True})
    with pytest.raises(UserError, match="train-vlp trains the encoder and nothing else"):
        check_verb(frozen, "train-vlp")


def test_a_collapsed_encoder_is_seen_whatever_the_length_of_its_embeddings(make_vlp, tmp_path, capsys):
    recipe = make_vlp(optim={"lr": 1e-9}, trainer={"epochs": 1, "validate_every": 1})
    run = open_run(tmp_path / "run", to_yaml(recipe))
    train(recipe, run)
    spread = [float(row["value"]) for row in read_figures(run.metrics) if row["figure"] == "val/spread"]
    assert 0 < spread[-1] < 0.5
    assert math.isfinite(spread[-1])


def test_a_decoder_is_not_trained_by_what_decodes_nothing(make_vlp, bundle):
    with pytest.raises(UserError, match=r"decoder\.train full, but nothing of the objective goes through the decoder"):
        make_vlp(decoder={"kind": "sonar", "bundle": str(bundle), "train": "full"})


def test_mbarts_own_encoder_makes_targets_once_and_another_seed_makes_others(make_vlp, tmp_path, monkeypatch):
    def recipe_of(seed):
        sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
        shape = {"d_model": 16, **sizes, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_position_embeddings": 64}
        decoder = {"kind": "mbart", "shape": shape, "vocab_size": 60, "train": "frozen"}
        return make_vlp(decoder=decoder, trainer={"seed": seed})

    loads = []
    make_hf = hf_decoders.make_hf
    monkeypatch.setattr(hf_decoders, "make_hf", lambda *words, **named: loads.append(1) or make_hf(*words, **named))

    def targets(seed, folder):
        targets_of = partial(read_targets, given=None, beside=tmp_path / folder, progress=lambda *_: None)
        return prepare(recipe_of(seed), targets_of, processes=1).targets

    first, again, other = targets(1, "one"), targets(1, "one"), targets(2, "other")
    assert len(loads) == 2
    assert first.dim == 16
    assert np.array_equal(first.table, again.table)
    assert not np.allclose(first.table, other.table, atol=1e-3)
    with pytest.raises(UserError, match="weights"):
        targets(2, "one")
