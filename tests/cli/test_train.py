from __future__ import annotations


def test_what_is_missing_is_said(slt, tmp_path):
    nothing = slt("train-encoder")
    assert nothing.code == 2
    assert "no recipe was given" in nothing.err
    assert "synthetic" in nothing.err
    both = slt("train-encoder", "synthetic", "--resume", tmp_path)
    assert both.code == 2
    assert "remove RECIPE, --set, --out and --text-engine" in both.err
    assert "is no run" in slt("train-encoder", "--resume", tmp_path).err
    assert "train-decoder needs decoder.train lora or full" in slt("train-decoder", "synthetic").err


def test_the_text_engine_becomes_part_of_the_recipe(slt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "corpus/train.tsv" in slt("train-encoder", "synthetic", "--text-engine", "transformers", "--dry-run").err
    for verb in ("train-translator", "train-vlp"):
        other = slt(verb, "synthetic-t5", "--text-engine", "transformers")
        assert other.code == 2
        assert f"--text-engine is for SONAR's text models, which {verb} does not use" in other.err


def test_absent_data_is_said_before_a_run_begins(slt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    missing = slt("train-encoder", "synthetic", "--dry-run")
    assert missing.code == 2
    assert "corpus/train.tsv" in missing.err
    assert not list(tmp_path.iterdir())
