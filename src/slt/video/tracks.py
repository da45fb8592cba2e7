"""Link face boxes over time, and choose the person who signs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from slt.video.base import Frame, Video
from slt.video.boxes import Box, iou, mean_box

Sighting: TypeAlias = tuple[int, Box]
"""Index of a sampled frame, and a box in it."""
FaceTrack: TypeAlias = list[Sighting]


def link_tracks(seen: Sequence[Sequence[Box]], *, threshold: float = 0.2) -> list[FaceTrack]:
    """Link the boxes of one person over time.

    A track starts with the last box of the earliest frame that has one left, and takes from every later frame the box
    that overlaps most with that *first* one, so a person who drifts far is broken into several tracks: the published
    pipeline's way.

    Args:
        seen: the boxes in each sampled frame.
        threshold: overlap (IoU) above which two boxes are the same person.
    """
    left = [list(boxes) for boxes in seen]
    tracks: list[FaceTrack] = []
    for start, boxes in enumerate(left):
        while boxes:
            anchor = boxes.pop()
            track = [(start, anchor)]
            for index in range(start + 1, len(left)):
                nearest = max(left[index], key=lambda box: iou(anchor, box), default=None)
                if nearest is not None and iou(anchor, nearest) > threshold:
                    left[index].remove(nearest)
                    track.append((index, nearest))
            tracks.append(track)
    return tracks


def choose_track(
    tracks: Sequence[FaceTrack],
    n_looked: int,
    motion_of: Callable[[Sequence[FaceTrack]], Mapping[Sighting, float]],
    *,
    share: float = 0.5,
) -> Box | None:
    """Return the mean box of the track with the most motion, None when no track is seen in enough frames.

    Args:
        tracks: from ``link_tracks``.
        n_looked: sampled frames.
        motion_of: measures the motion in every box of some tracks; asked only when two or more are in question.
        share: a track must be seen in more than this share of the sampled frames.
    """
    lasting = [track for track in tracks if len(track) / n_looked > share]
    if not lasting:
        return None
    if len(lasting) == 1:
        return _mean(lasting[0])
    motion = motion_of(lasting)
    return _mean(max(lasting, key=lambda track: (sum(motion[sighting] for sighting in track) / len(track), track)))


def largest_track(tracks: Sequence[FaceTrack]) -> Box | None:
    """Return the mean box of the "largest" track, None when none has a positive size.

    The size is the published pipeline's, ``(y2 - x1) * (x2 - y1)`` summed over the track: not an area, negative for
    people to the right or at the top, and larger for tracks seen more often. Kept, so that boxes stay equal.
    """
    sizes = [sum((box.y2 - box.x1) * (box.x2 - box.y1) for _, box in track) for track in tracks]
    best = max(range(len(tracks)), key=lambda index: sizes[index], default=None)
    return _mean(tracks[best]) if best is not None and sizes[best] > 0 else None


def motion_in_boxes(video: Video, tracks: Sequence[FaceTrack], every: int) -> dict[Sighting, float]:
    """Measure how much moves in each box, 0 to 255, from the frame before to the box's frame.

    Reads the video, keeps one small grey picture, and computes flow for the frames with boxes only.

    Args:
        video: the video the boxes are of.
        tracks: the boxes to measure.
        every: frames from one look to the next.
    """
    wanted: dict[int, list[Sighting]] = {}
    for sighting in (sighting for track in tracks for sighting in track):
        wanted.setdefault(sighting[0] * every, []).append(sighting)
    motion: dict[Sighting, float] = {}
    before: NDArray[np.uint8] | None = None
    with closing(video.frames()) as frames:
        for index, frame in enumerate(frames):
            if index in wanted:
                flow = flow_magnitude(before, frame)
                motion.update({sighting: _mean_inside(flow, sighting[1]) for sighting in wanted.pop(index)})
                if not wanted:
                    break
            # Only a picture that the next frame will be compared with is worth shrinking.
            before = _small_grey(frame) if index + 1 in wanted else None
    return motion


def flow_magnitude(before: NDArray[np.uint8] | None, frame: Frame) -> NDArray[np.uint8]:
    """Return how fast each pixel moves, stretched to 0..255 over the picture; zeros where there is no frame before.

    Args:
        before: the previous frame, grey and shrunk by ``_small_grey``; None for a video's first frame.
        frame: (H, W, 3) uint8.

    Returns:
        (H, W) uint8.
    """
    import cv2

    height, width = frame.shape[:2]
    if before is None:
        return np.zeros((height, width), dtype=np.uint8)
    start = np.zeros((*before.shape, 2), dtype=np.float32)
    flow = cv2.calcOpticalFlowFarneback(before, _small_grey(frame), start, 0.5, 3, 15, 3, 5, 1.2, 0)
    speed, _ = cv2.cartToPolar(flow[..., 0], flow[..., 1])
    spread = max(float(speed.max() - speed.min()), 1)
    stretched = (255.0 * (speed - speed.min()) / spread).astype(np.uint8)
    return np.asarray(cv2.resize(stretched, (width, height)), dtype=np.uint8)


def _small_grey(frame: Frame) -> NDArray[np.uint8]:
    """Return the (h, w) uint8 grey picture that flow is computed on."""
    import cv2

    height, width = frame.shape[:2]
    # The published pipeline's own steps; 960 breaks the pattern there too.
    ratio = 1 / 2 if width < 960 else 1 / 6 if width == 960 else 1 / 4
    size = max(int(width * ratio), 1), max(int(height * ratio), 1)
    return np.asarray(cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size), dtype=np.uint8)


def _mean_inside(flow: NDArray[np.uint8], box: Box) -> float:
    """Return the mean of ``flow`` inside a box, 0 where the box lies outside the picture."""
    x1, y1, x2, y2 = (max(int(edge), 0) for edge in box)
    inside = flow[y1:y2, x1:x2]
    return float(inside.mean()) if inside.size else 0.0


def _mean(track: FaceTrack) -> Box:
    """Return the mean box of a track."""
    return mean_box([box for _, box in track])
