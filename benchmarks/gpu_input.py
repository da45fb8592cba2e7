"""Sections of ``gpu.py`` that read: the data loader, and videos to features."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks import training as steps
from benchmarks.gpu import Plan, Row, attempt
from benchmarks.gpu_compute import rows_for_card, sync
from slt.assets.cards import BundleCard, ExtractorCard, PreprocessCard, write_card
from slt.assets.store import DEMO, find_bundle
from slt.core.config import parse
from slt.core.device import computes_bfloat16
from slt.data.features.header import StoreHeader
from slt.data.features.writer import FeatureWriter
from slt.data.manifest import Clip, write_manifest
from slt.data.synthetic.corpus import draw_clip, plan_corpus, write_video
from slt.frontend.base import FrameInput, Settings, Streams
from slt.frontend.clip import ClipSource
from slt.frontend.run import many_clip_features
from slt.frontend.signhiera import SignHieraFrontend
from slt.models.checkpoint import save_weights
from slt.models.signhiera import SignHiera, SignHieraConfig
from slt.recipe.schema import Recipe
from slt.train.dry_run import random_targets
from slt.train.loader import Loader
from slt.train.prepare import prepare, train_loader

FEATURE_DIM = 768
STEP_S = 0.25  # where no step was measured
ENGINE_S = 15.0  # of extraction, for each figure
HEIGHT, WIDTH = 720, 1280  # of How2Sign's videos
N_FRAMES = 165  # 6.6 s, the mean of How2Sign's clips


def loader(plan: Plan) -> Iterator[Row]:
    """Measure what the data loader delivers, and how long a training waits for it."""
    with tempfile.TemporaryDirectory() as folder:
        lengths = steps.like_how2sign(60 if plan.tiny else 4000)
        splits = {"train": write_split(Path(folder), "train", lengths), "val": write_split(Path(folder), "val", [40])}
        seconds = plan.step_s or STEP_S
        for workers in (0,) if plan.tiny else sorted({2, 4, min(8, plan.cores)}):
            for what, each in (("as fast as it can", 0.0), (f"steps of {seconds:.2g} s", seconds)):
                if plan.is_late:
                    return
                yield attempt(f"{workers} workers, {what}", partial(loader_row, plan, splits, workers, each))


def write_split(folder: Path, name: str, lengths: Sequence[int]) -> dict[str, str]:
    """Write random features of these lengths and their manifest; return them as a recipe names them."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((max(lengths), FEATURE_DIM), np.float32)
    with FeatureWriter(folder / name, StoreHeader(feature_dim=FEATURE_DIM, dtype="float16")) as store:
        for number, length in enumerate(lengths):
            store.add(f"{name}-{number:05d}", noise[:length])
    clips = [
        Clip(id=f"{name}-{number:05d}", video=None, text=f"sentence {number}", lang="eng_Latn")
        for number in range(len(lengths))
    ]
    write_manifest(folder / f"{name}.tsv", clips)
    return {"manifest": str(folder / f"{name}.tsv"), "features": str(folder / name)}


def loader_row(plan: Plan, splits: dict[str, dict[str, str]], workers: int, step_s: float) -> Row:
    """Read batches, each followed by a step that takes ``step_s`` seconds; the first is not counted."""
    rows = 256 if plan.tiny else rows_for_card()
    recipe = parse(
        Recipe,
        {
            "name": "loader",
            "encoder": {"kind": "sonar-t5"},
            "decoder": {"kind": "sonar", "bundle": DEMO},
            "objective": {"kind": "sonar-space"},
            "data": {**splits, "batch_rows": rows, "workers": workers, "augment": {"rate": 0.1, "drop": 0.1}},
            "trainer": {"monitor": "loss"},
        },
        where="this benchmark's recipe",
    )
    reader = train_loader(recipe, prepare(recipe, random_targets, processes=1), (0, 1))
    return read(plan, reader, step_s, limit_s=0.5 if plan.tiny else 6.0)


def read(plan: Plan, reader: Loader, step_s: float, *, limit_s: float) -> Row:
    """Consume batches for a while."""
    device = torch.device(plan.device)
    n_clips = n_rows = 0
    begun = 0.0
    for number, batch in enumerate(reader):
        here = batch.to(device)
        sync(plan.device)
        time.sleep(step_s)
        if number == 0:
            reader.waited, begun = 0.0, time.perf_counter()
            continue
        n_clips += len(here.ids)
        n_rows += int(here.features.lengths.sum()) if here.features else 0
        if time.perf_counter() - begun > limit_s:
            break
    seconds = time.perf_counter() - begun
    return {"time steps/s": n_rows / seconds, "clips/s": n_clips / seconds, "waiting": f"{reader.waited / seconds:.1%}"}


class NoModel(SignHieraFrontend):
    """Decodes, finds the signer and crops, and computes nothing."""

    def features(self, inputs: Sequence[FrameInput]) -> list[Streams]:
        """Return one row of zeros for each window."""
        return [(torch.zeros(1, self.feature_dims[0]),) for _ in inputs]


def videos(plan: Plan) -> Iterator[Row]:
    """Measure videos to features end to end, each stage alone, and say which bounds it."""
    with tempfile.TemporaryDirectory() as folder:
        model = DEMO if plan.tiny else str(write_bundle(Path(folder) / "bundle"))
        files = list(draw(Path(folder), 3 if plan.tiny else min(8, max(2, plan.cores)), tiny=plan.tiny))
        jobs = [
            ClipSource(id=f"{number}-{file.stem}", path=file)
            for number in range(1 if plan.tiny else 128)  # so many that they are read by processes
            for file in files
        ]
        half = "bfloat16" if computes_bfloat16(torch.device(plan.device)) else "float16"
        dtype = "float32" if plan.device == "cpu" else half
        for detector in ("none",) if plan.tiny else ("none", "dlib-hog"):
            settings = Settings(model=model, device=plan.device, dtype=dtype, detector=detector)
            yield from stages(plan, settings, jobs)


