"""Uni-Sign's pose encoder; its outputs against recorded ones are in tests/text/hf/test_unisign.py."""

from __future__ import annotations

import pytest
import torch

from slt.core.errors import UserError
from slt.core.tensors import FeatureBatch
from slt.models.checkpoint import read_weights, save_weights
from slt.models.config import StgcnConfig
from slt.models.fitting import build_model
from slt.models.stgcn import Stgcn, evenly_spaced
from tests.unisign_golden import keys, points


@pytest.fixture(scope="module")
def encoder():
    """Return one at random, with statistics of its own, in evaluation mode."""
    torch.manual_seed(0)
    model = Stgcn(StgcnConfig(output_dim=16))
    model(FeatureBatch.of([points("long"), points("mid")]))
    return model.eval()


def test_its_weights_are_those_of_the_published_files():
    expected = {name: shape for name, shape, *_ in keys("mt5_base") if not name.startswith(("mt5_model.", "pose_proj"))}
    model = Stgcn(StgcnConfig())
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == expected
    assert model.gcn_modules["left"] is model.gcn_modules["right"]


def test_a_clips_states_do_not_depend_on_its_neighbours(encoder):
    clips = [points(case) for case in ("mid", "long", "short", "unseen")]
    with torch.inference_mode():
        together = encoder(FeatureBatch.of(clips))
        assert together.sentence.shape == (4, 16)
        for row, clip in enumerate(clips):
            alone = encoder(FeatureBatch.of([clip]))
            torch.testing.assert_close(together.sequence[row, : len(clip)], alone.sequence[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(together.sentence[row], alone.sentence[0], rtol=0, atol=1e-5)


def test_statistics_are_those_of_real_frames():
    clips = [points("long"), points("mid")]
    batch = FeatureBatch.of(clips)
    padded = torch.nn.functional.pad(batch.features, (0, 0, 0, 50), value=torch.nan)
    found = []
    for features in (batch.features, padded):
        torch.manual_seed(0)
        model = Stgcn(StgcnConfig()).train()
        model(FeatureBatch(features=features, lengths=batch.lengths))
        found.append(model.fusion_gcn_modules["body"]["layer0_2"].tcn[1].running_mean)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-6)


def test_what_is_trained_is_what_is_evaluated():
    """A hand that rests and one that signs share their statistics, in training too."""
    model = Stgcn(StgcnConfig()).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # its statistics are those of the last batch
    batch = FeatureBatch.of([points("long"), points("mid")])
    with torch.inference_mode():
        trained = model(batch).sequence
        evaluated = model.eval()(batch).sequence
    assert (trained - evaluated).norm() < 0.01 * trained.norm()  # a variance is divided by n here, by n - 1 there


def test_of_a_long_clip_evenly_spaced_frames_are_read():
    long = points("long").repeat(3, 1)  # 111 frames
    model = Stgcn(StgcnConfig(max_frames=50)).eval()
    kept = evenly_spaced(len(long), 50)
    assert kept[0] == 0
    assert kept[-1] == len(long) - 1
    assert kept.diff().min() >= 2
    assert evenly_spaced(7, 100).tolist() == list(range(7))
    with torch.inference_mode():
        found = model(FeatureBatch.of([long, points("mid")]))
        torch.testing.assert_close(found.sequence[0], model(FeatureBatch.of([long[kept]])).sequence[0])
        assert found.mask.sum(1).tolist() == [50, 12]
        assert Stgcn(StgcnConfig(max_frames=0)).eval()(FeatureBatch.of([long])).mask.sum() == len(long)


def test_saved_and_loaded_it_is_the_same(encoder, tmp_path):
    save_weights(tmp_path / "encoder.safetensors", encoder.state_dict())
    loaded = build_model(Stgcn, encoder.config, read_weights(tmp_path / "encoder.safetensors"), source="file")
    batch = FeatureBatch.of([points("mid")])
    with torch.inference_mode():
        torch.testing.assert_close(loaded(batch).sentence, encoder(batch).sentence, rtol=0, atol=1e-6)
    assert loaded.gcn_modules["left"] is loaded.gcn_modules["right"]


def test_impossible_shapes_are_refused():
    said = r"max_frames -1, expected .*; feature_dim 225, expected 399 \(x, y, score.*; width 6, .*; output_dim -1"
    with pytest.raises(UserError, match=said):
        StgcnConfig(feature_dim=225, max_frames=-1, width=6, output_dim=-1)
