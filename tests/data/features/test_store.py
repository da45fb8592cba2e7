from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from slt.core.errors import SltError, UserError
from slt.data.features.header import StoreHeader
from slt.data.features.records import DATA, INDEX
from slt.data.features.store import FeatureStore
from slt.data.features.writer import FeatureWriter

HEADER = StoreHeader(feature_dim=8, dtype="float32", extractor="signhiera", weights_sha256="a" * 64)


def features(n_rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_rows, 8), dtype=np.float32)


def fill(folder: Path, first: int, last: int, **options) -> dict[str, np.ndarray]:
    clips = {f"-clip {i} ü": features(1 + i % 5, i) for i in range(first, last)}
    with FeatureWriter(folder, HEADER, **options) as writer:
        for id, clip in clips.items():
            writer.add(id, clip)
    return clips


def assert_holds(folder: Path, clips: dict[str, np.ndarray]) -> None:
    store = FeatureStore.open(folder)
    assert set(store.ids) == set(clips)
    assert not store.damage
    for id, clip in clips.items():
        np.testing.assert_array_equal(store[id], clip)
        assert store.length(id) == len(clip)


def the_shard(folder: Path) -> Path:
    (shard,) = folder.glob(f"*{DATA}")
    return shard


def test_what_was_added_is_read(tmp_path):
    clips = fill(tmp_path / "s", 0, 25, clips_per_shard=10)
    assert len(list((tmp_path / "s").glob(f"*{DATA}"))) == 3
    assert_holds(tmp_path / "s", clips)
    store = FeatureStore.open(tmp_path / "s")
    assert store.header == HEADER
    assert "another" not in store
    with pytest.raises(KeyError, match="another"):
        store["another"]


def test_a_clip_is_there_as_soon_as_it_is_added(tmp_path):
    with FeatureWriter(tmp_path / "s", HEADER) as writer:
        writer.add("a", features(3, 0))
        assert "a" in writer
        assert FeatureStore.open(tmp_path / "s")["a"].shape == (3, 8)


def test_features_read_are_the_callers_own_and_a_store_can_be_sent_to_a_worker(tmp_path):
    fill(tmp_path / "s", 0, 1)
    store = FeatureStore.open(tmp_path / "s")
    store["-clip 0 ü"][:] = 0
    assert pickle.loads(pickle.dumps(store))["-clip 0 ü"].any()


def test_writers_side_by_side_and_one_after_another(tmp_path):
    """Two at once, then one who begins with all that is there."""
    folder = tmp_path / "s"
    with FeatureWriter(folder, HEADER, shard=(0, 2)) as one, FeatureWriter(folder, HEADER, shard=(1, 2)) as other:
        one.add("a", features(1, 1))
        other.add("b", features(2, 2))
        one.add("c", features(3, 3))
        other.add("c", features(3, 3))  # the other could not know
    with FeatureWriter(folder, HEADER) as third:
        assert all(id in third for id in "abc")
        with pytest.raises(UserError, match="cannot add features as 'a': the store has some of that id"):
            third.add("a", features(1, 1))
    assert_holds(folder, {"a": features(1, 1), "b": features(2, 2), "c": features(3, 3)})
    assert sorted(path.name[:14] for path in folder.glob(f"*{DATA}")) == ["00000-of-00002", "00001-of-00002"]


@pytest.mark.parametrize(
    ("id", "shape", "said"),
    [
        ("", (1, 8), "an id has 1 to 65536 bytes"),
        ("a", (1, 7), r"the features of a have the shape \(1, 7\), expected \(N, 8\)"),
        ("a", (0, 8), r"the shape \(0, 8\)"),
        ("a", (8,), r"the shape \(8,\)"),
    ],
)
def test_what_is_no_clip_is_refused(tmp_path, id, shape, said):
    with FeatureWriter(tmp_path / "s", HEADER) as writer, pytest.raises(UserError, match=said):
        writer.add(id, np.zeros(shape, np.float32))
    assert not list((tmp_path / "s").glob(f"*{DATA}"))


def test_half_precision_rounds_to_the_nearest(tmp_path):
    torch = pytest.importorskip("torch")
    clip = np.concatenate([features(50, 1), [[0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, 65504.0, -1.0]]])
    for dtype in ("float16", "bfloat16"):
        with FeatureWriter(tmp_path / dtype, StoreHeader(feature_dim=8, dtype=dtype)) as writer:
            writer.add("a", clip.astype(np.float32))
        expected = torch.from_numpy(clip).float().to(getattr(torch, dtype)).float().numpy()
        read = FeatureStore.open(tmp_path / dtype)["a"]
        np.testing.assert_array_equal(read.astype(np.float32), expected)


