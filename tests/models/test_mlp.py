from __future__ import annotations

import pytest
import torch

from slt.core.errors import UserError
from slt.core.tensors import FeatureBatch
from slt.models.config import MlpConfig
from slt.models.mlp import Mlp


def test_a_padded_clip_is_embedded_as_it_is_alone_and_has_the_length_asked_for():
    model = Mlp(MlpConfig(feature_dim=5, hidden_dim=7, output_dim=6, length=3.0)).eval()
    clips = [torch.randn(n, 5) for n in (1, 4, 9)]
    batch = FeatureBatch.of(clips)
    batch.features[~batch.mask] = torch.nan
    together = model(batch)
    assert together.sequence.shape == (3, 9, 6)
    for row, clip in enumerate(clips):
        torch.testing.assert_close(together.sentence[row], model(FeatureBatch.of([clip])).sentence[0])
    torch.testing.assert_close(together.sentence.norm(dim=1), torch.full((3,), 3.0))


def test_the_published_sizes():
    assert [tuple(weight.shape) for weight in Mlp(MlpConfig()).parameters()][::2] == [(512, 256), (1024, 512)]


def test_impossible_sizes_are_refused():
    with pytest.raises(UserError, match="hidden_dim 0, expected at least 1; dropout_rate 1"):
        MlpConfig(hidden_dim=0, dropout_rate=1)
    with pytest.raises(UserError, match="length 0, expected more than 0"):
        MlpConfig(length=0)
