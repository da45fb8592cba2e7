"""Effect of numerical precision on features, embeddings and texts of the demo model, relative to float32.

    python benchmarks/precision.py            # 100 new synthetic clips; minutes
    python benchmarks/precision.py --clips 8

Half precision is measured with arithmetic in float32, and with all arithmetic in half precision, as on a GPU or a CPU
with native instructions.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from slt.data.synthetic.corpus import write_corpus
from slt.data.synthetic.grammar import LANGUAGES
from slt.data.synthetic.labels import LabelledClip, read_clips
from slt.demo.score import score_texts
from slt.models import cpu_kernels
from slt.pipeline.result import Translation
from slt.pipeline.translator import Translator

WAYS = {
    "float32": ("float32", None, True),
    "bfloat16, arithmetic in float32": ("bfloat16", None, False),
    "float16, arithmetic in float32": ("float16", None, False),
    "bfloat16 throughout": ("bfloat16", None, True),
    "float16 throughout": ("float16", None, True),
    "text in int8": ("float32", "int8", True),
}
"""Variant → (dtype, dtype of the text decoder, whether native instructions are assumed)."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--seed", type=int, default=77, help="seed of the clips; not used in training the demo model")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_corpus(Path(folder), {"test": options.clips}, options.seed)["test"]
        print_table(read_clips(manifest))


def print_table(clips: list[LabelledClip]) -> None:
    """Print one row per variant."""
    print(f"{len(clips)} clips, {' and '.join(LANGUAGES)}, beam 5\n")
    print("| precision | features, relative | embedding, cosine | texts that differ | BLEU | score of a text |")
    print("|---|---|---|---|---|---|")
    full: list[Translation] = []
    for way, (dtype, text_dtype, native) in WAYS.items():
        is_native_dtype = cpu_kernels.is_native_dtype
        cpu_kernels.is_native_dtype = (lambda _: True) if native else (lambda one: one == torch.float32)
        try:
            translator = Translator("demo", device="cpu", dtype=dtype, text_dtype=text_dtype)
            found = [translator.translate(clip.video, LANGUAGES) for clip in clips]
        finally:
            cpu_kernels.is_native_dtype = is_native_dtype
        full = full or found
        print(f"| {way} | {' | '.join(deviations(found, full, clips))} |", flush=True)


def deviations(found: list[Translation], full: list[Translation], clips: list[LabelledClip]) -> list[str]:
    """Return the cells of one row."""
    pairs = list(zip(found, full, strict=True))
    features = max(float((one.features - other.features).norm() / other.features.norm()) for one, other in pairs)
    cosine = min(float(torch.cosine_similarity(one.embedding, other.embedding, dim=0)) for one, other in pairs)
    texts = [(one.texts[lang][0], other.texts[lang][0]) for one, other in pairs for lang in LANGUAGES]
    differ = sum(one.text != other.text for one, other in texts)
    score = max(abs(one.score - other.score) for one, other in texts if one.text == other.text)
    bleu = [score_texts([one.text(lang) for one in found], [clip.texts[lang] for clip in clips]) for lang in LANGUAGES]
    return [
        f"{features:.1e}",
        f"{cosine:.6f}",
        f"{differ} of {len(texts)}",
        " / ".join(f"{one.bleu:.2f}" for one in bleu),
        f"±{score:.4f}",
    ]


if __name__ == "__main__":
    main()
