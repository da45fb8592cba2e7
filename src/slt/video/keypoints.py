"""MediaPipe Holistic keypoints of body and hands; read and write `.pose` files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.video.base import Frame
from slt.video.mediapipe_graph import Graph, message, without_stray_lines
from slt.video.pose_components import read_pose_components
from slt.video.skeletons import COCO_WHOLEBODY_133, MEDIAPIPE_75, Skeleton, convert

Keypoints: TypeAlias = NDArray[np.float32]
"""(T, 75, 3) float32: 33 joints of the body, 21 of the left hand, 21 of the right; x and y from 0 to 1 across the
picture, z in picture widths, smaller is nearer; NaN where a part is not seen. The order of joints is MediaPipe's."""

N_POSE, N_HAND = 33, 21
N_JOINTS = N_POSE + 2 * N_HAND
POSE = slice(0, N_POSE)
LEFT_HAND = slice(N_POSE, N_POSE + N_HAND)
RIGHT_HAND = slice(N_POSE + N_HAND, N_JOINTS)
HAND_DEPTH_UNIT = 1.6
"""Factor on MediaPipe's depth of a hand with which the lengths of bones change least when the hand turns."""

# The parts by MediaPipe's names of them; in .pose files they are written in capitals.
_PARTS = {"pose_landmarks": POSE, "left_hand_landmarks": LEFT_HAND, "right_hand_landmarks": RIGHT_HAND}
_POSE_VERSION = 0.2


class Holistic:
    """MediaPipe Holistic at complexity 1, on the CPU: one person's body and hands, from the models in its package.

    It follows one video: feed it frames in order, and ``restart`` it before another. At its end, or as a context,
    its threads are ended.

    Args:
        tracking: use each frame to find the joints in the next, and smooth them; False for unrelated pictures.

    Reference: Lugaresi et al. 2019, arXiv 1906.08172. Equal to ``mediapipe.solutions.holistic`` bit for bit.
    """

    def __init__(self, *, tracking: bool = True) -> None:
        side: dict[str, int | bool] = {
            "model_complexity": 1,
            "smooth_landmarks": tracking,
            "enable_segmentation": False,
            "smooth_segmentation": False,
            "refine_face_landmarks": False,
            "use_prev_landmarks": tracking,
        }
        file = "holistic_landmark/holistic_landmark_cpu.binarypb"
        self._graph = Graph(file, list(_PARTS), side=side, change=_as_solutions_run_it)

    def __call__(self, frame: Frame) -> NDArray[np.float32]:
        """Return one frame's keypoints, (75, 3) float32, NaN where a part is not seen.

        Args:
            frame: (H, W, 3) uint8 RGB.
        """
        from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmarkList

        joints = np.full((N_JOINTS, 3), np.nan, dtype=np.float32)
        for name, packet in self._graph(frame).items():
            seen = message(packet, NormalizedLandmarkList)
            joints[_PARTS[name]] = [(joint.x, joint.y, joint.z) for joint in seen.landmark]
        return joints

    def restart(self) -> None:
        """Reset for another video."""
        self._graph.restart()

    def close(self) -> None:
        """End the threads."""
        self._graph.close()

    def __enter__(self) -> Holistic:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def find_keypoints(frames: Iterable[Frame]) -> Keypoints:
    """Return the keypoints of one video's frames, (T, 75, 3) float32.

    Args:
        frames: each (H, W, 3) uint8 RGB, read once.
    """
    with Holistic() as holistic:
        found = [holistic(frame) for frame in frames]
    return np.stack(found) if found else np.empty((0, N_JOINTS, 3), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class PoseFile:
    """What a `.pose` file holds of one person.

    Attributes:
        keypoints: of every frame; (T, 133, 3) float32 x, y and score if the skeleton is COCO-WholeBody's.
        fps: frames per second.
        height: of the video's picture, in pixels.
        width: likewise.
        skeleton: MediaPipe's 75 joints, or COCO-WholeBody's 133 points.
    """

    keypoints: NDArray[np.float32]
    fps: float
    height: int
    width: int
    skeleton: Skeleton = MEDIAPIPE_75


def write_pose(path: Path, pose: PoseFile) -> None:
    """Write a `.pose` file: positions in pixels; confidence 1 where a joint of MediaPipe's is seen, else its score.

    A joint that is not seen has the confidence 0.

    Raises:
        UserError: this user cannot write there.
        SltError: the disk is full, or failed.
    """
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose import Pose
    from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

    header = PoseHeader(
        version=_POSE_VERSION,
        dimensions=PoseHeaderDimensions(width=pose.width, height=pose.height, depth=0),
        components=_components_of(pose.skeleton),
    )
    seen = np.asarray(np.isfinite(pose.keypoints).all(axis=2))
    pixels = np.where(seen[..., None], pose.keypoints * _scale(pose.height, pose.width), 0)
    confidence = seen.astype(np.float32)
    if pose.skeleton.third == "confidence":
        pixels, confidence = pixels[..., :2], pixels[..., 2]
    # The format holds several people: their axis is the second.
    body = NumPyPoseBody(fps=pose.fps, data=pixels[:, None], confidence=confidence[:, None])
    with atomic_write(path) as file:
        Pose(header, body).write(file)


def read_pose(path: Path) -> PoseFile:
    """Read a `.pose` file with MediaPipe Holistic's joints; those of the face are left out.

    Raises:
        UserError: not a `.pose` file, of other joints, without depth, or of several people.
    """
    found = read_pose_components(path)
    if missing := [name for name in MEDIAPIPE_75.joints if name not in found.skeleton.joints]:
        raise UserError(
            f"{path} has other keypoints than MediaPipe Holistic's: {found.skeleton.name} lacks {', '.join(missing)}"[
                :300
            ]
        )
    if found.skeleton.third != "z":
        raise UserError(f"{path} has keypoints of 2 numbers, expected x, y and z")
    joints = convert(found.points, found.skeleton, MEDIAPIPE_75)
    return PoseFile(keypoints=joints, fps=found.fps, height=found.height, width=found.width)


def _scale(height: int, width: int) -> NDArray[np.float32]:
    """Return what turns shares of the picture into pixels; depth stays as it is."""
    return np.array([width, height, 1], dtype=np.float32)


def _components_of(skeleton: Skeleton) -> Any:
    """Return the joints of a skeleton as .pose files describe them: names, limbs, colours."""
    if skeleton is COCO_WHOLEBODY_133:
        from pose_format.utils.cocowholebody133_header import cocowholebody_components

        return cocowholebody_components()
    components = {component.name: component for component in _components()}
    return [components[name.upper()] for name in _PARTS]


def _components() -> Any:
    """Return the joints of Holistic, likewise; more than the parts that are written."""
    with without_stray_lines():
        from pose_format.utils.holistic import holistic_components

    return holistic_components()


def _as_solutions_run_it(description: Any) -> None:
    """Make a graph's description what becomes of it on its way through MediaPipe's Python solutions.

    They lose an option that Python does not know by then, and so refine the body's joints in larger neighbourhoods.
    """
    from mediapipe.calculators.util.refine_landmarks_from_heatmap_calculator_pb2 import (
        RefineLandmarksFromHeatmapCalculatorOptions as Options,
    )

    for node in description.node:
        if node.options.HasExtension(Options.ext):
            node.options.Extensions[Options.ext].ClearField("kernel_size")
