from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from slt.bundle.load import DTYPES
from slt.core import files
from slt_cli.translate import Dtype
from tests.bundles import WHAT_IT_KNOWS, add_domain, let_write, noise, write_clip

FIELDS = {
    "video",
    "model",
    "texts",
    "n_frames",
    "fps",
    "start_s",
    "end_s",
    "duration_s",
    "signer",
    "windows",
    "feature_shape",
    "embedding_dim",
    "timings_s",
    "warnings",
}


@pytest.fixture
def translate(slt, bundle):
    """Run ``slt translate`` with the tiny model."""
    return lambda *words: slt("translate", "--model", bundle, "--device", "cpu", *words)


@pytest.fixture
def missing(tmp_path):
    return tmp_path / "missing.mp4"


@pytest.fixture
def empty(tmp_path):
    path = tmp_path / "empty.mp4"
    path.touch()
    return path


def test_one_video_and_one_language_give_the_text_alone(translate, clip):
    outcome = translate(clip)
    assert outcome.code == 0
    assert outcome.out.count("\n") == 1
    assert "\t" not in outcome.out
    last = outcome.err.splitlines()[-1]
    assert last.startswith("1 video of 1.6 s in ")
    assert [part.split()[0] for part in last.partition(": ")[2].split(", ")] == [
        "load",
        "signer",
        "frames",
        "features",
        "encoder",
        "text",
    ]


def test_the_text_engine_can_be_chosen(slt, translate, clip):
    texts = [translate(clip, "--text-engine", name) for name in ("fairseq2", "transformers")]
    assert [one.code for one in texts] == [0, 0]
    assert texts[0].out == texts[1].out
    wrong = translate(clip, "--text-engine", "onnx")
    assert wrong.code == 2
    assert "onnx" in wrong.err


def test_several_texts_of_one_video_are_lines(translate, clip):
    assert translate(clip, "--nbest", 3).out.count("\n") == 3


def test_several_languages_or_videos_are_named(translate, clip, tmp_path):
    other = shutil.copy(clip, tmp_path / "other.mp4")
    rows = [line.split("\t") for line in translate(clip, "--lang", "deu_Latn", "--lang", "eng_Latn").out.splitlines()]
    assert [row[:2] for row in rows] == [[str(clip), "deu_Latn"], [str(clip), "eng_Latn"]]
    rows = [line.split("\t") for line in translate(clip, other).out.splitlines()]
    assert [row[:2] for row in rows] == [[str(clip), "eng_Latn"], [str(other), "eng_Latn"]]
    assert rows[0][2] == rows[1][2]


def test_json_is_one_object_a_line_and_nothing_else(translate, clip, missing):
    outcome = translate("--json", clip, missing, "--lang", "deu_Latn", "--nbest", 2)
    good, bad = map(json.loads, outcome.out.splitlines())
    assert set(good) == FIELDS
    assert good["video"] == str(clip)
    assert [set(one) for one in good["texts"]["deu_Latn"]] == [{"text", "score"}] * 2
    assert set(bad) == {"video", "error", "fix"}
    assert bad["video"] == str(missing)
    assert outcome.code == 3


def test_features_and_embeddings_are_saved(translate, clip, tmp_path):
    features, embeddings = tmp_path / "new" / "features", tmp_path / "embeddings"
    outcome = translate("--json", clip, "--save-features", features, "--save-embeddings", embeddings)
    saved = np.load(features / "clip.npy")
    assert saved.dtype == np.float32
    assert list(saved.shape) == json.loads(outcome.out)["feature_shape"]
    assert np.load(embeddings / "clip.npy").shape == (json.loads(outcome.out)["embedding_dim"],)
    assert os.listdir(features) == ["clip.npy"]


