"""Combinations of recipe parts that cannot work together."""

from __future__ import annotations

from collections.abc import Iterator

from slt.core.registry import T5_FAMILY
from slt.recipe.data import Data
from slt.recipe.decoders import Decoder
from slt.recipe.parts import Encoder, Objective, SonarT5Encoder
from slt.recipe.trainer import Trainer

IN_SPACE = ("cosine", "recall@1", "recall@5", "xsim")
"""Figures of a validation that only an encoder has whose embeddings are compared with those of the texts."""

TERMS = ("mse", "contrastive", "cross_entropy", "auto_encoding")
"""Figures of a validation that only an objective has that weighs them."""

TOO_LARGE = "its feed-forward layers exceed float16's 65,504, and the loss becomes NaN; take bf16, or fp32"


def decoder_mistakes(
    decoder: Decoder, encoder: Encoder | None, objective: Objective, data: Data, trainer: Trainer
) -> Iterator[tuple[bool, str]]:
    """Yield (whether it is wrong, the error) for each combination of a recipe's parts that cannot work."""
    in_space = objective.kind != "cross-entropy"
    through = objective.kind == "cross-entropy" or bool(getattr(objective, "cross_entropy", 0))
    lands = encoder is not None and (decoder.kind == "sonar" or in_space)
    weighed = bool(getattr(objective, trainer.monitor, 0))
    is_fp16 = trainer.precision == "fp16"
    yield is_fp16 and decoder.kind in T5_FAMILY, f"precision fp16 with a T5: {TOO_LARGE}"
    yield (
        is_fp16 and isinstance(encoder, SonarT5Encoder) and not _keeps_wo(encoder, trainer),
        f"precision fp16 with a T5: {TOO_LARGE}; or train adapters alone (encoder.lora_rank 16, "
        "trainer.frozen_weights half), which leaves these layers in fp32",
    )
    yield (
        trainer.strategy == "fsdp" and encoder is not None and encoder.kind == "stgcn",
        "strategy fsdp with an stgcn encoder, whose layers are not shared out; take ddp: it has 5 million numbers",
    )
    yield (
        in_space and encoder is None,
        f"objective {objective.kind} without an encoder: nothing would land in that space",
    )
    yield (
        decoder.train != "frozen" and not through,
        f"decoder.train {decoder.train}, but nothing of the objective goes through the decoder",
    )
    yield (
        trainer.monitor in IN_SPACE and not lands,
        f"monitor {trainer.monitor} is a figure of embeddings beside those of the texts, and nothing lands beside "
        "them here; take loss, bleu or chrf",
    )
    yield (
        trainer.monitor in TERMS and trainer.monitor != objective.kind.replace("-", "_") and not weighed,
        f"monitor {trainer.monitor} is a term that the objective does not have; take loss, or give it a weight",
    )
    if decoder.kind == "sonar":
        return
    langs = data.langs
    yield (
        objective.kind == "sonar-space",
        f"objective {objective.kind} with a {decoder.kind}, which has no such space; take cross-entropy",
    )
    yield encoder is None, f"decoder {decoder.kind} without an encoder: it would have nothing to read"
    yield (
        objective.kind == "cross-entropy" and objective.noise > 0,
        f"noise is on SONAR's embeddings, which a {decoder.kind} does not read; set objective.noise=0",
    )
    yield (
        data.embeddings is not None,
        f"data.embeddings are targets in SONAR's space, of which a {decoder.kind} has no use; remove them",
    )
    yield (
        decoder.kind in T5_FAMILY and len(langs) > 1,
        f"data.langs names {', '.join(langs)}, but a {decoder.kind} writes one language; take mbart or nllb for more",
    )


def _keeps_wo(encoder: SonarT5Encoder, trainer: Trainer) -> bool:
    """Return whether the layers that exceed float16's range are computed in float32: frozen ones, held apart."""
    return trainer.frozen_weights == "half" and (encoder.lora_rank > 0 or encoder.frozen)
