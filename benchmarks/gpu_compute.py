"""Sections of ``gpu.py`` that compute: matrix products, SignHiera, training, InfoNCE."""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import training as steps
from benchmarks.gpu import Plan, Row, attempt
from benchmarks.plain_hiera import PlainHiera
from slt.core.device import computes_bfloat16
from slt.core.tensors import EncoderOutput
from slt.demo.plan import EXTRACTOR
from slt.models.signhiera import SignHiera, SignHieraConfig
from slt.recipe.parts import Contrastive
from slt.train.loader import Batch
from slt.train.objectives import Step, contrastive
from slt.video.windows import WindowGeometry, plan_windows

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PLAIN_AT_ONCE = 4  # windows; their attention matrices take gigabytes each
MEASURED_S = 1.5  # at least, of each figure
FPS = 25.0


def matmul(plan: Plan) -> Iterator[Row]:
    """Measure the peak of matrix products of each type."""
    for name in DTYPES if plan.device == "cuda" else ("fp32", "bf16"):
        with tf32(name == "tf32"):
            side = 256 if plan.tiny else None
            yield attempt(name, lambda: {"TFLOP/s": steps.matmul_peak(plan.device, DTYPES[name], side) / 1e12})  # noqa: B023


def signhiera(plan: Plan) -> Iterator[Row]:
    """Measure SignHiera beside the plain way, and its difference from float32 on the CPU."""
    torch.manual_seed(0)
    config = EXTRACTOR if plan.tiny else SignHieraConfig()
    model = SignHiera(config).eval()
    paddings, n_clips = like_how2sign(config, n_clips=3 if plan.tiny else 16)
    expected = model_features(model, paddings[:1])
    for dtype in ("bf16", "fp16", "fp32") if plan.device == "cuda" else ("fp32", "bf16"):  # emulated on older cards
        here = copy.deepcopy(model).to(plan.device, DTYPES[dtype])
        off = attempt("", lambda: {"off": difference(model_features(here, paddings[:1]), expected)})  # noqa: B023
        for way in ("slt", "plain"):
            for what, padding, clips in (
                ("whole windows", [0] * (2 if plan.tiny else 16), 0),
                ("How2Sign's lengths", paddings, n_clips),
            ):
                run = partial(hiera_row, plan, here, way, dtype, padding, clips, off if way == "slt" else {})
                yield attempt(f"{way}, {dtype}, {what}", run)
    if plan.tiny or plan.device == "cpu":
        return
    for dtype in ("bf16", "fp16"):
        run = partial(compiled_row, plan, model, dtype)
        yield attempt(f"slt compiled, {dtype}, whole windows", run)


def hiera_row(plan: Plan, model: SignHiera, way: str, dtype: str, paddings: list[int], n_clips: int, off: Row) -> Row:
    """Measure one way; only real time steps count as work, computed padding does not."""
    padding = torch.tensor(paddings)
    pixels = torch.randn(len(padding), 3, *model.config.input_size, device=plan.device, dtype=DTYPES[dtype])
    compute: Callable[..., Any] = PlainHiera(model) if way == "plain" else model
    at_once = PLAIN_AT_ONCE if way == "plain" else len(padding)

    def call() -> None:
        for start in range(0, len(padding), at_once):
            compute(pixels[start : start + at_once], padding[start : start + at_once])

    with tf32(False):
        seconds, memory = measured(plan, call)
    flops = sum(hiera_flops(model.config, n) for n in paddings)
    return {
        "windows/s": len(paddings) / seconds,
        "clips/s": n_clips / seconds if n_clips else "–",
        "TFLOP/s": flops / seconds / 1e12,
        "of the peak": plan.share(flops / seconds, dtype),
        "memory, GiB": memory,
        "off float32 on the CPU": off.get("off", off.get("note", "–")),
    }


def compiled_row(plan: Plan, model: SignHiera, dtype: str) -> Row:
    """Measure the compiled model on whole windows."""
    if plan.is_late:
        raise TimeoutError("left out: the section's time is over")
    here = copy.deepcopy(model).to(plan.device, DTYPES[dtype])
    n_rows = here.config.rows_per_window
    run = torch.compile(lambda pixels: here._features(pixels, n_rows))
    pixels = torch.randn(16, 3, *here.config.input_size, device=plan.device, dtype=DTYPES[dtype])
    begun = time.perf_counter()
    with torch.inference_mode():
        run(pixels)
        sync(plan.device)
        compiling = time.perf_counter() - begun
        seconds, memory = measured(plan, lambda: run(pixels))
    flops = len(pixels) * hiera_flops(here.config, 0)
    return {
        "windows/s": len(pixels) / seconds,
        "clips/s": "–",
        "TFLOP/s": flops / seconds / 1e12,
        "of the peak": plan.share(flops / seconds, dtype),
        "memory, GiB": memory,
        "note": f"compiling took {compiling:.0f} s",
    }


@torch.inference_mode()
def model_features(model: SignHiera, paddings: list[int]) -> Tensor:
    """Return the float32 features of a fixed window, on the CPU."""
    weight = next(model.parameters())
    pixels = torch.randn(1, 3, *model.config.input_size, generator=torch.Generator().manual_seed(1))
    return model(pixels.to(weight.device, weight.dtype), torch.tensor(paddings)).features.float().cpu()


