"""What is used of fairseq2 and sonar, imported without the packages that they name and that are never used here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from slt.core.deferred import deferred

# Models, tokenizers and storage of others: importing them would take three times as long as fairseq2 itself.
_NOT_USED = (
    "transformers",
    "huggingface_hub",
    "s3fs",
    "tiktoken",
    "torchvision",
    "wandb",
    "PIL",
    "torch.distributed.fsdp",
)


@contextmanager
def lean() -> Iterator[None]:
    """Keep fairseq2 from importing what is not used here; where it imports more on first use, use it within."""
    with deferred(*_NOT_USED), _compiler_not_imported():
        yield


@contextmanager
def _compiler_not_imported() -> Iterator[None]:
    """Leave functions as they are where fairseq2 excludes them from torch.compile, which would import the compiler."""

    def disable(function: Any = None, *args: Any, **kwargs: Any) -> Any:
        return function if function is not None else lambda decorated: decorated

    compiler: Any = torch.compiler
    original, compiler.disable = compiler.disable, disable
    try:
        yield
    finally:
        compiler.disable = original


class _TorchWithoutCompiler(ModuleType):
    """torch as fairseq2's batch layouts see it: a mark for the compiler is left out while there is none."""

    def __getattr__(self, name: str) -> Any:
        if name == "_dynamo" and "torch._dynamo" not in sys.modules:
            return SimpleNamespace(maybe_mark_dynamic=lambda tensor, axis: None)
        return getattr(torch, name)


with lean():
    import fairseq2.nn.batch_layout
    from fairseq2.data.tokenizers import VocabularyInfo
    from fairseq2.data.tokenizers.sentencepiece import SentencePieceModel
    from fairseq2.generation.beam_search.algo import StandardBeamSearchAlgorithm
    from fairseq2.generation.beam_search.generator import _BeamSearchSeq2SeqGeneratorOp as BeamSearch
    from fairseq2.generation.generator import Hypothesis, SequenceGenerationError
    from fairseq2.generation.step_processor import NGramRepeatBlockProcessor
    from fairseq2.models.nllb.tokenizer import NllbTokenizer
    from fairseq2.nn import BatchLayout, SinusoidalPositionEncoder
    from fairseq2.nn.utils.padding import pad_seqs
    from sonar.models.sonar_text.config import SonarTextDecoderConfig, SonarTextEncoderConfig
    from sonar.models.sonar_text.factory import SonarTextDecoderFactory, SonarTextEncoderFactory
    from sonar.models.sonar_text.model import SonarTextTransformerEncoderModel
    from sonar.models.sonar_translation.model import DummyEncoderModel, SonarEncoderDecoderModel
    from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel

vars(fairseq2.nn.batch_layout)["torch"] = _TorchWithoutCompiler("torch")


@contextmanager
def positions_not_computed() -> Iterator[None]:
    """Build models on the meta device without computing position encodings there, for which torch needs its compiler.

    ``SinusoidalPositionEncoder.reset_parameters`` is to be called once the model has a device.
    """
    kind: Any = SinusoidalPositionEncoder
    original, kind.reset_parameters = kind.reset_parameters, lambda encoder: None
    try:
        yield
    finally:
        kind.reset_parameters = original


__all__ = [
    "BatchLayout",
    "BeamSearch",
    "ConditionalTransformerDecoderModel",
    "DummyEncoderModel",
    "Hypothesis",
    "NGramRepeatBlockProcessor",
    "NllbTokenizer",
    "SentencePieceModel",
    "SequenceGenerationError",
    "SinusoidalPositionEncoder",
    "SonarEncoderDecoderModel",
    "SonarTextDecoderConfig",
    "SonarTextDecoderFactory",
    "SonarTextEncoderConfig",
    "SonarTextEncoderFactory",
    "SonarTextTransformerEncoderModel",
    "StandardBeamSearchAlgorithm",
    "VocabularyInfo",
    "lean",
    "pad_seqs",
    "positions_not_computed",
]
