"""What is found before the first step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from slt.assets.cards import text_model_hash
from slt.assets.store import find_bundle
from slt.core.errors import SltError, UserError
from slt.core.runs import Run, open_run
from slt.data.embeddings import embedding_writer, text_id
from slt.data.features.header import StoreHeader
from slt.data.features.writer import FeatureWriter
from slt.data.manifest import Clip, read_manifest, write_manifest
from slt.extract.texts import embed_texts
from slt.models.config import KEYPOINTS_DIM
from slt.recipe.load import to_yaml
from slt.train.callbacks import Judge
from slt.train.dry_run import random_targets
from slt.train.prepare import prepare, tell_findings, train_loader
from slt.train.run import train
from tests.bundles import EMBEDDING_DIM, FEATURE_DIM, write_clip
from tests.train.conftest import VISUAL_DIM, only_keypoints


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
    tell_findings(recipe, prepared, run)
    assert "2 clips are left out" in capsys.readouterr().err
    assert "silent\tno text in eng_Latn" in (run.folder / "left-out.tsv").read_text()


@pytest.mark.slow
def test_videos_that_show_nothing_are_found_or_left_out_and_listed(make, tmp_path, capsys):
    write_clip(tmp_path / "whole.mp4", 40)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:2000])
    (tmp_path / "empty.mp4").touch()

    def clip(id, video, start_s=None, end_s=None):
        return Clip(id=id, video=video, start_s=start_s, end_s=end_s, text="we go", lang="eng_Latn")

    good = [clip(f"good-{number}", "whole.mp4", 0.2 * number, 1.6) for number in range(4)]
    last = clip("last", "whole.mp4", 1.56, 9.0)
    past = [clip("past-0", "whole.mp4", 1.6, 2.0), clip("past-1", "whole.mp4", 7.0, 8.0)]
    bad = [clip("cut", "cut.mp4"), clip("empty", "empty.mp4", 0.0, 1.0), clip("gone", "gone.mp4")]
    write_manifest(tmp_path / "good.tsv", good)
    write_manifest(tmp_path / "all.tsv", [*good, last, *past, *bad])
    splits = {"train": {"manifest": str(tmp_path / "all.tsv")}, "val": {"manifest": str(tmp_path / "good.tsv")}}
    data = {**splits, "augment": {}}
    with pytest.raises(UserError, match=r"no video, of 1 of 10 clips of .*: gone") as raised:
        prepare(make(data=data), random_targets, processes=1)
    said = str(raised.value)
    assert "no frame of its video between its times, of 2 of 10 clips" in said
    assert ": past-0, past-1" in said
    assert "its video is empty (0 bytes), expected a video, of 1 of 10" in said
    assert "its video is not a video that FFmpeg can read" in said
    recipe = make(data={**data, "allow_missing": True}, trainer={"epochs": 1})
    run = open_run(tmp_path / "run", to_yaml(recipe))
    train(recipe, run)  # what is left can all be read
    assert "5 clips are left out" in capsys.readouterr().err
    left_out = dict(line.split("\t") for line in (run.folder / "left-out.tsv").read_text().splitlines())
    assert set(left_out) == {"past-0", "past-1", "cut", "empty", "gone"}
    assert left_out["past-1"] == "no frame of its video between its times"


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
    with pytest.raises(UserError, match="do not match: weights"):
        prepare(make(data={"val": other}), random_targets, processes=1)


def test_more_processes_than_clips_are_refused(make):
    with pytest.raises(UserError, match="13 processes train together, but a split has only 12 clips"):
        prepare(make(), random_targets, processes=13)


def test_unknown_languages_are_refused(make):
    with pytest.raises(UserError, match="fra_Latn"):
        prepare(make(data={"langs": ["fra_Latn"]}), random_targets, processes=1)


def test_every_language_a_clip_has_a_text_in_becomes_its_target_by_turns(make, splits, tmp_path):
    alone = Clip(id="train-00", video=None, text="we go today", lang="eng_Latn")
    clips = [alone, *read_manifest(Path(splits["train"]["manifest"])).clips[1:]]
    write_manifest(tmp_path / "some.tsv", clips)
    split = {"manifest": str(tmp_path / "some.tsv"), "features": splits["train"]["features"]}
    prepared = prepare(make(data={"train": split, "langs": ["eng_Latn", "deu_Latn"]}), random_targets, processes=1)
    clips = train_loader(make(data={"langs": ["eng_Latn", "deu_Latn"]}), prepared, (0, 1)).dataset
    seen: dict[str, set[str]] = {}
    for epoch in range(12):
        batch = clips[(epoch, tuple(range(24)), 24)]
        for name, text, lang, target in zip(batch.ids, batch.texts, batch.langs, batch.targets, strict=True):
            seen.setdefault(name, set()).add(lang)
            assert np.array_equal(target, prepared.targets.of(text, lang))
    assert seen.pop("train-00") == {"eng_Latn"}
    assert all(langs == {"eng_Latn", "deu_Latn"} for langs in seen.values())


def test_broken_features_name_their_clip(make, splits, tmp_path):
    clips = read_manifest(Path(splits["train"]["manifest"])).clips
    with FeatureWriter(tmp_path / "bad", StoreHeader(feature_dim=FEATURE_DIM, dtype="float32")) as writer:
        for number, clip in enumerate(clips):
            writer.add(clip.id, np.full((3, FEATURE_DIM), np.nan if number == 5 else 0.5, np.float32))
    recipe = make(data={"train": {**splits["train"], "features": str(tmp_path / "bad")}})
    with pytest.raises(UserError, match=r"the features of train-05 hold NaN or infinity, in .*bad"):
        train(recipe, open_run(tmp_path / "run", to_yaml(recipe)))


@pytest.fixture
def make_fusion(make, two_streams):
    """Make a recipe on two streams; keywords as for `make`."""

    def changed(**groups):
        data = {**two_streams, **groups.pop("data", {})}
        shape = {"d_model": 8, "num_heads": 2, "d_ff": 16, "num_visual_layers": 1, "num_blocks": 1}
        return make(**{"extractor": None, "encoder": {"kind": "fusion", "shape": shape}, "data": data, **groups})

    return changed


def features_of(folder, name, width, ids, rows):
    with FeatureWriter(folder / name, StoreHeader(feature_dim=width, dtype="float32")) as writer:
        for number, id in enumerate(ids):
            writer.add(id, rows(number))
    return str(folder / name)


def test_two_streams_keep_their_own_lengths_and_come_in_one_order(make_fusion):
    recipe = make_fusion()
    prepared = prepare(recipe, random_targets, processes=1)
    assert (prepared.widths.feature_dim, prepared.widths.visual_dim) == (KEYPOINTS_DIM, VISUAL_DIM)
    batch = next(iter(train_loader(recipe, prepared, (0, 1))))
    assert batch.features.features.shape[2] == KEYPOINTS_DIM
    assert batch.features.visual.features.shape[2] == VISUAL_DIM
    assert batch.features.features.isnan().any()
    ratio = batch.features.lengths / batch.features.visual.lengths
    assert ((ratio > 1) & (ratio <= 3)).all()
    stored = prepared.train.source
    lengths = {example.clip.id: example.length for example in prepared.train.examples}
    assert all(lengths[id] == stored.stores[0].length(id) for id in lengths)
    moved = batch.to(torch.device("meta")).features
    assert moved.features.is_meta
    assert moved.visual.features.is_meta


def test_a_clip_that_either_stream_lacks_is_named_with_the_store(make_fusion, two_streams, tmp_path):
    ids = [clip.id for clip in read_manifest(Path(two_streams["train"]["manifest"])).clips]
    some = features_of(tmp_path, "some", VISUAL_DIM, ids[2:], lambda number: np.ones((3, VISUAL_DIM), np.float32))
    few = features_of(tmp_path, "few", KEYPOINTS_DIM, ids[:-1], lambda number: np.ones((5, KEYPOINTS_DIM), np.float32))
    split = {**two_streams["train"], "features": {"siglip": some, "keypoints": few}}
    said = rf"no features in {some}, of 2 of 24 clips of .*: train-00, train-01; no features in {few}, of 1 .*train-23"
    with pytest.raises(UserError, match=said):
        prepare(make_fusion(data={"train": split}), random_targets, processes=1)
    recipe = make_fusion(data={"train": split, "allow_missing": True})
    assert len(prepare(recipe, random_targets, processes=1).train.examples) == 21


def test_keypoints_may_have_gaps_but_neither_infinity_nor_may_pictures(make_fusion, two_streams, tmp_path):
    ids = [clip.id for clip in read_manifest(Path(two_streams["train"]["manifest"])).clips]
    for kind, width, value, said in (
        ("keypoints", KEYPOINTS_DIM, np.inf, "hold infinity, in .*keypoints"),
        ("siglip", VISUAL_DIM, np.nan, "hold NaN or infinity, in .*siglip"),
    ):
        rows = np.full((4, width), value, np.float32)
        path = features_of(tmp_path, f"bad-{kind}", width, ids, lambda number, rows=rows: rows)
        split = {**two_streams["train"], "features": {**two_streams["train"]["features"], kind: path}}
        recipe = make_fusion(data={"train": split})
        with pytest.raises(UserError, match=said):
            train(recipe, open_run(tmp_path / f"run-{kind}", to_yaml(recipe)))


def test_a_store_of_something_else_is_refused(make_fusion, two_streams):
    features = two_streams["train"]["features"]
    swapped = {"keypoints": features["siglip"], "siglip": features["keypoints"]}
    with pytest.raises(UserError, match="extractor siglip, wanted keypoints; width 12, wanted 225") as raised:
        prepare(make_fusion(data={"train": {**two_streams["train"], "features": swapped}}), random_targets, processes=1)
    assert "--extractor keypoints" in raised.value.fix
    other = {"keypoints": features["keypoints"], "timesformer": features["siglip"]}
    with pytest.raises(UserError, match="extractor siglip, wanted timesformer"):
        prepare(make_fusion(data={"train": {**two_streams["train"], "features": other}}), random_targets, processes=1)


def test_streams_that_do_not_fit_the_encoder_are_refused_before_anything_is_read(make_fusion, two_streams):
    one = {name: only_keypoints(split) for name, split in two_streams.items()}
    with pytest.raises(UserError, match=r"fusion takes two streams of features; data\.train\.features gives 1, "):
        make_fusion(data=one)
    with pytest.raises(UserError, match=r"mlp takes one stream of features; data.train.features gives 2"):
        make_fusion(encoder={"kind": "mlp"})
    bare = {"train": {"manifest": "a"}, "val": {"manifest": "b"}}
    with pytest.raises(UserError, match=r"transformer learns from stored keypoints: give data.train.features"):
        make_fusion(encoder={"kind": "transformer"}, data=bare)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({}, "features is empty"),
        ({"keypoint": "a"}, "features names keypoint; known: keypoints, signhiera"),
        ({"siglip": "a", "signhiera": "b"}, "names siglip, signhiera; two streams are keypoints and one of the others"),
        ({"keypoints": "a", "siglip": "b", "signhiera": "c"}, "two streams are keypoints and one"),
    ],
)
def test_impossible_streams_are_refused(make_fusion, features, said):
    with pytest.raises(UserError, match=said):
        make_fusion(data={"train": {"manifest": "a", "features": features}})


def test_missing_embeddings_are_found_before_the_first_step(make, bundle, tmp_path):
    sha256 = text_model_hash(find_bundle(str(bundle)).card)
    with embedding_writer(tmp_path / "embeddings", weights_sha256=sha256, width=EMBEDDING_DIM) as writer:
        writer.add(text_id("we go today", "eng_Latn"), np.ones((1, EMBEDDING_DIM), np.float32))
    recipe = make(data={"embeddings": str(tmp_path / "embeddings")})
    with pytest.raises(UserError, match=r"lacks the embeddings of \d+ of \d+ texts") as raised:
        train(recipe, open_run(tmp_path / "run", to_yaml(recipe)))
    assert "slt embed-text" in raised.value.fix


def test_targets_are_read_from_where_embed_text_put_them(make, splits, bundle, tmp_path):
    texts = {clip.text for split in splits.values() for clip in read_manifest(Path(split["manifest"])).clips}
    embed_texts({"eng_Latn": sorted(texts)}, tmp_path / "embeddings", str(bundle))
    found = []
    for where in ({}, {"embeddings": str(tmp_path / "embeddings")}):
        recipe = make(data=where, trainer={"epochs": 1})
        run = open_run(tmp_path / f"run-{len(found)}", to_yaml(recipe))
        train(recipe, run)
        found.append(json.loads(run.outcome.read_text())["figures"])
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert not (tmp_path / "run-1" / "embeddings").exists()


def test_a_judge_that_saw_nothing_has_no_best_weights(tmp_path):
    judge = Judge(Run(folder=tmp_path), lambda *_: None, every=1, curves=None, ema=None)
    with pytest.raises(SltError, match="no validation took place"):
        judge.best_weights()


def test_keypoints_of_two_detectors_are_not_mixed(make, two_streams, tmp_path):
    from slt.data.features.header import StoreHeader
    from slt.data.features.open import open_features
    from slt.data.features.writer import FeatureWriter

    def stored(split, geometry, *, width=225):
        name = "-".join(map(str, geometry.values()))
        header = StoreHeader(feature_dim=width, dtype="float32", extractor="keypoints", geometry=geometry)
        with FeatureWriter(tmp_path / f"{split}-{name}", header) as writer:
            old = open_features(Path(two_streams[split]["features"]["keypoints"]))
            for id in old.ids:
                writer.add(id, np.resize(old[id], (len(old[id]), width)))
        return {**two_streams[split], "features": str(tmp_path / f"{split}-{name}")}

    def recipe(train, val, **groups):
        shape = {"d_model": 16, "num_heads": 2, "d_ff": 32, "num_layers": 1}
        encoder = {"kind": "transformer", "shape": shape}
        return make(encoder=encoder, data={"train": train, "val": val}, **groups)

    own = {"detector": "mediapipe", "skeleton": "mediapipe-75", "unit": "normalised"}
    converted = {**own, "detector": "openpose"}
    trained, val, other = stored("train", converted), stored("val", converted), stored("val", own)
    prepare(recipe(trained, val, extractor=None), random_targets, processes=1)
    with pytest.raises(UserError, match="do not match: detector mediapipe, wanted openpose"):
        prepare(recipe(trained, other, extractor=None), random_targets, processes=1)
    with pytest.raises(UserError, match="do not match: detector openpose, wanted mediapipe"):
        prepare(recipe(trained, val, extractor={"kind": "keypoints"}), random_targets, processes=1)
    asked = {"kind": "keypoints", "skeleton": "openpose-137"}
    prepare(recipe(trained, val, extractor=asked), random_targets, processes=1)
    native = stored("train", {"detector": "openpose", "skeleton": "openpose-137", "unit": "pixels"}, width=411)
    with pytest.raises(UserError, match="skeleton openpose-137, wanted mediapipe-75") as refused:
        prepare(recipe(native, val, extractor=None), random_targets, processes=1)
    assert "--to mediapipe-75" in refused.value.fix
