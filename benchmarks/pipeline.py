"""Whole pipeline at the published size with random weights, per stage, compared with the public pipeline.

    python benchmarks/pipeline.py --scratch DIR              # 14 GB of disk, 16 GB of memory, about 15 minutes
    python benchmarks/pipeline.py --scratch DIR --video FILE # your own clip
    python benchmarks/pipeline.py --scratch DIR --tiny       # tiny models; seconds

Every row runs in a separate process, to measure its peak memory; the variants of a stage alternate. Features,
embeddings and texts are compared with those of the public pipeline.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

CHILD = "--child"
NEEDED_GB = 14
N_FRAMES = 181
LANGS = ("eng_Latn", "deu_Latn", "fra_Latn", "zho_Hans")
TOKENS = 25  # length of the published model's output for the published sample
HALF, INT8 = "bfloat16", "int8"
PLAIN, FULL = "the public way", "float32"
STAGES = {
    "first load": (HALF,),
    "load": (PLAIN, FULL, HALF, INT8),
    "crop": (PLAIN, FULL),
    "features": (PLAIN, FULL, HALF),
    "embedding": (PLAIN, FULL, HALF),
    "text, 1 language": (PLAIN, FULL, HALF, INT8),
    "text, 4 languages": (PLAIN, FULL, HALF, INT8),
}
"""Stage → variants; the first variant is the baseline of the others."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, required=True, help="a new folder, removed at the end")
    parser.add_argument("--video", type=Path, help="a clip; default: a synthetic one of 181 frames")
    parser.add_argument("--tiny", action="store_true", help="tiny models, all in one process")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args(arguments)
    options.scratch.mkdir(parents=True)
    try:
        prepare(options.scratch, options.video, tiny=options.tiny)
        compare(options.scratch, runs=options.runs, run=measure if options.tiny else in_new_process)
    finally:
        shutil.rmtree(options.scratch)


def prepare(scratch: Path, video: Path | None, *, tiny: bool) -> None:
    """Write a bundle and choose a clip."""
    os.environ["SLT_HOME"] = str(scratch / "home")
    if tiny:
        from tests.bundles import write_bundle

        write_bundle(scratch / "bundle")
    else:
        if (free := shutil.disk_usage(scratch).free / 1e9) < NEEDED_GB:
            raise SystemExit(f"{scratch} has {free:.0f} GB free, expected at least {NEEDED_GB}")
        write_full_bundle(scratch / "bundle")
    if video is None:
        from tests.bundles import write_clip

        video = write_clip(scratch / "clip.mp4", 40 if tiny else N_FRAMES)
    (scratch / "video").write_text(str(video.absolute()))


def write_full_bundle(folder: Path) -> None:
    """Import random checkpoints of the published sizes, without a text encoder."""
    from slt.bundle.convert import Sources, import_bundle
    from tests.published import random_weights, write_tokenizer

    sources = folder.with_name("sources")
    sources.mkdir()
    parts = ("signhiera", "sign_encoder", "text_decoder")
    for part in parts:
        torch.save({"model": random_weights(part)}, sources / f"{part}.pt")
    write_tokenizer(sources / "tokenizer.model")
    files = {part: sources / f"{part}.pt" for part in parts}
    import_bundle("full", Sources(**files, tokenizer=sources / "tokenizer.model")).rename(folder)
    shutil.rmtree(sources)


def compare(scratch: Path, *, runs: int, run: Callable[[Path, str, str], dict[str, Any]]) -> None:
    """Print a row per stage and variant: seconds, speed-up, memory, difference."""
    print(f"{torch.get_num_threads()} threads; of {runs} runs the fastest counts\n")
    print("| stage | way | s | times as fast | peak memory, GiB | largest difference |\n|---|---|---|---|---|---|")
    best: dict[str, dict[str, dict[str, Any]]] = {}
    for stage, ways in STAGES.items():
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
        for _ in range(runs):
            for way in ways:
                found[way].append(run(scratch, stage, way))
        best[stage] = {way: min(several, key=lambda one: one["s"]) for way, several in found.items()}
        for way, one in best[stage].items():
            times = best[stage][ways[0]]["s"] / one["s"]
            print(f"| {stage} | {way} | {one['s']:.2f} | {times:.2f} | {one['peak']:.1f} | {one['off']} |", flush=True)
    print_bounds(best)


