"""Validation: metrics in embedding space, translation through the decoder, and collapse detection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from slt.core.tensors import EncoderOutput
from slt.evaluate.retrieval import retrieval
from slt.evaluate.text_metrics import bleu, chrf
from slt.text.decoder import token_limit
from slt.train.collapse import constant_embeddings, constant_texts, spread
from slt.train.distributed import together
from slt.train.loader import Batch
from slt.train.module import Training

Embedding = NDArray[np.float32]

SECONDS_PER_ROW = 0.08  # of stored features: 25 frames a second, two sampled frames a row, every other one sampled


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One clip's translation.

    Attributes:
        id: of the clip.
        text: what the model wrote.
        reference: what was signed.
    """

    id: str
    text: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a validation found.

    Attributes:
        figures: by name: loss and terms; cosine, recall@1, recall@5, xsim and spread where there is an encoder; bleu
            and chrf where texts were made.
        samples: translations, in the order of their ids.
        doubts: signs that the model says the same of every clip.
    """

    figures: dict[str, float]
    samples: tuple[Sample, ...] = ()
    doubts: tuple[str, ...] = field(default=())


@torch.no_grad()
def validate(module: Training, batches: Iterable[Batch], *, lang: str, with_texts: frozenset[str]) -> Validation:
    """Look at a split once; every process calls this with its share of each batch.

    Args:
        module: what is validated.
        batches: on the CPU.
        lang: language of the translations.
        with_texts: the clips that are translated.
    """
    sums: dict[str, list[float]] = {}
    rows: list[tuple[str, Embedding, Embedding]] = []
    samples: list[Sample] = []
    was_training = module.training
    module.eval()
    for batch in batches:
        if not batch.ids:
            continue
        here = batch.to(module.device)
        output, terms = module.terms(here)
        for name, term in terms.items():
            entry = sums.setdefault(name, [term.weight, 0.0, 0])
            entry[1] += float(term.total)
            entry[2] += term.count
        pair = (output.sentence.float().cpu(), batch.targets)
        if module.recipe.aligns:  # lengths were never learnt, so spread must not see them
            pair = (normalize(pair[0]), normalize(pair[1]))
        rows += zip(batch.ids, pair[0].numpy(), pair[1].numpy(), strict=True)
        samples += _translate(module, here, output, lang, with_texts)
    module.train(was_training)
    return _found(together((sums, rows, samples)), lang, space=module.encoder is not None)


def _translate(
    module: Training, batch: Batch, output: EncoderOutput, lang: str, wanted: frozenset[str]
) -> list[Sample]:
    chosen = [i for i, name in enumerate(batch.ids) if name in wanted]
    if not chosen:
        return []
    part = EncoderOutput(
        sentence=output.sentence[chosen].float(), sequence=output.sequence[chosen].float(), mask=output.mask[chosen]
    )
    longest = max(map(len, batch.texts)) / 4 if batch.features is None else batch.features.features.shape[1]
    texts = module.decoder.translate(  # type: ignore[operator, union-attr]
        part, [lang], beam_size=module.recipe.trainer.beam, max_tokens=token_limit(SECONDS_PER_ROW * longest)
    )
    return [
        Sample(id=batch.ids[i], text=found[lang][0].text, reference=batch.texts[i])
        for i, found in zip(chosen, texts, strict=True)
    ]


Share = tuple[dict[str, list[float]], list[tuple[str, Embedding, Embedding]], list[Sample]]
"""What one process found: term → weight, sum and count; clip, embedding and target; translations."""


def _found(shares: Sequence[Share], lang: str, *, space: bool) -> Validation:
    """Put together what all processes found."""
    figures: dict[str, float] = {}
    loss = 0.0
    for name in shares[0][0]:
        weight = shares[0][0][name][0]
        total, count = (sum(sums[name][place] for sums, _, _ in shares) for place in (1, 2))
        figures[name] = total / count
        loss += weight * figures[name]
    figures["loss"] = loss
    doubts: list[str] = []
    rows = sorted((row for _, found, _ in shares for row in found), key=lambda row: row[0])
    predicted, targets = (np.stack([row[place] for row in rows]) for place in (1, 2))
    if space and predicted.shape == targets.shape:
        near = retrieval(predicted, targets)
        figures |= {"cosine": near.cosine, "recall@1": near.recall_at_1, "recall@5": near.recall_at_5}
        figures |= {"xsim": near.xsim_error, "spread": spread(predicted, targets)}
        doubts += constant_embeddings(figures, len(rows))
    samples = tuple(sorted((one for _, _, found in shares for one in found), key=lambda sample: sample.id))
    if samples:
        texts, references = [one.text for one in samples], [one.reference for one in samples]
        figures |= {"bleu": bleu(texts, references, lang=lang).value, "chrf": chrf(texts, references).value}
        doubts += constant_texts(texts, references)
    return Validation(figures=figures, samples=samples, doubts=tuple(doubts))
