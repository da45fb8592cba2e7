from __future__ import annotations

import pytest

from slt.video.boxes import Box, centre_box, grow, iou, mean_box


def test_faces_grow_as_published(crops):
    defaults = crops["expand_defaults"]
    for case in crops["expand"].values():
        by = {side: case.get(side, defaults[side]) for side in ("up", "down", "left", "right")}
        assert list(grow(Box(*case["box"]), **by)) == case["expanded"]
    assert grow(Box(90, 40, 130, 80)) == grow(Box(90, 40, 130, 80), **defaults)


def test_means_are_exact(crops):
    for case in crops["mean"]:
        boxes = [Box(*found[0]) for found in case["boxes"] if found]
        assert list(mean_box(boxes)) == case["mean"]


def test_overlaps_are_exact(crops):
    for case in crops["iou"]:
        assert iou(Box(*case["a"]), Box(*case["b"])) == case["iou"]
        assert iou(Box(*case["b"]), Box(*case["a"])) == case["iou"]


def test_the_middle_of_a_picture(crops):
    for case in crops["center_crop"]:
        if case["height"] > 1:
            assert list(centre_box(case["height"], case["width"])) == case["bbox"]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 100), (100, 2)])
def test_a_picture_too_small_for_a_middle_is_taken_whole(height, width):
    # The published pipeline's middle of one pixel is an empty box, on which it fails.
    assert centre_box(height, width) == Box(0, 0, width, height)
