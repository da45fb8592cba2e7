from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from slt.core.errors import SltError, Stopped, UserError
from slt.data.features import compact as module
from slt.data.features.compact import compact
from slt.data.features.records import DATA, INDEX, shard_paths
from slt.data.features.store import FeatureStore
from slt.data.features.writer import FeatureWriter
from tests.data.features.test_store import HEADER, assert_holds, features, fill


def make(folder: Path, n_writers: int = 6, n_clips: int = 10) -> dict[str, np.ndarray]:
    """Make a store of several small files; return what is in it."""
    clips: dict[str, np.ndarray] = {}
    for i in range(n_writers):
        clips |= fill(folder, i * n_clips, (i + 1) * n_clips, shard=(i, n_writers))
    return clips


def test_many_files_become_few_and_every_record_stays_to_the_byte(tmp_path):
    clips = make(tmp_path / "s")
    before = {id: FeatureStore.open(tmp_path / "s")[id].tobytes() for id in clips}
    told: list[tuple[int, int]] = []
    merged = compact(tmp_path / "s", progress=lambda done, total: told.append((done, total)))
    assert (merged.n_before, merged.n_after, merged.n_clips, merged.n_repeated) == (6, 1, 60, 0)
    assert told[-1][0] == told[-1][1]
    assert sorted(path.suffix for path in (tmp_path / "s").iterdir()) == [DATA, ".json", INDEX]
    assert_holds(tmp_path / "s", clips)
    assert {id: FeatureStore.open(tmp_path / "s")[id].tobytes() for id in clips} == before
    (shard,) = shard_paths(tmp_path / "s")
    shard.with_suffix(INDEX).unlink()  # the file alone says the same
    assert_holds(tmp_path / "s", clips)


