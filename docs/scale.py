"""What a corpus costs: hours, GPU-hours, disk, network and files, from figures measured here and a stated model.

    python docs/scale.py                                              # the table of docs/scale.md
    python docs/scale.py --hours 70 --clips 48386 --videos 900        # your corpus
    python docs/scale.py --gpu-tflops 989 --gpus 4 --cores-per-gpu 24 # your machine

Every figure is an option; which are measured and which assumed is said beside each.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from slt.video.windows import feature_rows, plan_windows

TIMES = 10


def figure(default: float, said: str, *, measured: bool = False) -> Any:
    """Return a field of ``Figures``: its default, what it is, and whether it was measured here."""
    return field(default=default, metadata={"said": said, "measured": measured})


@dataclass(frozen=True, kw_only=True)
class Figures:
    """All that the table is computed from; rates are per one second of video or one clip."""

    # The corpus: YouTube-ASL.
    hours: float = figure(1000, "hours of video with captions")
    clips: int = figure(610_000, "sentences")
    videos: int = figure(11_000, "video files")
    gb_per_hour: float = figure(1.0, "GB of an hour of video, 720p: assumed")
    epochs: int = figure(20, "epochs of training")
    # The machine.
    gpu_tflops: float = figure(312, "peak of one GPU in bfloat16, TFLOP/s: an A100's")
    utilisation: float = figure(0.35, "share of that peak which is reached: assumed")
    gpus: int = figure(16, "GPUs")
    cores_per_gpu: int = figure(16, "CPU cores beside each GPU")
    tasks: int = figure(1000, "tasks of the array job")
    startup_s: float = figure(60, "seconds in which a task starts, imports and loads the model: assumed")
    # The published models.
    gflop_per_second: float = figure(413, "GFLOP of SignHiera, counted on a clip of 181 frames", measured=True)
    encoder_params: float = figure(752e6, "parameters of the sign encoder; 6 FLOP each and time step to train")
    feature_bytes: int = figure(2 * 768, "bytes of a feature, float16")
    # Measured here: benchmarks/README.md.
    decode_cpu_s: float = figure(0.33, "processor seconds to decode, find the signer and crop, 1080p", measured=True)
    record_bytes: int = figure(105, "bytes of a clip in a store beside its features, index included", measured=True)
    manifest_s: float = figure(9.0, "processor seconds to read 1,000,000 rows of a manifest", measured=True)
    manifest_mb: float = figure(393, "MB of memory for 1,000,000 rows", measured=True)
    open_s: float = figure(0.96, "processor seconds to open a store of 1,000,000 clips", measured=True)
    index_mb: float = figure(179, "MB of memory for 1,000,000 clips of a store", measured=True)
    plan_s: float = figure(1.4, "processor seconds to plan an epoch of 1,000,000 clips", measured=True)


class Costs:
    """What a corpus costs.

    Args:
        figures: of the corpus, the machine and the models.
        times: how many times as large the corpus is.
    """

    def __init__(self, figures: Figures, times: int = 1) -> None:
        self.f, self.times = figures, times
        self.hours, self.clips = figures.hours * times, figures.clips * times
        self.seconds = 3600 * self.hours
        n_frames = max(1, round(25 * self.seconds / self.clips))
        self.rows = feature_rows(plan_windows(n_frames, 25)) * self.clips
        self.gpu_flops = 1e12 * figures.gpu_tflops * figures.utilisation

    @property
    def store_gb(self) -> float:
        """Size of the feature store."""
        return (self.rows * self.f.feature_bytes + self.clips * self.f.record_bytes) / 1e9

    @property
    def extract_gpu_h(self) -> float:
        """GPU-hours in which SignHiera computes."""
        return self.seconds * self.f.gflop_per_second * 1e9 / self.gpu_flops / 3600

    @property
    def extract_cpu_h(self) -> float:
        """Core-hours of decoding and cropping, and of reading the manifest once in each task."""
        starts = self.f.tasks * (self.f.startup_s + self.clips / 1e6 * self.f.manifest_s)
        return (self.seconds * self.f.decode_cpu_s + starts) / 3600

    @property
    def extract_h(self) -> float:
        """Hours of the array job: the slower of GPUs and CPUs, which work at the same time."""
        cores = self.f.gpus * self.f.cores_per_gpu
        return max(self.extract_gpu_h / self.f.gpus, self.extract_cpu_h / cores)

    @property
    def train_gpu_h(self) -> float:
        """GPU-hours of all epochs: forward and backward pass, 6 FLOP per parameter and time step."""
        return self.rows * self.f.epochs * 6 * self.f.encoder_params / self.gpu_flops / 3600

    @property
    def read_mb_s(self) -> float:
        """What training reads from the store, over all GPUs."""
        return 1000 * self.store_gb * self.f.epochs / (3600 * self.train_gpu_h / self.f.gpus)


ROWS: Sequence[tuple[str, Callable[[Costs], float], str]] = (
    ("hours of video", lambda c: c.hours, "h"),
    ("clips", lambda c: c.clips, ""),
    ("features", lambda c: c.rows / 1e6, "million"),
    ("**disk**: videos, where they are not cut", lambda c: c.hours * c.f.gb_per_hour, "GB"),
    ("feature store, float16", lambda c: c.store_gb, "GB"),
    ("text embeddings, 1,024 numbers in float32", lambda c: c.clips * 4240 / 1e9, "GB"),
    ("**files**: videos", lambda c: c.f.videos * c.times, ""),
    ("store after the array job, two per task and 1,000 clips", lambda c: 2 * max(c.f.tasks, c.clips / 1000), ""),
    ("store after `slt features compact`", lambda c: 2 * -(-c.store_gb // 1.07), ""),
    ("clips cut into files: avoided with `--no-cut`", lambda c: c.clips, ""),
    ("**network**: download of the videos", lambda c: c.hours * c.f.gb_per_hour, "GB"),
    ("videos read by extraction", lambda c: c.hours * c.f.gb_per_hour / c.extract_h / 3.6, "MB/s"),
    ("features read by training, once a node has no memory for them", lambda c: c.read_mb_s, "MB/s"),
    ("**extraction**: GPUs compute", lambda c: c.extract_gpu_h, "GPU-h"),
    ("cores decode and crop", lambda c: c.extract_cpu_h, "core-h"),
    ("array job, GPUs and their cores together", lambda c: c.extract_h, "h"),
    ("GPUs are at work", lambda c: 100 * c.extract_gpu_h / c.f.gpus / c.extract_h, "% of it"),
    ("**training**: all epochs", lambda c: c.train_gpu_h, "GPU-h"),
    ("training", lambda c: c.train_gpu_h / c.f.gpus, "h"),
    ("**each process**: manifest read in", lambda c: c.clips / 1e6 * c.f.manifest_s, "s"),
    ("memory for it", lambda c: c.clips / 1e6 * c.f.manifest_mb, "MB"),
    ("store opened in", lambda c: c.clips / 1e6 * c.f.open_s, "s"),
    ("memory for its index", lambda c: c.clips / 1e6 * c.f.index_mb, "MB"),
    ("memory for target embeddings, of those who train", lambda c: c.clips * 4096 / 1e6, "MB"),
    ("an epoch's batches planned in", lambda c: c.clips / 1e6 * c.f.plan_s, "s"),
)


def table(figures: Figures) -> str:
    """Return the costs of a corpus and of one ten times as large, as Markdown."""
    one, more = Costs(figures), Costs(figures, TIMES)
    lines = [f"| | {number(figures.hours)} h | {number(TIMES * figures.hours)} h | |", "|---|---|---|---|"]
    lines += [f"| {what} | {number(cost(one))} | {number(cost(more))} | {unit} |" for what, cost, unit in ROWS]
    return "\n".join(lines)


def assumptions(figures: Figures) -> str:
    """Return every figure, its option, and whether it was measured here, as Markdown."""
    lines = ["| option | value | what it is | |", "|---|---|---|---|"]
    for one in dataclasses.fields(figures):
        measured = "measured here" if one.metadata["measured"] else "given"
        option = f"`--{one.name.replace('_', '-')}`"
        lines.append(f"| {option} | {getattr(figures, one.name):,g} | {one.metadata['said']} | {measured} |")
    return "\n".join(lines)


def costs_page() -> str:
    """Return what stands in docs/scale.md: the table, and what it is computed from."""
    return f"{table(Figures())}\n\n{assumptions(Figures())}"


def number(value: float) -> str:
    """Write a number with two or three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 10 else f"{value:.2g}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table for the figures given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for one in dataclasses.fields(Figures):
        said, kind = one.metadata["said"].replace("%", "%%"), type(one.default)
        option = f"--{one.name.replace('_', '-')}"
        parser.add_argument(option, type=kind, default=one.default, help=f"{said} (%(default)s)")
    figures = Figures(**vars(parser.parse_args(arguments)))
    print(f"{table(figures)}\n\n{assumptions(figures)}")


if __name__ == "__main__":
    main()
