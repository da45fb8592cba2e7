"""The shipped bundle, on clips drawn for the test: it reads the video, not the statistics of the text."""

import dataclasses
import random

import numpy as np
import pytest

from slt.data.synthetic.corpus import draw_clip, plan_corpus, write_corpus, write_video
from slt.data.synthetic.labels import read_clips
from slt.data.synthetic.motion import _REST
from slt.data.synthetic.signer import draw_frames, draw_signer
from slt.demo.score import score_bundle
from slt.pipeline.translator import Translator

SEED = 1234  # not the seed that the bundle was trained with
N_CLIPS = 10


@pytest.fixture(scope="module")
def clips():
    return list(plan_corpus({"test": N_CLIPS}, SEED))


@pytest.fixture(scope="module")
def pictures(clips):
    return [draw_clip(clip)[0] for clip in clips]


@pytest.fixture(scope="module")
def right(tmp_path_factory, clips):
    """Return a function that counts the clips whose English is right when their pictures are these."""
    translator = Translator("demo")
    folder = tmp_path_factory.mktemp("videos")

    def count(pictures):
        found = 0
        for number, (clip, frames) in enumerate(zip(clips, pictures, strict=True)):
            write_video(folder / f"{number}.mp4", np.ascontiguousarray(frames))
            found += translator.translate(folder / f"{number}.mp4").text() == clip.text("eng_Latn")
        return found

    return count


@pytest.mark.slow
def test_it_reads_unseen_sentences_of_unseen_signers(right, pictures):
    assert right(pictures) >= 0.7 * N_CLIPS


@pytest.mark.slow
def test_shuffled_frames_make_no_sense(right, pictures):
    rng = random.Random(0)
    assert right([frames[rng.sample(range(len(frames)), len(frames))] for frames in pictures]) <= 1


@pytest.mark.slow
def test_hands_that_rest_say_nothing(right, clips):
    still = []
    for clip in clips:
        _, performance, signer = draw_clip(clip)
        rest = np.repeat(np.array(_REST)[None], len(performance.yaw), 0)
        signer = draw_signer(signer.name, np.random.default_rng(0))
        resting = dataclasses.replace(performance, dominant=rest, other=rest)
        still.append(draw_frames(signer, resting, np.random.default_rng(0)))
    assert right(still) == 0


@pytest.mark.slow
def test_it_knows_drawn_signing_from_anything_else(tmp_path, pictures):
    translator = Translator("demo")
    noise = np.random.default_rng(0).integers(0, 256, (50, 224, 224, 3), np.uint8)
    for name, frames in (("drawn", pictures[0]), ("drawn too", pictures[1]), ("noise", noise)):
        write_video(tmp_path / f"{name}.mp4", frames)
        warnings = translator.translate(tmp_path / f"{name}.mp4").warnings
        assert any("differs from the training data of the model demo" in warning for warning in warnings) == (
            name == "noise"
        )


@pytest.mark.slow
def test_another_clips_video_gives_another_text(right, pictures):
    assert right([*pictures[1:], pictures[0]]) == 0


@pytest.mark.slow
def test_the_shipped_bundle_keeps_its_promise(tmp_path):
    manifest = write_corpus(tmp_path, {"test": 120}, SEED)["test"]
    scores = score_bundle("demo", read_clips(manifest))
    english, german = scores["eng_Latn"], scores["deu_Latn"]
    assert english.n_clips == 120
    assert english.bleu >= 90
    assert english.exact >= 0.85
    assert german.bleu >= english.bleu - 5
