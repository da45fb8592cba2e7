# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
"""Systems on keypoints and pictures: trained on stores, saved as bundles, and translating videos by themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from slt.assets.cards import read_card, sha256_of
from slt.assets.store import find_bundle
from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.runs import open_run
from slt.data.features.open import open_features
from slt.data.features.writer import FeatureWriter
from slt.data.manifest import read_manifest
from slt.frontend.base import Settings
from slt.frontend.registry import load_frontend
from slt.pipeline.translator import Translator
from slt.recipe.extractors import KeypointSiglipExtractor, SignHieraExtractor
from slt.recipe.load import to_yaml
from slt.recipe.schema import Recipe
from slt.train.extractors import bundle_extractor, choose_extractor
from slt.train.prepare import prepare
from slt.train.run import train
from tests.frame_bundles import VISUAL_DIM, both_bundle, drawn, keypoint_bundle, siglip_bundle, siglip_folder
from tests.train.whole import finish

SHAPE = {"d_model": 16, "num_heads": 2, "d_ff": 32}
ENCODERS = {
    "keypoints": {"kind": "transformer", "shape": {**SHAPE, "num_layers": 1}},
    "keypoints+siglip": {"kind": "fusion", "shape": {**SHAPE, "num_visual_layers": 1, "num_blocks": 1}},
    "siglip": {"kind": "mlp", "shape": {"hidden_dim": 8}},
}


@pytest.fixture
def seen(two_streams, siglip_folder, tmp_path_factory):
    """The two streams, the pictures' as wide as the tiny SigLIP's, and noted to be its own."""
    folder = tmp_path_factory.mktemp("seen")
    header = load_frontend("siglip", Settings(model=str(siglip_folder), device="cpu")).headers[0]
    splits = {}
    for name, split in two_streams.items():
        old = open_features(Path(split["features"]["siglip"]))
        with FeatureWriter(folder / name, header) as store:
            for clip in old.ids:
                store.add(clip, np.pad(np.asarray(old[clip], np.float32), ((0, 0), (0, VISUAL_DIM - 12))))
        splits[name] = {**split, "features": {**split["features"], "siglip": str(folder / name)}}
    return splits


@pytest.fixture
def make_system(values, seen, siglip_folder):
    """Make a recipe for one kind of extractor."""

    def made(kind, *, model=siglip_folder, **changed):
        extractor = {"kind": kind} | ({} if kind == "keypoints" else {"model": str(model)})
        streams = {
            name: {**split, "features": split["features"] if "+" in kind else split["features"][kind]}
            for name, split in seen.items()
        }
        found = {**values, "extractor": extractor, "encoder": ENCODERS[kind], "data": {**values["data"], **streams}}
        found["trainer"] = {**values["trainer"], "epochs": 1}
        return parse(Recipe, {**found, **changed}, where="the test")

    return made


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_a_training_ends_in_a_bundle_that_translates_videos(make_system, kind, drawn, siglip_folder, tmp_path):
    recipe = make_system(kind)
    run = open_run(tmp_path / "run", to_yaml(recipe))
    train(recipe, run)
    card = read_card(run.bundle)
    assert (card.extractor.kind, card.preprocess.detector) == (kind, "none")
    weights = sha256_of(siglip_folder / "model.safetensors")
    assert card.sha256.get("extractor.safetensors") == (None if kind == "keypoints" else weights)
    assert card.licence == (
        "Apache-2.0" if kind == "keypoints" else f"unknown (of the SigLIP {siglip_folder.name}) AND Apache-2.0"
    )
    assert (card.domain is None) == (kind != "siglip")
    noted = json.loads((run.folder / "assets.json").read_text())
    assert noted.get("extractor", {}).get("sha256") == (None if kind == "keypoints" else {"model.safetensors": weights})
    manifest = read_manifest(drawn)
    clip = manifest.clips[0]
    found = Translator(run.folder, device="cpu").translate(manifest.video_path(clip), pose=manifest.pose_path(clip))
    assert found.features.shape[1] == (VISUAL_DIM if kind == "siglip" else 225)
    assert (found.visual is not None) == ("+" in kind)
    assert torch.isfinite(found.embedding).all()


def test_features_of_another_model_are_refused(make_system, siglip_folder, tmp_path):
    from tests.frame_bundles import write_siglip

    other = write_siglip(tmp_path / "other")
    (other / "model.safetensors").write_bytes(b"another file")
    with pytest.raises(UserError, match=r"do not match: weights [0-9a-f]{12}, wanted [0-9a-f]{12}") as raised:
        prepare(make_system("siglip", model=other), lambda *_: pytest.fail("too late"), processes=1)
    assert f"--extractor siglip --model {other} --detector none --out DIR" in raised.value.fix
    cropped = {"kind": "siglip", "model": str(siglip_folder), "detector": "dlib-hog"}
    with pytest.raises(UserError, match="detector none, wanted dlib-hog"):
        prepare(make_system("siglip", extractor=cropped), lambda *_: pytest.fail("too late"), processes=1)


def test_a_siglip_comes_from_a_folder_or_a_bundle(siglip_bundle, siglip_folder):
    folder, bundle = (
        choose_extractor(KeypointSiglipExtractor(kind="keypoints+siglip", model=str(path)))
        for path in (siglip_folder, siglip_bundle)
    )
    assert folder.weights_sha256 == bundle.weights_sha256
    assert folder.card.config == bundle.card.config
    assert folder.feature_dims == bundle.feature_dims == (225, VISUAL_DIM)
    assert folder.streams == bundle.streams
    assert (folder.licence, bundle.licence) == (f"unknown (of the SigLIP {siglip_folder.name})", "Apache-2.0")


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_a_decoder_alone_is_trained_on_a_bundle_of_any_extractor(
    kind, make, keypoint_bundle, siglip_bundle, both_bundle, tmp_path
):
    bundle = {"keypoints": keypoint_bundle, "siglip": siglip_bundle, "keypoints+siglip": both_bundle}[kind]
    recipe = make(
        encoder=None,
        extractor=None,
        decoder={"kind": "sonar", "bundle": str(bundle), "train": "full"},
        objective={"kind": "cross-entropy"},
        trainer={"epochs": 1, "monitor": "loss"},
    )
    run = finish(recipe, tmp_path / "run")
    before, after = read_card(bundle), read_card(run.bundle)
    assert (after.extractor, after.encoder) == (before.extractor, before.encoder)
    assert (after.preprocess, after.licence) == (before.preprocess, before.licence)
    kept = {name: digest for name, digest in before.sha256.items() if not name.startswith("text_decoder")}
    assert kept.items() <= after.sha256.items()
    assert after.sha256["text_decoder.safetensors"] != before.sha256["text_decoder.safetensors"]
    assert bundle_extractor(find_bundle(bundle)).feature_dims == {"keypoints": (225,), "siglip": (VISUAL_DIM,)}.get(
        kind, (225, VISUAL_DIM)
    )
    Translator(run.folder, device="cpu").load()


def test_bundles_without_what_is_asked_for_are_refused(keypoint_bundle):
    with pytest.raises(UserError, match="the extractor of on-keypoints is keypoints, expected one with a SigLIP"):
        choose_extractor(KeypointSiglipExtractor(kind="keypoints+siglip", model=str(keypoint_bundle)))
    with pytest.raises(UserError, match="the extractor of on-keypoints is keypoints, expected signhiera"):
        choose_extractor(SignHieraExtractor(kind="signhiera", bundle=str(keypoint_bundle)))


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        ("keypoints", {"encoder": {"kind": "mlp"}}, "keypoints with encoder mlp: its features are for transformer"),
        ("siglip", {"encoder": ENCODERS["keypoints"]}, "siglip with encoder transformer: .* for sonar-t5 or mlp"),
        ("siglip", {"encoder": None}, "siglip with encoder none"),
        ("siglip", {"data": {"train": {"manifest": "a"}, "val": {"manifest": "b"}}}, "learns from stored features"),
    ],
)
def test_extractors_and_encoders_that_do_not_fit_are_refused(make_system, kind, changed, said):
    with pytest.raises(UserError, match=said):
        make_system(kind, **changed)
