import random

import numpy as np
import torch

from slt.data.synthetic.grammar import CUES
from slt.data.synthetic.lexicon import SIGNS
from slt.demo.extractor import _batch, _cropped, _Judge, features_of, train_extractor
from slt.demo.pixels import LabelledWindow
from slt.demo.plan import EXTRACTOR, DemoPlan


def window(clip=0, n_frames=20, seed=0):
    rng = np.random.default_rng(seed)
    n_rows = -(-n_frames // 2)
    return LabelledWindow(
        clip=clip,
        pixels=rng.integers(0, 256, (n_frames, 96, 96, 3), np.uint8),
        signs=rng.integers(0, len(SIGNS) + 1, n_rows),
        cues=rng.integers(0, 2, (n_rows, len(CUES))).astype(np.float32),
    )


def test_every_window_comes_once_an_epoch_in_batches_of_like_length():
    windows = [window(clip=i, n_frames=random.Random(i).randint(4, 60)) for i in range(40)]
    epoch = [_batch(windows, 4, 0, step) for step in range(10)]
    assert sorted(each.clip for batch in epoch for each in batch) == list(range(40))
    assert max(max(each.n_rows for each in batch) - min(each.n_rows for each in batch) for batch in epoch) <= 8
    assert [each.clip for each in _batch(windows, 4, 0, 3)] == [each.clip for each in epoch[3]]
    assert [[each.clip for each in _batch(windows, 4, 0, step)] for step in range(10, 20)] != [
        [each.clip for each in batch] for batch in epoch
    ]


def test_a_crop_keeps_pixels_and_labels_together():
    whole = window(n_frames=20)
    pixels, signs, _ = _cropped(whole, 6, random.Random(3))
    assert pixels.shape == (12, 96, 96, 3)
    first = next(i for i in range(5) if np.array_equal(whole.signs[i : i + 6], signs))
    moved = whole.pixels[2 * first : 2 * first + 12]
    np.testing.assert_array_equal(np.sort(pixels, axis=None), np.sort(moved, axis=None))


def test_the_judge_knows_the_parts_of_every_sign():
    judge = _Judge(EXTRACTOR.feature_dim)
    features = torch.randn(2, 5, EXTRACTOR.feature_dim, requires_grad=True)
    signs = torch.tensor([[0, 1, 2, 3, 4], [5, 6, 0, 0, len(SIGNS)]])
    loss, figures = judge(features, signs, torch.zeros(2, 5, len(CUES)))
    loss.backward()
    assert features.grad.abs().sum() > 0
    assert 0 <= figures["signs right"] <= 1
    assert judge.parts.shape == (len(SIGNS) + 1, 5)
    assert len({tuple(row) for row in judge.parts[1:, 1:].tolist()}) == len(SIGNS)


def test_a_few_steps_bring_the_loss_down_and_features_are_joined_by_clip(tmp_path):
    windows = [window(clip=0, n_frames=8), window(clip=0, n_frames=6, seed=1), window(clip=1, n_frames=5, seed=2)]
    cue_losses = []
    model = train_extractor(
        DemoPlan(extractor_steps=12, extractor_batch=1),
        windows,
        checkpoint=tmp_path / "c.pt",
        on_step=lambda done, figures: cue_losses.append(figures["cue loss"]),
    )
    assert sum(cue_losses[-4:]) < sum(cue_losses[:4])
    features = features_of(model, windows)
    assert [len(clip) for clip in features] == [4 + 3, 3]
    alone = features_of(model, windows[2:])
    torch.testing.assert_close(features[1], alone[0], atol=1e-5, rtol=1e-4)
