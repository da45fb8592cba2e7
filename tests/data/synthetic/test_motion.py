from itertools import pairwise

import numpy as np
import pytest

from slt.data.synthetic.grammar import CUES, Meaning, sign
from slt.data.synthetic.lexicon import MOVEMENTS
from slt.data.synthetic.motion import Manner, _movement, perform

CALM = Manner(speed=1.0, reach=1.0, tremble=0.01)
NEGATED = sign(Meaning(subject="MAN", verb="BUY", obj="CAR", negated=True))


def performed(sentence=NEGATED, manner=CALM, seed=0):
    return perform(sentence, manner, np.random.default_rng(seed))


def test_signs_come_in_order_with_ways_between_them():
    performance = performed()
    assert [gloss for gloss, _, _ in performance.signs] == ["CAR", "MAN", "BUY"]
    ends = [(first, after) for _, first, after in performance.signs]
    assert all(after - first >= 8 for first, after in ends)
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    assert performance.dominant.shape == performance.other.shape == (len(performance.yaw), 9)


def test_hands_move_without_jumps():
    steps = np.linalg.norm(np.diff(performed().dominant[:, :2], axis=0), axis=1)
    assert steps.max() < 0.6  # head heights in a 25th of a second


def test_the_head_shakes_during_the_comment_only():
    performance = performed()
    _, (_, man, _), (_, _, end) = performance.signs
    shaking = performance.cues[:, CUES.index("headshake")] > 0.5
    assert shaking[man:end].all()
    assert not shaking[: man - 5].any()
    assert np.abs(performance.yaw[man:end]).max() > 0.8
    assert np.abs(performance.yaw[: man - 5]).max() == 0


def test_a_fast_signer_needs_fewer_frames():
    fast = performed(manner=Manner(speed=1.25, reach=1.0, tremble=0.01))
    assert len(fast.yaw) < 0.92 * len(performed().yaw)


def test_a_sign_begins_nearer_to_where_the_hand_comes_from():
    """Coarticulation: the same last sign starts differently after different first ones."""
    starts = []
    for thing in ("TREE", "BREAD"):
        sentence = sign(Meaning(subject="MAN", verb="SEE", obj=thing))
        performance = performed(sentence, Manner(speed=1, reach=1, tremble=0))
        first = performance.signs[1][1]
        starts.append(performance.dominant[first, :2])
    assert np.linalg.norm(starts[0] - starts[1]) > 0.05


def test_the_same_generator_state_gives_the_same_motion():
    np.testing.assert_array_equal(performed(seed=3).dominant, performed(seed=3).dominant)
    assert not np.array_equal(performed(seed=3).dominant[:20], performed(seed=4).dominant[:20])


@pytest.mark.parametrize("name", MOVEMENTS)
def test_every_movement_but_hold_moves_something(name):
    moved = [np.ptp(track) for track in _movement(name, np.linspace(0, 1, 14))]
    assert (max(moved) > 0.2) == (name != "hold")
