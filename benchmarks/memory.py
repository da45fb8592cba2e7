"""Memory of a training step at the published size: computed beside measured; ``gpu.py`` has this as a section.

    python benchmarks/memory.py                                   # computed, for the shipped recipes; a minute
    python benchmarks/memory.py --measure 2 256 40                # on a CPU too: 2 clips of 256 steps, 40 tokens; 5 GiB

All weights are random. On a CPU, measured is what torch's allocator gave, as the profiler saw it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.gpu import Plan, Row, attempt
from slt.assets.store import DEMO, find_bundle
from slt.core.device import computes_bfloat16, is_accelerator, peak_bytes, synchronise
from slt.core.tensors import FeatureBatch
from slt.models.config import SonarT5Config
from slt.models.signhiera import SignHiera, SignHieraConfig, normalise
from slt.models.sonar_t5 import SonarT5
from slt.recipe.load import load_recipe
from slt.recipe.parts import SonarT5Encoder
from slt.recipe.schema import Recipe
from slt.text.config import SonarTextConfig
from slt.text.engines import sonar_text
from slt.train.loader import Batch
from slt.train.memory import LiveBytes, StepMemory, fake_weights, fused_attention, replace_weights, step_memory
from slt.train.module import Training, total_loss
from slt.train.optim import make_optimizer, parameter_groups
from slt.train.parts import Parts, Widths, build_encoder, hold_frozen

VOCAB_SIZE = 256_206  # of SONAR's tokenizer
GIB = 2**30
T4 = "how2sign-t4"
COMPUTED = (
    (T4, 4, 1024, 256),
    (T4, 8, 83, 24),
    ("how2sign", 28, 575, 150),
    ("how2sign", 32, 83, 24),
)
"""Recipe, clips, time steps of each, tokens of each."""
SMALL = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=int, nargs=3, metavar=("CLIPS", "STEPS", "TOKENS"))
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.measure:
        plan = Plan(device=options.device, tiny=False, cores=1)
        for name, value in measured_row(plan, *options.measure).items():
            print(f"{name}: {value}")
        return
    inference()
    print("\n| recipe | batch | tokens each | weights, GiB | state, GiB | peak, GiB | peak recomputed, GiB |")
    print("|---|---|---|---|---|---|---|")
    for name, clips, steps, tokens in COMPUTED:
        found = []
        for checkpointing in (False, True):
            recipe = load_recipe(name, "train-encoder", [f"encoder.checkpointing={checkpointing}".lower()])
            found.append(step_memory(published(recipe), batch_of(clips, steps, tokens)))
        cells = [found[0].weights, found[0].state, *(one.peak for one in found)]
        sizes = " | ".join(f"{cell / GIB:.1f}" for cell in cells)
        print(f"| {name} | {clips} × {steps} | {tokens} | {sizes} |", flush=True)


def inference() -> None:
    """Print what computing features, embeddings and texts takes in each precision; computed."""
    engine, config = sonar_text("transformers"), SonarTextConfig(languages=("eng_Latn",))
    tokens = torch.zeros(64, 128, dtype=torch.long)
    clip = torch.empty(1, 512, 768)
    print("| model | of what | float32: weights, GiB | peak, GiB | half: weights, GiB | peak, GiB |")
    print("|---|---|---|---|---|---|")
    with torch.device("meta"):
        hiera = SignHiera(SignHieraConfig())
        encoder = SonarT5(SonarT5Config()).eval()
        text_encoder = engine.create("encoder", config, VOCAB_SIZE).eval()
        text_decoder = engine.create("decoder", config, VOCAB_SIZE).eval()
    lengths = torch.full((1,), 512)
    calls: tuple[tuple[str, str, nn.Module, Callable[[torch.dtype], object]], ...] = (
        *(
            ("SignHiera", f"{n} windows", hiera, lambda dtype, n=n: hiera._features(windows(n).to(dtype), 64))
            for n in (1, 8, 32)
        ),
        (
            "sign encoder",
            "41 s",
            encoder,
            lambda dtype: encoder(FeatureBatch(features=clip.to(dtype), lengths=lengths)),
        ),
        (
            "text encoder",
            "64 texts of 128 tokens",
            text_encoder,
            lambda _: text_encoder(tokens, torch.full((64,), 128)),
        ),
        (
            "text decoder",
            "5 beams",
            text_decoder,
            lambda dtype: text_decoder(tokens[:5], torch.ones(5, 1024).to(dtype)),
        ),
    )
    for model, what, module, call in calls:
        cells = [
            f"{n_bytes / GIB:.2f}"
            for dtype in (torch.float32, torch.bfloat16)
            for n_bytes in forward(module, call, dtype)
        ]
        print(f"| {model} | {what} | {' | '.join(cells)} |", flush=True)


def windows(n: int) -> Tensor:
    """Return the pixels of ``n`` windows, normalised."""
    return normalise(torch.empty(n, 128, 224, 224, 3, dtype=torch.uint8))


def forward(module: nn.Module, call: Callable[[torch.dtype], object], dtype: torch.dtype) -> tuple[int, int]:
    """Return the bytes of a module's weights in a precision, and those at the peak of a call, weights included."""
    module = module.to(dtype)
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), fake_weights(module):
        held = sum(tensor.nbytes for tensor in [*module.parameters(), *module.buffers()])
        with fused_attention(), LiveBytes() as live:
            call(dtype)
    return held, held + live.peak


