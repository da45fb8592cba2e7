from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slt.data.features.header import StoreHeader
from slt.data.features.records import DATA
from slt.data.features.store import FeatureStore
from slt.data.features.writer import FeatureWriter
from slt.video.keypoints import read_pose
from slt_cli.main import main


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """Keypoints of 20 clips, written by four workers, in the current folder."""
    monkeypatch.chdir(tmp_path)
    header = StoreHeader(feature_dim=225, dtype="float32", extractor="keypoints", geometry={"target_fps": 25.0})
    for worker in range(4):
        with FeatureWriter(Path("store"), header, shard=(worker, 4)) as writer:
            for i in range(5):
                rng = np.random.default_rng(5 * worker + i)
                writer.add(f"clip {5 * worker + i}", rng.random((3 + i, 225), dtype=np.float32))
    return Path("store")


def assert_equal(store: Path, other: Path) -> None:
    one, two = FeatureStore.open(store), FeatureStore.open(other)
    assert (set(one.ids), one.header) == (set(two.ids), two.header)
    assert all(one[id].tobytes() == two[id].tobytes() for id in one.ids)


@pytest.mark.parametrize("format", ["webdataset", "hf-datasets"])
def test_out_and_in_again_with_counts(store, capsys, format):
    words = ["features", "export", "store", "--out", "out", "--format", format]
    assert main(words) == 0
    assert "20 clips are in out" in capsys.readouterr().err
    assert main(words) == 0  # there is nothing left to do
    assert main(["features", "import", "out", "--out", "again"]) == 0
    assert "20 clips are in again" in capsys.readouterr().err
    assert_equal(store, Path("again"))
    assert main(["features", "info", "out"]) == 0
    assert "clips\t20\n" in capsys.readouterr().out


def test_texts_come_along(store, capsys):
    rows = [f"clip {i}\tv.mp4\t\t\tHello {i}.\teng_Latn\n" for i in range(20)]
    Path("m.tsv").write_text("id\tvideo\tstart_s\tend_s\ttext\tlang\n" + "".join(rows))
    words = ["features", "export", "store", "--out", "out", "--format", "hf-datasets", "--manifest", "m.tsv"]
    assert main(words) == 0
    import pyarrow.parquet as pq

    table = pq.read_table(next(Path("out/data").iterdir()))
    assert dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))["clip 7"] == "Hello 7."
    assert "path: data/train-*.parquet" in Path("out/README.md").read_text()


def test_pose_files(store, capsys):
    assert main(["features", "export", "store", "--out", "poses", "--format", "pose"]) == 0
    said = capsys.readouterr().err
    assert "positions are in pixels of 1024 x 1024" in said
    assert "the files say 25 frames per second" in said
    found = FeatureStore.open(store)["clip 3"]
    np.testing.assert_array_equal(read_pose(Path("poses/clip 3.pose")).keypoints.reshape(-1, 225), found)
    words = ["features", "export", "store", "--out", "sized", "--format", "pose", "--size", "640x480", "--fps", "30"]
    assert main(words) == 0
    pose = read_pose(Path("sized/clip 3.pose"))
    assert (pose.width, pose.height, pose.fps) == (640, 480, 30)


def test_files_per_clip_are_kept(store, capsys):
    assert main(["features", "export", "store", "--out", "files"]) == 0
    np.save("files/clip 1.npy", np.zeros((1, 225), np.float32))
    assert main(["features", "export", "store", "--out", "files"]) == 0
    assert np.load("files/clip 1.npy").shape == (1, 225)
    assert main(["features", "export", "store", "--out", "torch", "--format", "pt"]) == 0
    assert main(["features", "import", "torch", "--out", "again"]) == 0
    assert FeatureStore.open(Path("again"))["clip 2"].tobytes() == FeatureStore.open(store)["clip 2"].tobytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "pose", "--size", "wide"], "--size wide is no size of a picture"),
        (["--format", "pose", "--size", "0x9"], "--size 0x9 is no size"),
        (["--format", "npy", "--size", "9x9"], "--size is of no use with --format npy"),
        (["--format", "webdataset", "--fps", "25"], "--fps is of no use with --format webdataset"),
        (["--format", "pose", "--manifest", "m.tsv"], "--manifest is of no use with --format pose"),
    ],
)
def test_options_that_do_not_fit_are_refused(store, capsys, words, said):
    assert main(["features", "export", "store", "--out", "out", *words]) == 2
    assert said in capsys.readouterr().err
    assert not Path("out").exists()


def test_compacting(store, capsys):
    assert main(["features", "import", "store", "--out", "copy"]) == 0
    assert main(["features", "compact", "store"]) == 0
    assert "20 clips in 1 files, before in 4" in capsys.readouterr().err
    assert_equal(store, Path("copy"))
    with FeatureWriter(store, FeatureStore.open(store).header) as writer:
        writer.add("new", np.zeros((1, 225), np.float32))
        assert main(["features", "compact", "store"]) == 0
        assert "is left as it is: not finished by its writer" in capsys.readouterr().err
    (shard,) = store.glob(f"0-merged*{DATA}")
    content = bytearray(shard.read_bytes())
    content[-64] ^= 1
    shard.write_bytes(content)
    assert main(["features", "compact", "store"]) == 3
    assert "1 of 21 clips failed" in capsys.readouterr().err
    assert len(FeatureStore.open(store)) == 20
