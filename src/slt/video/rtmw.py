"""RTMW's 133 whole-body points of the first person in a frame, by rtmlib and onnxruntime."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.assets.cards import sha256_of
from slt.assets.published import PUBLISHED_POSE, WHOLEBODY, files_folder
from slt.assets.store import fetched_file
from slt.core.errors import SltError, UserError
from slt.video.base import Frame
from slt.video.skeletons import COCO_WHOLEBODY_133

DETECTOR_SIZE = (416, 416)
"""Height and width of YOLOX's input, in pixels."""
POSE_SIZE = (192, 256)
"""Width and height of RTMW's input, in pixels."""

N_POINTS = len(COCO_WHOLEBODY_133.joints)
INSIDE = "end2end.onnx"
MOST_BYTES = 1_000_000_000
"""What a model may unpack to: theirs are under 250 MB."""
FETCH = (
    f"slt models fetch {WHOLEBODY}, or name the folder of both: --detector rtmw=DIR; points that lie in files need "
    "neither: --detector pose-file"
)


@dataclass(frozen=True, kw_only=True)
class RtmwFiles:
    """The two models, each an ``.onnx`` file or the ``.zip`` that it is published in.

    Attributes:
        detector: finds people: YOLOX-tiny, 416×416.
        pose: estimates one person's points: RTMW-l-m, 256×192.
    """

    detector: Path
    pose: Path

    def sha256(self) -> str:
        """Return one hash of both files."""
        return hashlib.sha256("".join(map(sha256_of, (self.detector, self.pose))).encode()).hexdigest()


def find_files(folder: Path | None) -> RtmwFiles:
    """Find both models, under their published names.

    Args:
        folder: where they lie; None: where ``slt models fetch`` put them, and they must be as they were then.

    Raises:
        UserError: one is absent, or changed since it was fetched.
    """
    names = [Path(file.name).stem for file in PUBLISHED_POSE[WHOLEBODY].files]
    found = [_find(folder, name) for name in names]
    if missing := [name for name, path in zip(names, found, strict=True) if path is None]:
        raise UserError(
            f"the models of whole-body points are not here: {folder or files_folder(WHOLEBODY)} lacks "
            f"{' and '.join(f'{name}.zip or .onnx' for name in missing)}",
            fix=FETCH,
        )
    detector, pose = (path for path in found if path)
    return RtmwFiles(detector=detector, pose=pose)


def _find(folder: Path | None, name: str) -> Path | None:
    if folder is None:
        return fetched_file(WHOLEBODY, f"{name}.zip")
    return next((path for suffix in (".onnx", ".zip") if (path := folder / f"{name}{suffix}").is_file()), None)


class Rtmw:
    """Whole-body points of single frames; may be called by several threads at once.

    Args:
        files: both models.
        device: "cpu" or "cuda"; without onnxruntime's CUDA build it computes on the CPU.

    Raises:
        UserError: a file is no ONNX model.

    Reference: Jiang et al. 2024, arXiv 2407.08634; Ge et al. 2021, arXiv 2107.08430 (YOLOX).
    """

    def __init__(self, files: RtmwFiles, device: str = "cpu") -> None:
        from rtmlib.tools.object_detection.yolox import YOLOX
        from rtmlib.tools.pose_estimation.rtmpose import RTMPose

        self._files = files
        self._find_people = _load(YOLOX, files.detector, DETECTOR_SIZE, device)
        self._find_points = _load(RTMPose, files.pose, POSE_SIZE, device)

    def __call__(self, frame: Frame) -> NDArray[np.float32]:
        """Return the points of the first person found, (133, 3) float32; of the whole frame if none is found.

        Args:
            frame: (H, W, 3) uint8 RGB.

        Returns:
            x in picture widths, y in picture heights, and score.

        Raises:
            UserError: the models make something else than boxes and 133 points.
            SltError: onnxruntime fails.
        """
        bgr = np.ascontiguousarray(frame[..., ::-1])  # as OpenCV gives frames, which these models expect
        with _explained(self._files):
            boxes = self._find_people(bgr)
            points, scores = self._find_points(bgr, bboxes=boxes[:1])
        if points.shape[1:] != (N_POINTS, 2):
            raise UserError(
                f"{self._files.pose} makes points of shape {points.shape[1:]}, expected {(N_POINTS, 2)}", fix=FETCH
            )
        height, width = frame.shape[:2]
        return np.concatenate([points[0] / (width, height), scores[0][:, None]], axis=1).astype(np.float32)


@contextlib.contextmanager
def _explained(files: RtmwFiles) -> Iterator[None]:
    """Turn what goes wrong inside rtmlib into an error of ours: it checks nothing."""
    try:
        yield
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise UserError(
            f"{files.detector} and {files.pose} do not work as detector and pose model: {error}", fix=FETCH
        ) from error
    except Exception as error:  # onnxruntime's have no class of their own
        raise SltError(f"onnxruntime failed on {files.detector} or {files.pose}: {error}") from error


def _load(kind: Any, path: Path, size: tuple[int, int], device: str) -> Any:
    """Load one model; rtmlib wants an unpacked file, and prints what it loads."""
    with _unpacked(path) as file:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return kind(str(file), model_input_size=size, backend="onnxruntime", device=_provider(device))
        except Exception as error:  # onnxruntime's have no class of their own
            reason = str(error).strip().partition("\n")[0]
            raise UserError(f"{path} is not an ONNX model that onnxruntime reads: {reason}", fix=FETCH) from error


def _provider(device: str) -> str:
    import onnxruntime

    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return device if device.startswith("cuda") and has_cuda else "cpu"


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Provide the ONNX file of a path: itself, or what its zip holds."""
    if not zipfile.is_zipfile(path):
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        try:
            with zipfile.ZipFile(path) as packed:
                (inside,) = [one for one in packed.infolist() if Path(one.filename).name == INSIDE]
                if inside.file_size > MOST_BYTES:
                    raise UserError(f"{path} unpacks to {inside.file_size} bytes, expected at most {MOST_BYTES}")
                file.write(packed.read(inside))
        except (ValueError, OSError, zipfile.BadZipFile, RuntimeError) as error:
            raise UserError(f"{path} is not the archive of one {INSIDE}: {error}", fix=FETCH) from error
        file.flush()
        yield Path(file.name)
