"""Preprocessing from video file to windows: a reimplementation of the published pipeline against ours, by detector.

    python benchmarks/preprocessing.py --scratch DIR                # one minute of 1080p, all variants
    python benchmarks/preprocessing.py --scratch DIR --seconds 600 --only slt   # ten minutes: peak memory

The reimplementation ("re-told") decodes the whole video into memory, detects faces in every 16th full-size frame,
computes optical flow on every frame if there are two faces, and crops at the end. Each variant runs in a separate
process; memory is the peak above that of the loaded libraries. The signer is synthetic.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HEIGHT, WIDTH, FPS, SIDE = 1080, 1920, 25, 860
EVERY, SIZE = 16, 224
RETOLD = "re-told"
WAYS = (RETOLD, "dlib-hog", "dlib-hog-fast", "mediapipe", "auto")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, required=True, help="folder of the video, which is reused")
    parser.add_argument("--seconds", type=int, default=60, help="duration of the video")
    parser.add_argument("--people", type=int, default=1, choices=(1, 2), help="with two, motion selects the signer")
    parser.add_argument("--only", choices=("slt", *WAYS), help="slt: all but the reimplementation")
    parser.add_argument("--child", nargs=2, metavar=("WAY", "VIDEO"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(*options.child)))
        return
    video = options.scratch / f"signing-{options.people}-{options.seconds}s.mp4"
    if not video.exists():
        make_video(video, options.seconds, options.people)
    print(f"{options.seconds} s of {WIDTH}x{HEIGHT}, {len(os.sched_getaffinity(0))} cores\n")
    print("| way | s | ratio | CPU, s | peak memory above the start, MB | overlap with the exact box | how |")
    print("|---|---|---|---|---|---|---|")
    ways = [way for way in WAYS if options.only in (None, way) or (options.only == "slt" and way != RETOLD)]
    first = exact = None
    for way in ways:
        found = run(way, video, options.scratch)
        first = first or found
        exact = exact or found["box"]  # the first two variants agree
        print(row(way, found, first["seconds"], exact), flush=True)


def run(way: str, video: Path, scratch: Path) -> dict[str, object]:
    """Measure one variant in a separate process."""
    command = [sys.executable, __file__, "--scratch", str(scratch), "--child", way, str(video)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def row(way: str, found: dict[str, object], baseline_s: float, exact: list[float]) -> str:
    """Return one table row."""
    from slt.video.boxes import Box, iou

    ratio = f"{baseline_s / found['seconds']:.2f}"
    overlap = f"{iou(Box(*found['box']), Box(*exact)):.3f}"
    took = f"{found['seconds']:.1f} | {ratio} | {found['cpu_s']:.1f} | {found['peak_mb']:.0f}"
    return f"| {way} | {took} | {overlap} | {found['method']} |"


def measured(way: str, video: str) -> dict[str, object]:
    """Run one variant; return its seconds, memory, and signer box."""
    import cv2  # noqa: F401 - memory of libraries is not counted
    import dlib

    import slt.pipeline.translator  # noqa: F401
    from slt.video.detect import load_detector

    if way not in (RETOLD, "auto"):
        load_detector(way)
    dlib.get_frontal_face_detector()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = status_mb("VmRSS")
    begun, cpu_begun = time.perf_counter(), time.process_time()
    box, method = retold(video) if way == RETOLD else ours(video, way)
    seconds, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_begun
    peak = status_mb("VmHWM") - before
    return {"seconds": seconds, "cpu_s": cpu_s, "peak_mb": peak, "box": list(box), "method": method}


def status_mb(field: str) -> float:
    """Return a memory field of /proc/self/status in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1000


def ours(video: str, detector: str) -> tuple[tuple[float, ...], str]:
    from slt.video.cache import CachedVideo
    from slt.video.crop import find_signer
    from slt.video.decode import open_video
    from slt.video.prefetch import prefetch
    from slt.video.rate import to_working_rate
    from slt.video.stream import WindowStream, cropped_frames
    from slt.video.windows import WindowGeometry

    source = CachedVideo(to_working_rate(open_video(Path(video))))
    signer = find_signer(source, detector)
    crops = prefetch(cropped_frames(source, signer, SIZE), 256)
    for _ in WindowStream(crops, fps=source.info.fps, geometry=WindowGeometry()):
        pass
    return signer.box, f"{signer.method} ({signer.detector})"


