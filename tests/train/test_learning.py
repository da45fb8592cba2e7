"""Real learning, small: from random weights to the frozen demo decoder, on sentences and signers never seen.

The features are the drawn signers' motion itself, which costs nothing to make; `benchmarks/learning.py` goes the whole
way, through pictures and the demo's extractor, to the figures in benchmarks/README.md.
"""

from __future__ import annotations

import json

import pytest

from slt.core.runs import open_run
from slt.evaluate.text_metrics import bleu
from slt.recipe.load import load_recipe, to_yaml
from slt.train.run import train
from tests.train.drawn import write_drawn

N_CLIPS = {"train": 1000, "val": 100}
SHAPE = "{d_model: 128, d_kv: 32, num_heads: 4, d_ff: 256, num_layers: 2, num_decoder_layers: 1, vocab_size: 8}"


@pytest.fixture
def corpus(tmp_path):
    write_drawn(tmp_path, N_CLIPS)
    return tmp_path


@pytest.mark.slow
def test_it_learns_to_translate_sentences_it_never_saw(corpus, monkeypatch, capsys):
    monkeypatch.chdir(corpus)
    changes = [f"data.{split}={{manifest: {split}.tsv, features: {split}}}" for split in N_CLIPS]
    changes += ["extractor=null", "data.workers=0", "data.batch_clips=32", "data.augment={drop: 0.1, noise: 0.1}"]
    changes += [f"encoder.shape={SHAPE}", "optim.lr=2e-3", "optim.warmup_steps=50"]
    changes += ["trainer.epochs=9", "trainer.validate_every=3", "trainer.text_every=0", "trainer.samples=100"]
    recipe = load_recipe("synthetic", "train-encoder", changes)
    run = open_run(corpus / "run", to_yaml(recipe))
    train(recipe, run)
    said = capsys.readouterr().err
    assert "validation sentences are training sentences too" not in said
    figures = json.loads(run.outcome.read_text())["figures"]
    assert figures["recall@1"] >= 35  # guessing finds 1
    assert figures["bleu"] >= 12
    assert figures["bleu"] >= 3 * of_other_clips(said)


def of_other_clips(said):
    """Return the BLEU of the translations that were told against the sentences of other clips: what the language, and
    no clip, is good for."""
    told = [line.split("'")[1::2] for line in said.splitlines() if line.startswith("  val-") and line.count("'") == 4]
    assert len(told) > 80
    texts, references = [text for text, _ in told], [reference for _, reference in told]
    return bleu(texts, references[7:] + references[:7], lang="eng_Latn").value
