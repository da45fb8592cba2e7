from __future__ import annotations

import numpy as np
import pytest

from slt.video.orient import Turn, turn_of

ONE = 65536
PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def matrix(a: int, b: int, c: int, d: int) -> list[int]:
    return [a, b, 0, c, d, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (matrix(ONE, 0, 0, ONE), PICTURE),
        (matrix(0, -ONE, ONE, 0), np.rot90(PICTURE)),
        (matrix(-ONE, 0, 0, -ONE), np.rot90(PICTURE, 2)),
        (matrix(0, ONE, -ONE, 0), np.rot90(PICTURE, 3)),
        (matrix(-ONE, 0, 0, ONE), PICTURE[:, ::-1]),
        (matrix(ONE, 0, 0, -ONE), PICTURE[::-1]),
        (matrix(0, ONE, ONE, 0), PICTURE.swapaxes(0, 1)),
        (matrix(0, -ONE, -ONE, 0), np.rot90(PICTURE, 2).swapaxes(0, 1)),
    ],
)
def test_all_eight_ways_to_hold_a_camera(given, expected):
    turn = turn_of(given)
    np.testing.assert_array_equal(turn.apply(PICTURE), expected)
    assert turn.size(2, 3) == expected.shape[:2]


@pytest.mark.parametrize("given", [matrix(46340, -46340, 46340, 46340), matrix(0, 0, 0, 0), matrix(ONE, 99, -99, ONE)])
def test_what_is_no_quarter_turn_goes_to_the_nearer_one(given):
    assert turn_of(given) == Turn()
