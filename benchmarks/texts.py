"""The texts of several clips, searched together and one at a time in the same run: seconds a clip, and equality.

    python benchmarks/texts.py                          # SONAR's width, 6 of its 24 layers; 4 GB of memory, minutes
    python benchmarks/texts.py --kind mt5               # mT5-base's decoder, which reads the clip's states
    python benchmarks/texts.py --layers 24 --device cuda

Weights are random, and write until the limit: each clip has one of its own, as captions are of different lengths. How
many texts differ from those found alone is printed, and by how much their scores do at most.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.text_engines import random_weights
from slt.core.device import is_accelerator, synchronise
from slt.core.tensors import EncoderOutput
from slt.models.cpu_kernels import use_cpu_kernels
from slt.pipeline.texts import EncodedClip, find_texts
from slt.text.config import SonarTextConfig, StackConfig
from slt.text.decoder import SPARE_TOKENS, TOKENS_PER_SECOND
from slt.text.decoding_flags import torch_defaults
from slt.text.hf.config import HfTextConfig
from slt.text.hf.folder import new_decoder
from slt.text.int8 import quantise

LANG = "eng_Latn"
SIZES = (1, 2, 4, 8, 16, 32)
WIDTH = 1024
STEPS = 90  # of the encoder, a clip of 7 seconds
WORDS = ("the weather is nice today", "we go hiking in the mountains")
MT5_BASE: dict[str, Any] = {"d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12, "num_heads": 12}
TINY: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("sonar", "mt5"), default="sonar")
    parser.add_argument("--layers", type=int, default=6, help="of SONAR's decoder")
    parser.add_argument("--engine", choices=("fairseq2", "transformers"), default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=24, help="of a text on average")
    parser.add_argument("--tiny", action="store_true", help="tiny models")
    options = parser.parse_args(arguments)
    torch.manual_seed(1)
    decoder = mt5(tiny=options.tiny) if options.kind == "mt5" else sonar(options)
    decoder = decoder.to(options.device).eval()
    if not is_accelerator(options.device):
        use_cpu_kernels(decoder)
    if options.int8:
        quantise(decoder)
    with torch.inference_mode():
        compare(WithoutSpare(decoder), clips_of(options.clips, options))


def sonar(options: argparse.Namespace) -> Any:
    """Return SONAR's text decoder at the published width and vocabulary, or tiny, with random weights."""
    from slt.text.engines import sonar_text
    from tests.published import GOLDEN, write_tokenizer

    kind = sonar_text(options.engine)
    shape = {"model_dim": 32, "num_heads": 2, "ffn_inner_dim": 64} if options.tiny else {}
    stack = StackConfig(num_layers=1 if options.tiny else options.layers, **shape)
    config = SonarTextConfig(encoder=StackConfig(num_layers=1, **shape), decoder=stack)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = GOLDEN / "tiny/small_spm.model"
        if not options.tiny:
            write_tokenizer(tokenizer := Path(folder) / "tokenizer.model")
        n_tokens = kind.read_tokens(tokenizer, config.languages).size
        with torch_defaults("meta", torch.float32):
            shapes = kind.weights_of("decoder", kind.create("decoder", config, n_tokens))
        return kind.load(config, random_weights(shapes), tokenizer)


def mt5(*, tiny: bool) -> Any:
    """Return a decoder of mT5-base's shape with random weights; of its vocabulary the table alone."""
    model = TINY if tiny else MT5_BASE
    text = new_decoder(WORDS, 60, HfTextConfig(kind="mt5", feature_dim=WIDTH, languages=(LANG,), model=model))
    if not tiny:
        text.model.resize_token_embeddings(250_112)
        text.tokens.size = 250_112
    return text


class WithoutSpare:
    """A decoder that takes the spare tokens off each limit, so that texts are as long as captions."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def translate(self, output: EncoderOutput, langs: Sequence[str], **settings: Any) -> Any:
        """See ``slt.text.decoder.TextDecoder``."""
        settings["max_tokens"] = [max(1, limit - SPARE_TOKENS) for limit in settings["max_tokens"]]
        return self._decoder.translate(output, langs, **settings)


def clips_of(n_clips: int, options: argparse.Namespace) -> list[EncodedClip]:
    """Return random clips, whose texts may have half to one and a half of the tokens asked for."""
    width = 32 if options.tiny and options.kind == "sonar" else WIDTH
    shares = torch.linspace(0.5, 1.5, n_clips)[torch.randperm(n_clips)].tolist()
    clips = []
    for share in shares:
        steps = max(1, round(share * STEPS))
        output = EncoderOutput(
            sentence=torch.randn(1, width, device=options.device),
            sequence=torch.randn(1, steps, width, device=options.device),
            mask=torch.ones(1, steps, dtype=torch.bool, device=options.device),
        )
        clips.append(EncodedClip(output=output, seconds=share * options.tokens / TOKENS_PER_SECOND))
    return clips


def compare(decoder: Any, clips: list[EncodedClip]) -> None:
    """Print a row per number of clips that are searched together."""
    clips = sorted(clips, key=lambda clip: clip.seconds)
    find_texts(decoder, clips[:1], [LANG])  # what is made once is not measured
    print(f"{len(clips)} clips, {torch.get_num_threads()} threads\n")
    print("| clips together | s a clip | times as fast | processor, times as fast | texts that differ | scores |")
    print("|---" * 6 + "|", flush=True)
    alone: tuple[float, float, list[Any]] | None = None
    for size in (size for size in SIZES if size <= len(clips)):
        began, computed = now(clips), time.process_time()
        groups = [clips[begin : begin + size] for begin in range(0, len(clips), size)]
        found = [texts[LANG][0] for group in groups for texts in find_texts(decoder, group, [LANG])]
        took, computed = now(clips) - began, time.process_time() - computed
        alone = alone or (took, computed, found)
        off = max(abs(a.score - b.score) for a, b in zip(alone[2], found, strict=True))
        differ = sum(a.text != b.text for a, b in zip(alone[2], found, strict=True))
        row = [f"{took / len(clips):.3f}", f"{alone[0] / took:.2f}", f"{alone[1] / computed:.2f}", str(differ)]
        print(f"| {size} | {' | '.join(row)} | ≤ {off:.1e} |", flush=True)


def now(clips: list[EncodedClip]) -> float:
    synchronise(clips[0].output.sentence.device)
    return time.perf_counter()


if __name__ == "__main__":
    main()
