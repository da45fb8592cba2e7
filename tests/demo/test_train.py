import dataclasses
import json

import pytest

from slt.core.errors import UserError
from slt.data.synthetic.labels import read_clips
from slt.demo.bundle import choose_clips
from slt.demo.plan import DemoPlan
from slt.demo.train import train_demo
from slt.pipeline.translator import Translator

TINY = DemoPlan(
    clips={"train": 6, "val": 5, "test": 3},
    text_steps=3,
    text_batch=4,
    extractor_steps=2,
    extractor_batch=2,
    encoder_steps=3,
    encoder_batch=4,
)

pytestmark = pytest.mark.slow  # all use one training of the demo


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, train_demo(out, TINY)


def test_a_run_leaves_a_bundle_that_translates(run):
    out, scores = run
    card = json.loads((out / "bundle" / "card.json").read_text())
    assert card["made"]["plan"]["text_steps"] == 3
    assert card["made"]["held_out"]["eng_Latn"]["n_clips"] == 3
    clip = read_clips(out / "corpus" / "test.tsv")[0]
    translation = Translator(out / "bundle").translate(clip.video, ["eng_Latn", "deu_Latn"])
    assert set(translation.texts) == {"eng_Latn", "deu_Latn"} == set(scores)


def test_a_second_run_does_nothing_twice(run, capsys):
    out, scores = run
    files = [path for path in out.rglob("*") if path.is_file() and path.name not in ("card.json",)]
    made = {path: path.stat().st_mtime_ns for path in files if "bundle" not in path.parts}
    assert train_demo(out, TINY) == scores
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert "stage 3 of 5" not in capsys.readouterr().err


def test_a_run_of_another_plan_is_not_gone_on_with(run):
    out, _ = run
    with pytest.raises(UserError, match="holds a run of another plan"):
        train_demo(out, dataclasses.replace(TINY, seed=1))


def test_the_shipped_clips_show_each_cue_once_before_any_twice(run, tmp_path):
    out, _ = run
    choose_clips(out / "corpus" / "train.tsv", tmp_path / "clips", n_clips=4)
    chosen = read_clips(tmp_path / "clips" / "train.tsv")
    assert len(chosen) == 4
    assert all(clip.video.is_file() for clip in chosen)
    cues = [tuple(label.name for label in clip.cues) for clip in read_clips(out / "corpus" / "train.tsv")]
    shown = [tuple(label.name for label in clip.cues) for clip in chosen]
    assert len(set(shown)) == min(4, len(set(cues)))
