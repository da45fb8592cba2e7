from pathlib import Path

import pytest

from slt.core.errors import UserError
from slt.data.manifest import Clip, write_manifest
from slt.extract.jobs import choose_shard, gather_jobs, shard_of
from slt.frontend.clip import ClipSource


def test_manifests_and_videos_become_jobs(tmp_path):
    clips = [Clip(id="-a", video="v/a.mp4", start_s=1.5, end_s=2.25), Clip(id="b", video=None, text="hi")]
    write_manifest(tmp_path / "train.tsv", clips)
    (tmp_path / "frames").mkdir()
    found = gather_jobs([tmp_path / "train.tsv", tmp_path / "c.d.mp4", tmp_path / "frames", tmp_path / "train.tsv"])
    assert found == [
        ClipSource(id="-a", path=tmp_path / "v" / "a.mp4", start_s=1.5, end_s=2.25),
        ClipSource(id="b", path=None),
        ClipSource(id="c.d", path=tmp_path / "c.d.mp4"),
        ClipSource(id="frames", path=tmp_path / "frames"),
    ]


def test_two_clips_of_one_id_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"two clips have the id a: x/a\.mp4 and y/a\.mp4"):
        gather_jobs([Path("x/a.mp4"), Path("y/a.mp4")])
    write_manifest(tmp_path / "t.tsv", [Clip(id="a", video="a.mp4", start_s=1.0, end_s=2.0)])
    with pytest.raises(UserError, match=r"a\.mp4 from 1 to 2 s and"):
        gather_jobs([tmp_path / "t.tsv", Path("a.mp4")])


def test_a_video_that_cannot_name_a_clip_is_refused():
    with pytest.raises(UserError, match="found the clip id ' a', expected a name, without blanks"):
        gather_jobs([Path(" a.mp4")])


def test_shards_are_parts_of_the_whole_and_the_same_everywhere():
    jobs = [ClipSource(id=f"clip-{i}", path=None) for i in range(1000)]
    parts = [choose_shard(jobs, i, 4) for i in range(4)]
    assert sorted(job.id for part in parts for job in part) == sorted(job.id for job in jobs)
    assert all(200 < len(part) < 300 for part in parts)
    assert [shard_of(f"clip-{i}", 4) for i in range(8)] == [0, 1, 2, 3, 1, 0, 2, 3]
    assert choose_shard(jobs, 0, 1) == jobs