def stages(plan: Plan, settings: Settings, jobs: list[ClipSource]) -> Iterator[Row]:
    """Measure decoding, copying and computing alone, then all of it."""
    decoding, whole = NoModel(settings), SignHieraFrontend(settings)
    windows = list(whole.inputs(whole.open(jobs[0])))
    batch = (windows * whole.batch_size)[: whole.batch_size]
    per_clip = len(windows)
    compute = partial(compute_row, plan, whole, batch, per_clip)
    runs: dict[str, Callable[[], Row]] = {
        "decode and crop": partial(engine_row, plan, decoding, jobs),
        "copy to the device": partial(copy_row, plan, batch, per_clip),
        f"SignHiera, {settings.dtype}, {len(batch)} windows at once": compute,
        "all together": partial(engine_row, plan, whole, jobs),
    }
    rows = []
    for what, run in runs.items():
        name = f"{what}, detector {settings.detector}"
        row = attempt(name, run) if not plan.is_late else {"what": name, "note": "left out: no time"}
        rows.append(row)
        if what != "all together":
            yield row
    alone = {row["what"]: row["clips/s"] for row in rows[:-1] if "clips/s" in row}
    if alone and "clips/s" in rows[-1]:
        slowest = min(alone, key=alone.__getitem__)
        reached = rows[-1]["clips/s"] / alone[slowest]
        shared = "; without a GPU all stages share the cores" if plan.device == "cpu" else ""
        rows[-1]["note"] = f"bounded by: {slowest.partition(',')[0]}, {reached:.0%} of its speed alone{shared}"
    yield rows[-1]


def engine_row(plan: Plan, frontend: SignHieraFrontend, jobs: list[ClipSource]) -> Row:
    """Run the engine of extraction over clips."""
    for outcome in many_clip_features(jobs[:1], frontend, n_workers=1):  # loads the model and warms up
        if outcome.error:
            raise outcome.error
    begun, first, n_clips, n_frames = time.perf_counter(), 0.0, 0, 0
    with closing(many_clip_features(jobs, frontend, n_workers=plan.cores)) as outcomes:
        for outcome in outcomes:
            if outcome.error:
                raise outcome.error
            now = time.perf_counter()
            if not first:  # until then processes start
                first = now
                continue
            n_clips += 1
            n_frames += outcome.found.n_frames if outcome.found else 0
            if now - begun > ENGINE_S:
                break
    seconds = now - first
    return {"clips/s": n_clips / seconds, "frames/s": n_frames / seconds}


def compute_row(plan: Plan, frontend: SignHieraFrontend, batch: Sequence[FrameInput], per_clip: int) -> Row:
    """Compute features of windows that are ready, copies included."""
    return {"clips/s": per_second(plan, lambda: frontend.features(batch)) * len(batch) / per_clip, "frames/s": "–"}


def copy_row(plan: Plan, batch: Sequence[FrameInput], per_clip: int) -> Row:
    """Copy the pixels of windows."""

    def call() -> None:
        torch.from_numpy(np.stack([one.content for one in batch])).to(plan.device)

    return {"clips/s": per_second(plan, call) * len(batch) / per_clip, "frames/s": "–"}


@torch.inference_mode()
def per_second(plan: Plan, call: Callable[[], object]) -> float:
    """Return how often per second a call can be made, after a first one."""
    call()
    sync(plan.device)
    begun, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - begun < (0.05 if plan.tiny else 1.5):
        call()
        sync(plan.device)
        count += 1
    return count / (time.perf_counter() - begun)


def draw(folder: Path, n_clips: int, *, tiny: bool) -> Iterator[Path]:
    """Draw clips of the synthetic language; unless tiny, as long and as large as How2Sign's."""
    for clip in plan_corpus({"train": n_clips}, 0):
        frames = draw_clip(clip)[0]
        if not tiny:
            frames = enlarged(np.resize(frames, (N_FRAMES, *frames.shape[1:])))
        write_video(folder / f"{clip.name}.mp4", frames)
        yield folder / f"{clip.name}.mp4"


def enlarged(frames: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) uint8 → (T, 720, 1280, 3), the picture in the middle."""
    wide = np.full((len(frames), HEIGHT, WIDTH, 3), 128, np.uint8)
    left = (WIDTH - HEIGHT) // 2
    for target, frame in zip(wide, frames, strict=True):
        target[:, left : left + HEIGHT] = cv2.resize(frame, (HEIGHT, HEIGHT))
    return wide


def write_bundle(folder: Path) -> Path:
    """Write the demo's bundle with a random SignHiera of the published size in it."""
    demo = find_bundle(DEMO)
    shutil.copytree(demo.folder, folder)
    torch.manual_seed(0)
    save_weights(folder / "extractor.safetensors", SignHiera(SignHieraConfig()).state_dict())
    config = json.loads(json.dumps(dataclasses.asdict(SignHieraConfig())))
    extractor = ExtractorCard(kind="signhiera", config=config, weights="extractor.safetensors")
    card: BundleCard = dataclasses.replace(
        demo.card, name="benchmark", preprocess=PreprocessCard(), extractor=extractor, domain=None
    )
    write_card(folder, card)
    return folder
