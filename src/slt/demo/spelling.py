"""Train the fingerspelling model on words that are spelled anew in every step."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slt.core.tensors import FeatureBatch
from slt.data.fingerspelling.alphabets import AGREEING, LETTERS
from slt.data.fingerspelling.corpus import place
from slt.data.fingerspelling.spell import Letters, Spelled, Style, spell
from slt.data.fingerspelling.words import random_string, words
from slt.demo.spelling_plan import DECODER, ENCODER, SpellingPlan
from slt.models.spelling import STRIDE, Spelling
from slt.text.letters import NONE, LetterText
from slt.train.steps import Figures, Steps, train_steps

WORDS = 0.3  # share of words; the rest are random strings, so that letters are read and not guessed
FRAMES_FIRST = 0.3  # share of the steps in which single frames are learned alone; CTC alone begins slowly
FRAME_LOSS, CTC_LOSS = 0.5, 0.3
NO_LETTER_WEIGHT = 0.5
SMOOTHING = 0.05

Models = tuple[Spelling, LetterText]


def train_spelling(
    letters: Letters, plan: SpellingPlan, *, checkpoint: Path, on_step: Callable[[int, Figures], None]
) -> Models:
    """Train encoder and decoder from nothing.

    Args:
        letters: the recordings to spell with.
        plan: length and seed.
        checkpoint: see ``train_steps``.
        on_step: see ``train_steps``.
    """
    torch.manual_seed(plan.seed)
    encoder, decoder = Spelling(ENCODER), LetterText(DECODER, LETTERS)
    signers = [one for one in AGREEING if one in letters.own]

    def loss_of(step: int, rng: random.Random) -> tuple[Tensor, Figures]:
        spelled, batch = _batch(letters, signers, plan.batch, np.random.default_rng((plan.seed, step)))
        output = encoder(batch)
        frames = _frame_loss(decoder.log_probs(output.sequence), spelled, decoder)
        if step < FRAMES_FIRST * plan.steps:
            return frames, {"frames": frames.item()}
        letters_lost = decoder.loss(output, [one.text for one in spelled])
        loss = FRAME_LOSS * frames + CTC_LOSS * letters_lost
        return loss, {"frames": frames.item(), "letters": letters_lost.item()}

    steps = Steps(n_steps=plan.steps, learning_rate=plan.learning_rate, weight_decay=0.05, seed=plan.seed)
    train_steps(nn.ModuleList([encoder, decoder]), loss_of, steps, checkpoint=checkpoint, on_step=on_step)
    return encoder, decoder


def _batch(
    letters: Letters, signers: Sequence[str], size: int, rng: np.random.Generator
) -> tuple[list[Spelled], FeatureBatch]:
    known = "".join(letter for letter in LETTERS if letter in letters.any)
    listed = words("train", known)
    # Beginners' words are several times as long: in batches of their own, little is padding.
    is_slow = rng.random() < Style.slow
    style = Style(slow=float(is_slow))
    spelled, rows = [], []
    for _ in range(size // 2 if is_slow else size):
        is_word = bool(listed) and rng.random() < WORDS
        text = listed[rng.integers(len(listed))] if is_word else random_string("train", known, rng)
        one = spell(text, letters, signers[int(rng.integers(len(signers)))], rng, style)
        spelled.append(one)
        rows.append(torch.from_numpy(place(one, None, rng).reshape(len(one.hand), -1)))
    return spelled, FeatureBatch.of(rows)


def _frame_loss(log_probs: Tensor, spelled: Sequence[Spelled], decoder: LetterText) -> Tensor:
    """Return the cross entropy of (B, N, classes) steps, whose letters are known as the words were made."""
    classes = torch.full(log_probs.shape[:2], -100)
    for row, one in zip(classes, spelled, strict=True):
        numbers = torch.tensor([*decoder.numbers(one.text), NONE])
        here = numbers[torch.from_numpy(one.letters)][::STRIDE]
        row[: len(here)] = here
    real = classes >= 0
    weight = torch.where(classes[real] == NONE, NO_LETTER_WEIGHT, 1.0)
    lost = F.nll_loss(log_probs[real], classes[real], reduction="none")
    lost = (1 - SMOOTHING) * lost - SMOOTHING * log_probs[real].mean(-1)
    return (weight * lost).sum() / weight.sum()
