"""Keypoints of a drawn signer, computed from the motion instead of detected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slt.data.synthetic.figure import KNUCKLE, Arm, Head, Point, arm_of, head_of
from slt.data.synthetic.motion import Performance
from slt.data.synthetic.signer import SIZE, Signer
from slt.video.keypoints import LEFT_HAND, N_HAND, N_JOINTS, RIGHT_HAND, Keypoints

# MediaPipe's numbers of the body's joints, the left one of each pair; what lies on the right is so much further.
_NOSE = 0
_EYE, _RIGHT_EYE = 1, 3
_EAR, _MOUTH, _SHOULDER, _ELBOW, _WRIST, _LITTLE, _INDEX, _THUMB = 7, 9, 11, 13, 15, 17, 19, 21
# Of a hand's joints those that the body has too: the wrist, and a knuckle of three fingers.
_SHARED = {_WRIST: 0, _LITTLE: 17, _INDEX: 5, _THUMB: 2}

_WRIST_AWAY = 0.18  # from the middle of the palm to its heel
_ALONG = np.array([0.0, 0.45, 0.75, 1.0])  # a finger's four joints, from its knuckle to its tip


def joints(performance: Performance, signer: Signer) -> Keypoints:
    """Return the joints of a drawn performance, as MediaPipe Holistic orders and counts them.

    A joint is where the drawing has it. NaN stands where nothing is drawn: hips and legs, what lies outside the
    picture, and the whole of a hand whose wrist does. The signers are flat: z is 0.

    Returns:
        (T, 75, 3) float32.
    """
    n_frames = len(performance.yaw)
    places = np.full((n_frames, N_JOINTS, 2), np.nan)
    # The dominant side first; the figure's right is MediaPipe's right, the person's own.
    sides = (
        (1.0, signer.left_handed, performance.dominant),
        (-1.0, not signer.left_handed, performance.other),
    )
    for frame in range(n_frames):
        head = head_of(performance.cues[frame], float(performance.yaw[frame]))
        places[frame, _NOSE] = head.nose[1]
        for side, is_left, track in sides:
            arm = arm_of(track[frame], side=side, width=signer.width)
            hand = _hand(arm)
            places[frame, LEFT_HAND if is_left else RIGHT_HAND] = hand
            for number, place in _half(head, arm, hand, side).items():
                further = _RIGHT_EYE if number in range(_EYE, _EAR) else 1
                places[frame, number + (0 if is_left else further)] = place
    return _seen(places, signer)


def _half(head: Head, arm: Arm, hand: NDArray[np.float64], side: float) -> dict[int, Point | NDArray[np.float64]]:
    """Return the body's joints of one side, under the left one's numbers."""
    x, y = head.eye(side)
    eye = {_EYE + i: (x + side * away, y) for i, away in enumerate((-0.07, 0.0, 0.07))}  # its two corners, its middle
    own = {_EAR: head.ear(side), _MOUTH: head.mouth(side), _SHOULDER: arm.shoulder, _ELBOW: arm.elbow}
    return {**eye, **own, **{number: hand[joint] for number, joint in _SHARED.items()}}


def _hand(arm: Arm) -> NDArray[np.float64]:
    """Return the (21, 2) joints of a hand: the wrist, then four of each finger, the thumb's first."""
    palm, axis = np.array(arm.palm), np.deg2rad(arm.angle)
    hand = np.empty((N_HAND, 2))
    hand[0] = palm - _WRIST_AWAY * np.array([np.sin(axis), -np.cos(axis)])
    for finger, tip in enumerate(arm.tips):
        way = np.array(tip) - palm
        knuckle = palm + way * (KNUCKLE / np.hypot(*way))
        hand[1 + 4 * finger : 5 + 4 * finger] = knuckle + _ALONG[:, None] * (np.array(tip) - knuckle)
    return hand


def _seen(places: NDArray[np.float64], signer: Signer) -> Keypoints:
    """Turn the figure's (T, 75, 2) lengths into shares of the picture, NaN where it does not show them."""
    found, inside = shares(places, signer)
    for hand in (LEFT_HAND, RIGHT_HAND):
        inside[:, hand] = inside[:, hand.start, None]
    found[~inside] = np.nan
    return found


def shares(places: NDArray[np.float64], signer: Signer) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Turn the figure's lengths into shares of the picture.

    Args:
        places: (T, J, 2) x and y.
        signer: whose.

    Returns:
        (T, J, 3) float32 x, y and depth, which is 0; and (T, J) bool, whether the picture shows the point.
    """
    pixels = np.stack(signer.place((places[..., 0], places[..., 1])), axis=-1)
    found = np.zeros((*places.shape[:2], 3), np.float32)
    found[..., :2] = (pixels + 0.5) / SIZE
    return found, np.asarray(((found[..., :2] >= 0) & (found[..., :2] < 1)).all(axis=-1))
