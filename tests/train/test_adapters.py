"""Adapters beside the sign encoder's layers, frozen weights in half precision, and what both are worth in fp16."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn

from slt.core.errors import Stopped, UserError
from slt.core.runs import open_run
from slt.core.tensors import FeatureBatch
from slt.models.checkpoint import read_weights
from slt.models.config import SonarT5Config
from slt.models.sonar_t5 import SonarT5
from slt.pipeline.translator import Translator
from slt.recipe.load import to_yaml
from slt.train import loop
from slt.train.lora import AdaptedLinear, add_adapters, hold_in_half, merge_lora
from slt.train.run import train
from tests.bundles import write_clip
from tests.train.conftest import SHAPE
from tests.train.whole import figures_of, finish

# All layers are square and of one width, so that one rank is full for each.
SQUARE = SonarT5Config(
    feature_dim=16, output_dim=16, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_decoder_layers=1, num_heads=2,
    vocab_size=2,
)  # fmt: skip
LAYERS = ("q", "k", "v", "o", "wi_0", "wi_1", "wo", "feature_proj", "projection_out")
ADAPTED = {"kind": "sonar-t5", "shape": {**SHAPE, "vocab_size": 4}, "lora_rank": 4, "checkpointing": True}
HALF = {"precision": "bf16", "frozen_weights": "half"}


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return FeatureBatch.of([torch.randn(9, 16), torch.randn(5, 16), torch.randn(12, 16)])


def encoder(config=SQUARE):
    torch.manual_seed(0)
    return SonarT5(config).eval()


def loss_of(model, batch):
    return (model(batch).sentence.float() - 1).square().sum()


def adapted_layers(model):
    return {name: part for name, part in model.named_modules() if isinstance(part, AdaptedLinear)}


def whole_rank(model):
    """Give each layer an adapter of full rank whose A is the identity: B alone is what is added to the weight."""
    add_adapters(model, LAYERS, rank=16, alpha=16)
    for layer in adapted_layers(model).values():
        layer.lora_a = nn.Parameter(torch.eye(16), requires_grad=False)
    return model


def test_at_full_rank_gradients_are_those_of_the_whole_weights(batch):
    full, ours = encoder(), whole_rank(encoder())
    loss_of(full, batch).backward()
    loss_of(ours, batch).backward()
    layers = adapted_layers(ours)
    assert len(layers) == 2 * 7 + 11 + 2
    for name, layer in layers.items():
        expected = full.get_submodule(name).weight.grad
        if expected is None:  # the pooling query attends to itself alone
            assert layer.lora_b.grad is None
            assert ".SelfAttention." in name
        else:
            torch.testing.assert_close(layer.lora_b.grad, expected, rtol=1e-4, atol=1e-5)


def test_at_any_rank_gradients_are_the_whole_ones_through_the_factors(batch):
    model = encoder()
    add_adapters(model, LAYERS, rank=3, alpha=6)
    torch.manual_seed(2)
    for layer in adapted_layers(model).values():
        nn.init.normal_(layer.lora_b, std=0.1)
    loss_of(model, batch).backward()
    layers, merged = adapted_layers(model), encoder()
    add_adapters(merged, LAYERS, rank=3, alpha=6)
    merged.load_state_dict(model.state_dict())
    merge_lora(merged)
    merged.requires_grad_(True)
    loss_of(merged, batch).backward()
    for name, layer in layers.items():
        whole = merged.get_submodule(name).weight.grad
        if whole is not None:
            torch.testing.assert_close(layer.lora_b.grad, 2 * whole @ layer.lora_a.T, rtol=1e-3, atol=1e-5)
            torch.testing.assert_close(layer.lora_a.grad, 2 * layer.lora_b.T @ whole, rtol=1e-3, atol=1e-5)


def test_at_full_rank_training_is_that_of_the_full_recipe(batch):
    full, ours = encoder(), whole_rank(encoder())
    full.requires_grad_(False)
    names = adapted_layers(ours)
    for name in names:
        full.get_submodule(name).weight.requires_grad_(True)
    for model in (full, ours):
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0)
        for _ in range(5):
            loss_of(model, batch).backward()
            optimizer.step()
            optimizer.zero_grad()
    merge_lora(ours)
    for name, weight in full.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], weight, rtol=0, atol=1e-5)


def test_they_begin_as_nothing_and_merge_in_float32(batch):
    model, before = encoder(), encoder().state_dict()
    add_adapters(model, ("q", "feature_proj"), rank=2, alpha=4)
    torch.testing.assert_close(model(batch).sentence, encoder()(batch).sentence)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert {name.rsplit(".", 1)[1] for name in trained} == {"lora_a", "lora_b"}
    for layer in adapted_layers(model).values():
        nn.init.normal_(layer.lora_b)
    expected = model(batch).sentence
    merge_lora(model)
    assert model.state_dict().keys() == before.keys()
    torch.testing.assert_close(model(batch).sentence, expected)
    with pytest.raises(UserError, match="no layer of SonarT5 is called query or value"):
        add_adapters(model, ("query", "value"), rank=2, alpha=4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_frozen_matrices_are_held_in_half_and_compute_what_autocast_did(batch, dtype):
    model = encoder()
    add_adapters(model, LAYERS, rank=2, alpha=4)
    with torch.autocast("cpu", dtype):
        expected = model(batch).sentence
    hold_in_half(model, dtype)
    for name, weight in model.named_parameters():
        stays = weight.requires_grad or weight.ndim == 1 or (dtype == torch.float16 and ".wo." in name)
        assert weight.dtype == (torch.float32 if stays else dtype), name
    with torch.autocast("cpu", dtype):
        found = model(batch).sentence
    torch.testing.assert_close(found, expected, rtol=0, atol=float(0.02 * expected.abs().max()))


@pytest.fixture
def wide(batch):
    """Weights whose feed-forward layers leave float16's range, as those of some published T5 do."""
    model = encoder()
    with torch.no_grad():
        for block in [*model.encoder.block, *model.decoder.block]:
            block.layer[-1].DenseReluDense.wo.weight.mul_(1e6)
    assert feed_forward_peak(model, batch) > 65504
    return model


