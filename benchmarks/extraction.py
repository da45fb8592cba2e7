"""Feature extraction against a naive loop: decode and crop whole clips, one window at a time, including padding.

    python benchmarks/extraction.py                        # the demo model, 16 synthetic clips
    python benchmarks/extraction.py --clips 200            # more clips
    python benchmarks/extraction.py --model sonar-asl --clips 4
    python benchmarks/extraction.py --long                 # peak memory: 10 minutes of 1080p against 1 minute

Same clips, model and process. With --long, each video uses a separate process, which reports peak memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import torch

from slt.bundle.load import window_geometry
from slt.frontend.base import Settings
from slt.frontend.clip import ClipSource
from slt.frontend.run import many_clip_features
from slt.frontend.signhiera import SignHieraFrontend
from slt.models.signhiera import normalise
from slt.video.crop import crop_resize, find_signer
from slt.video.decode import open_video
from slt.video.windows import plan_windows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--long", action="store_true")
    parser.add_argument(
        "--minutes", type=float, nargs=2, default=(1.0, 10.0), metavar="M", help="lengths of the videos of --long"
    )
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    extractor = SignHieraFrontend(Settings(model=options.model, device=options.device))
    if options.memory_of:
        (outcome,) = many_clip_features([ClipSource(id="long", path=options.memory_of)], extractor)
        print(outcome.found.n_frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.long:
            measure_memory(Path(folder), options.minutes, options.model)
        else:
            measure_speed(draw(Path(folder), options.clips), extractor)


def measure_speed(jobs: list[ClipSource], extractor: SignHieraFrontend) -> None:
    """Print clips and frames per second of both methods, after a warm-up with the first clip."""
    speeds = {}
    for name, work in (("naive loop", naive), ("slt", lambda jobs, one: list(many_clip_features(jobs, one)))):
        work(jobs[:1], extractor)
        began = time.perf_counter()
        work(jobs, extractor)
        speeds[name] = time.perf_counter() - began
    n_frames = sum(outcome.found.n_frames for outcome in many_clip_features(jobs, extractor))
    print(f"{len(jobs)} clips, {n_frames} frames\n{'':12}{'clips/s':>10}{'frames/s':>10}{'ratio':>8}")
    for name, took in speeds.items():
        print(f"{name:12}{len(jobs) / took:10.2f}{n_frames / took:10.1f}{speeds['naive loop'] / took:8.2f}")


@torch.inference_mode()
def naive(jobs: list[ClipSource], extractor: SignHieraFrontend) -> None:
    """Extract features with a naive loop."""
    model, preprocess, geometry = extractor.model, extractor.preprocess, window_geometry(extractor.preprocess)
    weight = next(model.parameters())
    for job in jobs:
        video = open_video(job.path)
        signer = find_signer(video, preprocess.detector)
        frames = np.stack(list(video.frames()))
        cropped = np.stack([crop_resize(frame, signer.box, preprocess.size) for frame in frames])
        for window in plan_windows(len(cropped), video.info.fps, geometry):
            pixels = normalise(torch.from_numpy(cropped[window.indices])[None].to(weight.device)).to(weight.dtype)
            model(pixels).clips()[0].cpu()


def draw(folder: Path, n_clips: int) -> list[ClipSource]:
    """Render clips of the synthetic language."""
    from slt.data.synthetic.corpus import draw_clip, plan_corpus, write_video

    jobs = []
    for clip in plan_corpus({"train": n_clips}, 0):
        path = folder / f"{clip.name}.mp4"
        write_video(path, draw_clip(clip)[0])
        jobs.append(ClipSource(id=clip.name, path=path))
    return jobs


def measure_memory(folder: Path, minutes: tuple[float, float], model: str) -> None:
    """Print the peak memory for a short and a long 1080p video."""
    print(f"{'1080p video':14}{'frames':>10}{'peak MB':>10}")
    for length in minutes:
        path = folder / f"{length:g}.mp4"
        write_long(path, round(length * 60 * 25))
        words = [sys.executable, __file__, "--memory-of", str(path), "--model", model, "--device", "cpu"]
        n_frames, peak = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        print(f"{length:7g} min{'':3}{n_frames:>10}{float(peak):10.0f}", flush=True)


def write_long(path: Path, n_frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        picture = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), dtype=np.uint8) // 8
        for i in range(n_frames):
            picture[100:300, (x := 4 * i % 1700) : x + 200] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
