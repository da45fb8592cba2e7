"""Sizes of the fingerspelling model and of its training."""

from __future__ import annotations

from dataclasses import dataclass

from slt.assets.cards import EVERY_FRAME
from slt.data.fingerspelling.alphabets import AMERICAN
from slt.models.config import SpellingConfig
from slt.text.letters import LettersConfig

NAME = "fingerspelling"
LANG = "eng_Latn"
PREPROCESS = EVERY_FRAME
ENCODER = SpellingConfig()
# Costs of 2 to 3 were best on words of the Austrian signer, with a model trained without that signer.
DECODER = LettersConfig(feature_dim=ENCODER.d_model, languages=(LANG,), letter_cost=2.0)


@dataclass(frozen=True, kw_only=True)
class SpellingPlan:
    """How much of everything.

    Attributes:
        steps: updates of one training.
        batch: words in each.
        learning_rate: its peak.
        test_clips: words, and as many random strings, that the signer who was left out spells.
        held_out: the signer who is left out of the first of the two trainings, by language.
        seed: of everything.
    """

    steps: int = 1200
    batch: int = 24
    learning_rate: float = 2e-3
    test_clips: int = 200
    held_out: str = AMERICAN
    seed: int = 0
