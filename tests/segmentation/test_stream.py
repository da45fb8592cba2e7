from __future__ import annotations

import gc
from weakref import ref

import numpy as np
import pytest

from slt.segmentation.finder import BEHIND_S, SentenceLimits
from slt.segmentation.stream import find_sentences

FPS = 25


def frames(pattern: str):
    """Yield a tenth of a second of signing for every s, and of rest for every dot."""
    hand, number = 0, 0
    for character in pattern:
        for _ in range(3):
            hand = (hand + 7) % 60 if character == "s" else 0
            picture = np.full((72, 72, 3), 60, dtype=np.uint8)
            picture[:, 40:] = 120
            picture[hand : hand + 16, 20 : 20 + 16] = 250
            yield number / FPS, picture
            number += 1


def test_a_sentence_has_exactly_the_frames_its_times_say():
    timed = list(frames("." * 15 + "s" * 15 + "." * 8 + "s" * 12 + "." * 15))
    found = list(find_sentences(iter(timed), fps=FPS))
    assert len(found) == 2
    for sentence in found:
        inside = [crop for time, crop in timed if sentence.start_s <= time < sentence.end_s]
        assert len(sentence.crops) == len(inside)
        assert all(one is other for one, other in zip(sentence.crops, inside, strict=True))
    assert found[0].start_s == pytest.approx(15 * 3 / FPS, abs=0.4)
    assert found[0].end_s == pytest.approx(30 * 3 / FPS, abs=0.4)
    assert found[0].end_s <= found[1].start_s


def test_signing_from_the_first_frame_to_the_last():
    (sentence,) = find_sentences(frames("s" * 20), fps=FPS)
    assert (sentence.start_s, sentence.end_s, len(sentence.crops)) == (0.0, 60 / FPS, 60)


def test_no_frames_hold_no_sentence():
    assert list(find_sentences(iter(()), fps=FPS)) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video():
    limits = SentenceLimits(max_length_s=4.0)
    alive, sizes = [], []

    class Counted(np.ndarray):
        pass

    def counted():
        for number, (time, frame) in enumerate(frames(("s" * 90 + "." * 12) * 6)):
            mine = frame.view(Counted)
            alive.append(ref(mine))
            if number % 250 == 0:
                gc.collect()
                alive[:] = [one for one in alive if one() is not None]
                sizes.append(len(alive))
            yield time, mine

    for _ in find_sentences(counted(), fps=FPS, limits=limits):
        pass
    assert len(sizes) > 6
    assert max(sizes) <= (BEHIND_S + 2 * limits.max_length_s) * FPS + 10
