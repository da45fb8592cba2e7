import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from slt.core.errors import UserError
from slt.data.manifest import read_manifest
from slt.data.synthetic import corpus
from slt.data.synthetic.corpus import plan_corpus, share_out, write_corpus
from slt.data.synthetic.face import wholebody_points
from slt.data.synthetic.grammar import SPLITS
from slt.data.synthetic.labels import read_clips
from slt.video.decode import open_video
from slt.video.keypoint_files import read_keypoint_file
from slt.video.keypoints import read_pose
from slt.video.skeletons import COCO_WHOLEBODY_133

SIZES = {"train": 6, "val": 1, "test": 2}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, SIZES, 3)
    return folder


@pytest.mark.slow
def test_a_corpus_is_videos_with_a_manifest_per_split(undisturbed):
    for split, n_clips in SIZES.items():
        clips = read_clips(undisturbed / f"{split}.tsv")
        assert len(clips) == n_clips
        for clip in clips:
            with av.open(str(clip.video)) as container:
                stream = container.streams.video[0]
                assert stream.codec_context.name == "h264"
                assert (stream.height, stream.width, stream.average_rate) == (224, 224, 25)
                n_frames = sum(1 for _ in container.decode(stream))
            assert clip.glosses[-1].end_s < n_frames / 25
            assert clip.signer.startswith(split)


@pytest.mark.slow
def test_the_same_seed_writes_the_same_bytes(undisturbed, tmp_path):
    seen = []
    write_corpus(tmp_path, SIZES, 3, progress=lambda done, total: seen.append((done, total)))
    assert contents(tmp_path) == contents(undisturbed)
    assert seen == [(done, 9) for done in range(1, 10)]


@pytest.mark.slow
def test_joints_lie_beside_the_videos_and_the_manifest_names_them(undisturbed, tmp_path):
    sizes = {"train": 3}
    write_corpus(tmp_path, sizes, 3)
    before = contents(tmp_path)
    manifest = write_corpus(tmp_path, sizes, 3, with_joints=True)["train"]
    after = contents(tmp_path)
    for clip in (read := read_manifest(manifest)).clips:
        path = read.pose_path(clip)
        assert path == read.video_path(clip).with_suffix(".pose")
        pose = read_pose(path)
        assert (pose.fps, pose.height, pose.width) == (25, 224, 224)
        assert len(pose.keypoints) == open_video(read.video_path(clip)).info.n_frames
    assert {name: after[name] for name in before if name != "train.tsv"} | {"train.tsv": before["train.tsv"]} == before
    assert [clip.glosses for clip in read_clips(manifest)] == [
        clip.glosses for clip in read_clips(undisturbed / "train.tsv")[:3]
    ]
    write_corpus(tmp_path, sizes, 3, with_joints=True)
    assert contents(tmp_path) == after


def test_joints_alone_are_a_corpus_too(tmp_path):
    manifest = write_corpus(tmp_path, SIZES, 3, with_joints=True, skeleton="coco-wholebody-133", with_videos=False)
    assert {path.suffix for path in tmp_path.glob("videos/*/*")} == {".pose"}
    read = read_manifest(manifest["train"])
    for clip, planned in zip(read.clips, plan_corpus({"train": 6}, 3), strict=True):
        found = read_keypoint_file(read.video_path(clip))
        assert (found.skeleton, found.fps) == (COCO_WHOLEBODY_133, 25)
        performance, signer, _ = corpus.perform_clip(planned)
        np.testing.assert_allclose(found.points, wholebody_points(performance, signer), atol=1e-6)
    before = contents(tmp_path)
    with pytest.raises(UserError, match="holds joints of coco-wholebody-133; asked for are those of mediapipe-75"):
        write_corpus(tmp_path, SIZES, 3, with_joints=True)
    with pytest.raises(UserError, match="neither videos nor joints would be written"):
        write_corpus(tmp_path, SIZES, 3, with_videos=False)
    assert contents(tmp_path) == before


def test_joints_of_a_corpus_that_does_not_say_whose_are_mediapipes(tmp_path):
    write_corpus(tmp_path, {"val": 1}, 3, with_joints=True, with_videos=False)
    assert json.loads((tmp_path / "corpus.json").read_text()) == {"drawing": 1, "seed": 3}
    with pytest.raises(UserError, match="holds joints of mediapipe-75; asked for are those of coco-wholebody-133"):
        write_corpus(tmp_path, {"val": 1}, 3, with_joints=True, skeleton="coco-wholebody-133")


def test_a_larger_corpus_begins_with_the_smaller_one():
    small, large = (list(plan_corpus({"train": n}, 3)) for n in (5, 9))
    assert large[:5] == small


def test_another_seed_draws_another_corpus():
    one, other = (next(plan_corpus({"train": 1}, seed)) for seed in (3, 4))
    assert one.meaning != other.meaning


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(undisturbed, tmp_path):
    script = f"""
from pathlib import Path
from slt.data.synthetic.corpus import write_corpus
if __name__ == "__main__":
    write_corpus(Path({str(tmp_path / "out")!r}), {SIZES!r}, 3)
"""
    (tmp_path / "draw.py").write_text(script)
    process = subprocess.Popen([sys.executable, str(tmp_path / "draw.py")], start_new_session=True)
    while len(list((tmp_path / "out").rglob("*.mp4"))) < 3 and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "train.tsv").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("train*.mp4")}
    write_corpus(tmp_path / "out", SIZES, 3)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    whole = {name: data for name, data in contents(tmp_path / "out").items() if ".part" not in name}
    assert whole == contents(undisturbed)


@pytest.mark.parametrize(("n_clips", "shares"), [(3, (1, 1, 1)), (10, (8, 1, 1)), (1000, (800, 100, 100))])
def test_clips_are_shared_out(n_clips, shares):
    assert share_out(n_clips) == dict(zip(SPLITS, shares, strict=True))


def test_too_few_clips_are_refused():
    with pytest.raises(UserError, match="2 clips cannot fill 3 splits"):
        share_out(2)


def test_no_signer_is_in_two_splits(undisturbed):
    signers = [{clip.signer for clip in read_clips(undisturbed / f"{split}.tsv")} for split in SIZES]
    assert len(set.union(*signers)) == sum(map(len, signers))
    drawn = {split: corpus.draw_clip(next(plan_corpus({split: 1}, 3))) for split in ("train", "test")}
    assert drawn["train"][2] != drawn["test"][2]


def test_two_corpora_are_not_mixed_in_one_folder(undisturbed):
    with pytest.raises(UserError, match=r"holds a corpus of seed 3, drawing \d+; asked for is seed 4"):
        write_corpus(undisturbed, SIZES, 4)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*corpus\.json"):
        write_corpus(tmp_path / "file", SIZES, 3)