def feed_forward_peak(model, batch):
    peaks = []
    hooks = [
        block.layer[-1].DenseReluDense.register_forward_hook(lambda *call: peaks.append(float(call[-1].abs().max())))
        for block in model.encoder.block
    ]
    model(batch)
    for hook in hooks:
        hook.remove()
    return max(peaks)


def test_fp16_holds_where_feed_forward_layers_leave_its_range(wide, batch):
    add_adapters(wide, LAYERS, rank=2, alpha=4)
    expected, gradients = passes(wide, batch, nullcontext(), scale=1.0)
    with torch.autocast("cpu", torch.float16), torch.no_grad():
        plain = wide(batch).sentence.float()
    assert not torch.nn.functional.cosine_similarity(plain, expected).min() > 0.99  # or not a number
    hold_in_half(wide, torch.float16)
    found, ours = passes(wide, batch, torch.autocast("cpu", torch.float16), scale=2.0**8)
    torch.testing.assert_close(found, expected, rtol=0, atol=float(0.01 * expected.abs().max()))
    for name, gradient in gradients.items():
        if float(gradient.norm()) > 1e-3 * max(float(one.norm()) for one in gradients.values()):
            similar = torch.nn.functional.cosine_similarity(ours[name].flatten(), gradient.flatten(), dim=0)
            assert similar > 0.99, name


