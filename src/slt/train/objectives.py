"""Training objectives: weighted sums of loss terms, each a (sum, count) pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from slt.core.registry import resolve
from slt.core.tensors import EncoderOutput
from slt.recipe.parts import Contrastive, CrossEntropy, SonarSpace
from slt.train.distributed import gathered, share_sizes
from slt.train.loader import Batch

SAME = 1 - 1e-6  # cosine above which two targets are of one and the same sentence
OBJECTIVES: Mapping[str, str] = {
    "sonar-space": "slt.train.objectives:sonar_space",
    "cross-entropy": "slt.train.objectives:cross_entropy",
    "contrastive": "slt.train.objectives:contrastive",
}


class LossDecoder(Protocol):
    """What an objective asks of a text decoder besides translating."""

    def loss(
        self, output: EncoderOutput, texts: Any, langs: Any, *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, int]:
        """Return the cross entropy of the texts summed over their tokens, and the number of tokens."""
        ...


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a term sees.

    Attributes:
        output: what the encoder made of the batch; without one, the targets themselves.
        batch: what it was made of.
        settings: the recipe's objective.
        variance: mean variance of the targets.
        decode_loss: embeddings or encoder output, texts and languages to (sum, tokens).
    """

    output: EncoderOutput
    batch: Batch
    settings: Any
    variance: float
    decode_loss: Callable[..., tuple[Tensor, int]]


@dataclass(frozen=True, kw_only=True)
class Term:
    """One addend of a loss.

    Attributes:
        weight: what its mean is multiplied by.
        total: its sum over this process, with gradients.
        count: over how many things.
    """

    weight: float
    total: Tensor
    count: int


Objective = Callable[[Step], dict[str, Term]]


def find_objective(kind: str) -> Objective:
    """Return the objective of a recipe's kind.

    Raises:
        UserError: there is none.
    """
    found: Objective = resolve(OBJECTIVES, kind, what="objective")
    return found


def sonar_space(step: Step) -> dict[str, Term]:
    """Return the terms of ``SonarSpace`` that have a weight.

    Reference: Duquenne et al. 2023, arXiv 2308.11466, section 3.
    """
    settings: SonarSpace = step.settings
    made: dict[str, Term] = {}
    for name, term in TERMS.items():
        if weight := getattr(settings, name):
            total, count = term(step)
            made[name] = Term(weight=weight, total=total, count=count)
    return made


def cross_entropy(step: Step) -> dict[str, Term]:
    """Return the one term of ``CrossEntropy``."""
    settings: CrossEntropy = step.settings
    output = step.output
    if settings.noise and torch.is_grad_enabled():
        sentence = _noisy(output.sentence, settings.noise, step.variance)
        output = EncoderOutput(sentence=sentence, sequence=output.sequence, mask=output.mask)
    total, count = step.decode_loss(output, step.batch, label_smoothing=settings.label_smoothing)
    return {"cross_entropy": Term(weight=1.0, total=total, count=count)}


def contrastive(step: Step) -> dict[str, Term]:
    """Return the one term of ``Contrastive``."""
    settings: Contrastive = step.settings
    total, count = _info_nce(step, label_smoothing=settings.label_smoothing)
    return {"contrastive": Term(weight=1.0, total=total, count=count)}


def _mse(step: Step) -> tuple[Tensor, int]:
    away = (step.output.sentence.float() - step.batch.targets).square().mean(1) / step.variance
    return away.sum(), len(away)


def _cosine(step: Step) -> tuple[Tensor, int]:
    similar = F.cosine_similarity(step.output.sentence.float(), step.batch.targets)
    return (1 - similar).sum(), len(similar)


def _contrastive(step: Step) -> tuple[Tensor, int]:
    return _info_nce(step, label_smoothing=0.0)


def _info_nce(step: Step, *, label_smoothing: float) -> tuple[Tensor, int]:
    """Half from the clips to the sentences and half back; a sentence that comes twice is no negative.

    In float32 whatever the rest is computed in: bfloat16 rounds `SAME` to 1, and finds no sentence that comes twice.

    Reference: van den Oord et al. 2018, arXiv 1807.03748; both ways as in Radford et al. 2021, arXiv 2103.00020.
    """
    sentences = step.output.sentence
    with torch.autocast(sentences.device.type, enabled=False):
        return _contrasted(step, sentences.float(), step.batch.targets.float(), label_smoothing)


def _contrasted(step: Step, ours: Tensor, theirs: Tensor, label_smoothing: float) -> tuple[Tensor, int]:
    sizes = share_sizes(step.batch.n_clips)
    ours, theirs = F.normalize(ours), F.normalize(theirs)
    all_ours, all_theirs = gathered(ours, sizes), gathered(theirs, sizes)
    first = sum(sizes[: torch.distributed.get_rank()]) if len(sizes) > 1 else 0
    rows = torch.arange(len(ours), device=ours.device)
    own = rows + first
    twice = theirs @ all_theirs.T > SAME
    twice[rows, own] = False
    loss = ours.new_zeros(())
    for queries, keys in ((ours, all_theirs), (theirs, all_ours)):
        logits = (queries @ keys.T / step.settings.temperature).masked_fill(twice, -torch.inf)
        told = logits.log_softmax(1)
        others = told.masked_fill(twice, 0).sum(1) / (~twice).sum(1)  # a smoothed label is spread over what counts
        loss = loss - 0.5 * told[rows, own].lerp(others, label_smoothing).sum()
    return loss, len(ours)


def _through_decoder(step: Step) -> tuple[Tensor, int]:
    return step.decode_loss(step.output, step.batch, label_smoothing=step.settings.label_smoothing)


def _auto_encoding(step: Step) -> tuple[Tensor, int]:
    targets = step.batch.targets
    noisy = _noisy(targets, step.settings.noise, step.variance) if torch.is_grad_enabled() else targets
    output = as_output(noisy)
    return step.decode_loss(output, step.batch, label_smoothing=step.settings.label_smoothing)


TERMS: Mapping[str, Callable[[Step], tuple[Tensor, int]]] = {
    "mse": _mse,
    "cosine": _cosine,
    "contrastive": _contrastive,
    "cross_entropy": _through_decoder,
    "auto_encoding": _auto_encoding,
}


def as_output(embeddings: Tensor) -> EncoderOutput:
    """Return (B, D) embeddings as the output of an encoder that sees one time step."""
    mask = torch.ones(len(embeddings), 1, dtype=torch.bool, device=embeddings.device)
    return EncoderOutput(sentence=embeddings, sequence=embeddings[:, None], mask=mask)


def _noisy(embeddings: Tensor, noise: float, variance: float) -> Tensor:
    return embeddings + noise * variance**0.5 * torch.randn_like(embeddings)
