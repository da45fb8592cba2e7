import dataclasses

import numpy as np
import pytest
import torch

from slt.core.tensors import FeatureBatch
from slt.data.synthetic.face import wholebody_points
from slt.data.synthetic.grammar import Meaning, sign
from slt.data.synthetic.joints import joints
from slt.data.synthetic.motion import perform
from slt.data.synthetic.signer import draw_frames, draw_signer
from slt.models.config import StgcnConfig
from slt.models.stgcn import Stgcn
from slt.models.wholebody import PARTS, split
from slt.video.skeletons import COCO_WHOLEBODY_133, FACE_68, MEDIAPIPE_75, convert

FACE = slice(23, 91)
RIGHT_BROW, LEFT_BROW = slice(40, 45), slice(45, 50)
RIGHT_EYE, LEFT_EYE = slice(59, 65), slice(65, 71)
JAW, BRIDGE, NOSTRILS = slice(23, 40), slice(50, 54), slice(54, 59)
QUALITY = {"subject": "BIRD", "adjective": "RED"}


def performed(*, left_handed=False, seed=7, **meaning):
    signer = dataclasses.replace(draw_signer("x", np.random.default_rng(seed)), left_handed=left_handed)
    return perform(sign(Meaning(**{**QUALITY, **meaning})), signer.manner, np.random.default_rng(seed)), signer


def points(**how):
    return wholebody_points(*performed(**how))


def brow_height(found):
    """Brows over the eyes, in widths between the eyes' outer corners; the median of the clip's middle."""
    middle = found[len(found) // 3 : -len(found) // 3]
    above = middle[:, LEFT_EYE, 1].mean(1) - middle[:, LEFT_BROW, 1].mean(1)
    return float(np.median(above / np.abs(middle[:, 59, 0] - middle[:, 68, 0])))


@pytest.mark.parametrize("left_handed", [False, True])
def test_body_and_hands_are_those_without_a_face(left_handed):
    performance, signer = performed(left_handed=left_handed)
    found = wholebody_points(performance, signer)
    assert (found.shape, found.dtype) == ((len(performance.yaw), 133, 3), np.float32)
    as_before = convert(joints(performance, signer), MEDIAPIPE_75, COCO_WHOLEBODY_133)
    without = np.ones(133, bool)
    without[FACE] = [name in MEDIAPIPE_75.joints for name in FACE_68]
    np.testing.assert_array_equal(found[:, without], as_before[:, without])


@pytest.mark.parametrize("left_handed", [False, True])
def test_brows_jaw_and_lips_lie_on_the_drawn_face(left_handed):
    performance, signer = performed(left_handed=left_handed, asks="yes-no")
    frames = draw_frames(signer, performance, np.random.default_rng(0))
    found = wholebody_points(performance, signer)
    brows = tuple(int(0.55 * channel) for channel in signer.hair)
    # Where nobody lifts a hand, nothing covers the face.
    for frame in (0, len(frames) - 1):
        columns, rows = np.floor(found[frame, :, :2] * 224).astype(float).T
        for point in [*range(RIGHT_BROW.start, LEFT_BROW.stop)]:
            assert np.abs(frames[frame, int(rows[point]), int(columns[point])].astype(int) - brows).max() <= 40
        red, green, _ = frames[frame, int(rows[87]), int(columns[87])].astype(int)  # the middle of the mouth
        assert red > 2 * green
        middle = found[frame, JAW.start + 8, :2] * 224
        assert np.abs(frames[frame, int(middle[1]) - 2, int(middle[0])].astype(int) - signer.skin).max() <= 8


def test_rows_run_from_the_signers_right_to_the_left():
    for left_handed in (False, True):
        found = points(left_handed=left_handed)
        for row in (JAW, slice(RIGHT_BROW.start, LEFT_BROW.stop), slice(71, 78), slice(83, 88)):
            assert (np.diff(found[:, row, 0], axis=1) > 0).all()
        assert (found[:, RIGHT_EYE, 0].max(1) < found[:, LEFT_EYE, 0].min(1)).all()
        assert (found[:, 60, 1] < found[:, 64, 1]).all()  # upper lid, lower lid
        assert (np.diff(found[:, BRIDGE, 1], axis=1) > 0).all()


def test_what_is_not_drawn_is_not_there():
    found = points()
    assert np.isnan(found[:, NOSTRILS]).all()
    assert np.isnan(found[:, 11:23]).all()
    seen = found[:, [point for point in range(23, 91) if point not in range(54, 59)]]
    assert ((seen[..., :2] >= 0) & (seen[..., :2] < 1)).all()
    np.testing.assert_array_equal(seen[..., 2], 1)


def test_brows_tell_questions_from_statements():
    heights = {asks: [brow_height(points(asks=asks, seed=seed)) for seed in range(8)] for asks in (None, "yes-no")}
    where = [brow_height(points(subject="BIRD", adjective=None, asks="WHERE", seed=seed)) for seed in range(8)]
    assert max(heights[None]) < min(heights["yes-no"])
    assert max(where) < min(heights[None])


def parts_of(**how):
    found = torch.from_numpy(points(**how)).flatten(1)[None]
    return split(found, torch.ones(found.shape[:2], dtype=torch.bool))


def test_uni_sign_is_shown_every_cue_of_the_head():
    """It reads no brows: a raised head asks yes or no, a lowered one who or what; turning it is a headshake."""
    nose, shoulder = 0, PARTS["body"].index(5)
    raised = {}
    for asks in (None, "yes-no", "WHERE"):
        meaning = {"adjective": None} if asks == "WHERE" else {}
        body = [parts_of(asks=asks, seed=seed, **meaning)["body"][0] for seed in range(8)]
        raised[asks] = [float((one[:, shoulder, 1] - one[:, nose, 1]).quantile(0.5)) for one in body]
    assert max(raised["WHERE"]) < min(raised[None]) < max(raised[None]) < min(raised["yes-no"])
    turned = {}
    for negated in (False, True):
        chin = [parts_of(negated=negated, seed=seed)["face_all"][0, :, 4, 0] for seed in range(8)]
        turned[negated] = [float(one.std()) for one in chin]  # of the chin's middle, seen from the nose
    assert max(turned[False]) < 0.1 * min(turned[True])


def test_the_face_reaches_uni_signs_encoder():
    clips = [torch.from_numpy(points(negated=negated)).flatten(1) for negated in (False, True)]
    batch = FeatureBatch.of(clips)
    torch.manual_seed(0)
    encoder = Stgcn(StgcnConfig(width=8)).eval()
    with torch.inference_mode():
        states = encoder(batch).sequence
        batch.features.view(2, -1, 133, 3)[:, :, FACE] = torch.nan
        blind = encoder(batch).sequence
    assert states.isfinite().all()
    face = slice(24, 32)  # body, hands and face side by side
    assert (states[..., face] - blind[..., face]).abs().max() > 1e-3
    torch.testing.assert_close(states[..., :24], blind[..., :24])