def test_an_embedding_that_nothing_taught_is_not_saved(slt, own_bundle, clip, tmp_path):
    let_write(own_bundle, "t5")
    words = "translate", clip, "--model", own_bundle, "--save-features", tmp_path / "features"
    refused = slt(*words, "--save-embeddings", tmp_path / "embeddings")
    assert (refused.code, refused.out) == (2, "")
    assert "has no embeddings of videos: its t5 reads the sign encoder's states" in refused.err
    assert not (tmp_path / "embeddings").exists()
    assert not (tmp_path / "features").exists()
    assert slt(*words).code == 0
    assert os.listdir(tmp_path / "features") == ["clip.npy"]


def test_a_folder_of_frames_is_saved_under_its_whole_name(translate, tmp_path):
    import cv2

    folder = tmp_path / "11.August"
    folder.mkdir()
    for number, frame in enumerate(noise(3)):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    assert translate(folder, "--save-embeddings", tmp_path / "out").code == 0
    assert os.listdir(tmp_path / "out") == ["11.August.npy"]


def test_names_that_begin_with_a_dash(translate, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "-fZc293MpJk.mp4")
    outcome = translate("--", "-fZc293MpJk.mp4", "-fZc293MpJk.mp4")
    assert outcome.code == 0
    assert outcome.out.startswith("-fZc293MpJk.mp4\teng_Latn\t")


def test_what_the_model_does_not_know_is_said(slt, own_bundle, clip, tmp_path):
    add_domain(own_bundle, threshold=0.0)
    other = shutil.copy(clip, tmp_path / "other.mp4")
    outcome = slt("translate", "--model", own_bundle, clip, other, other)
    assert outcome.code == 0
    assert outcome.err.count(WHAT_IT_KNOWS) == 2
    assert f"warning: {clip}: this video differs from the training data of" in outcome.err
    assert "warning: 2 more of these videos: this video differs from the training data of" in outcome.err


def not_a_video(path: Path) -> None:
    path.write_text("only words\n" * 100)


def truncated(path: Path) -> None:
    """An mp4 has its table of contents at the end."""
    write_clip(path)
    os.truncate(path, path.stat().st_size // 2)


def without_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height = stream.width = 48
        stream.pix_fmt = "yuv420p"
        container.start_encoding()


def without_pictures(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "does not exist"),
        (Path.touch, "is empty"),
        (not_a_video, "is not a video"),
        (truncated, "is not a video"),
        (without_frames, "holds no video"),
        (without_pictures, "holds no images"),
    ],
    ids=["missing", "empty", "not a video", "truncated", "zero frames", "empty folder"],
)
def test_videos_that_cannot_be_translated(translate, tmp_path, make, said):
    import re

    path = tmp_path / "video.mp4"
    make(path)
    outcome = translate(path)
    assert outcome.code == 2
    assert outcome.out == ""
    assert re.match(f"error: .*{path}.*({said})", outcome.err)
    assert "  fix: " in outcome.err
    assert outcome.err.count("\n") == 2