def retold(video: str) -> tuple[tuple[float, ...], str]:
    """Whole video in memory, sequential face detection, optical flow on every frame."""
    import cv2
    import dlib

    from slt.video.boxes import Box, grow, mean_box
    from slt.video.crop import crop_resize
    from slt.video.tracks import choose_track, flow_magnitude, link_tracks
    from slt.video.windows import plan_windows

    reader, frames = cv2.VideoCapture(video), []
    while (read := reader.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    find = dlib.get_frontal_face_detector()
    greys = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames[::EVERY])
    faces = [[grow(Box(one.left(), one.top(), one.right(), one.bottom())) for one in find(grey, 1)] for grey in greys]
    method, box = "mean of faces", None
    if max(map(len, faces)) > 1:
        flows = [flow_magnitude(before, frame) for before, frame in zip([None, *small(frames)], frames, strict=False)]

        def motion(tracks: list) -> dict:
            sightings = [sighting for track in tracks for sighting in track]
            return {sighting: inside(flows[sighting[0] * EVERY], sighting[1]) for sighting in sightings}

        method, box = "moving face", choose_track(link_tracks(faces), len(faces), motion)
    box = box or mean_box([boxes[0] for boxes in faces if boxes])
    crops = np.stack([crop_resize(frame, box, SIZE) for frame in frames])
    for window in plan_windows(len(crops), FPS):
        crops[window.indices]
    return box, method


def small(frames: list) -> Iterator[np.ndarray]:
    """Yield frames in grey at a quarter of the size, for optical flow."""
    import cv2

    for frame in frames:
        yield cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (WIDTH // 4, HEIGHT // 4))


def inside(flow: np.ndarray, box: tuple[float, ...]) -> float:
    x1, y1, x2, y2 = (max(int(edge), 0) for edge in box)
    return float(flow[y1:y2, x1:x2].mean())


def make_video(path: Path, seconds: int, people: int) -> None:
    """Write an enlarged synthetic signer before a moving background; after a minute the video repeats."""
    path.parent.mkdir(parents=True, exist_ok=True)
    minutes, rest = divmod(seconds, 60)
    part = path.with_suffix(".part.mp4")
    if seconds <= 60:
        encode(part, seconds * FPS, people)
    else:
        if rest:
            raise SystemExit(f"found --seconds {seconds}, expected at most 60 or a multiple of 60")
        minute = path.with_name(f"signing-{people}-60s.mp4")
        if not minute.exists():
            make_video(minute, 60, people)
        repeat(minute, part, minutes)
    part.replace(path)


def encode(path: Path, n_frames: int, people: int) -> None:
    """Encode the frames; a second person does not move."""
    import av
    import cv2

    import slt.demo
    from slt.video.decode import open_video

    clips = sorted((Path(slt.demo.__file__).parent / "clips" / "videos" / "test").glob("*.mp4"))
    signing = [
        cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for frame in open_video(clips[1]).frames()
    ]
    coarse = np.random.default_rng(0).integers(60, 200, (27, 48, 3), dtype=np.uint8)
    background = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for number in range(n_frames):
            frame = np.roll(background, 2 * number, axis=1)
            frame[HEIGHT - SIDE :, 60 : 60 + SIDE] = signing[number % len(signing)]
            if people == 2:
                frame[HEIGHT - SIDE :, WIDTH - SIDE - 60 : WIDTH - 60] = signing[0]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def repeat(source: Path, target: Path, times: int) -> None:
    """Concatenate a video with itself, without re-encoding."""
    import av

    with av.open(str(target), "w") as container:
        stream, offset = None, 0
        for _ in range(times):
            with av.open(str(source)) as piece:
                video = piece.streams.video[0]
                stream = stream or container.add_stream_from_template(video)
                for packet in piece.demux(video):
                    if packet.size:
                        packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                        container.mux(packet)
                offset += video.duration


if __name__ == "__main__":
    main()
