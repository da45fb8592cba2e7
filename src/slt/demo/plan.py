"""Sizes of the demo: models, corpus, and training steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slt.assets.cards import PreprocessCard
from slt.data.synthetic.grammar import LANGUAGES
from slt.models.config import SonarT5Config
from slt.models.signhiera import SignHieraConfig
from slt.text.config import SonarTextConfig, StackConfig

EMBEDDING_DIM = 128

PREPROCESS = PreprocessCard(num_frames=64, sampling_rate=2, target_fps=25, stride_frames=64, size=96, detector="none")

EXTRACTOR = SignHieraConfig(
    input_size=(64, 96, 96),
    embed_dim=32,
    stages=(1, 1, 1, 2),
    # Global attention only at the end: most of the time a small model takes is attention over its large early stages.
    mask_unit_attn=(True, True, True, False),
    patch_kernel=(3, 9, 9),
    patch_stride=(2, 6, 6),
    patch_padding=(1, 4, 4),
)

ENCODER = SonarT5Config(
    feature_dim=EXTRACTOR.feature_dim,
    d_model=128,
    d_kv=32,
    d_ff=256,
    num_layers=3,
    num_decoder_layers=2,
    num_heads=4,
    vocab_size=8,
    output_dim=EMBEDDING_DIM,
)

_STACK = StackConfig(model_dim=EMBEDDING_DIM, num_layers=2, num_heads=4, ffn_inner_dim=256, max_seq_len=64, dropout=0.0)
TEXT = SonarTextConfig(encoder=_STACK, decoder=_STACK, languages=LANGUAGES, patient=True)
VOCAB_SIZE = 500


@dataclass(frozen=True, kw_only=True)
class DemoPlan:
    """How much of everything.

    Attributes:
        clips: clips drawn of each split.
        text_steps, text_batch: updates of the text encoder and decoder, sentences in each.
        extractor_steps, extractor_batch: updates of SignHiera, windows in each.
        encoder_steps, encoder_batch: updates of the sign encoder, clips in each.
        seed: of everything.
    """

    clips: Mapping[str, int] = field(default_factory=lambda: {"train": 4000, "val": 100, "test": 320})
    text_steps: int = 3000
    text_batch: int = 32
    extractor_steps: int = 3000
    extractor_batch: int = 8
    encoder_steps: int = 3000
    encoder_batch: int = 64
    seed: int = 0
