import pytest
import torch

from slt.core.tensors import FeatureBatch
from slt.demo.encoder import train_encoder
from slt.demo.plan import EMBEDDING_DIM, EXTRACTOR, DemoPlan


@pytest.mark.slow
def test_it_overfits_a_handful_of_clips(tmp_path):
    torch.manual_seed(1)
    features = [torch.randn(n, EXTRACTOR.feature_dim) for n in (3, 8, 12, 20)]
    targets = torch.randn(4, EMBEDDING_DIM)
    seen = []
    model = train_encoder(
        DemoPlan(encoder_steps=150, encoder_batch=8),
        features,
        targets,
        checkpoint=tmp_path / "c.pt",
        on_step=lambda done, figures: seen.append(figures["distance"]),
    )
    assert seen[0] > 0.8
    with torch.inference_mode():
        found = model(FeatureBatch.of(features)).sentence
    assert torch.nn.functional.cosine_similarity(found, targets).min() > 0.97