def memory(plan: Plan) -> Iterator[Row]:
    """Compute and measure the recipe for a T4 on the card: its largest batch, and one of How2Sign's mean length."""
    for clips, steps, tokens in ((2, 40, 8),) if plan.tiny else ((4, 1024, 256), (8, 83, 24)):
        yield attempt(f"{T4}, {clips} × {steps}", partial(measured_row, plan, clips, steps, tokens))


def measured_row(plan: Plan, clips: int, steps: int, tokens: int) -> Row:
    """Compute and measure one step."""
    device = torch.device(plan.device)
    precision = "bf16" if computes_bfloat16(device) else "fp16"
    changes = [f"trainer.precision={precision}"]
    recipe = load_recipe(T4, "train-encoder", changes)
    module = published(recipe, tiny=plan.tiny)
    batch = batch_of(clips, steps, tokens, module.encoder.config.output_dim)
    computed = step_memory(module, batch)
    assert isinstance(computed, StepMemory)
    materialise(module, device)
    found, seconds = measure(module, batch.to(device))
    return {
        "computed, GiB": computed.peak / GIB,
        "measured, GiB": found / GIB,
        "ratio": computed.peak / found,
        "s per step": seconds,
        "note": f"{precision}, resident at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB",
    }


def published(recipe: Recipe, *, tiny: bool = False) -> Training:
    """Return a recipe's module on the meta device, with encoder and SONAR's decoder of the published sizes."""
    engine = sonar_text("transformers")
    assert isinstance(recipe.encoder, SonarT5Encoder)
    shape: dict[str, Any] = SMALL if tiny else {}
    width = SMALL["d_model"] if tiny else 1024
    config = SonarTextConfig(languages=recipe.data.langs)
    if tiny:
        card = find_bundle(DEMO).card
        config = SonarTextConfig.from_json({**card.decoder.config, "languages": recipe.data.langs})
        width = config.decoder.model_dim
    tokenizer = find_bundle(DEMO).path(find_bundle(DEMO).card.decoder.tokenizer)
    widths = Widths(feature_dim=768, visual_dim=0, target_dim=width, target_length=1.0)
    with torch.device("meta"):
        encoder = build_encoder(replace(recipe.encoder, weights=None, shape=shape), widths)
        decoder = engine.create("decoder", config, 512 if tiny else VOCAB_SIZE)
    text = engine(config=config, tokens=engine.read_tokens(tokenizer, config.languages), decoder=decoder)
    text.requires_grad_(False)
    hold_frozen(recipe, encoder, text)

    def decode_loss(output: Any, batch: Batch, *, label_smoothing: float = 0.0) -> tuple[Tensor, int]:
        return text.loss(output.sentence, batch.texts, batch.langs, label_smoothing=label_smoothing)

    parts = Parts(extractor=None, encoder=encoder, decoder=text, decode_loss=decode_loss)
    return Training(recipe, parts, variance=1.0, n_steps=10, per_epoch=10).train()


def batch_of(n_clips: int, n_steps: int, n_tokens: int, width: int | None = None) -> Batch:
    """Return a batch of equally long clips with texts of about as many tokens."""
    text = " ".join(["a"] * (n_tokens - 3))
    return Batch(
        ids=tuple(map(str, range(n_clips))),
        texts=(text,) * n_clips,
        langs=("eng_Latn",) * n_clips,
        targets=torch.randn(n_clips, width or 1024),
        features=FeatureBatch.of([torch.randn(n_steps, 768)] * n_clips),
        windows=None,
        n_clips=n_clips,
    )


def materialise(module: Training, device: torch.device) -> None:
    """Give a module on the meta device small random weights; what is shared stays shared."""

    def draw(value: Tensor) -> Tensor:
        fresh = torch.empty(value.shape, dtype=value.dtype, device=device)
        return fresh.normal_(std=0.02) if fresh.is_floating_point() else fresh.zero_()

    replace_weights(module, draw)
    module.groups = parameter_groups(module, module.recipe.optim, module.recipe.stages)


def measure(module: Training, batch: Batch) -> tuple[int, float]:
    """Return the most bytes that a step takes, all averages of the weights included, and its seconds."""
    device = batch.targets.device
    optimizer = make_optimizer(module.groups, module.recipe.optim)
    average = {name: weight.detach().clone() for name, weight in module.trained_weights().items()}
    for weight in module.trained_weights().values():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()  # makes AdamW's averages

    def step() -> None:
        with module.arithmetic(device):
            loss = total_loss(module.terms(batch)[1])
        loss.backward()
        synchronise(device)

    if is_accelerator(device):
        step()
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    if is_accelerator(device):
        step()
        return int(peak_bytes(device) or 0), time.perf_counter() - begun
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    seconds = time.perf_counter() - begun
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    gradients = [weight.grad for weight in module.trained_weights().values() if weight.grad is not None]
    held = [*module.parameters(), *module.buffers(), *states, *average.values(), *gradients]
    return sum(tensor.nbytes for tensor in held) + allocated(profile), seconds


def allocated(profile: Any) -> int:
    """Return the most bytes that the CPU's allocator had given out at once while it was profiled."""
    live = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


if __name__ == "__main__":
    main()
