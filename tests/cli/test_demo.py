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


def test_the_model_of_fingerspelling_is_trained_where_one_wants_it(slt, monkeypatch, tmp_path):
    train = "slt.demo.spelling_train.train_fingerspelling"
    monkeypatch.setattr(train, lambda out, poses: print(f"trained in {out} on {poses}"))
    assert slt("demo", "--train", "fingerspelling").out == "trained in fingerspelling-run on None\n"
    outcome = slt("demo", "--train", "fingerspelling", "--out", tmp_path, "--poses", tmp_path / "poses")
    assert outcome.out == f"trained in {tmp_path} on {tmp_path / 'poses'}\n"


def test_what_belongs_to_one_training_is_refused_elsewhere(slt, tmp_path):
    for command in (("--poses", tmp_path), ("--train", "--poses", tmp_path)):
        outcome = slt("demo", *command)
        assert outcome.code == 2
        assert "--poses is for --train fingerspelling alone" in outcome.err
    outcome = slt("demo", "fingerspelling")
    assert outcome.code == 2
    assert "slt translate VIDEO --model fingerspelling" in outcome.err


def test_without_recordings_it_says_where_they_are(slt, tmp_path):
    outcome = slt("demo", "--train", "fingerspelling", "--out", tmp_path / "run", "--poses", tmp_path)
    assert outcome.code == 2
    assert "has no index.csv" in outcome.err
    assert not (tmp_path / "run").exists()
