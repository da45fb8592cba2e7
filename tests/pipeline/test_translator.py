# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
from __future__ import annotations

import json
from dataclasses import replace

import av
import numpy as np
import pytest
import torch

import slt
from slt.assets.cards import read_card, write_card
from slt.bundle.load import load_bundle, window_geometry
from slt.core.errors import SltError, UserError
from slt.core.tensors import FeatureBatch
from slt.frontend import clip as clip_module
from slt.frontend.base import FrameInput, Settings
from slt.frontend.registry import load_frontend
from slt.models.signhiera import normalise
from slt.pipeline.result import Failure, Translation
from slt.pipeline.segment import encode
from slt.pipeline.translator import Translator
from slt.video import file as video_file
from slt.video.boxes import Box
from slt.video.crop import crop_resize
from slt.video.decode import open_video
from slt.video.windows import plan_windows
from tests.bundles import (
    EMBEDDING_DIM,
    FEATURE_DIM,
    LANGUAGES,
    PREPROCESS,
    WHAT_IT_KNOWS,
    add_domain,
    bundle,
    clip,
    noise,
    own_bundle,
    write_clip,
)


@pytest.fixture(scope="module")
def translator(bundle):
    return Translator(bundle, device="cpu")


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no video at all")
    return path


def test_a_translation_says_how_it_came_about(translator, clip):
    translation = translator.translate(clip, ["deu_Latn", "eng_Latn"], beam_size=3, nbest=2)
    assert translation.video == str(clip)
    assert translation.model == "tiny"
    assert list(translation.texts) == ["deu_Latn", "eng_Latn"]
    for hypotheses in translation.texts.values():
        assert len(hypotheses) == 2
        assert hypotheses[0].score >= hypotheses[1].score
    assert (translation.n_frames, translation.fps, translation.duration_s) == (40, 25.0, 1.6)
    assert (translation.start_s, translation.end_s) == (0.0, 1.6)
    assert (translation.signer.method, translation.signer.box) == ("whole picture", Box(0, 0, 48, 48))
    spans = [(span.start_s, span.end_s, span.padding) for span in translation.windows]
    assert spans == [(0.0, 1.28, 0), (0.64, 1.92, 4)]
    assert (translation.features.shape, translation.features.dtype) == ((8 + 6, FEATURE_DIM), torch.float32)
    assert (translation.embedding.shape, translation.embedding.dtype) == ((EMBEDDING_DIM,), torch.float32)
    assert set(translation.timings) == {"signer", "frames", "features", "encoder", "text"}
    assert all(seconds >= 0 for seconds in translation.timings.values())


def test_streaming_changes_no_number(translator, bundle, clip):
    loaded = load_bundle(bundle, device="cpu")
    frontend = load_frontend(None, Settings(model=str(bundle), device="cpu"))
    frames = [crop_resize(frame, Box(0, 0, 48, 48), PREPROCESS.size) for frame in open_video(clip).frames()]
    rows = []
    for window in plan_windows(len(frames), 25.0, window_geometry(PREPROCESS)):
        pixels = normalise(torch.from_numpy(np.stack([frames[i] for i in window.indices]))[None])
        with torch.inference_mode():
            rows += frontend.model(pixels, torch.tensor([window.padding])).clips()
    with torch.inference_mode():
        encoded = loaded.encoder(FeatureBatch.of([torch.cat(rows)]))
    translation = translator.translate(clip)
    torch.testing.assert_close(translation.features, torch.cat(rows), rtol=0, atol=1e-6)
    torch.testing.assert_close(translation.embedding, encoded.sentence[0], rtol=0, atol=1e-5)
    assert translation.texts == loaded.decoder.translate(encoded, ["eng_Latn"], max_tokens=58)[0]


def test_windows_at_once_change_no_number(translator, monkeypatch, tmp_path):
    video = write_clip(tmp_path / "long.mp4", 170)
    alone = translator.translate(video)
    monkeypatch.setattr(translator.frontend, "batch_size", 4)
    told = []
    together = translator.translate(video, progress=lambda *what: told.append(what))
    torch.testing.assert_close(together.features, alone.features, rtol=0, atol=1e-5)
    assert together.texts == alone.texts
    assert told == [("windows", 4, 10), ("windows", 8, 10), ("windows", 10, 10)]


def test_another_detector_than_the_cards(bundle, clip):
    signer = Translator(bundle, device="cpu", detector="dlib-hog").translate(clip).signer
    assert (signer.detector, signer.method, signer.n_looked) == ("dlib-hog", "centre", 3)


def test_frames_are_decoded_once(bundle, clip, monkeypatch):
    opened = []
    genuine = video_file._opened
    monkeypatch.setattr(video_file, "_opened", lambda path: opened.append(path) or genuine(path))
    Translator(bundle, device="cpu", detector="dlib-hog").translate(clip)
    assert len(opened) == 3  # for its header, for its first frame, for all frames


def test_the_same_video_gives_the_same_translation(translator, clip):
    first, second = (translator.translate(clip).as_json() for _ in range(2))
    assert {**first, "timings_s": 0} == {**second, "timings_s": 0}


def test_json_holds_all_but_the_tensors(translator, clip):
    translation = translator.translate(clip)
    told = json.loads(json.dumps(translation.as_json()))
    assert told["texts"]["eng_Latn"][0]["text"] == translation.text() == translation.text("eng_Latn")
    assert told["feature_shape"] == [14, FEATURE_DIM]
    assert told["embedding_dim"] == EMBEDDING_DIM
    assert told["signer"] == {
        "box": [0, 0, 48, 48],
        "method": "whole picture",
        "detector": "none",
        "n_looked": 0,
        "n_detected": 0,
        "max_faces": 0,
        "note": None,
    }
    assert told["windows"][1] == {"start_s": 0.64, "end_s": 1.92, "padding": 4}


