from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pysubs2
import pytest

from slt.data.synthetic.labels import read_clips

ROOT = Path(__file__).parents[1]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text("utf-8"), re.S)


def test_the_examples_of_the_page_run_and_say_what_was_signed(tmp_path, monkeypatch, capsys):
    (clip,) = (one for one in read_clips(ROOT / "src/slt/demo/clips/test.tsv") if one.name == "test-000001")
    shutil.copy(clip.video, tmp_path / "video.mp4")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in EXAMPLES:
        exec(example, names)
    said = capsys.readouterr().out
    assert len(EXAMPLES) >= 5
    assert said.startswith(clip.texts["deu_Latn"])
    assert said.count(clip.texts["eng_Latn"]) >= 4  # translated, one of many, a sentence, and stage by stage
    assert "missing.mp4 missing.mp4 does not exist" in said
    assert pysubs2.load("video.srt")[0].plaintext.split() == clip.texts["eng_Latn"].split()


@pytest.mark.parametrize("statement", ["import slt", "from slt import SentenceLimits; SentenceLimits()"])
def test_nothing_heavy_is_loaded_before_it_is_needed(statement):
    code = f"{statement}\nimport sys\nprint(sorted({{'torch', 'fairseq2', 'cv2', 'av'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
