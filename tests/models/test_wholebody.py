"""The four parts of a whole-body skeleton, against recorded ones."""

from __future__ import annotations

import pytest
import torch

from slt.models.wholebody import BONES, PARTS, hop_partition, split
from slt.video.rtmw import N_POINTS
from tests.unisign_golden import CASES, points, tensors


def parts_of(clip):
    return split(clip[None], torch.ones(1, len(clip), dtype=torch.bool))


@pytest.mark.parametrize("case", CASES)
def test_the_parts_are_the_recorded_ones(case):
    for part, found in parts_of(points(case)).items():
        torch.testing.assert_close(found[0], tensors()[f"{case}.part.{part}"], rtol=0, atol=1e-6)


def test_the_partition_by_hops_is_the_recorded_one():
    for part in ("body", "right", "face_all"):
        torch.testing.assert_close(hop_partition(part), tensors()[f"A.{part}"], rtol=0, atol=0)
    assert BONES["left"] == BONES["right"]
    assert {part: len(rows) for part, rows in PARTS.items()} == {"body": 9, "left": 21, "right": 21, "face_all": 18}


def test_padding_does_not_matter():
    clips = [points("mid"), points("long")]
    padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=torch.nan)
    mask = torch.arange(padded.shape[1])[None] < torch.tensor([[len(clip)] for clip in clips])
    together = split(padded, mask)
    for row, clip in enumerate(clips):
        for part, alone in parts_of(clip).items():
            torch.testing.assert_close(together[part][row, : len(clip)], alone[0], rtol=0, atol=0)


@pytest.mark.parametrize("n_points", [0, 3])
def test_without_a_body_all_parts_are_zeros(n_points):
    clip = torch.rand(2, N_POINTS, 3)
    clip[:, PARTS["body"], 2] = 0.1
    clip[0, PARTS["body"][:n_points], 2] = 0.9
    assert all(not part.any() for part in parts_of(clip.flatten(1)).values())


def test_all_points_in_one_place_have_no_scale():
    clip = torch.full((2, N_POINTS, 3), 0.5)
    found = parts_of(clip.flatten(1))
    assert all(torch.isfinite(part).all() and not part.any() for part in found.values())
