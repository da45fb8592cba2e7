"""Both engines of SONAR's text models at the published size, with random weights: seconds, memory, and equality.

    python benchmarks/text_engines.py --scratch DIR     # 9 GB of disk, 6 GB of memory, minutes

Each measurement is a process of its own that loads one model, decoder or encoder. Token ids must be equal, embeddings
to 1e-5.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ENGINES = ("fairseq2", "transformers")
NEEDED_GB = 9
CHILD = "--child"
N_TOKENS = 25  # of each text: random weights never end one
LANGUAGES = ("eng_Latn", "fra_Latn", "deu_Latn", "zho_Hans")
TEXTS = ["the weather is nice", "we go hiking in the mountains today", "landslides are a large concern"] * 11


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, required=True, help="a new folder, removed at the end")
    parser.add_argument("--tiny", action="store_true", help="tiny models, all in one process")
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args(arguments)
    options.scratch.mkdir(parents=True)
    try:
        if not options.tiny and (free := shutil.disk_usage(options.scratch).free / 1e9) < NEEDED_GB:
            raise SystemExit(f"{options.scratch} has {free:.0f} GB free, expected at least {NEEDED_GB}")
        prepare(options.scratch, tiny=options.tiny)
        compare(options.scratch, runs=options.runs, run=measure if options.tiny else in_new_process)
    finally:
        shutil.rmtree(options.scratch)


def prepare(scratch: Path, *, tiny: bool) -> None:
    """Write random weights, the configuration and a tokenizer."""
    from slt.models.checkpoint import save_weights
    from slt.text.config import SonarTextConfig, StackConfig
    from slt.text.decoding_flags import torch_defaults
    from slt.text.engines import sonar_text
    from tests.published import write_tokenizer

    stack = StackConfig(model_dim=32, num_layers=2, num_heads=2, ffn_inner_dim=64) if tiny else StackConfig()
    config = SonarTextConfig(encoder=stack, decoder=stack)
    (scratch / "config.json").write_text(json.dumps(config.to_json()))
    if tiny:
        shutil.copy(Path(__file__).parents[1] / "tests/golden/tiny/small_spm.model", scratch / "tokenizer.model")
    else:
        write_tokenizer(scratch / "tokenizer.model")
    kind = sonar_text("transformers")
    n_tokens = kind.read_tokens(scratch / "tokenizer.model", config.languages).size
    for part in ("decoder", "encoder"):
        with torch_defaults("meta", torch.float32):
            shapes = kind.weights_of(part, kind.create(part, config, n_tokens))
        save_weights(scratch / f"{part}.safetensors", random_weights(shapes))


def random_weights(shapes: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights that keep activations in range: norms near one, the rest small; the output table is left out."""
    draw = torch.Generator().manual_seed(1)
    weights = {}
    for name, value in shapes.items():
        is_norm = value.ndim == 1 and "norm.weight" in name
        if name != "final_proj.weight":
            weights[name] = torch.empty(value.shape).normal_(1.0 if is_norm else 0.0, 0.03, generator=draw)
    return weights


def compare(scratch: Path, *, runs: int, run: Callable[[Path, str, str], dict[str, Any]]) -> None:
    """Print a row per step and engine: seconds (wall and processor), memory, difference from fairseq2."""
    print(f"{torch.get_num_threads()} threads; of {runs} runs the fastest counts\n")
    print("| what | engine | load, s | s | processor, s | peak memory, GiB | beside fairseq2 |\n" + "|---" * 7 + "|")
    for step in STEPS:
        found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ENGINES}
        for _ in range(runs):
            for engine in ENGINES:
                found[engine].append(run(scratch, step, engine))
        for engine, several in found.items():
            one = {name: min(row[name] for row in several) for name in ("load", "s", "cpu", "peak")}
            row = [*(f"{one[name]:.1f}" for name in ("load", "s", "cpu", "peak")), several[-1]["off"]]
            print(f"| {step} | {engine} | {' | '.join(row)} |", flush=True)


