"""The costs of docs/scale.md follow from their figures, and a simulated array job keeps every clip exactly once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.scale import Costs, Figures, main, table

ROOT = Path(__file__).parents[1]


def test_costs_grow_with_the_corpus():
    one, ten = Costs(Figures()), Costs(Figures(), 10)
    for cost in ("hours", "clips", "rows", "store_gb", "extract_gpu_h", "train_gpu_h"):
        assert getattr(ten, cost) == pytest.approx(10 * getattr(one, cost))
    assert one.extract_h >= one.extract_gpu_h / Figures().gpus


def test_the_slower_of_cores_and_gpus_decides():
    many_cores = Costs(Figures(cores_per_gpu=1000, tasks=1))
    assert many_cores.extract_h == pytest.approx(many_cores.extract_gpu_h / 16)
    few_cores = Costs(Figures(cores_per_gpu=1))
    assert few_cores.extract_h == pytest.approx(few_cores.extract_cpu_h / 16)


def test_a_store_is_as_large_as_its_clips(tmp_path):
    """The bytes beside features that the table reckons with, against a store that is written."""
    import numpy as np

    from slt.data.features.header import StoreHeader
    from slt.data.features.writer import FeatureWriter

    with FeatureWriter(tmp_path / "s", StoreHeader(feature_dim=768, dtype="float16")) as writer:
        for i in range(500):
            writer.add(f"{i:011x}-{i:03d}-rgb_front", np.ones((37, 768), np.float16))
    size = sum(path.stat().st_size for path in (tmp_path / "s").iterdir())
    costs = Costs(Figures(clips=500, hours=500 * 5.9 / 3600))
    assert costs.rows == 500 * 37
    assert costs.store_gb * 1e9 == pytest.approx(size, rel=0.01)


def test_every_figure_is_an_option(capsys):
    main(["--hours", "70", "--clips", "48386", "--gpu-tflops", "989"])
    printed = capsys.readouterr().out
    assert printed.startswith("| | 70 h | 700 h | |\n")
    assert "| `--gpu-tflops` | 989 |" in printed
    assert "| clips | 48,386 | 483,860 |  |" in table(Figures(clips=48_386))


@pytest.mark.slow
def test_an_array_job_whose_tasks_are_killed_ends_with_every_clip_once():
    words = ["--tasks", "16", "--clips", "320", "--killed", "0.25", "--at-once", "2", "--json"]
    command = [sys.executable, str(ROOT / "benchmarks" / "array_job.py"), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    report = json.loads(done.stdout)
    assert report["runs"] == 16 + report["killed"]
    for when in ("before merging", "after merging"):
        counts = report[when]
        assert counts["clips"] == counts["in the store"] == counts["records"] == 320
        assert counts["missing or wrong"] == counts["more than once"] == 0
    assert report["after merging"]["files"] == 1