def test_numbers_too_large_for_half_precision_are_refused(tmp_path):
    header = StoreHeader(feature_dim=8, dtype="float16")
    with FeatureWriter(tmp_path / "s", header) as writer, pytest.raises(UserError, match=r"reach 1e\+05, too large"):
        writer.add("a", np.full((1, 8), -1e5, np.float32))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="cannot write"):
        FeatureWriter(tmp_path, HEADER)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}*"))


def test_an_empty_folder_becomes_a_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FeatureWriter(Path("."), HEADER).close()
    assert len(FeatureStore.open(tmp_path)) == 0


def test_features_of_another_kind_are_not_mixed_in(tmp_path):
    fill(tmp_path / "s", 0, 1)
    other = StoreHeader(feature_dim=8, dtype="float32", extractor="keypoints", weights_sha256="a" * 64)
    with pytest.raises(UserError, match="another kind: extractor signhiera, now keypoints"):
        FeatureWriter(tmp_path / "s", other)


def test_a_record_cut_off_anywhere_costs_itself_only(tmp_path):
    clips = fill(tmp_path / "s", 0, 3)
    shard = the_shard(tmp_path / "s")
    shard.with_suffix(INDEX).unlink()
    whole = shard.read_bytes()
    *_, last = clips
    for n_bytes in range(len(whole) - 1, len(whole) // 2, -13):
        shard.write_bytes(whole[:n_bytes])
        found = FeatureStore.open(tmp_path / "s")
        assert set(found.ids) <= set(clips)
        for id in found.ids:
            np.testing.assert_array_equal(found[id], clips[id])
    assert last not in found
    with FeatureWriter(tmp_path / "s", HEADER) as writer:
        for id, clip in clips.items():
            if id not in writer:
                writer.add(id, clip)
    assert_holds(tmp_path / "s", clips)


def test_a_finished_shard_that_was_cut_off_is_named_and_its_rest_is_read(tmp_path, capsys):
    clips = fill(tmp_path / "s", 0, 10)
    shard = the_shard(tmp_path / "s")
    os.truncate(shard, shard.stat().st_size // 2)
    store = FeatureStore.open(tmp_path / "s")
    assert 0 < len(store) < 10
    assert f"{shard} is cut off: {10 - len(store)} of its 10 clips are gone" in capsys.readouterr().err
    for id in store.ids:
        np.testing.assert_array_equal(store[id], clips[id])


def test_no_flipped_bit_is_read_as_data(tmp_path):
    """Wherever it lies: in a head, an id, the features, the padding or the index."""
    clips = fill(tmp_path / "s", 0, 6)
    shard = the_shard(tmp_path / "s")
    refused = []
    for path in (shard, shard.with_suffix(INDEX)):
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 150)):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << at % 8
            path.write_bytes(flipped)
            store = FeatureStore.open(tmp_path / "s")
            assert set(store.ids) <= set(clips)
            for id in store.ids:
                try:
                    read = store[id]
                except SltError as error:
                    refused.append(str(error))
                else:
                    np.testing.assert_array_equal(read, clips[id])
        path.write_bytes(whole)
    assert refused
    assert all(f"in {shard} are damaged: their checksum" in message for message in refused)
    assert_holds(tmp_path / "s", clips)


def test_a_lost_index_is_not_missed(tmp_path):
    clips = fill(tmp_path / "s", 0, 10)
    the_shard(tmp_path / "s").with_suffix(INDEX).unlink()
    assert_holds(tmp_path / "s", clips)


def test_what_was_appended_after_the_index_is_found(tmp_path):
    """As when one process finishes the shard of another that is still at work."""
    clips = fill(tmp_path / "s", 0, 10)
    more = fill(tmp_path / "t", 10, 20)
    with open(the_shard(tmp_path / "s"), "ab") as file:
        file.write(the_shard(tmp_path / "t").read_bytes())
    assert_holds(tmp_path / "s", clips | more)


