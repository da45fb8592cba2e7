from __future__ import annotations

from pathlib import Path


def test_the_demo_is_shown(slt, monkeypatch):
    monkeypatch.setattr("slt.demo.show.show_demo", lambda: print("shown"))
    outcome = slt("demo")
    assert (outcome.code, outcome.out) == (0, "shown\n")


def test_the_demo_is_trained_where_one_wants_it(slt, monkeypatch, tmp_path):
    monkeypatch.setattr("slt.demo.train.train_demo", lambda out: print(f"trained in {out}"))
    assert slt("demo", "--train", "--out", tmp_path).out == f"trained in {tmp_path}\n"
    assert slt("demo", "--train").out == f"trained in {Path('demo-run')}\n"


def test_a_place_without_training_is_a_mistake(slt, tmp_path):
    outcome = slt("demo", "--out", tmp_path)
    assert outcome.code == 2
    assert "--train" in outcome.err
