from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from slt.core.errors import UserError
from slt.data.synthetic.talk import plan_talk
from slt.segmentation.finder import BEHIND_S, Cutter, SentenceFinder, SentenceLimits

LIMITS = SentenceLimits(min_length_s=0.6, max_length_s=4.0, min_pause_s=0.4)
FPS = 25


def cut(*parts: tuple[float, bool, float], limits: SentenceLimits = LIMITS) -> list[tuple[float, float]]:
    """Cut a sequence of (level, resting, seconds); return sentences in seconds."""
    cutter, found = Cutter(FPS, limits), []
    for level, resting, seconds in parts:
        for _ in range(round(seconds * FPS)):
            found += cutter.add(level, resting=resting)
    return [(start / FPS, after / FPS) for start, after in found + cutter.finish()]


REST, SIGN, HOLD = (0.0, True), (0.8, False), (0.05, False)


def test_sentences_are_what_lies_between_rests_with_a_little_of_them():
    assert cut((*REST, 1.0), (*SIGN, 2.0), (*REST, 0.6), (*SIGN, 1.0), (*REST, 1.0)) == [(0.8, 3.2), (3.4, 4.8)]


def test_a_rest_that_is_too_short_ends_nothing():
    assert cut((*REST, 1.0), (*SIGN, 1.0), (*REST, 0.36), (*SIGN, 1.0), (*REST, 1.0)) == [(0.8, 3.56)]


def test_a_hold_ends_a_sentence_only_when_it_is_long():
    assert cut((*REST, 1.0), (*SIGN, 1.0), (*HOLD, 1.2), (*SIGN, 0.6), (*REST, 1.0)) == [(0.8, 4.0)]
    assert len(cut((*REST, 1.0), (*SIGN, 1.0), (*HOLD, 3.5), (*SIGN, 1.0), (*REST, 1.0))) == 2


def test_a_movement_that_is_too_short_is_no_sentence():
    assert cut((*REST, 1.0), (*SIGN, 0.4), (*REST, 1.0)) == []


def test_signing_at_either_end_of_the_video_is_kept():
    assert cut((*SIGN, 2.0)) == [(0.0, 2.0)]
    assert cut((*SIGN, 1.0), (*REST, 1.0), (*SIGN, 1.0), (*REST, 0.2)) == [(0.0, 1.2), (1.8, 3.2)]


def test_signing_without_a_rest_is_split_where_least_moves():
    found = cut((*SIGN, 2.4), (0.4, False, 0.2), (*SIGN, 4.0), (*REST, 1.0))
    assert found[0] == (0.0, pytest.approx(2.5, abs=0.12))
    assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]]
    assert max(end - start for start, end in found) <= LIMITS.max_length_s


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"min_length_s": 0.0}, "min_length_s is 0.0, expected a positive number"),
        ({"min_pause_s": float("nan")}, "min_pause_s is nan"),
        ({"max_length_s": float("inf")}, "max_length_s is inf"),
        ({"max_length_s": 1.0}, "the longest must be at least 1.8 s"),
    ],
)
def test_limits_that_cannot_be(limits, said):
    with pytest.raises(UserError, match=said):
        SentenceLimits(**limits)


def find(frames, fps: float = FPS) -> list[tuple[float, float]]:
    finder = SentenceFinder(fps, SentenceLimits())
    found = [span for frame in frames for span in finder.add(frame)] + finder.finish()
    return [(start / fps, after / fps) for start, after in found]


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    both = min(one[1], other[1]) - max(one[0], other[0])
    return max(both, 0.0) / (max(one[1], other[1]) - min(one[0], other[0]))


@pytest.fixture(scope="module")
def talk():
    planned = plan_talk(7, 17, split="val")
    frames = [cv2.resize(frame, (96, 96)) for frame in planned.frames()]
    return frames, [(span.start_s, span.end_s) for span in planned.sentences]


def as_it_is(frames):
    return frames


def noisy(frames):
    rng = np.random.default_rng(0)
    return [np.clip(frame + rng.normal(0, 8, frame.shape), 0, 255).astype(np.uint8) for frame in frames]


def shaken(frames):
    rng = np.random.default_rng(0)
    moves = rng.normal(0, 0.5, (len(frames), 2))
    return [
        cv2.warpAffine(frame, np.array([[1, 0, x], [0, 1, y]]), (96, 96), borderMode=cv2.BORDER_REPLICATE)
        for frame, (x, y) in zip(frames, moves, strict=True)
    ]


@pytest.mark.parametrize("spoil", [as_it_is, noisy, shaken])
def test_the_sentences_of_a_talk_are_found(talk, spoil):
    frames, spoken = talk
    found = find(spoil(frames))
    right = sum(any(overlap(one, other) >= 0.5 for other in found) for one in spoken)
    assert right >= 6
    assert len(found) <= 8


def test_nobody_who_moves_is_no_sentence():
    rng = np.random.default_rng(0)
    room = np.full((96, 96, 3), 128) + 40 * (np.arange(96)[:, None, None] > 48)
    assert find(np.clip(room + rng.normal(0, 6, room.shape), 0, 255).astype(np.uint8) for _ in range(400)) == []


def test_a_sentence_is_known_soon_after_its_end_and_little_is_needed(talk):
    frames, spoken = talk
    finder = SentenceFinder(FPS, SentenceLimits())
    kept = []
    for number, frame in enumerate(frames):
        for _, after in finder.add(frame):
            assert number - after <= (BEHIND_S + 1.5) * FPS
        kept.append(number - finder.needed)
    assert max(kept) <= (BEHIND_S + max(end - start for start, end in spoken) + 2) * FPS


def test_two_finders_agree(talk):
    assert find(itertools.islice(talk[0], 400)) == find(itertools.islice(talk[0], 400))