def test_a_folder_of_frames_is_a_video(translator, tmp_path):
    import cv2

    for number, frame in enumerate(noise(12)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame)
    assert translator.translate(tmp_path).n_frames == 12


def test_one_frame_is_enough(translator, tmp_path):
    translation = translator.translate(write_clip(tmp_path / "one.mp4", 1))
    assert translation.n_frames == 1
    assert len(translation.features) == 1


def test_a_video_of_another_rate_is_brought_to_the_models_and_says_so(translator, tmp_path):
    translation = translator.translate(write_clip(tmp_path / "fast.mp4", 80, fps=50))
    assert (translation.fps, translation.n_frames) == (25, 40)
    assert "brought to 25" in " ".join(translation.warnings)


def test_a_text_that_ran_into_its_limit_is_doubted(translator, clip):
    translation = translator.translate(clip)
    assert translation.texts["eng_Latn"][0].truncated  # an untrained decoder never stops
    assert [said for said in translation.warnings if "reached the length limit" in said]


@pytest.mark.parametrize(("threshold", "doubted"), [(0.0, True), (1e9, False)])
def test_a_video_unlike_the_training_videos_is_doubted(own_bundle, clip, threshold, doubted):
    add_domain(own_bundle, threshold=threshold)
    warnings = Translator(own_bundle, device="cpu").translate(clip).warnings
    assert any(WHAT_IT_KNOWS in said for said in warnings) == doubted


def test_what_the_search_for_the_signer_noticed_is_passed_on(translator, clip, monkeypatch):
    found = clip_module.find_signer(open_video(clip), "none")
    noticed = replace(found, note="two faces")
    monkeypatch.setattr(clip_module, "find_signer", lambda *_: noticed)
    assert "two faces" in translator.translate(clip).warnings


def test_a_model_without_english_speaks_its_own_first_language(own_bundle, clip):
    write_card(own_bundle, replace(read_card(own_bundle), languages=("deu_Latn", "fra_Latn")))
    assert list(Translator(own_bundle, device="cpu").translate(clip).texts) == ["deu_Latn"]


def test_one_broken_video_costs_only_itself(translator, clip, broken):
    first, second, third = translator.translate_many([clip, broken, str(clip)])
    assert isinstance(first, Translation)
    assert isinstance(third, Translation)
    assert first.texts == third.texts
    assert isinstance(second, Failure)
    assert isinstance(second.error, UserError)
    assert second.as_json() == {"video": str(broken), "error": second.error.message, "fix": second.error.fix}


def test_a_bug_that_one_video_meets_costs_only_that_video(translator, clip, broken, monkeypatch):
    genuine = clip_module.find_signer

    def find_signer(video, detector):
        if video.info.path.name == "odd.mp4":
            raise ZeroDivisionError("by a face of no width")
        return genuine(video, detector)

    monkeypatch.setattr(clip_module, "find_signer", find_signer)
    odd = write_clip(broken.with_name("odd.mp4"), 3)
    first, second = translator.translate_many([odd, clip])
    assert type(first.error) is SltError
    assert first.error.message == "unexpected ZeroDivisionError: by a face of no width"
    assert isinstance(second, Translation)


def test_what_concerns_every_video_is_raised_before_the_first(translator, clip):
    with pytest.raises(UserError, match="eng_Latin"):
        next(translator.translate_many([clip], ["eng_Latin"]))
    with pytest.raises(UserError, match="unknown model 'nothing'"):
        next(Translator("nothing").translate_many([clip]))


def test_a_language_the_model_does_not_write_is_refused(translator, clip):
    with pytest.raises(UserError, match="does not support fra_Latn"):
        translator.translate(clip, ["fra_Latn"])


def test_stages_can_be_used_alone(bundle):
    loaded = load_bundle(bundle, device="cpu")
    frontend = load_frontend(None, Settings(model=str(bundle), device="cpu"))
    plan = plan_windows(40, 25.0, window_geometry(PREPROCESS))
    inputs = [FrameInput(content=noise(16, size=32), units=1, window=window) for window in plan]
    with torch.inference_mode():
        features = torch.cat([rows for (rows,) in frontend.features(inputs)])
    assert features.shape == (14, FEATURE_DIM)
    encoded = encode(loaded.encoder, features)
    assert encoded.sentence.shape == (1, EMBEDDING_DIM)
    assert encoded.mask.shape == (1, 14)


def test_half_precision_is_near_full(bundle, translator, clip):
    half = Translator(bundle, device="cpu", dtype="bfloat16").translate(clip)
    full = translator.translate(clip)
    assert half.features.dtype == torch.float32
    torch.testing.assert_close(half.features, full.features, rtol=0.1, atol=0.1)


def test_no_library_makes_ffmpeg_log_through_python(translator, clip):
    """It would deadlock: a decoder's thread waits for the interpreter, which waits for the thread."""
    av.logging.set_level(av.logging.ERROR)  # as torchvision does when it is imported
    translator.translate(clip)
    assert av.logging.get_level() is None


def test_the_front_door_opens_to_those_who_ask():
    assert slt.Translator is Translator
    assert slt.Translation is Translation
    assert slt.Failure is Failure
    assert set(slt.__all__) == {"Failure", "SentenceLimits", "Translation", "Translator"}
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        slt.nonsense  # noqa: B018 - asking is the test


def test_languages_of_the_fixture_are_those_of_the_model(translator):
    assert translator.load().decoder.languages == LANGUAGES
