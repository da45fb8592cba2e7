from __future__ import annotations

import itertools

import numpy as np

from slt.data.synthetic.motion import FPS
from slt.data.synthetic.talk import plan_talk


def test_a_talk_is_sentences_with_rests_between():
    talk = plan_talk(6, 3, rest_s=(0.5, 1.0))
    assert len({span.meaning for span in talk.sentences}) == 6
    rests = [after.start_s - span.end_s for span, after in itertools.pairwise(talk.sentences)]
    assert min(rests) >= 0.5 - 1 / FPS
    assert max(rests) <= 1.0 + 1 / FPS
    hand = talk.performance.dominant[:, 1]  # downwards from the chin
    for span in talk.sentences:
        inside = slice(round(span.start_s * FPS) + 10, round(span.end_s * FPS) - 10)
        assert hand[inside].mean() < hand[round(span.end_s * FPS)] - 0.3


def test_the_hands_never_rest_in_quite_the_same_place():
    talk = plan_talk(6, 3)
    places = np.array([talk.performance.dominant[round(span.end_s * FPS), :2] for span in talk.sentences])
    assert places.std(axis=0).min() > 0.02


def test_the_same_seed_draws_the_same_frames_all_of_them():
    one, other = (np.stack(list(itertools.islice(plan_talk(1, 5).frames(), 12))) for _ in range(2))
    assert (one == other).all()
    talk = plan_talk(1, 5)
    assert sum(1 for _ in talk.frames(piece=20)) == len(talk.performance.yaw)