def test_a_full_disk_costs_the_clip_in_hand_only(tmp_path, monkeypatch):
    write, left = os.write, [400]

    def on_a_small_disk(file, data):
        if not left[0]:
            raise OSError(28, "No space left on device")
        n_bytes = write(file, data[: left[0]])
        left[0] -= n_bytes
        return n_bytes

    monkeypatch.setattr(os, "write", on_a_small_disk)
    with FeatureWriter(tmp_path / "s", HEADER) as writer:
        writer.add("a", features(5, 1))
        with pytest.raises(SltError, match=r"cannot write .*No space left on device"):
            writer.add("b", features(5, 2))
        left[0] = 10_000
        writer.add("c", features(5, 3))
    assert_holds(tmp_path / "s", {"a": features(5, 1), "c": features(5, 3)})


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_that_was_added(tmp_path):
    """Killed at random moments, begun again each time: in the end all is there, and what was told was kept."""
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tests.data.features.test_store import FeatureWriter, HEADER, features
        with FeatureWriter(Path(sys.argv[1]), HEADER, clips_per_shard=50) as writer:
            print("ready", flush=True)
            for i in range(100_000):
                if str(i) not in writer:
                    writer.add(str(i), features(1 + i % 40, i))
                    print(i, flush=True)
        """
    )
    told: list[str] = []
    moments = random.Random(4)
    for _ in range(5):
        command = [sys.executable, "-c", script, str(tmp_path / "s")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            told += [process.stdout.readline().strip() for _ in range(moments.randint(1, 300))]
            process.send_signal(signal.SIGKILL)
            told += [line for line in process.stdout.read().split("\n")[:-1] if line]
    store = FeatureStore.open(tmp_path / "s")
    assert len(set(told)) == len(told)
    assert set(told) <= set(store.ids)
    assert len(store) <= len(told) + 5  # one each may have been added and not told
    for id in store.ids:
        np.testing.assert_array_equal(store[id], features(1 + int(id) % 40, int(id)))


def test_a_file_that_shrinks_under_an_open_store_is_an_error_of_one_clip(tmp_path):
    clips = fill(tmp_path / "s", 0, 3)
    store = FeatureStore.open(tmp_path / "s")
    os.truncate(the_shard(tmp_path / "s"), 100)
    with pytest.raises(SltError, match="are damaged: their checksum"):
        store[[*clips][-1]]


def test_a_file_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    (id,) = fill(tmp_path / "s", 0, 1)
    store = FeatureStore.open(tmp_path / "s")

    def failing(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(SltError, match=r"cannot read .*\.features: Input/output error"):
        store[id]
    monkeypatch.setattr("slt.data.features.store.read_entries", failing)
    with pytest.raises(SltError, match=r"cannot read .*: Input/output error"):
        FeatureStore.open(tmp_path / "s")


def test_more_files_than_a_process_may_hold_open(tmp_path, monkeypatch):
    clips = fill(tmp_path / "s", 0, 40, clips_per_shard=1)
    monkeypatch.setattr("slt.data.features.store.resource.getrlimit", lambda _: (8, 8))
    before = len(os.listdir("/proc/self/fd"))
    store = FeatureStore.open(tmp_path / "s")
    for _ in range(2):
        for id, clip in clips.items():
            np.testing.assert_array_equal(store[id], clip)
    assert len(os.listdir("/proc/self/fd")) - before <= 8
    del store
    assert len(os.listdir("/proc/self/fd")) <= before


def test_the_next_writer_indexes_what_a_killed_one_left(tmp_path):
    clips = fill(tmp_path / "s", 0, 5)
    shard = the_shard(tmp_path / "s")
    shard.with_suffix(INDEX).unlink()
    with open(shard, "ab") as file:
        file.write(b"SLTF half a record")
    FeatureWriter(tmp_path / "s", HEADER).close()
    assert not shard.with_suffix(INDEX).exists()  # somebody may be writing to it
    os.utime(shard, (0, 0))
    FeatureWriter(tmp_path / "s", HEADER).close()
    assert shard.with_suffix(INDEX).exists()
    assert_holds(tmp_path / "s", clips)


def test_an_index_that_its_writer_has_finished_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    fill(tmp_path / "s", 0, 5)
    shard = the_shard(tmp_path / "s")
    whole = shard.with_suffix(INDEX).read_bytes()
    shard.with_suffix(INDEX).unlink()
    os.utime(shard, (0, 0))
    opened = FeatureStore.open

    def slowly(folder):
        store = opened(folder)
        shard.with_suffix(INDEX).write_bytes(whole)
        return store

    monkeypatch.setattr(FeatureStore, "open", slowly)
    monkeypatch.setattr("slt.data.features.writer.write_index", None)
    FeatureWriter(tmp_path / "s", HEADER).close()