def in_new_process(scratch: Path, stage: str, way: str) -> dict[str, Any]:
    command = [sys.executable, __file__, CHILD, str(scratch), stage, way]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(scratch: Path, stage: str, way: str) -> dict[str, Any]:
    """Run one variant of a stage; save its result for the next stage, or compare it with the saved one."""
    os.environ["SLT_HOME"] = str(scratch / "home")
    result = STEPS[stage.partition(",")[0]](scratch, way, 4 if stage.endswith("languages") else 1)
    made, saved = result.pop("made", None), scratch / f"{stage}.pt"
    off = "-"
    if isinstance(made, torch.Tensor):
        off = f"{(made - torch.load(saved)).abs().max().item():.1e}" if saved.exists() else "-"
    elif made is not None and saved.exists():
        same = [one == other for one, other in zip(made, torch.load(saved), strict=True)]
        off = f"{same.count(False)} of {len(same)} texts"
    if made is not None and way == PLAIN:
        torch.save(made, saved)
    return {**result, "off": off, "peak": peak_memory()}


def peak_memory() -> float:
    """Return the peak memory of this process in GiB; getrusage would include its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**20


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the duration of a call in seconds, and its result."""
    before = time.perf_counter()
    result = call()
    return time.perf_counter() - before, result


def models(scratch: Path, way: str) -> Any:
    """Load the encoder and decoder for a variant."""
    from benchmarks.baseline import restore_original_modules
    from slt.bundle.load import load_bundle

    dtype, text_dtype = (way, None) if way == HALF else (FULL, INT8 if way == INT8 else None)
    loaded = load_bundle(scratch / "bundle", device="cpu", dtype=dtype, text_dtype=text_dtype)
    if way == PLAIN:
        for model in (loaded.encoder, loaded.decoder):
            restore_original_modules(model)
    return loaded


def extractor(scratch: Path, way: str) -> Any:
    """Load the extractor for a variant."""
    from benchmarks.baseline import restore_original_modules
    from slt.frontend.base import Settings
    from slt.frontend.registry import load_frontend

    frontend = load_frontend(
        None, Settings(model=str(scratch / "bundle"), device="cpu", dtype=HALF if way == HALF else FULL)
    )
    if way == PLAIN:
        restore_original_modules(frontend.model)
    return frontend


def load(scratch: Path, way: str, _: int) -> dict[str, Any]:
    """Load all models, without the time of imports."""
    import slt.text.sonar.model  # noqa: F401
    from benchmarks.baseline import load_at_random_first

    if way == PLAIN:
        return {"s": timed(lambda: load_at_random_first(scratch / "bundle"))[0]}
    return {"s": timed(lambda: models(scratch, way))[0]}


def crop(scratch: Path, way: str, _: int) -> dict[str, Any]:
    """Detect and crop the signer; results are not compared, because the detectors differ."""
    from benchmarks.baseline import crop_whole_video
    from slt.assets.store import find_bundle
    from slt.video.crop import find_signer
    from slt.video.decode import open_video
    from slt.video.stream import cropped_frames

    path, card = clip(scratch), find_bundle(scratch / "bundle").card.preprocess
    if way == PLAIN:
        box = find_signer(open_video(path), "none").box
        return {"s": timed(lambda: crop_whole_video(path, box, card.size))[0]}

    def ours() -> int:
        video = open_video(path)
        return sum(1 for _ in cropped_frames(video, find_signer(video, card.detector), card.size))

    return {"s": timed(ours)[0]}


def features(scratch: Path, way: str, _: int) -> dict[str, Any]:
    """Compute the features of the clip's windows."""
    from benchmarks.plain_hiera import PlainHiera
    from slt.frontend.clip import ClipSource
    from slt.models.signhiera import normalise

    frontend = extractor(scratch, way)
    windows = list(frontend.inputs(frontend.open(ClipSource(id="clip", path=clip(scratch)))))
    if way == PLAIN:
        plain = PlainHiera(frontend.model)
        pixels = [
            (normalise(torch.from_numpy(one.content[None])), torch.tensor([one.window.padding])) for one in windows
        ]
        seconds, made = timed(lambda: torch.cat([rows for one in pixels for rows in plain(*one)]))
        return {"s": seconds, "made": made}
    count = FlopCount(frontend.model)
    seconds, made = timed(lambda: torch.cat([rows for one in windows for (rows,) in frontend.features([one])]))
    return {"s": seconds, "made": made.float(), "flops": count.flops}


