"""Demo, stage 1: train a SONAR text encoder and decoder on the synthetic language's English and German."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from slt.data.synthetic.grammar import LANGUAGES, sentences, write
from slt.demo.plan import TEXT, VOCAB_SIZE, DemoPlan
from slt.text.engines import sonar_text
from slt.text.sonar_text import SonarTextModel
from slt.text.tokenizer import train_tokenizer
from slt.train.steps import Figures, Steps, train_steps

TOKENIZER_SENTENCES = 4000
ALIGNMENT = 0.1  # weight of the distance between a sentence's embeddings in the two languages, as SONAR's
NOISE = 0.2  # largest deviation of the noise on an embedding while decoding is learned; keeps embeddings apart


def train_text(
    plan: DemoPlan, tokenizer: Path, *, checkpoint: Path, on_step: Callable[[int, Figures], None]
) -> SonarTextModel:
    """Train text to embedding to text, within and across the two languages, on sentences of the train split.

    Each sentence is embedded in both languages; each text is decoded from its own embedding or from the other
    language's, with noise: the decoder learns a ball around each sentence, which is where the sign encoder will land.

    Args:
        plan: sizes and steps.
        tokenizer: the sentencepiece model to be written.
        checkpoint: see ``train_steps``.
        on_step: see ``train_steps``.

    Reference: Duquenne et al. 2023, arXiv 2308.11466, section 3 (translation, denoising and distance losses).
    """
    known = islice(sentences("train", random.Random(plan.seed)), TOKENIZER_SENTENCES)
    train_tokenizer([write(meaning, lang) for meaning in known for lang in LANGUAGES], tokenizer, VOCAB_SIZE)
    torch.manual_seed(plan.seed)
    model = sonar_text().build(TEXT, tokenizer)

    def loss_of(step: int, rng: random.Random) -> tuple[Tensor, Figures]:
        meanings = list(islice(sentences("train", rng), plan.text_batch))
        texts = [write(meaning, lang) for lang in LANGUAGES for meaning in meanings]
        return _loss(model, texts, [lang for lang in LANGUAGES for _ in meanings])

    steps = Steps(n_steps=plan.text_steps, learning_rate=2e-3, weight_decay=0.01, seed=plan.seed)
    train_steps(model, loss_of, steps, checkpoint=checkpoint, on_step=on_step)
    return model


def _loss(model: SonarTextModel, texts: list[str], langs: list[str]) -> tuple[Tensor, Figures]:
    """Return the loss of 2B texts: B sentences in the first language, then the same in the second."""
    embeddings = model.embed_batch(texts, langs)
    first, second = embeddings.chunk(2)
    distance = (first - second).square().mean() / embeddings.var(0).mean()
    across = torch.rand(len(embeddings), 1) < 0.5
    source = torch.where(across, torch.cat([second, first]), embeddings)
    source = source + NOISE * torch.rand(len(source), 1) * torch.randn_like(source)
    total, n_tokens = model.loss(source, texts, langs)
    loss = total / n_tokens
    return loss + ALIGNMENT * distance, {"loss per token": loss.item(), "distance": distance.item()}
