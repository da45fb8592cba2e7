import numpy as np
import pytest
import torch

from slt.data.synthetic.corpus import write_corpus
from slt.data.synthetic.labels import NO_SIGN, SIGN_IDS, read_clips
from slt.demo.pixels import read_windows, to_batch
from slt.demo.plan import EXTRACTOR, PREPROCESS
from slt.models.signhiera import normalise


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return read_clips(write_corpus(folder, {"train": 3}, 5)["train"])


@pytest.mark.slow
def test_every_clip_is_cut_and_every_sign_is_labelled(clips, tmp_path):
    windows = read_windows(clips, PREPROCESS, tmp_path / "cut")
    assert sorted({window.clip for window in windows}) == [0, 1, 2]
    for number, clip in enumerate(clips):
        own = [window for window in windows if window.clip == number]
        for window in own:
            assert window.pixels.shape[1:] == (PREPROCESS.size, PREPROCESS.size, 3)
            assert len(window.signs) == len(window.cues) == -(-len(window.pixels) // 2)
        shown = [sign for window in own for sign in window.signs.tolist() if sign != NO_SIGN]
        assert set(shown) == {SIGN_IDS[label.name] for label in clip.glosses}


@pytest.mark.slow
def test_a_second_call_reads_what_the_first_one_cut(clips, tmp_path):
    first = read_windows(clips, PREPROCESS, tmp_path / "cut")
    calls = []
    again = read_windows(clips, PREPROCESS, tmp_path / "cut", progress=lambda *done: calls.append(done))
    assert not calls
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


@pytest.mark.slow
def test_the_frames_are_those_that_translating_cuts(clips, tmp_path):
    from slt.video.crop import find_signer
    from slt.video.decode import open_video
    from slt.video.stream import WindowStream, cropped_frames
    from slt.video.windows import WindowGeometry

    window = read_windows(clips[:1], PREPROCESS, tmp_path / "cut")[0]
    video = open_video(clips[0].video)
    geometry = WindowGeometry(num_frames=64, sampling_rate=2, target_fps=25, stride_frames=64)
    frames = cropped_frames(video, find_signer(video, "none"), PREPROCESS.size)
    _, pixels = next(iter(WindowStream(frames, fps=25.0, geometry=geometry)))
    np.testing.assert_array_equal(window.pixels, pixels[: len(window.pixels)])


def test_a_batch_is_padded_with_what_the_extractor_leaves_out():
    short = np.full((10, 96, 96, 3), 200, np.uint8)
    pixels, padding = to_batch([short, np.zeros((64, 96, 96, 3), np.uint8)], EXTRACTOR)
    assert padding.tolist() == [54, 0]
    assert pixels.shape == (2, 3, 64, 96, 96)
    assert torch.equal(pixels[0, :, :10], normalise(torch.from_numpy(short)[None])[0])
    assert not pixels[0, :, 10:].any()
