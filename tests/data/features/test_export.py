"""Features out as WebDataset shards, Hugging Face datasets and .pose files, and in again."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from slt.core.errors import SltError, Stopped, UserError
from slt.data.features import hf_dataset
from slt.data.features.export import FAILURES, PLAN_NAME, export_shards
from slt.data.features.header import StoreHeader
from slt.data.features.hf_dataset import HF_DATASET, write_card
from slt.data.features.open import open_features
from slt.data.features.pose_files import PoseWriter
from slt.data.features.records import DATA
from slt.data.features.store import FeatureStore
from slt.data.features.transfer import FILE_WRITERS, export_files, import_all
from slt.data.features.webdataset import WEBDATASET, key_of
from slt.data.features.writer import FeatureWriter, UnfitError
from slt.data.manifest import Clip
from slt.video.keypoints import read_pose

KINDS = [WEBDATASET, HF_DATASET]
IDS = ["0043-2023.1.4", "-fZ %2E", "ü.schön", ".a", "~b", "plain"]


def quiet(done: int, total: int) -> None:
    pass


def fill(folder: Path, dtype: str = "float16", ids: list[str] = IDS) -> FeatureStore:
    """Make a store with NaN and extremes in it."""
    header = StoreHeader(
        feature_dim=6, dtype=dtype, extractor="keypoints", weights_sha256="a" * 64, geometry={"fps": 25}
    )
    with FeatureWriter(folder, header) as writer:
        for number, id in enumerate(ids):
            rows = np.random.default_rng(number).standard_normal((1 + number, 6), dtype=np.float32)
            rows[0, :3] = np.nan, 6e-8, -65504
            writer.add(id, rows)
    return FeatureStore.open(folder)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_round_trip_is_exact_to_the_bit(tmp_path, kind, dtype):
    store = fill(tmp_path / "s", dtype)
    assert export_shards(store, tmp_path / "out", kind, file_bytes=100) == []
    found = open_features(tmp_path / "out")
    assert (found.ids, found.header, len(found)) == (store.ids, store.header, len(IDS))
    assert (found.length("plain"), "plain" in found, "x" in found) == (6, True, False)
    assert import_all(found, tmp_path / "again", quiet) == []
    again = FeatureStore.open(tmp_path / "again")
    assert again.header == store.header
    for id in store.ids:
        assert again[id].tobytes() == store[id].tobytes()
    assert len(list((tmp_path / "out").rglob("*[0-9].*"))) > 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_killed_export_goes_on_and_ends_as_an_undisturbed_one(tmp_path, kind, monkeypatch):
    store = fill(tmp_path / "s")
    export_shards(store, tmp_path / "whole", kind, file_bytes=100)
    monkeypatch.setenv("SLT_STOP_FILE", str(tmp_path / "stop"))
    (tmp_path / "stop").touch()
    with pytest.raises(Stopped):
        export_shards(store, tmp_path / "out", kind, file_bytes=100)
    with pytest.raises(UserError, match=r"holds \d of the 6 clips that were to be exported"):
        open_features(tmp_path / "out")
    (tmp_path / "stop").unlink()
    export_shards(store, tmp_path / "out", kind, file_bytes=100)
    files = {path.relative_to(tmp_path / "whole"): path.read_bytes() for path in (tmp_path / "whole").rglob("*.*")}
    assert {path: (tmp_path / "out" / path).read_bytes() for path in files} == files


def test_another_export_in_the_folder_is_not_mixed_in(tmp_path):
    store = fill(tmp_path / "s")
    export_shards(store, tmp_path / "out", WEBDATASET)
    with pytest.raises(UserError, match="holds an export of 6 clips as webdataset that began otherwise"):
        export_shards(store, tmp_path / "out", HF_DATASET)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(UserError, match="holds other files"):
        export_shards(store, tmp_path / "mine", WEBDATASET)
    (tmp_path / "out" / PLAN_NAME).write_text("{")
    with pytest.raises(UserError, match=r"features\.json cannot be read"):
        open_features(tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_damaged_clips_are_listed_and_tried_again(tmp_path, kind, capsys):
    store = fill(tmp_path / "s")
    (shard,) = (tmp_path / "s").glob(f"*{DATA}")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-64] + b"?" + whole[-63:])
    ((id, error),) = export_shards(store, tmp_path / "out", kind)
    assert (id, len(open_features(tmp_path / "out"))) == ("plain", 5)
    assert "holds 5 of the 6 clips" in capsys.readouterr().err
    (listed,) = (tmp_path / "out" / FAILURES).iterdir()
    assert "their checksum" in str(error)
    assert listed.read_text("utf-8").startswith("id\terror\nplain\t")
    shard.write_bytes(whole)
    assert export_shards(store, tmp_path / "out", kind) == []
    assert (len(open_features(tmp_path / "out")), listed.exists()) == (6, False)


def test_what_a_manifest_says_comes_along(tmp_path):
    store = fill(tmp_path / "s")
    clips = {id: Clip(id=id, video="v.mp4", text=f"«{id}»", lang="deu_Latn") for id in IDS}
    clips["plain"] = Clip(id="plain", video=None, start_s=1.5, end_s=2.25, extra={"signer": "7", "features": "x.npy"})
    export_shards(store, tmp_path / "w", WEBDATASET, clips=clips)
    with tarfile.open(tmp_path / "w" / "features-000000.tar") as tar:
        assert tar.getnames() == [f"{key_of(id)}.{suffix}" for id in IDS for suffix in ("json", "npy")]
        said = [json.loads(tar.extractfile(name).read()) for name in tar.getnames()[::2]]
    assert said[0] == {"id": IDS[0], "video": "v.mp4", "text": f"«{IDS[0]}»", "lang": "deu_Latn"}
    assert said[5] == {"id": "plain", "start_s": 1.5, "end_s": 2.25, "signer": "7"}
    export_shards(store, tmp_path / "h", HF_DATASET, clips=clips)
    import pyarrow.parquet as pq

    rows = pq.read_table(tmp_path / "h" / "data" / "train-00000-of-00001.parquet").drop(["features"]).to_pylist()
    assert rows[5] == {
        **{"id": "plain", "video": None, "text": None, "lang": None},
        **{"start_s": 1.5, "end_s": 2.25, "signer": "7"},
    }
    with pytest.raises(UserError, match=r"the manifest has no row for 5 of 6 clips, 0043-2023\.1\.4 for one"):
        export_shards(store, tmp_path / "x", WEBDATASET, clips={"plain": clips["plain"]})


def test_keys_have_neither_dots_nor_separators_and_are_the_clips_own():
    assert [key_of(id) for id in ("a-b_c d", "a.b", "a%2Eb", "ü", "a:b")] == [
        *("a-b_c d", "a%2Eb", "a%252Eb", "%C3%BC", "a%3Ab"),
    ]


# What others wrote.


def tar_of(path: Path, *members: tuple[str | tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def npy(rows: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def test_shards_of_another_program_are_read(tmp_path):
    rows = np.arange(8, dtype=np.float64).reshape(2, 4)
    members = [("./a.features.npy", npy(rows)), ("./a.json", b'{"text": "Hi"}'), ("./b.json", b"nonsense")]
    found = open_features(tar_of(tmp_path / "x.tar", *members, ("./b.npy", npy(rows.astype(np.float16)))))
    assert (found.ids, found.header) == (("a", "b"), StoreHeader(feature_dim=4, dtype="float32"))
    np.testing.assert_array_equal(found["b"], rows.astype(np.float16))


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("../a.npy", b"")], r"a member with a path outside, '\.\./a\.npy'"),
        ([("/tmp/a.npy", b"")], "a member with a path outside, '/tmp/a.npy'"),
        ([("x/../../a.npy", b"")], "a member with a path outside"),
        ([(link("a.npy", tarfile.SYMTYPE), b"")], "a member that is no file, 'a.npy'"),
        ([(link("a.npy", tarfile.LNKTYPE), b"")], "a member that is no file"),
        ([(link("a.npy", tarfile.CHRTYPE), b"")], "a member that is no file"),
        ([("a.txt", b"words")], "holds no sample with features"),
        ([("d/a.npy", npy(np.zeros((1, 2))))], "expected a name without path separators"),
        ([("a.npy", npy(np.zeros((1, 2)))), ("a.json", b'{"id": "../x"}')], r"found the sample '\.\./x'"),
        ([("a.npy", npy(np.zeros(2)))], r"the features of a in .* holds float64 of shape \(2,\)"),
        ([("a.npy", b"\x93NUMPY")], r"the features of a in .* is not a whole \.npy"),
        ([("a.npy", npy(np.zeros((9, 9)))[:90])], "not a whole .npy"),
        ([("a.pth", b"cos\nsystem\n(S'false'\ntR.")], "cannot be read as a tensor"),
    ],
)
def test_hostile_and_useless_archives_are_refused(tmp_path, members, said):
    tar_of(tmp_path / "x.tar", *members)
    with pytest.raises(UserError, match=said):
        open_features(tmp_path / "x.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


def test_archives_that_are_not_whole_are_refused(tmp_path):
    whole = tar_of(tmp_path / "x.tar", ("a.npy", npy(np.zeros((99, 9))))).read_bytes()
    for content in (b"", b"rubbish" * 200, whole[:700]):
        (tmp_path / "x.tar").write_bytes(content)
        with pytest.raises(UserError, match=r"not a whole|holds no sample"):
            open_features(tmp_path / "x.tar")
    (tmp_path / "x.tar").unlink()
    (tmp_path / "x.tar").mkdir()
    with pytest.raises(SltError, match="cannot read"):
        open_features(tmp_path)


def test_two_samples_of_one_id_and_of_two_widths(tmp_path):
    one, other = npy(np.zeros((1, 2))), npy(np.zeros((1, 3)))
    tar_of(tmp_path / "x.tar", ("a.npy", one))
    tar_of(tmp_path / "y.tar", ("b.npy", other))
    with pytest.raises(UserError, match=r"the sample b in .*\.tar holds features 3 wide, others 2"):
        open_features(tmp_path)["b"]
    tar_of(tmp_path / "y.tar", ("a.npy", one))
    with pytest.raises(UserError, match="two samples have the id a"):
        open_features(tmp_path)


def parquet(path: Path, **columns: object) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return path


def test_a_dataset_of_another_program_is_read(tmp_path):
    rows = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]
    found = open_features(parquet(tmp_path / "x.parquet", id=["a", "b"], features=rows))
    assert (found.ids, found.header) == (("a", "b"), StoreHeader(feature_dim=2, dtype="float32"))
    np.testing.assert_array_equal(found["b"], [[5.0, 6.0]])
    joints = np.arange(2 * 75 * 3, dtype=np.float32).reshape(2, 75, 3)
    found = open_features(parquet(tmp_path / "y.parquet", id=["a"], features=[joints.tolist()]))
    np.testing.assert_array_equal(found["a"], joints.reshape(2, 225))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": ["a"]}, "has no column features; its columns are id"),
        ({"id": [1], "features": [[[1.0]]]}, "has the id 1, expected a name"),
        ({"id": ["a", "a"], "features": [[[1.0]], [[1.0]]]}, "has the id 'a', expected a name of one clip"),
        ({"id": [], "features": []}, "holds no clip"),
        ({"id": ["a"], "features": [[[1.0], [1.0, 2.0]]]}, r"the column features of a in .* holds object"),
        ({"id": ["a"], "features": [None]}, "holds object"),
        ({"id": ["a"], "features": ["text"]}, "holds object"),
        ({"id": ["a"], "features": [[1.0, 2.0]]}, r"holds float64 of shape \(2,\)"),
        ({"id": ["a"], "features": [[["x"]]]}, "holds object"),
        ({"id": ["../a"], "features": [[[1.0]]]}, "expected a name without path separators"),
    ],
)
def test_useless_datasets_are_refused(tmp_path, columns, said):
    with pytest.raises(UserError, match=said):
        open_features(parquet(tmp_path / "x.parquet", **columns))


def test_damaged_datasets_are_refused(tmp_path):
    store = fill(tmp_path / "s", ids=[f"c{i}" for i in range(200)])
    export_shards(store, tmp_path / "out", HF_DATASET)
    write_card(tmp_path / "out", store.header, 200)
    (file,) = (tmp_path / "out" / "data").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is not a whole parquet file"):
        open_features(tmp_path / "out")
    file.write_bytes(whole)
    other = StoreHeader(feature_dim=6, dtype="float32")
    with FeatureWriter(tmp_path / "t", other) as writer:
        writer.add("x", np.zeros((1, 6), np.float32))
    export_shards(FeatureStore.open(tmp_path / "t"), tmp_path / "more", HF_DATASET)
    (tmp_path / "both").mkdir()
    for number, path in enumerate([file, next((tmp_path / "more" / "data").iterdir())]):
        path.rename(tmp_path / "both" / f"{number}.parquet")
    with pytest.raises(UserError, match="hold different kinds of features"):
        open_features(tmp_path / "both")
    parquet(tmp_path / "0.parquet", id=["a", "b"], features=[[[1.0]], [[1.0, 2.0]]])
    with pytest.raises(UserError, match=r"the row b of .*\.parquet holds features 2 wide, others 1"):
        open_features(tmp_path / "0.parquet")["b"]


def test_files_that_cannot_be_read_are_the_machines(tmp_path, monkeypatch):
    path = parquet(tmp_path / "x.parquet", id=["a"], features=[[[1.0]]])
    found = open_features(path)

    class Broken:
        def __init__(self, path):
            raise OSError(5, "Input/output error")

    import pyarrow.parquet as pq

    monkeypatch.setattr(pq, "ParquetFile", Broken)
    found._held = None
    with pytest.raises(SltError, match=r"cannot read .*Input/output error"):
        found["a"]


def test_row_groups_are_small(tmp_path, monkeypatch):
    store = fill(tmp_path / "s", ids=[f"c{i}" for i in range(50)])
    monkeypatch.setattr(hf_dataset, "GROUP_BYTES", 2000)
    export_shards(store, tmp_path / "out", HF_DATASET)
    found = open_features(tmp_path / "out")
    for id in ("c49", "c0", "c25", "c26"):
        assert found[id].tobytes() == store[id].tobytes()


# .pose


def keypoints(folder: Path, rows: np.ndarray, **geometry: object) -> FeatureStore:
    header = StoreHeader(feature_dim=rows.shape[1], dtype="float32", extractor="keypoints", geometry=geometry)
    with FeatureWriter(folder, header) as writer:
        writer.add("a", rows)
    return FeatureStore.open(folder)


def test_pose_files_hold_the_joints_to_the_bit(tmp_path):
    rows = np.random.default_rng(0).random((5, 225), dtype=np.float32) * 1.2
    rows[1, 99:162] = np.nan
    store = keypoints(tmp_path / "s", rows, target_fps=25.0)
    writer = PoseWriter(store.header, tmp_path)
    assert export_files(store, tmp_path / "out", "pose", writer, quiet) == []
    found = read_pose(tmp_path / "out" / "a.pose")
    assert (found.fps, found.width, found.height) == (25.0, 1024, 1024)
    np.testing.assert_array_equal(found.keypoints.reshape(5, 225), rows)
    PoseWriter(store.header, tmp_path, size=(1280, 720), fps=29.97)(tmp_path / "b.pose", rows)
    found = read_pose(tmp_path / "b.pose")
    assert (round(found.fps, 2), found.width, found.height) == (29.97, 1280, 720)
    np.testing.assert_allclose(found.keypoints.reshape(5, 225), rows, rtol=3e-7)


@pytest.mark.parametrize(
    ("width", "geometry", "said"),
    [
        (224, {}, "holds keypoints, 224 wide"),
        (225, {"skeleton": "openpose-137"}, "holds keypoints of openpose-137, 225 wide"),
        (225, {"unit": "pixels"}, "positions in pixels, expected shares"),
    ],
)
def test_other_keypoints_are_not_written_as_pose_files(tmp_path, width, geometry, said):
    header = StoreHeader(feature_dim=width, dtype="float32", extractor="keypoints", geometry=geometry)
    with pytest.raises(UserError, match=said):
        PoseWriter(header, tmp_path)


def test_joints_without_depth_are_not_written(tmp_path):
    rows = np.ones((2, 225), np.float32)
    rows[:, 2::3] = np.nan
    store = keypoints(tmp_path / "s", rows)
    ((id, error),) = export_files(store, tmp_path / "out", "pose", PoseWriter(store.header, tmp_path), quiet)
    assert isinstance(error, UnfitError)
    assert (id, "150 joints have no depth" in str(error)) == ("a", True)


def test_a_store_that_names_clips_outside_writes_nothing_there(tmp_path):
    with FeatureWriter(tmp_path / "s", StoreHeader(feature_dim=1, dtype="float32")) as writer:
        writer.add("../../x", np.zeros((1, 1), np.float32))
        writer.add("a", np.zeros((1, 1), np.float32))
    store = FeatureStore.open(tmp_path / "s")
    ((id, error),) = export_files(store, tmp_path / "d" / "out", "npy", FILE_WRITERS["npy"], quiet)
    assert (id, "expected a name without path separators" in str(error)) == ("../../x", True)
    assert sorted(path.name for path in (tmp_path / "d").rglob("*")) == ["a.npy", "out"]
    assert not (tmp_path / "x.npy").exists()
