"""The benchmark for GPUs runs from end to end on tiny models without one; what fails or is late costs only itself."""

from __future__ import annotations

import json
import time

import pytest
import torch

from benchmarks import gpu
from benchmarks.plain_hiera import PlainHiera
from slt.models.signhiera import SignHiera, SignHieraConfig


@pytest.mark.slow
def test_every_section_measures_something(tmp_path, capsys):
    gpu.main(["--tiny", "--device", "cpu", "--cores", "1", "--minutes", "5", "--json", str(tmp_path / "all.json")])
    found = json.loads((tmp_path / "all.json").read_text())
    shown = capsys.readouterr().out
    assert found["machine"]["torch"] == torch.__version__.partition("+")[0]
    for name in gpu.SECTIONS:
        assert f"## {name}" in shown
        assert found[name], name
        assert not [row for row in found[name] if "Error" in row.get("note", "")]
    off = {row["what"]: row["off float32 on the CPU"] for row in found["signhiera"]}
    assert float(off["slt, fp32, whole windows"]) < 1e-6
    assert 0 < float(off["slt, bf16, whole windows"]) < 0.1
    assert all(0.85 < row["ratio"] < 1.15 for row in found["memory"])
    assert found["videos"][-1]["note"].startswith("bounded by: ")


def failing(plan):
    yield {"what": "first", "speed": 1.5}
    raise ValueError("no such kernel\nand more")


def test_a_section_that_fails_says_why_and_keeps_what_it_measured(monkeypatch, capsys):
    monkeypatch.setitem(gpu.SECTIONS, "infonce", ("tests.benchmarks.test_gpu:failing", 1.0))
    tables = gpu.measure(gpu.Plan(device="cpu", tiny=True, cores=1), ["infonce"], seconds=60)
    assert tables == {
        "infonce": [{"what": "first", "speed": 1.5}, {"what": "failed", "note": "ValueError: no such kernel"}]
    }
    assert "| failed |  | ValueError: no such kernel |" in capsys.readouterr().out


def test_a_process_that_is_late_is_ended():
    plan = gpu.Plan(device="cpu", tiny=False, cores=1, until=time.time())
    (row,) = gpu.in_new_process("signhiera", plan, 0.05)
    assert row == {"what": "ended", "note": "its time, 0 s, was over; --minutes gives more"}


def test_a_process_that_fails_says_why():
    (row,) = gpu.in_new_process("no such", gpu.Plan(device="cpu", tiny=False, cores=1), 60)
    assert row == {"what": "failed", "note": "KeyError: 'no such'"}


@pytest.mark.parametrize("unit_attn", [(True, True, False, False), (True, True, True, False)])
def test_the_plain_way_computes_the_same(unit_attn):
    torch.manual_seed(0)
    config = SignHieraConfig(input_size=(16, 64, 64), embed_dim=16, stages=(1, 2, 2, 1), mask_unit_attn=unit_attn)
    model = SignHiera(config).eval()
    pixels, padding = torch.randn(3, 3, *config.input_size), torch.tensor([0, 7, 12])
    with torch.inference_mode():
        expected = model(pixels, padding).clips()
    found = PlainHiera(model)(pixels, padding)
    for ours, plain in zip(expected, found, strict=True):
        torch.testing.assert_close(plain, ours, rtol=0, atol=1e-6)
