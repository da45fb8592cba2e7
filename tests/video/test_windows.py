from __future__ import annotations

import numpy as np
import pytest
import torch

from slt.core.errors import UserError
from slt.video.windows import WindowGeometry, feature_rows, plan_windows


def geometry_of(case: dict) -> WindowGeometry:
    names = {"feature_extraction_stride": "stride_frames"}
    return WindowGeometry(**{names.get(name, name): value for name, value in case.get("overrides", {}).items()})


def test_the_defaults_are_the_published_ones(sampling):
    published = sampling["defaults"]
    geometry = WindowGeometry()
    assert geometry.num_frames == published["num_frames"]
    assert geometry.sampling_rate == published["sampling_rate"]
    assert geometry.target_fps == published["target_fps"]
    assert geometry.stride_frames == published["feature_extraction_stride"]


@pytest.mark.parametrize("kind", ["cases", "overrides"])
def test_every_window_is_the_published_pipelines(sampling, kind):
    for case in sampling[kind]:
        geometry = geometry_of(case)
        windows = plan_windows(case["num_video_frames"], case["fps"], geometry)
        where = (case["num_video_frames"], case["fps"])
        assert [[window.start, window.end] for window in windows] == case["window_start_end"], where
        assert [window.padding for window in windows] == case["padding"], where
        assert [window.indices.tolist() for window in windows] == case["indices"], where
        assert feature_rows(windows, geometry) == case["total_feature_rows"], where
        rows_each = [feature_rows([window], geometry) for window in windows]
        assert rows_each == case["feature_rows_after_unpadding"], where


@pytest.mark.parametrize("fps", [20, 22.5, 24000 / 1001, 27.3, 28, 30])
def test_sampling_rounds_as_torch_does_far_into_a_long_video(fps):
    n_frames = 20_000
    for window in plan_windows(n_frames, fps):
        spread = torch.linspace(window.start + 0.5, window.end + 0.5, 128)
        assert (window.indices == spread.clamp(0, n_frames - 1).long().numpy()).all()


def test_the_demos_geometry_follows_the_same_rules():
    geometry = WindowGeometry(num_frames=64, stride_frames=32)
    windows = plan_windows(150, 25, geometry)
    assert [(window.start, window.end) for window in windows] == [(0, 127), (64, 191)]
    assert [window.padding for window in windows] == [0, 64 - len(np.unique(windows[1].indices))]
    assert windows[0].indices.dtype == np.int64
    assert windows[1].indices.max() == 149


def test_a_window_of_one_frame_is_its_first():
    (window,) = plan_windows(2, 25, WindowGeometry(num_frames=1))
    assert window.indices.tolist() == [0]
    assert window.padding == 0


def test_a_slow_video_is_never_credited_with_more_frames_than_a_window_holds():
    # 11 distinct frames, each standing for 12.07 of a window of 128: rounding makes that 132.
    assert all(0 <= window.padding < 128 for fps in np.arange(0.3, 12.5, 0.01) for window in plan_windows(400, fps))


@pytest.mark.parametrize("frames_per_row", [1, 2, 4])
def test_rows_depend_on_the_extractors_stride(frames_per_row):
    windows = plan_windows(181, 24)
    assert feature_rows(windows, frames_per_row=frames_per_row) == 128 // frames_per_row - 33 // frames_per_row


def test_no_frames():
    with pytest.raises(UserError, match="0 frames, expected at least 1"):
        plan_windows(0, 25)


@pytest.mark.parametrize("fps", [0, -25, float("nan"), float("inf")])
def test_no_rate(fps):
    with pytest.raises(UserError, match="frames per second, expected a positive number"):
        plan_windows(10, fps)


@pytest.mark.parametrize("name", ["num_frames", "sampling_rate", "target_fps", "stride_frames"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_geometry_is_positive(name, value):
    with pytest.raises(UserError, match=f"{name} is {value}, expected a positive number"):
        WindowGeometry(**{name: value})