def passes(model, batch, context, *, scale):
    """Return embeddings, and gradients after loss scaling."""
    with context:
        found = model(batch).sentence
        loss = (found.float() - 1).square().mean()
    (scale * loss).backward()
    gradients = {name: weight.grad / scale for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return found.detach().float(), gradients


@pytest.mark.slow
def test_a_run_with_adapters_learns_and_its_bundle_translates(make, bundle, tmp_path):
    recipe = make(
        encoder={"kind": "sonar-t5", "weights": str(bundle), "lora_rank": 4, "checkpointing": True},
        objective={"kind": "sonar-space", "mse": 1.0, "cross_entropy": 0.1},
        optim={"lr": 1e-2, "accumulate": 2, "ema": 0.9},
        trainer={**HALF, "epochs": 12, "validate_every": 4},
    )
    run = finish(recipe, tmp_path / "run")
    losses = figures_of(run, "val/mse")
    assert losses[-1] < 0.8 * losses[0]
    saved = torch.load(run.last, weights_only=True)["state_dict"]
    assert {name.rsplit(".", 1)[1] for name in saved} == {"lora_a", "lora_b"}
    assert all(weight.dtype == torch.float32 for weight in saved.values())
    before, weights = (read_weights(folder / "encoder.safetensors") for folder in (bundle, run.bundle))
    assert weights.keys() == before.keys()
    assert all(weight.dtype == torch.float32 for weight in weights.values())
    kept = [name for name in before if weights[name].equal(before[name].bfloat16().float())]
    assert {"shared.weight"} <= set(kept) < set(before)
    assert torch.isfinite(Translator(run.folder).translate(write_clip(tmp_path / "clip.mp4")).embedding).all()


@pytest.mark.slow
def test_a_run_with_adapters_goes_on_as_if_it_had_not_been_stopped(make, tmp_path, monkeypatch):
    recipe = make(
        encoder={**ADAPTED, "shape": {**SHAPE, "vocab_size": 4, "dropout_rate": 0.1}},
        optim={"ema": 0.9, "accumulate": 2},
        trainer={**HALF, "epochs": 4, "validate_every": 2},
    )
    straight = finish(recipe, tmp_path / "straight")
    (tmp_path / "stop").touch()
    monkeypatch.setenv("SLT_STOP_FILE", str(tmp_path / "stop"))
    run = open_run(tmp_path / "stopped", to_yaml(recipe))
    with pytest.raises(Stopped, match="stopped as asked"):
        train(recipe, run)
    monkeypatch.delenv("SLT_STOP_FILE")
    train(recipe, run)
    expected = read_weights(straight.bundle / "encoder.safetensors")
    for name, weight in read_weights(run.bundle / "encoder.safetensors").items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_fp16_with_loss_scaling_learns_what_bf16_does(make, tmp_path, monkeypatch):
    """The arithmetic of a T4, on a CPU, which Lightning would not do unasked."""
    ends = {}
    build = loop._trainer

    def on_cpu(together, *, precision, **settings):
        if precision != "16-mixed":
            return build(together, precision=precision, **settings)
        trainer = build(together, **settings)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)  # so that no update is left out
        trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cpu", scaler)
        return trainer

    monkeypatch.setattr(loop, "_trainer", on_cpu)
    monkeypatch.setattr("slt.train.run.check_machine", lambda recipe: None)
    for precision in ("bf16", "fp16"):
        recipe = make(
            encoder=ADAPTED,
            objective={"kind": "sonar-space", "mse": 1.0, "cross_entropy": 0.1},
            optim={"lr": 1e-2, "accumulate": 2},
            trainer={
                "epochs": 12,
                "validate_every": 4,
                "precision": precision,
                "frozen_weights": "half",
                "device": "auto",
            },
        )
        run = finish(recipe, tmp_path / precision)
        ends[precision] = figures_of(run, "val/mse")
    assert ends["fp16"][-1] < 0.8 * ends["fp16"][0]
    assert ends["fp16"][-1] == pytest.approx(ends["bf16"][-1], rel=0.2)
    assert torch.isfinite(Translator(run.folder).translate(write_clip(tmp_path / "clip.mp4")).embedding).all()