def test_a_video_that_ends_too_early_is_translated_as_far_as_it_goes(translate, tmp_path):
    path = write_clip(tmp_path / "video.mkv", 80)
    os.truncate(path, path.stat().st_size * 2 // 3)
    outcome = translate(path, "--json")
    assert outcome.code == 0
    assert 10 < json.loads(outcome.out)["n_frames"] < 80
    assert f"warning: {path}: " in outcome.err


def test_a_video_of_one_frame_is_a_video(translate, tmp_path):
    outcome = translate(write_clip(tmp_path / "video.mp4", 1), "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["n_frames"] == 1


def test_a_broken_video_costs_only_itself(translate, clip, missing, empty):
    outcome = translate(missing, clip, empty, clip)
    assert outcome.code == 3
    assert [line.split("\t")[0] for line in outcome.out.splitlines()] == [str(clip)] * 2
    told = outcome.err.splitlines()
    assert told[-4] == "error: 2 of 4 videos failed:"
    assert told[-3].startswith(f"  {missing} does not exist")
    assert told[-2].startswith(f"  {empty} is empty")


def test_videos_that_are_all_broken_are_the_users_to_mend(translate, missing, empty):
    outcome = translate(missing, empty, empty)
    assert outcome.code == 2
    assert "3 of 3 videos failed" in outcome.err


def test_a_failure_of_the_machine_is_not_the_users(translate, clip, monkeypatch):
    def find_signer(*_):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr("slt.frontend.clip.find_signer", find_signer)
    outcome = translate(clip)
    assert outcome.code == 1
    assert outcome.err.startswith(
        f"error: {clip}: out of memory: Unable to allocate 9 GiB\n  fix: close other programs"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lang", "german"], "unknown language 'german'.*\n  fix: .*deu_Latn"),
        (["--lang", "fra_Latn"], "does not support fra_Latn"),
        (["--model", "dmo"], "unknown model 'dmo'.*\n  fix: did you mean demo"),
        (["--model", "/nowhere"], "unknown model '/nowhere'"),
        (["--nbest", "6"], "--nbest 6 is more than --beam 5\n  fix: --beam 6"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--text-dtype", "int4"], "(?s)--text-dtype.*int8"),
        (["--dtype", "int8"], "(?s)--dtype.*float32"),
        (["--beam", "0"], "--beam"),
    ],
)
def test_mistakes_that_concern_every_video(translate, clip, words, said):
    import re

    outcome = translate(clip, *words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert re.search(said, outcome.err)


@pytest.mark.parametrize("option", ["--save-features", "--save-embeddings"])
def test_an_output_that_cannot_be_written_is_known_before_any_work(translate, clip, tmp_path, option):
    (tmp_path / "file").touch()
    outcome = translate(clip, option, tmp_path / "file" / "folder")
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith(f"error: cannot write {tmp_path / 'file'}")


def test_outputs_that_would_be_one_file_are_refused(translate, clip, tmp_path):
    other = shutil.copy(clip, tmp_path / "clip.mp4")
    outcome = translate(clip, other, "--save-features", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.out == ""
    assert f"{clip} and {other} would both be saved as clip.npy" in outcome.err
    assert translate(clip, other).code == 0


def test_a_disk_that_is_full_is_known_before_any_work(translate, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", full)
    outcome = translate(clip, "--save-features", tmp_path / "out")
    assert outcome.code == 1
    assert outcome.out == ""
    assert "No space left on device\n  fix: free some space" in outcome.err


def test_a_disk_that_fills_up_ends_the_work_and_loses_no_word(translate, clip, missing, tmp_path, monkeypatch):
    monkeypatch.setattr(np, "save", full)
    outcome = translate(missing, clip, clip.with_name("next.mp4"), "--save-features", tmp_path / "out")
    assert outcome.code == 1
    assert outcome.out.startswith(f"{clip}\teng_Latn\t")
    assert outcome.out.count("\n") == 1
    assert f"{missing} does not exist" in outcome.err
    assert outcome.err.splitlines()[-2].endswith("clip.npy: No space left on device")
    assert os.listdir(tmp_path / "out") == []


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_interrupted_run_says_how_far_it_came(translate, clip, monkeypatch):
    from slt.pipeline.translator import Translator

    genuine = Translator.translate_many

    def interrupted(self, *words, **settings):
        yield next(genuine(self, *words, **settings))
        raise KeyboardInterrupt

    monkeypatch.setattr(Translator, "translate_many", interrupted)
    outcome = translate(clip, clip)
    assert outcome.code == 130
    assert outcome.out.count("\n") == 1
    assert "1 video of 1.6 s in " in outcome.err
    assert outcome.err.endswith("interrupted\n")


def test_the_choices_are_those_of_the_library():
    assert {dtype.value for dtype in Dtype} == set(DTYPES)


def test_mistakes_are_found_without_loading_torch(tmp_path, bundle):
    code = """
import sys
from slt_cli.main import main
code = main(["translate", *sys.argv[1:]])
print("torch" in sys.modules)
sys.exit(code)
"""
    missing = tmp_path / "missing.mp4"
    for words in (
        [missing, "--model", "none"],
        [missing, "--model", bundle],
        [missing, "--model", bundle, "--lang", "x"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, "False\n")
