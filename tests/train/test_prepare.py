"""What is found before the first step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slt.data.features.header import StoreHeader
from slt.data.features.writer import FeatureWriter
from slt.data.manifest import Clip, read_manifest, write_manifest
from slt.errors import UserError
from slt.recipe.load import to_yaml
from slt.runs import open_run
from slt.train.dry import random_targets
from slt.train.prepare import prepare, tell_findings
from slt.train.run import train
from tests.bundles import FEATURE_DIM


def manifest_with(folder, splits, *clips):
    path = folder / "more.tsv"
    write_manifest(path, [*read_manifest(Path(splits["train"]["manifest"])).clips, *clips])
    return {"manifest": str(path), "features": splits["train"]["features"]}


def test_missing_features_are_found_or_left_out_and_listed(make, splits, tmp_path, capsys):
    unseen = Clip(id="unseen", video=None, text="we go", lang="eng_Latn")
    split = manifest_with(tmp_path, splits, unseen, Clip(id="silent", video=None, lang="eng_Latn"))
    with pytest.raises(UserError, match=r"no features in .*, of 1 of 26 clips of .*: unseen"):
        prepare(make(data={"train": split}), random_targets, processes=1)
    recipe = make(data={"train": split, "allow_missing": True})
    prepared = prepare(recipe, random_targets, processes=1)
    assert len(prepared.train.examples) == 24
    run = open_run(tmp_path / "run", to_yaml(recipe))
    tell_findings(prepared, run)
    assert "2 clips are left out" in capsys.readouterr().err
    assert "silent\tno text in eng_Latn" in (run.folder / "left-out.tsv").read_text()


def test_clips_that_are_too_long_are_left_out_and_none_left_is_an_error(make):
    prepared = prepare(make(data={"max_rows": 9}), random_targets, processes=1)
    assert "a length of" in next(iter(prepared.train.left_out.values()))
    assert len(prepared.train.examples) + len(prepared.train.left_out) == 24
    with pytest.raises(UserError, match=r"train\.tsv has no clip to learn from: a length of \d+, more than max_rows 1"):
        prepare(make(data={"max_rows": 1}), random_targets, processes=1)


def test_features_of_other_widths_or_another_extractor_are_refused(make, splits, tmp_path):
    def store(name, width, **header):
        with FeatureWriter(tmp_path / name, StoreHeader(feature_dim=width, dtype="float32", **header)) as writer:
            for clip in read_manifest(Path(splits["val"]["manifest"])).clips:
                writer.add(clip.id, np.ones((3, width), np.float32))
        return {**splits["val"], "features": str(tmp_path / name)}

    with pytest.raises(UserError, match=f"training features are {FEATURE_DIM} wide, validation features 7"):
        prepare(make(data={"val": store("narrow", 7)}, extractor=None), random_targets, processes=1)
    other = store("other", FEATURE_DIM, extractor="signhiera", weights_sha256="0" * 64)
    with pytest.raises(UserError, match="others than wanted: weights"):
        prepare(make(data={"val": other}), random_targets, processes=1)


def test_more_processes_than_clips_are_refused(make):
    with pytest.raises(UserError, match="13 processes train together, but a split has only 12 clips"):
        prepare(make(), random_targets, processes=13)


def test_unknown_languages_are_refused(make):
    with pytest.raises(UserError, match="fra_Latn"):
        prepare(make(data={"langs": ["fra_Latn"]}), random_targets, processes=1)


def test_broken_features_name_their_clip(make, splits, tmp_path):
    clips = read_manifest(Path(splits["train"]["manifest"])).clips
    with FeatureWriter(tmp_path / "bad", StoreHeader(feature_dim=FEATURE_DIM, dtype="float32")) as writer:
        for number, clip in enumerate(clips):
            writer.add(clip.id, np.full((3, FEATURE_DIM), np.nan if number == 5 else 0.5, np.float32))
    recipe = make(data={"train": {**splits["train"], "features": str(tmp_path / "bad")}})
    with pytest.raises(UserError, match="the features of train-05 hold NaN"):
        train(recipe, open_run(tmp_path / "run", to_yaml(recipe)))
