"""Draw a signer: identities, and one picture per pose."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from slt.data.synthetic.figure import EYE_WIDTH, LIPS, Arm, Head, Point, arm_of, head_of
from slt.data.synthetic.motion import Manner, Performance

SIZE = 224  # pixels, both sides
_SHIFT = 4  # OpenCV draws at 1/16 of a pixel
_PUPIL = (30, 25, 25)

Colour = tuple[int, int, int]
Length = TypeVar("Length", float, NDArray[np.float64])


@dataclass(frozen=True, kw_only=True)
class Signer:
    """One drawn person.

    Attributes:
        name: as it stands in the manifest.
        head: height of the head in pixels; every other length follows from it.
        centre: x of the middle line, and y of the chin, in pixels.
        left_handed: the whole of the signing is mirrored.
    """

    name: str
    head: float
    centre: tuple[float, float]
    left_handed: bool
    skin: Colour
    hair: Colour
    shirt: Colour
    background: Colour
    hair_length: float
    width: float
    manner: Manner

    def place(self, point: tuple[Length, Length]) -> tuple[Length, Length]:
        """Return where in the picture a point of the figure is: x and y in pixels, whole ones in a pixel's middle."""
        # The viewer sees the signer's right hand on the left of the picture.
        mirror = 1.0 if self.left_handed else -1.0
        return self.centre[0] + mirror * point[0] * self.head, self.centre[1] + point[1] * self.head


def draw_signer(name: str, rng: np.random.Generator) -> Signer:
    """Make up a signer; the same generator state gives the same one."""
    tone, hue = rng.uniform(), rng.uniform()
    light, dark = np.array([250.0, 214.0, 186.0]), np.array([112.0, 70.0, 48.0])
    skin = light + tone * (dark - light)
    shirt_value = rng.uniform(0.25, 0.5) if tone < 0.5 else rng.uniform(0.6, 0.95)
    return Signer(
        name=name,
        head=rng.uniform(51.0, 60.0),
        centre=(rng.uniform(102.0, 122.0), rng.uniform(98.0, 110.0)),
        left_handed=bool(rng.uniform() < 0.2),
        skin=_colour(skin),
        hair=_colour(np.array([70.0, 50.0, 35.0]) * rng.uniform(0.2, 2.6)),
        shirt=_hsv(hue, rng.uniform(0.3, 0.8), shirt_value),
        background=_hsv(rng.uniform(), rng.uniform(0.03, 0.3), rng.uniform(0.7, 0.98)),
        hair_length=rng.uniform(-0.1, 0.9),
        width=rng.uniform(0.92, 1.1),
        manner=Manner(speed=rng.uniform(0.9, 1.25), reach=rng.uniform(0.88, 1.15), tremble=rng.uniform(0.008, 0.03)),
    )


def draw_frames(signer: Signer, performance: Performance, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a performance.

    Returns:
        (T, 224, 224, 3) uint8 RGB, 25 frames per second.
    """
    n_frames = len(performance.yaw)
    blink = rng.uniform(size=n_frames) < 0.012
    blink = np.convolve(blink, np.ones(3), "same") > 0
    frames = np.empty((n_frames, SIZE, SIZE, 3), np.uint8)
    for frame in range(n_frames):
        canvas = np.full((SIZE, SIZE, 3), signer.background, np.uint8)
        pen = _Pen(canvas, signer)
        pen.hair()
        pen.body()
        head = head_of(performance.cues[frame], float(performance.yaw[frame]))
        pen.head(head, closed_eyes=bool(blink[frame]))
        pen.arm(arm_of(performance.other[frame], side=-1.0, width=signer.width))
        pen.arm(arm_of(performance.dominant[frame], side=1.0, width=signer.width))
        frames[frame] = canvas
    return frames


class _Pen:
    """Draws one signer on one canvas, in the signer's own units."""

    def __init__(self, canvas: NDArray[np.uint8], signer: Signer) -> None:
        self.canvas, self.signer = canvas, signer
        self.unit = signer.head
        self.outline = _darker(signer.skin, 0.42)
        self.brows = _darker(signer.hair, 0.55)

    def hair(self) -> None:
        """Draw what falls behind the neck."""
        self._ellipse((0.0, -0.5 + 0.35 * self.signer.hair_length), (0.45, 0.5), self.signer.hair)

    def body(self) -> None:
        width = 0.88 * self.signer.width
        torso = [(-width, 0.55), (-0.3, 0.22), (0.3, 0.22), (width, 0.55), (width * 0.95, 3.2), (-width * 0.95, 3.2)]
        self._polygon(torso, self.signer.shirt)
        self._line((0.0, -0.1), (0.0, 0.3), 0.34, self.signer.skin)

    def head(self, head: Head, *, closed_eyes: bool) -> None:
        self._ellipse((head.x, head.y - 0.62), (0.42, 0.44), self.signer.hair)
        self._ellipse(*head.skin, self.signer.skin)
        for side in (-1.0, 1.0):
            eye = head.eye(side)
            if closed_eyes:
                self._line((eye[0] - 0.07, eye[1]), (eye[0] + 0.07, eye[1]), 0.03, _PUPIL)
            else:
                self._ellipse(eye, (EYE_WIDTH, head.eye_height), (250, 250, 250))
                self._ellipse(eye, (0.04, min(0.05, head.eye_height)), _PUPIL)
            self._line(*head.brow(side), 0.075, self.brows)
        self._line(*head.nose, 0.03, self.outline)
        self._line(head.mouth(-1.0), head.mouth(1.0), LIPS, (165, 60, 60))

    def arm(self, arm: Arm) -> None:
        """Draw one arm, then palm and fingers, dark first and then a little smaller in the colour of the skin."""
        sleeve = _darker(self.signer.shirt, 0.8)
        self._line(arm.shoulder, arm.elbow, 0.36, sleeve)
        self._line(arm.elbow, arm.palm, 0.27, sleeve)
        for colour, rim in ((self.outline, 0.05), (self.signer.skin, 0.0)):
            self._ellipse(arm.palm, (0.185 + rim / 2, 0.205 + rim / 2), colour)
            for tip in arm.tips:
                self._line(arm.palm, tip, 0.105 + rim, colour)

    def _at(self, point: Point) -> tuple[int, int]:
        x, y = self.signer.place(point)
        return round(x * 2**_SHIFT), round(y * 2**_SHIFT)

    def _line(self, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour) -> None:
        thickness = max(1, round(width * self.unit))
        cv2.line(self.canvas, self._at(start), self._at(end), colour, thickness, cv2.LINE_AA, _SHIFT)

    def _ellipse(self, centre: tuple[float, float], radii: tuple[float, float], colour: Colour) -> None:
        axes = tuple(round(radius * self.unit * 2**_SHIFT) for radius in radii)
        cv2.ellipse(self.canvas, self._at(centre), axes, 0, 0, 360, colour, -1, cv2.LINE_AA, _SHIFT)

    def _polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        corners = np.array([self._at(point) for point in points], np.int32)
        cv2.fillPoly(self.canvas, [corners], colour, cv2.LINE_AA, _SHIFT)


def _colour(rgb: NDArray[np.float64]) -> Colour:
    red, green, blue = np.clip(np.round(rgb), 0, 255).astype(int).tolist()
    return red, green, blue


def _darker(colour: Colour, share: float) -> Colour:
    red, green, blue = (int(share * channel) for channel in colour)
    return red, green, blue


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    return _colour(255.0 * np.array(colorsys.hsv_to_rgb(hue, saturation, value)))
