"""The fingerspelling encoder: one hand, wherever it is, however large, and whichever it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slt.core.errors import UserError
from slt.core.tensors import FeatureBatch
from slt.data.fingerspelling.corpus import mirrored
from slt.models.checkpoint import read_weights, save_weights
from slt.models.config import SpellingConfig
from slt.models.fitting import build_model
from slt.models.spelling import N_FEATURES, NO_HAND, Spelling, hand_features, spelling_hand
from slt.video.keypoints import LEFT_HAND, RIGHT_HAND

CONFIG = SpellingConfig(d_model=16, num_blocks=2, kernel_size=3)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Spelling(CONFIG).eval()


def clip(n_frames=12, seed=0):
    """Return (N, 75, 3) keypoints of a right hand that moves."""
    rng = np.random.default_rng(seed)
    keypoints = np.full((n_frames, 75, 3), np.nan, np.float32)
    keypoints[:, RIGHT_HAND] = rng.normal(size=(21, 3)) * 0.05 + rng.normal(size=(n_frames, 21, 3)) * 0.01
    keypoints[:, RIGHT_HAND, 0] += 0.3
    keypoints[:, RIGHT_HAND, 1] += 0.4
    return keypoints


def states(encoder, *keypoints):
    rows = [torch.from_numpy(np.ascontiguousarray(one, dtype=np.float32)).flatten(1) for one in keypoints]
    with torch.inference_mode():
        return encoder(FeatureBatch.of(rows))


def test_where_the_hand_is_and_how_large_does_not_matter(encoder):
    first = states(encoder, clip()).sequence
    torch.testing.assert_close(states(encoder, clip() * 1.7 + [0.2, -0.1, 0]).sequence, first, rtol=0, atol=1e-4)
    assert (states(encoder, clip(seed=1)).sequence - first).abs().max() > 0.1


def test_a_left_hand_reads_as_the_right_one_in_a_mirror(encoder):
    torch.testing.assert_close(
        states(encoder, mirrored(clip())).sequence, states(encoder, clip()).sequence, rtol=0, atol=1e-4
    )


def test_of_two_hands_the_higher_one_spells(encoder):
    resting = clip()
    resting[:, LEFT_HAND] = clip(seed=5)[:, RIGHT_HAND] + [0.3, 0.5, 0]
    torch.testing.assert_close(states(encoder, resting).sequence, states(encoder, clip()).sequence)
    rarely = clip()
    rarely[1:, RIGHT_HAND] = np.nan
    rarely[:, LEFT_HAND] = clip(seed=5)[:, RIGHT_HAND] * [-1, 1, 1] + [1, 0, 0]
    torch.testing.assert_close(
        states(encoder, rarely).sequence, states(encoder, clip(seed=5)).sequence, rtol=0, atol=1e-4
    )


def test_a_clips_states_do_not_depend_on_its_neighbours(encoder):
    clips = [clip(9), clip(14, seed=1), clip(1, seed=2)]
    together = states(encoder, *clips)
    assert together.mask.sum(1).tolist() == [5, 7, 1]
    for row, one in enumerate(clips):
        alone = states(encoder, one)
        n = alone.sequence.shape[1]
        torch.testing.assert_close(together.sequence[row, :n], alone.sequence[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(together.sentence[row], alone.sentence[0], rtol=0, atol=1e-5)


def test_frames_without_a_hand_are_zeros(encoder):
    gaps = clip()
    gaps[3:5] = np.nan
    gaps[7, RIGHT_HAND, :][4] = np.nan  # one joint is missing: the hand is not whole
    hand = spelling_hand(torch.from_numpy(gaps).flatten(1)[None], torch.ones(1, len(gaps), dtype=torch.bool))
    features = hand_features(hand)
    assert features.shape == (1, 12, N_FEATURES)
    assert features.isfinite().all()
    assert (features == 0).all(-1)[0].nonzero().flatten().tolist() == [3, 4, 7]
    assert states(encoder, np.full((4, 75, 3), np.nan)).sequence.isfinite().all()


def test_it_says_when_the_hand_is_not_seen(encoder):
    assert encoder.remarks(torch.from_numpy(clip()).flatten(1)) == []
    assert encoder.remarks(torch.full((5, 225), torch.nan)) == [NO_HAND]
    rarely = clip(10)
    rarely[3:] = np.nan
    (remark,) = encoder.remarks(torch.from_numpy(rarely).flatten(1))
    assert "detected in 30% of the frames only" in remark


def test_saved_and_loaded_it_is_the_same_and_half_precision_is_near(encoder, tmp_path):
    save_weights(tmp_path / "encoder.safetensors", encoder.state_dict())
    loaded = build_model(Spelling, CONFIG, read_weights(tmp_path / "encoder.safetensors"), source="file")
    torch.testing.assert_close(states(loaded, clip()).sequence, states(encoder, clip()).sequence)
    half = states(loaded.to(torch.bfloat16), clip()).sequence
    torch.testing.assert_close(half.float(), states(encoder, clip()).sequence, rtol=0, atol=0.1)


def test_impossible_shapes_are_refused():
    with pytest.raises(UserError, match="kernel_size 4, expected an odd number; feature_dim 3, expected 225"):
        SpellingConfig(feature_dim=3, kernel_size=4)