def in_new_process(scratch: Path, step: str, engine: str) -> dict[str, Any]:
    command = [sys.executable, __file__, CHILD, str(scratch), step, engine]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(scratch: Path, step: str, engine: str) -> dict[str, Any]:
    """Load a model on one engine, time one step, and save its result or compare it with fairseq2's."""
    from slt.models.cpu_kernels import use_cpu_kernels
    from slt.text.engines import sonar_text
    from slt.text.int8 import quantise

    kind = sonar_text(engine)  # its imports are not measured
    began = time.perf_counter()
    model = load(kind, scratch, encoder=step == EMBED)
    if step != LOSS:
        use_cpu_kernels(model)
    if step == INT8:
        quantise(model)
    loaded, computed = time.perf_counter(), time.process_time()
    made = STEPS[step](model)
    done, computed = time.perf_counter(), time.process_time() - computed
    saved = scratch / f"{step}.pt"
    if engine == ENGINES[0]:
        torch.save(made, saved)
    off = "-" if engine == ENGINES[0] else difference(made, torch.load(saved))
    return {"load": loaded - began, "s": done - loaded, "cpu": computed, "peak": peak_memory(), "off": off}


def load(kind: Any, scratch: Path, *, encoder: bool) -> Any:
    """Load the decoder; or the text encoder, beside a decoder of one narrow layer."""
    from slt.models.checkpoint import read_weights
    from slt.text.config import SonarTextConfig, StackConfig

    config = SonarTextConfig.from_json(json.loads((scratch / "config.json").read_text()))
    tokenizer = scratch / "tokenizer.model"
    if not encoder:
        return kind.load(config, read_weights(scratch / "decoder.safetensors"), tokenizer)
    narrow = StackConfig(model_dim=16, num_layers=1, num_heads=2, ffn_inner_dim=16)
    config = dataclasses.replace(config, decoder=narrow)
    n_tokens = kind.read_tokens(tokenizer, config.languages).size
    decoder = kind.weights_of("decoder", kind.create("decoder", config, n_tokens))
    return kind.load(config, decoder, tokenizer, read_weights(scratch / "encoder.safetensors"))


def embeddings(model: Any, n: int) -> Tensor:
    return torch.empty(n, model.config.encoder.model_dim).normal_(generator=torch.Generator().manual_seed(2))


def decode(model: Any, *, langs: Sequence[str]) -> list[str]:
    """Return the token ids of all hypotheses of a beam of five."""
    model.tokens.text = lambda row: " ".join(map(str, row.tolist()))
    found = model.decode(embeddings(model, 1), langs, nbest=5, max_tokens=N_TOKENS)
    return [text.text for row in found for lang in langs for text in row[lang]]


def embed(model: Any) -> Tensor:
    return model.embed(TEXTS, LANGUAGES[0])


def loss(model: Any) -> Tensor:
    """Return the loss and its gradient at the embeddings, through a frozen decoder: a step of a sign encoder."""
    given = embeddings(model.requires_grad_(False), len(TEXTS)).requires_grad_()
    total, count = model.loss(given, TEXTS, LANGUAGES[:1] * len(TEXTS))
    (total / count).backward()
    return torch.cat([(total / count).detach()[None], given.grad.flatten()])


def difference(made: Any, reference: Any) -> str:
    if isinstance(made, Tensor):
        return f"{(made - reference).abs().max().item():.1e}"
    return f"{sum(one != other for one, other in zip(made, reference, strict=True))} of {len(made)} texts differ"


def peak_memory() -> float:
    """Return the peak memory of this process in GiB, mapped weights included."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 2**20


ONE, FOUR, INT8 = "text, 1 language", "text, 4 languages", "text, 1 language, int8"
EMBED, LOSS = f"embed {len(TEXTS)} texts", f"loss and gradient, {len(TEXTS)} texts"
STEPS: dict[str, Callable[[Any], Any]] = {
    ONE: partial(decode, langs=LANGUAGES[:1]),
    FOUR: partial(decode, langs=LANGUAGES),
    INT8: partial(decode, langs=LANGUAGES[:1]),
    EMBED: embed,
    LOSS: loss,
}


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        print(json.dumps(measure(Path(sys.argv[2]), *sys.argv[3:])))
    else:
        main()
