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
    """The shape of a BLASER; the defaults are the published one.

    Attributes:
        with_reference: it is told the reference translation as well (``COMET`` form); else only the source (``QE``).
        embedding_dim: width of a sentence embedding.
        hidden_dims: of its layers.
        dropout_rate: before each layer, while training.
    """

    with_reference: bool
    embedding_dim: int = 1024
    hidden_dims: Sequence[int] = (3072, 1536)
    dropout_rate: float = 0.1


class Blaser(nn.Module):
    """Layers over normalised embeddings, their products and the distances between them.

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
        layers = [layer for three in hidden for layer in three]
        self.mlp = nn.Sequential(*layers, nn.Dropout(config.dropout_rate), nn.Linear(widths[-1], 1))

    def forward(self, source: Tensor, hypothesis: Tensor, reference: Tensor | None = None) -> Tensor:
        """Judge N translations.

        Args:
            source: (N, embedding_dim) float, of what was said; of any length.
            hypothesis: (N, embedding_dim), of the translations.
            reference: (N, embedding_dim), of what they should be; for a model ``with_reference``, and for no other.

        Returns:
            (N,) from about 1, nothing of the meaning is there, to about 5, all of it is.

        Raises:
            ValueError: a reference is missing, or not wanted.
        """
        if self.config.with_reference != (reference is not None):
            raise ValueError("a BLASER with_reference takes one, and one without takes none")
        said, meant = F.normalize(hypothesis), F.normalize(source)
        inputs = [meant, said, meant * said, (said - meant).abs()]
        if reference is not None:
            wanted = F.normalize(reference)
            inputs = [wanted, said, meant * said, wanted * said, (said - meant).abs(), (said - wanted).abs()]
        judged: Tensor = self.mlp(torch.cat(inputs, dim=-1))  # (N, 1)
        return judged.squeeze(-1)
