"""Geometry of a drawn signer, in head heights, for pictures and keypoints.

x counts towards the signer's dominant side from their middle line, y downwards from the chin, as in ``motion``;
``side`` is 1 for what lies on the dominant side, and -1 for the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from slt.data.synthetic.grammar import CUES

Point: TypeAlias = tuple[float, float]

FINGERS = ((-68.0, 0.78), (-20.0, 1.0), (-6.0, 1.08), (8.0, 1.0), (22.0, 0.82))
"""Thumb to little finger: degrees from the palm's axis, and length."""

KNUCKLE = 0.13
"""How far from the middle of the palm a folded finger ends."""

EYE_WIDTH = 0.08
LIPS = 0.05
"""How thick the mouth is drawn."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm in one frame.

    Attributes:
        shoulder, elbow: its joints.
        palm: the middle of the palm, which the forearm ends in.
        angle: where the palm's axis points, in degrees from upright, towards the dominant side.
        tips: the ends of the fingers, the thumb's first.
    """

    shoulder: Point
    elbow: Point
    palm: Point
    angle: float
    tips: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Head:
    """The head in one frame.

    Attributes:
        x, y: how far it is moved from where it rests.
        face: x of the middle of the face, which turns further than the head.
        lift, frown: strength 0..1 of the brows' two cues.
    """

    x: float
    y: float
    face: float
    lift: float
    frown: float

    def eye(self, side: float) -> Point:
        """Return the middle of an eye."""
        return self.face + 0.15 * side, self.y - 0.5

    @property
    def nose(self) -> tuple[Point, Point]:
        """Its bridge and its tip."""
        return (self.face + 0.02, self.y - 0.46), (self.face + 0.04, self.y - 0.33)

    @property
    def eye_height(self) -> float:
        """Half the height of an open eye, which is as wide as ``EYE_WIDTH`` to either side."""
        return 0.055 * (1.0 + 0.6 * self.lift - 0.4 * self.frown)

    def brow(self, side: float) -> tuple[Point, Point]:
        """Return the inner and the outer end of a brow."""
        inner = (self.face + 0.05 * side, self.y - 0.65 - 0.14 * self.lift + 0.1 * self.frown)
        outer = (self.face + 0.28 * side, self.y - 0.64 - 0.15 * self.lift - 0.04 * self.frown)
        return inner, outer

    def mouth(self, side: float) -> Point:
        """Return a corner of the mouth."""
        return self.face + 0.11 * side, self.y - 0.19

    @property
    def skin(self) -> tuple[Point, Point]:
        """The middle and the radii of the ellipse that the face is drawn in."""
        return (self.x, self.y - 0.46), (0.37, 0.47)

    def ear(self, side: float) -> Point:
        """Return where an ear would be: the head's edge, beside the eyes."""
        return self.x + 0.37 * side, self.y - 0.46


def head_of(cues: NDArray[np.float64], yaw: float) -> Head:
    """Return the head, for the strengths of ``grammar.CUES`` and its turn, -1..1."""
    strength = dict(zip(CUES, cues.tolist(), strict=True))
    lift, frown = strength["brows-up"], strength["brows-down"]
    x, y = 0.13 * yaw, 0.09 * (frown - lift)  # a question lifts the chin, asking for a word lowers it
    return Head(x=x, y=y, face=x + 0.15 * yaw, lift=lift, frown=frown)


def arm_of(pose: NDArray[np.float64], *, side: float, width: float) -> Arm:
    """Return an arm with its hand.

    Args:
        pose: (9,) one frame of a ``motion.Track``.
        side: whose.
        width: of the signer, 1 is the average.
    """
    palm = (side * float(pose[0]), float(pose[1]))
    shoulder = (side * 0.74 * width, 0.62)
    angle, spread = side * float(pose[2]), float(pose[8])
    tips = []
    for (away, length), extension in zip(FINGERS, pose[3:8].tolist(), strict=True):
        turned = np.deg2rad(angle + side * away * (0.45 + 0.75 * spread))
        reach = KNUCKLE + 0.41 * length * extension
        tips.append((palm[0] + reach * np.sin(turned), palm[1] - reach * np.cos(turned)))
    return Arm(shoulder=shoulder, elbow=_elbow(shoulder, palm, side), palm=palm, angle=angle, tips=tuple(tips))


def _elbow(shoulder: Point, palm: Point, side: float) -> Point:
    """Return the elbow of an arm of two equal parts that bends outwards and down; a far hand segments the arm."""
    across, down = palm[0] - shoulder[0], palm[1] - shoulder[1]
    distance = max(float(np.hypot(across, down)), 1e-6)
    part = max(0.95, 0.505 * distance)
    height = float(np.sqrt(part * part - 0.25 * distance * distance))
    normal = (-down / distance, across / distance)
    if normal[0] * side + 0.5 * normal[1] < 0:
        normal = (-normal[0], -normal[1])
    return shoulder[0] + 0.5 * across + height * normal[0], shoulder[1] + 0.5 * down + height * normal[1]
