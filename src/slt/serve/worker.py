"""The process that translates: holds the models, takes one video at a time, and reports in lines of JSON.

It reads requests from stdin and writes messages to stdout; it ends when stdin does, so it never outlives its server.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slt.core.errors import SltError, UserError, as_slt_error

if TYPE_CHECKING:
    from slt.frontend.base import Frontend
    from slt.pipeline.result import Translation
    from slt.serve.loaded import LoadedModels

EVERY_S = 0.1
"""How often progress is reported at most."""

NICE = 5
MOST_JOINTS = 30_000
"""Frames whose joints are kept, twenty minutes: a browser reads them as one file."""
MOST_JOINTS_FPS = 120.0
"""What a file of joints may claim a second to hold when its length is measured: nothing else tells its rate."""

Send = Callable[[dict[str, Any]], None]


class Cancelled(Exception):
    """The video is not wanted any more."""


class Requests:
    """What the server asks, read on a thread: work in turn, cancellations at once."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue()
        self._cancelled: set[str] = set()
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield requests for ever."""
        while True:
            yield self._waiting.get()

    def check(self, job: str) -> None:
        """Leave a video that was cancelled.

        Raises:
            Cancelled: it was.
        """
        if job in self._cancelled:
            raise Cancelled

    def _read(self) -> None:
        for line in sys.stdin:
            request = json.loads(line)
            if request["do"] == "cancel":
                self._cancelled.add(request["id"])
            else:
                self._waiting.put(request)
        os._exit(0)  # the server is gone; whatever is under way has no reader


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the server's to handle
    settings = json.loads(sys.argv[1])
    _limit()
    # Libraries print where they like; only messages go to the server.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    writing = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        with writing, contextlib.suppress(BrokenPipeError):
            out.write(json.dumps(message, ensure_ascii=False) + "\n")
            out.flush()

    from slt.video.decode import isolate_decoders
    from slt.video.isolated import DecoderLimits

    isolate_decoders(DecoderLimits(memory_bytes=settings["decoder_bytes"]))
    requests = Requests()
    from slt.serve.loaded import LoadedModels

    models = LoadedModels(settings["device"], settings["dtype"], settings["model_bytes"])
    for request in requests:
        _answer(request, models, requests, send)


def _limit() -> None:
    """Let the server answer first, and leave no core file; where memory runs out, it is this process that ends."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")


def _answer(request: dict[str, Any], models: LoadedModels, requests: Requests, send: Send) -> None:
    """Do what one request asks, and say how it ended."""
    job = request.get("id", "")
    try:
        if request["do"] == "load":
            models.get(request["model"])
        else:
            _translate(request, models, requests, send)
        send({"kind": "done", "id": job, "loaded": models.names})
    except Cancelled:
        send({"kind": "cancelled", "id": job})
    except Exception as error:  # reported with its video, so that it costs no other
        known = as_slt_error(error)
        send({"kind": "failed", "id": job, "problem": _problem(known, request), "loaded": models.names})


def _problem(error: SltError, request: dict[str, Any]) -> dict[str, str]:
    """Describe an error without the server's paths."""
    path, name = request.get("path", ""), request.get("name", "")

    def shown(text: str) -> str:
        return text.replace(path, name) if path else text

    if not isinstance(error, UserError):
        return {"code": "server_failure", "message": shown(error.message), "fix": shown(error.fix or "")}
    fix = error.fix or ""
    if path.endswith(".pose") and path in error.message:
        fix = "choose the video that it was made of, or another .pose file"  # its reader's fix is for a command line
    return {"code": "bad_video", "message": shown(error.message), "fix": shown(fix)}


def _translate(request: dict[str, Any], models: LoadedModels, requests: Requests, send: Send) -> None:
    job, path, options = request["id"], Path(request["path"]), request["options"]
    last_s = 0.0

    def progress(stage: str, done: int, total: int | None) -> None:
        nonlocal last_s
        requests.check(job)
        now = time.monotonic()
        if now - last_s >= EVERY_S:
            last_s = now
            send({"kind": "progress", "id": job, "stage": stage, "done": done, "total": total})

    requests.check(job)
    progress("loading the model", 0, 1)
    translator = models.get(options["model"], text_encoder=options["rerank"], progress=progress)
    last_s = 0.0
    progress("opening the video", 0, None)
    _check_duration(path, request["max_duration_s"])
    how = {key: options[key] for key in ("nbest", "rerank")} | {"progress": progress}
    found = (
        translator.segments(path, options["langs"], together=False, **how)
        if options["sentences"]
        else iter([translator.translate(path, options["langs"], **how)])
    )
    joints: list[dict[str, Any]] = []
    for translation in found:
        requests.check(job)
        send({"kind": "sentence", "id": job, "sentence": _as_sentence(translation, path, request["name"])})
        if seen := _joints_of(translation, translator.frontend):
            joints.append(seen)
    if 0 < sum(len(one["frames"]) for one in joints) <= MOST_JOINTS:
        from slt.core.files import atomic_write

        with atomic_write(path.with_name("joints.json")) as file:
            file.write(json.dumps(joints).encode())
        send({"kind": "joints", "id": job})


def _check_duration(path: Path, most_s: float) -> None:
    from slt.video.decode import open_video
    from slt.video.folder import FPS
    from slt.video.keypoint_files import measure_keypoints
    from slt.video.pose_file import holds_keypoints

    n_frames: int | None
    counted = ""
    if holds_keypoints(path):
        n_frames, known_fps = measure_keypoints(path)
        fps = known_fps or FPS
        if fps > MOST_JOINTS_FPS:
            counted = f" at {MOST_JOINTS_FPS:g} frames per second (the file says {fps:g})"
            fps = MOST_JOINTS_FPS
    else:
        info = open_video(path).info
        n_frames, fps = info.n_frames, info.fps
    if n_frames is not None and n_frames / fps > most_s:
        raise UserError(
            f"the video lasts {n_frames / fps:.0f} s{counted}, and this server takes at most {most_s:.0f} s",
            fix="cut it into parts, or start the server with a longer --max-duration",
        )


def _as_sentence(translation: Translation, path: Path, name: str) -> dict[str, Any]:
    """Return a translation as the API gives it: without the server's paths."""
    content = translation.as_json()
    del content["video"], content["model"]
    content["warnings"] = [warning.replace(str(path), name) for warning in content["warnings"]]
    return content


def _joints_of(translation: Translation, frontend: Frontend) -> dict[str, Any] | None:
    """Return the joints of a model that reads keypoints: x and y from 0 to 1 of each frame, None where unseen."""
    from slt.models.config import KEYPOINTS_DIM

    if not frontend.uses_keypoints or translation.features.shape[1] != KEYPOINTS_DIM:
        return None
    points = translation.features.reshape(len(translation.features), -1, 3)[:, :, :2]
    if frontend.is_square:
        left, top, right, bottom = translation.signer.box  # the whole picture
        points = points * points.new_tensor([1, (right - left) / (bottom - top)])
    frames = [[None if x != x or y != y else [round(x, 4), round(y, 4)] for x, y in frame] for frame in points.tolist()]
    fps = len(frames) / max(translation.end_s - translation.start_s, 1e-6)
    return {"start_s": translation.start_s, "fps": round(fps, 4), "frames": frames}


if __name__ == "__main__":
    main()
