"""The memory that a step is computed to take is what is measured, and that of the recipe for a T4 fits one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.memory import allocated, batch_of, published
from slt.recipe.load import load_recipe
from slt.train.dry_run import OF_CUDA, dry_run, random_targets
from slt.train.memory import StepMemory, step_memory
from slt.train.module import total_loss
from slt.train.prepare import prepare, train_loader
from slt.train.run import build_module
from tests.train.conftest import HF

WIDER = {
    "d_model": 128, "d_kv": 32, "d_ff": 352, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 4, "vocab_size": 4,
}  # fmt: skip
HALF = {"precision": "bf16", "frozen_weights": "half"}
NEARLY = 0.15  # what the largest difference may be


def ready(recipe):
    """Return the module of a recipe and its first batch."""
    prepared = prepare(recipe, random_targets, processes=1)
    clips = prepared.batches.epoch(0)[0]
    batch = train_loader(recipe, prepared, (0, 1)).dataset[(0, tuple(clips), len(clips))]
    return build_module(recipe, prepared).train(), batch


def measured(module, batch):
    """Return the peak of what torch's allocator of the CPU gave during a step, weights and state included."""

    def step():
        with module.arithmetic(torch.device("cpu")):
            loss = total_loss(module.terms(batch)[1])
        loss.backward()

    step()  # so that gradients are there, as in every later step
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    held = sum(weight.nbytes for weight in [*module.parameters(), *module.buffers()])
    return held + sum(3 * weight.nbytes for weight in module.parameters() if weight.requires_grad) + allocated(profile)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "lora_rank"), [("fairseq2", 8), ("transformers", 0)])
def test_what_is_computed_is_what_is_measured(make, engine, lora_rank):
    recipe = make(
        encoder={"kind": "sonar-t5", "shape": WIDER, "checkpointing": True, "lora_rank": lora_rank},
        decoder={**vars(make().decoder), "engine": engine},
        objective={"kind": "sonar-space", "mse": 1.0, "cross_entropy": 0.1},
        data={"batch_rows": 400},
        trainer=HALF,
    )
    module, batch = ready(recipe)
    before = {name: weight.clone() for name, weight in module.named_parameters()}
    found = step_memory(module, batch)
    for name, weight in module.named_parameters():
        assert weight.equal(before[name]), name
        assert weight.grad is None
    assert found.weights < found.weights + found.state < found.peak
    assert found.peak == pytest.approx(measured(module, batch), rel=NEARLY)


@pytest.mark.slow
def test_a_t4_has_room_for_its_recipe():
    recipe = load_recipe("how2sign-t4", "train-encoder")
    rows, longest = recipe.data.batch_rows, recipe.data.max_rows
    whole = load_recipe("how2sign", "train-encoder")
    assert recipe.optim.accumulate * recipe.data.batch_clips == whole.data.batch_clips
    assert recipe.optim.accumulate * rows == whole.data.batch_rows
    module = published(recipe)
    assert sum(weight.numel() for weight in module.encoder.parameters()) > 752e6
    found = step_memory(module, batch_of(rows // longest, longest, 256))  # tokens; few texts of How2Sign have so many
    assert found.peak + OF_CUDA < 11e9, "of the 14 GB that it may take, a fifth is left"
    assert found.weights < 3.8e9


def test_what_depends_on_values_is_not_computed(make):
    module, batch = ready(make())
    terms = module.terms
    module.terms = lambda batch: (None, {"x": terms(batch)[1]["mse"]}) if batch.targets[batch.targets > 0].sum() else 0
    assert step_memory(module, batch) is None


def test_a_dry_run_for_a_gpu_that_is_not_here_computes_its_memory(make, capsys, monkeypatch):
    monkeypatch.setattr("slt.train.dry_run.free_bytes", lambda device: 10**6)
    encoder = {"kind": "sonar-t5", "shape": {**WIDER, "num_layers": 1}, "lora_rank": 2}
    recipe = make(encoder=encoder, trainer={**HALF, "precision": "fp16", "device": "auto"})
    dry_run(recipe)
    said = capsys.readouterr()
    assert "computed; a GPU needs about 1.00 GB more for CUDA" in said.out
    assert "time: not measured, since precision fp16 needs a GPU, and torch sees none here" in said.out
    assert "this GPU has 1.0 MB free; halve data.batch_rows" in said.err


def test_a_dry_run_that_cannot_compute_memory_says_so(make, capsys):
    decoder = {"kind": "t5", "shape": HF["t5"], "vocab_size": 60, "train": "full", "source": "sequence"}
    dry_run(make(decoder=decoder, objective={"kind": "cross-entropy"}, trainer={"monitor": "loss"}))
    said = capsys.readouterr().out
    assert "memory: not computed, since what this step takes depends on values" in said
    assert "in all at the peak of such steps, measured" in said


def test_an_encoder_that_is_to_be_compiled_is_not_compiled_for_it(make):
    plain, batch = ready(make())
    expected = step_memory(plain, batch)
    plain.encoder.compile(backend=refuse_to_compile)
    assert step_memory(plain, batch) == expected


def refuse_to_compile(graph, inputs):
    raise AssertionError("compiled")


def test_an_average_of_the_weights_is_counted(make):
    sizes = []
    for ema in (0.0, 0.9):
        module, batch = ready(replace(make(), optim=replace(make().optim, ema=ema)))
        sizes.append(step_memory(module, batch))
    without, with_average = sizes
    assert isinstance(without, StepMemory)
    assert with_average.state == pytest.approx(4 / 3 * without.state)