def test_files_grow_to_the_size_asked_for_and_large_ones_are_left(tmp_path):
    clips = make(tmp_path / "s", n_writers=8)
    size = sum(path.stat().st_size for path in shard_paths(tmp_path / "s"))
    assert compact(tmp_path / "s", shard_bytes=size // 3).n_after == 3
    names = shard_paths(tmp_path / "s")
    merged = compact(tmp_path / "s", shard_bytes=size // 3)
    assert (merged.n_after, shard_paths(tmp_path / "s")) == (3, names)
    assert_holds(tmp_path / "s", clips)


def test_a_clip_that_two_workers_made_is_kept_once_as_readers_saw_it(tmp_path):
    for i in range(2):
        with FeatureWriter(tmp_path / "new", HEADER, shard=(i, 3)) as writer:
            writer.add("twice", features(3, i))
            writer.add(f"own {i}", features(2, i))
        for path in (tmp_path / "new").iterdir():
            path.rename(tmp_path / path.name) if path.suffix != ".json" else None
    store = tmp_path / "new"
    for path in tmp_path.glob("0*"):
        path.rename(store / path.name)
    seen = FeatureStore.open(store)["twice"]
    merged = compact(store)
    assert (merged.n_clips, merged.n_repeated) == (3, 1)
    assert_holds(store, {"twice": seen, "own 0": features(2, 0), "own 1": features(2, 1)})
    np.testing.assert_array_equal(seen, features(3, 0))


def test_a_file_whose_writer_has_not_finished_is_left_until_asked(tmp_path):
    clips = make(tmp_path / "s", n_writers=2)
    with FeatureWriter(tmp_path / "s", HEADER, shard=(7, 8)) as writer:
        writer.add("at work", features(2, 1))
        merged = compact(tmp_path / "s")
        assert [path.name[:5] for path in merged.left] == ["00007"]
        assert "not finished by its writer" in merged.left.values()
        writer.add("still at work", features(3, 2))
    clips |= {"at work": features(2, 1), "still at work": features(3, 2)}
    assert_holds(tmp_path / "s", clips)
    shard = next(path for path in shard_paths(tmp_path / "s") if path.name.startswith("00007"))
    shard.with_suffix(INDEX).unlink()  # as a killed writer leaves it
    os.truncate(shard, shard.stat().st_size - 70)
    merged = compact(tmp_path / "s", unfinished=True)
    assert (merged.n_after, merged.left) == (1, {})
    del clips["still at work"]
    assert_holds(tmp_path / "s", clips)


def test_damaged_clips_are_named_and_the_rest_is_kept(tmp_path):
    clips = make(tmp_path / "s", n_writers=2)
    shard = shard_paths(tmp_path / "s")[0]
    content = bytearray(shard.read_bytes())
    content[-64] ^= 1
    shard.write_bytes(content)
    merged = compact(tmp_path / "s")
    ((id, error),) = merged.failures
    assert id == "-clip 9 ü"
    assert "its checksum is not the one it was written with" in str(error)
    del clips[id]
    assert merged.n_clips == len(clips)
    assert_holds(tmp_path / "s", clips)


def test_a_file_shorter_than_its_index_is_left(tmp_path, capsys):
    make(tmp_path / "s", n_writers=3)
    os.truncate(shard_paths(tmp_path / "s")[0], 300)
    merged = compact(tmp_path / "s")
    assert [said.partition(":")[0] for said in merged.left.values()] == ["cut off"]
    assert len(FeatureStore.open(tmp_path / "s")) == merged.n_clips < 30


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(UserError, match="is no feature store"):
        compact(tmp_path)


def test_a_store_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    make(tmp_path / "s", n_writers=1)

    def broken(shards):
        raise OSError(5, "Input/output error", str(shards[0]))

    monkeypatch.setattr(module, "read_shards", broken)
    with pytest.raises(SltError, match=r"cannot read .*Input/output error"):
        compact(tmp_path / "s")


def test_a_stop_leaves_a_whole_store(tmp_path, monkeypatch):
    clips = make(tmp_path / "s")
    monkeypatch.setenv("SLT_STOP_FILE", str(tmp_path / "stop"))
    with pytest.raises(Stopped):
        compact(tmp_path / "s", progress=lambda done, total: (tmp_path / "stop").touch())
    assert_holds(tmp_path / "s", clips)
    assert len(shard_paths(tmp_path / "s")) == 6
    (tmp_path / "stop").unlink()
    assert compact(tmp_path / "s").n_after == 1


class _Died(BaseException):
    pass


def dying_after(n_steps: int, patch: pytest.MonkeyPatch) -> None:
    """Let this process die at the next step after so many: a file that gets its name, or one that goes."""
    left = [n_steps]

    def counted(real):
        def step(*args, **options):
            left[0] -= 1
            if left[0] < 0:
                raise _Died
            return real(*args, **options)

        return step

    patch.setattr(os, "replace", counted(os.replace))
    patch.setattr(Path, "unlink", counted(Path.unlink))


def test_death_at_any_step_leaves_every_clip_readable_and_the_next_run_ends(tmp_path, monkeypatch):
    for n_steps in range(100):
        folder = tmp_path / f"s{n_steps}"
        clips = make(folder, n_writers=5, n_clips=3)
        size = sum(path.stat().st_size for path in shard_paths(folder)) * 41 // 100
        with monkeypatch.context() as patch:
            dying_after(n_steps, patch)
            try:
                compact(folder, shard_bytes=size)
            except _Died:
                died = True
            else:
                died = False
        assert_holds(folder, clips)
        if not died:
            break
        assert compact(folder, shard_bytes=size).n_clips == len(clips)
        assert_holds(folder, clips)
        shards = shard_paths(folder)  # the part of a file that was begun goes with this process
        assert len(shards) < 5
        names = {path.with_suffix(suffix).name for path in shards for suffix in (DATA, INDEX)}
        assert {path.name for path in folder.glob("[!.]*")} == {"store.json", *names}
    assert n_steps > 8


def test_an_open_store_reads_on_while_its_files_are_merged(tmp_path, monkeypatch):
    clips = make(tmp_path / "s")
    store = FeatureStore.open(tmp_path / "s")
    first, *others = clips
    store[first]
    compact(tmp_path / "s")
    for id in others:
        np.testing.assert_array_equal(store[id], clips[id])
    assert store.length(first) == len(clips[first])


def test_a_store_whose_files_never_stay_is_given_up(tmp_path, monkeypatch):
    make(tmp_path / "s", n_writers=1)
    monkeypatch.setattr(
        "slt.data.features.store.shard_paths", lambda folder: [folder / f"00000-of-00001-{'0' * 12}{DATA}"]
    )
    with pytest.raises(SltError, match="come and go"):
        FeatureStore.open(tmp_path / "s")


@pytest.mark.slow
def test_kills_at_random_moments_beside_a_reader_lose_nothing(tmp_path):
    clips = make(tmp_path / "s", n_writers=40, n_clips=20)
    size = sum(path.stat().st_size for path in shard_paths(tmp_path / "s"))
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from slt.data.features.compact import compact
        print("ready", flush=True)
        compact(Path(sys.argv[1]), shard_bytes=int(sys.argv[2]))
        """
    )
    moments = random.Random(3)
    store = FeatureStore.open(tmp_path / "s")
    for attempt in range(6):
        words = [sys.executable, "-c", script, str(tmp_path / "s"), str(size // 10)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            for id in moments.sample([*clips], moments.randint(1, 100)):
                np.testing.assert_array_equal(store[id], clips[id])
            if attempt < 5:
                process.send_signal(signal.SIGKILL)
        assert_holds(tmp_path / "s", clips)
    assert len(shard_paths(tmp_path / "s")) < 40
