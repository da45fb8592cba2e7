"""The notebooks run from top to bottom, in another Python than slt's where there is one."""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from slt.data.synthetic.corpus import write_video
from tests.corpora import HOW2SIGN_COLUMNS, drawn

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
SPLITS = {"train": ("-fZc293MpJk", 6), "val": ("10om04b2LIw", 3), "test": ("g0_1_2_3abc", 3)}
QUICK = (
    '{"trainer.epochs": 1, "trainer.precision": "bf16", "encoder.checkpointing": "false", "data.workers": 0, '
    '"optim.ema": 0.0, "trainer.text_clips": 3, "optim.warmup_steps": 1}'
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="notebooks make and use .venv, which is not here"),
]


def load_execute():
    spec = importlib.util.spec_from_file_location("execute", NOTEBOOKS / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A Python of another version than slt's, with ipykernel; slt's own where none can be had."""
    uv = Path(sys.executable).with_name("uv")
    settings = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}

    def succeeds(*words):
        return subprocess.run([uv, *words], env=settings, capture_output=True).returncode == 0

    for version in ("3.13", "3.12", "3.11", "3.10"):
        place = tmp_path_factory.mktemp("kernel") / "python"
        is_own = version == f"{sys.version_info.major}.{sys.version_info.minor}"
        made = not is_own and succeeds("venv", "--python", version, place)
        if made and succeeds("pip", "install", "--python", place, "ipykernel"):
            return str(place / "bin" / "python")
    return sys.executable


@pytest.fixture
def run(kernel, tmp_path, monkeypatch):
    """Execute a notebook in an empty folder, with a hosted notebook's settings; return the text of each output."""
    monkeypatch.setenv("SLT_OFFLINE", "0")

    def run(name, **environment):
        (tmp_path / "slt").symlink_to(ROOT)
        hosted = {"PYTHONPATH": "/env/python", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        hosted |= {"UV_SYSTEM_PYTHON": "true", "PIP_CONSTRAINT": "/none", "SLT_HOME": str(tmp_path / "home")}
        done = load_execute().execute(NOTEBOOKS / name, tmp_path, kernel=kernel, environment=hosted | environment)
        outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
        return done, "".join(output.get("text", "") for output in outputs)

    return run


def test_the_quickstart_translates_trains_and_reports(run, tmp_path):
    done, text = run("quickstart.ipynb")
    assert not re.search(r"^error:", text, re.MULTILINE)
    assert "eng_Latn: 6 of 6 to the letter" in text
    assert text.count("BLEU-4") >= 3
    shown = [kind for cell in done.cells for output in cell.get("outputs", ()) for kind in output.get("data", {})]
    assert shown.count("image/png") == 2
    assert "text/html" in shown
    assert (tmp_path / "run" / "bundle" / "card.json").is_file()


def write_how2sign(folder: Path) -> None:
    """Write ready-made clips and the realigned lists, as they are downloaded."""
    (folder / "clips").mkdir(parents=True)
    for split, (name, n) in SPLITS.items():
        rows = []
        for number, (frames, text) in enumerate(drawn(split, n)):
            clip = f"{name}_{number}-8-rgb_front"
            write_video(folder / "clips" / f"{clip}.mp4", frames)
            rows.append((name, f"{name}-8-rgb_front", f"{name}_{number}", clip, 5 * number, 5 * number + 4, text))
        with (folder / f"how2sign_realigned_{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows([HOW2SIGN_COLUMNS, *rows])


def test_how2sign_goes_from_clips_to_a_report_and_resumes(run, tmp_path):
    write_how2sign(tmp_path / "data")
    settings = {"HOW2SIGN_LISTS": f"{tmp_path}/data", "HOW2SIGN_CLIPS": f"{tmp_path}/data/clips"}
    settings |= {"SLT_WORK": f"{tmp_path}/work", "SLT_MODEL": "demo", "SLT_SETTINGS": QUICK}
    _, text = run("how2sign.ipynb", **settings)
    assert not re.search(r"^error:", text, re.MULTILINE)
    assert "train: 6 clips, 6 with video" in text
    assert (tmp_path / "work" / "report.html").is_file()


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_kept_outputs_are_complete_and_name_no_place(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    text = notebook.read_text("utf-8")
    assert not re.search(r"/(tmp|home|root|work)/", text)
    assert '"output_type": "error"' not in text