def difference(found: Tensor, expected: Tensor) -> str:
    """Return the largest difference, relative to the largest value."""
    return f"{float((found - expected).abs().max() / expected.abs().max()):.1e}"


def hiera_flops(config: SignHieraConfig, padding: int) -> int:
    """Count the FLOPs of one window without its padding, by torch.utils.flop_counter on tensors without memory."""
    n_rows = config.rows_per_window - padding // config.patch_stride[0]
    with torch.device("meta"):
        model, pixels = SignHiera(config), torch.empty(1, 3, *config.input_size)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model._features(pixels, n_rows)
    return counter.get_total_flops()


def like_how2sign(config: SignHieraConfig, *, n_clips: int) -> tuple[list[int], int]:
    """Return the paddings of the windows of clips as long as How2Sign's, and the number of clips."""
    geometry = WindowGeometry(num_frames=config.input_size[0])
    frames = [max(1, int(n / 12.5 * FPS)) for n in steps.like_how2sign(n_clips)]
    return [window.padding for n in frames for window in plan_windows(n, FPS, geometry)], n_clips


def training(plan: Plan) -> Iterator[Row]:
    """Measure steps of the sign encoder: forward, backward, clipping and AdamW."""
    half = "bf16" if computes_bfloat16(torch.device(plan.device)) else "fp16"
    precisions = ["fp32"] if plan.device == "cpu" else [half, "fp32"]
    rows = 256 if plan.tiny else rows_for_card()
    for precision in precisions:
        for variant in ("plain", "checkpointing", "compile"):
            if variant == "compile" and (plan.tiny or precision == "fp32"):
                continue
            yield attempt(f"{variant}, {precision}, {rows} rows", partial(step_row, plan, variant, precision, rows))


def step_row(plan: Plan, variant: str, precision: str, rows: int) -> Row:
    """Measure one kind of step."""
    if plan.is_late:
        raise TimeoutError("left out: the section's time is over")
    reset_memory(plan.device)
    options = argparse.Namespace(
        full=not plan.tiny,
        device=plan.device,
        precision=precision,
        rows=rows,
        steps=2 if plan.tiny else 5,
        only=variant,
    )
    found = steps.measure(options)
    return {
        "time steps/s": found["rows"],
        "clips/s": found["clips"],
        "s per step": found["step"],
        "of the peak": plan.share(found["flops"], precision),
        "memory, GiB": found["memory"],
    }


def rows_for_card() -> int:
    """Return how many time steps a batch has: as the shipped recipe on 40 GB or more, fewer on less."""
    total = torch.cuda.get_device_properties(0).total_memory / 2**30 if torch.cuda.is_available() else 0
    return 16384 if total >= 60 else 4096 if total >= 36 else 1024


def infonce(plan: Plan) -> Iterator[Row]:
    """Measure the contrastive loss and its gradient with 4,096 negatives."""
    n, width = (64, 128) if plan.tiny else (4096, 1024)
    torch.manual_seed(0)
    sentences = torch.randn(n, width, device=plan.device, requires_grad=True)
    targets = torch.randn(n, width, device=plan.device)
    mask = torch.ones(n, 1, dtype=torch.bool, device=plan.device)
    names = tuple(map(str, range(n)))
    batch = Batch(ids=names, texts=names, langs=names, targets=targets, features=None, windows=None, n_clips=n)
    output = EncoderOutput(sentence=sentences, sequence=sentences[:, None], mask=mask)
    step = Step(
        output=output, batch=batch, settings=Contrastive(kind="contrastive"), variance=1.0, decode_loss=no_decoder
    )

    def call() -> None:
        sentences.grad = None
        contrastive(step)["contrastive"].total.backward()

    def row() -> Row:
        seconds, memory = measured(plan, call)
        flops = 2 * n * n * width * (1 + 2 + 2)  # targets by targets; two products of logits, and their gradients
        return {"ms": 1e3 * seconds, "of the peak": plan.share(flops / seconds, "fp32"), "memory, GiB": memory}

    yield attempt(f"{n} clips, fp32", row)


def no_decoder(*_: Any, **__: Any) -> tuple[Tensor, int]:
    """Stand where a decoder's loss would; nothing is decoded."""
    raise NotImplementedError


def measured(plan: Plan, call: Callable[[], object]) -> tuple[float, float]:
    """Return the mean seconds of a call after a first one, and the peak of GPU memory in GiB (0 on a CPU)."""
    reset_memory(plan.device)
    call()
    sync(plan.device)
    count, begun = 0, time.perf_counter()
    while count < 2 or time.perf_counter() - begun < (0.05 if plan.tiny else MEASURED_S):
        call()
        sync(plan.device)
        count += 1
        if plan.is_late:
            break
    seconds = (time.perf_counter() - begun) / count
    return seconds, torch.cuda.max_memory_allocated() / 2**30 if plan.device == "cuda" else 0.0


def reset_memory(device: str) -> None:
    """Forget the peak of GPU memory."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def sync(device: str) -> None:
    """Wait for the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow float32 products to be rounded to TF32 while the block runs."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
