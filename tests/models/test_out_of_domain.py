from __future__ import annotations

import pytest
import torch

from slt.core.errors import UserError
from slt.models.out_of_domain import Domain, fit_domain

DIM = 6


@pytest.fixture
def clips():
    """Clips of one kind: features far from zero, some directions wide, one without any variation."""
    torch.manual_seed(3)
    spread = torch.tensor([5.0, 1.0, 1.0, 0.5, 0.1, 0.0])
    return [10 + torch.randn(int(torch.randint(5, 30, ())), DIM) * spread for _ in range(60)]


def test_clips_like_the_training_clips_are_known_and_others_are_not(clips):
    domain = Domain(**fit_domain(clips[:50]))
    assert all(domain.contains(clip) for clip in clips[50:])
    assert not domain.contains(torch.randn(20, DIM))
    assert not domain.contains(clips[0] + torch.tensor([0, 0, 0, 0, 2.0, 0]))


def test_the_distance_is_the_mean_squared_mahalanobis_distance():
    domain = Domain(
        mean=torch.tensor([1.0, 0.0]), precision=torch.diag(torch.tensor([4.0, 1.0])), threshold=torch.tensor(5.0)
    )
    assert domain.distance(torch.tensor([[2.0, 0.0], [1.0, 4.0]])) == pytest.approx((4 + 16) / 2)
    assert domain.distance(torch.tensor([[2.0, 0.0]], dtype=torch.bfloat16)) == pytest.approx(4)


def test_known_clips_lie_at_about_the_number_of_directions_that_vary():
    torch.manual_seed(3)
    clips = [torch.randn(40, DIM) @ torch.diag(torch.tensor([9.0, 3, 3, 3, 2, 2])) for _ in range(40)]
    domain = Domain(**fit_domain(clips))
    assert domain.distance(torch.cat(clips)) == pytest.approx(DIM, rel=0.1)


def test_fitted_tensors_are_what_a_file_holds(clips):
    fitted = fit_domain(clips)
    assert {name: (tuple(value.shape), value.dtype) for name, value in fitted.items()} == {
        "mean": ((DIM,), torch.float32),
        "precision": ((DIM, DIM), torch.float32),
        "threshold": ((), torch.float32),
    }


def test_too_few_clips_are_refused(clips):
    with pytest.raises(UserError, match="found 4 clips to fit a domain, expected at least 5"):
        fit_domain(clips[:4])
