"""Geometry of one hand of 21 joints: bones, bending fingers, turning, and the way between two poses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hand = NDArray[np.float64]
"""(21, 3) or (T, 21, 3): wrist first, then four joints of each finger from the thumb on, outwards; x to the picture's
right, y down, z away from the camera."""

PARENT = np.array([0, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19])
KNUCKLES = [5, 9, 13, 17]
# x, y, z → the matrix of the cross product with it, by rows
_CROSS = np.array([[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]], float)

# By how much a thumb pushes the joints of a finger over it up and out, from the middle joint on, in palm sizes.
_OVER_T, _OVER_N = ((0.0, 0.08), (0.0, 0.2), (0.0, 0.2)), ((0.1, 0.1), (0.2, 0.2), (0.1, 0.28))


def bones(hand: Hand) -> Hand:
    """Return the vector from each joint's parent to the joint, same shape; the wrist's is its position."""
    found = hand - hand[..., PARENT, :]
    found[..., 0, :] = hand[..., 0, :]
    return found


def joints(bones: Hand) -> Hand:
    """Return positions of joints from bones; the inverse of ``bones``."""
    wrist = bones[..., :1, :]
    chains = bones[..., 1:, :].reshape(*bones.shape[:-2], 5, 4, 3).cumsum(-2)
    return np.concatenate([wrist, wrist + chains.reshape(*bones.shape[:-2], 20, 3)], -2)


def palm_size(hand: Hand) -> NDArray[np.float64]:
    """Return the mean distance from the wrist to the four knuckles."""
    return np.asarray(np.linalg.norm(hand[..., KNUCKLES, :] - hand[..., :1, :], axis=-1).mean(-1))


def rotations(axes: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (…, 3, 3) matrices that turn by (…,) ``angles`` in radians about (…, 3) ``axes``."""
    axes = axes / np.maximum(np.sqrt((axes**2).sum(-1, keepdims=True)), 1e-9)
    cross = axes @ _CROSS  # (…, 9)
    cross = cross.reshape(*axes.shape[:-1], 3, 3)
    angles = angles[..., None, None]
    return np.asarray(np.eye(3) + np.sin(angles) * cross + (1 - np.cos(angles)) * cross @ cross)


def turned(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (3, 3) matrix that turns by (3,) ``angles`` about x, then y, then z; radians."""
    about_x, about_y, about_z = rotations(np.eye(3), angles)
    return np.asarray(about_z @ about_y @ about_x)


def bent(hand: Hand, rng: np.random.Generator, *, degrees: float) -> Hand:
    """Return one pose, (21, 3), with each finger bent and spread a little, at random.

    Args:
        hand: the pose.
        rng: random generator.
        degrees: standard deviation of the bending at the knuckle; the other joints bend less.
    """
    axes = np.broadcast_to(hand[17] - hand[5], (5, 3, 3)).copy()  # of each finger's three joints
    axes[0] = rng.normal(size=(3, 3))  # the thumb bends every way
    bend = rotations(axes, np.radians(rng.normal(size=(5, 3)) * degrees * [1, 0.7, 0.7]))
    normal = np.broadcast_to(np.cross(hand[5] - hand[0], hand[17] - hand[0]), (5, 3))
    spread = rotations(normal, np.radians(rng.normal(size=5) * degrees * 0.5))
    first = spread @ bend[:, 0]
    second = bend[:, 1] @ first
    turns = np.stack([first, second, bend[:, 2] @ second], 1)  # (5, 3, 3, 3)
    found = bones(hand)
    fingers = found[1:].reshape(5, 4, 3)
    fingers[:, 1:] = (turns @ fingers[:, 1:, :, None])[..., 0]
    found[1:] = fingers.reshape(20, 3)
    return joints(found)


def between(first: Hand, last: Hand, share: NDArray[np.float64]) -> Hand:
    """Return poses on the way from one to another, (T, 21, 3): bones turn and keep their lengths.

    Args:
        first: (21, 3).
        last: (21, 3).
        share: (T,) of the way, 0 to 1.
    """
    start, end, share = bones(first), bones(last), share[:, None, None]
    mixed = (1 - share) * start + share * end
    wanted = (1 - share) * np.linalg.norm(start, axis=-1, keepdims=True) + share * np.linalg.norm(
        end, axis=-1, keepdims=True
    )
    length = np.linalg.norm(mixed, axis=-1, keepdims=True)
    scaled = mixed * np.where(length > 1e-6, np.minimum(wanted / np.maximum(length, 1e-6), 3.0), 1.0)
    scaled[:, 0] = mixed[:, 0]
    return joints(scaled)


def with_thumb_under(hand: Hand, n_fingers: int) -> Hand:
    """Return a fist, (T, 21, 3), with the thumb under its first one, two or three fingers: the American T, N and M.

    The thumb's tip comes out beside the last finger that lies over it, and pushes these fingers out.
    """
    found = hand.copy()
    over, beside = 2 + 4 * n_fingers, 6 + 4 * n_fingers  # middle joints of the last finger over it, and of the next
    along, across = hand[:, 9] - hand[:, 0], hand[:, 5] - hand[:, 17]
    out = np.cross(across, along)
    out /= np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-6)
    aside = 0.15 * across if n_fingers == 1 else 0 * across
    height = 0.05 if n_fingers == 1 else -0.12
    tip = (hand[:, over] + hand[:, beside]) / 2 + height * along
    found[:, 4] = tip
    found[:, 3] = hand[:, 2] + 0.6 * (tip - hand[:, 2]) + 0.1 * out
    pushed = _OVER_T if n_fingers == 1 else _OVER_N
    for finger in range(n_fingers):
        for place, (up, away) in enumerate(pushed):
            found[:, 6 + 4 * finger + place] += aside + up * along + away * out
    return found