class FlopCount:
    """Counts the floating-point operations of an extractor's matrix products."""

    def __init__(self, extractor: Any) -> None:
        from slt.models.cpu_kernels import is_linear

        self.flops = 0
        for block in extractor.blocks:
            for part in block.modules():
                if is_linear(part):
                    part.register_forward_hook(self._linear)
            block.attn.register_forward_hook(self._attention)

    def _linear(self, part: Any, inputs: Any, _: Any) -> None:
        self.flops += 2 * inputs[0].numel() * len(part.weight)

    def _attention(self, part: Any, inputs: Any, _: Any) -> None:
        batch, n, _ = inputs[0].shape
        self.flops += 4 * batch * n * (n // part.n_pooled) * len(part.proj.weight)


def embedding(scratch: Path, way: str, _: int) -> dict[str, Any]:
    """Embed the features of the public pipeline."""
    from slt.pipeline.segment import encode

    loaded, found = models(scratch, way), torch.load(scratch / "features.pt")
    seconds, made = timed(lambda: encode(loaded.encoder, found.to(next(loaded.encoder.parameters()).dtype)))
    return {"s": seconds, "made": made.sentence[0].float()}


def text(scratch: Path, way: str, n_langs: int) -> dict[str, Any]:
    """Decode the embedding of the public pipeline, in one or several languages."""
    from benchmarks.baseline import translate_one_by_one

    loaded, found = models(scratch, way), torch.load(scratch / "embedding.pt")[None]
    langs = [lang for lang in LANGS if lang in loaded.card.languages][:n_langs]
    decoder, n_params = loaded.decoder, sum(value.numel() for value in loaded.decoder.decoder.parameters())
    if way == PLAIN:
        seconds, made = timed(lambda: translate_one_by_one(decoder, found, langs, TOKENS))
    else:
        seconds, rows = timed(lambda: decoder.decode(found, langs, max_tokens=TOKENS))
        made = [rows[0][lang][0] for lang in langs]
    return {"s": seconds, "made": [one.text for one in made], "weights": n_params, "rows": 5 * len(langs)}


def clip(scratch: Path) -> Path:
    return Path((scratch / "video").read_text())


STEPS: dict[str, Callable[[Path, str, int], dict[str, Any]]] = {
    "first load": load,
    "load": load,
    "crop": crop,
    "features": features,
    "embedding": embedding,
    "text": text,
}


def print_bounds(best: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Print the machine's peak performance, and the fraction of it reached by the two slowest stages."""
    peak, bandwidth = matmul_peak(), read_bandwidth()
    print(f"\nthis machine, float32: products at {peak / 1e9:.0f} GFLOP/s, memory read at {bandwidth / 1e9:.1f} GB/s\n")
    print("| stage | bound by | s at the bound | share reached |\n|---|---|---|---|")
    one = best["features"][FULL]
    bound = one["flops"] / peak
    print(f"| features, {FULL} | products, {one['flops'] / 1e12:.2f} TFLOP | {bound:.2f} | {bound / one['s']:.0%} |")
    for stage in ("text, 1 language", "text, 4 languages"):
        one = best[stage][FULL]
        steps = {
            "memory": TOKENS * 4 * one["weights"] / bandwidth,
            "products": TOKENS * 2 * one["weights"] * one["rows"] / peak,
        }
        by = max(steps, key=lambda name: steps[name])
        print(f"| {stage}, {FULL} | {by}, {TOKENS} steps | {steps[by]:.2f} | {steps[by] / one['s']:.0%} |")


def matmul_peak() -> float:
    """Return the FLOP/s of a large matrix product."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    return 2 * 2048**3 / min(timed(lambda: a @ b)[0] for _ in range(4))


def read_bandwidth() -> float:
    """Return the bytes/s read by a matrix-vector product larger than any cache."""
    a, b = torch.randn(2**16, 2**11), torch.randn(2**11)
    return a.nbytes / min(timed(lambda: a @ b)[0] for _ in range(4))


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        print(json.dumps(measure(Path(sys.argv[2]), *sys.argv[3:])))
    else:
        main()
