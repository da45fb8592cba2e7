"""BLASER 2.0: predict translation quality from embeddings of source, translation and reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class BlaserConfig:
    """Shape of a BLASER model; the defaults are those of the published one.

    Attributes:
        with_reference: input includes the reference translation (``COMET`` form); otherwise the source only (``QE``).
        embedding_dim: width of a sentence embedding.
        hidden_dims: widths of the hidden layers.
        dropout_rate: dropout before each layer during training.
    """

    with_reference: bool
    embedding_dim: int = 1024
    hidden_dims: Sequence[int] = (3072, 1536)
    dropout_rate: float = 0.1


class Blaser(nn.Module):
    """MLP on normalised embeddings, their products and absolute differences.

    Reference:
        Seamless Communication et al. 2023, arXiv 2308.11596; the form of the input as in COMET, Rei et al. 2020.
    """

    Config: ClassVar = BlaserConfig
    OLD_NAMES: ClassVar[dict[str, str]] = {}
    UNUSED_WEIGHTS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: BlaserConfig) -> None:
        super().__init__()
        self.config = config
        n_inputs = 6 if config.with_reference else 4
        widths = [n_inputs * config.embedding_dim, *config.hidden_dims]
        hidden = [
            (nn.Dropout(config.dropout_rate), nn.Linear(before, after), nn.Tanh()) for before, after in pairwise(widths)
        ]
        layers = [layer for block in hidden for layer in block]
        self.mlp = nn.Sequential(*layers, nn.Dropout(config.dropout_rate), nn.Linear(widths[-1], 1))

    def forward(self, source: Tensor, hypothesis: Tensor, reference: Tensor | None = None) -> Tensor:
        """Score N translations.

        Args:
            source: (N, embedding_dim) float, embeddings of the sources, not necessarily normalised.
            hypothesis: (N, embedding_dim) float, embeddings of the translations.
            reference: (N, embedding_dim) float, embeddings of the references; only for a model ``with_reference``.

        Returns:
            (N,) float scores from about 1 (meaning lost) to about 5 (meaning preserved).

        Raises:
            ValueError: a reference is missing or unexpected.
        """
        if self.config.with_reference != (reference is not None):
            found, expected = ("a", "none") if reference is not None else ("no", "one")
            raise ValueError(f"found {found} reference, expected {expected}: set with_reference to match")
        hyp, src = F.normalize(hypothesis), F.normalize(source)
        inputs = [src, hyp, src * hyp, (hyp - src).abs()]
        if reference is not None:
            ref = F.normalize(reference)
            inputs = [ref, hyp, src * hyp, ref * hyp, (hyp - src).abs(), (hyp - ref).abs()]
        scores: Tensor = self.mlp(torch.cat(inputs, dim=-1))  # (N, 1)
        return scores.squeeze(-1)
