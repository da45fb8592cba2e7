from __future__ import annotations

import json
from pathlib import Path

import pytest

from slt.core.errors import SltError, UserError
from slt.data.hf_manifest import export_manifests
from slt.data.manifest import Clip, read_manifest, scan_manifest, write_manifest
from slt_cli.main import main

CLIPS = [
    Clip(id="a.1", video="v/a.mp4", start_s=0.1, end_s=2.25, text="schön, „gut“", lang="deu_Latn"),
    Clip(id="-b", video="v/a.mp4", text="Hello.", lang="eng_Latn", extra={"text_deu_Latn": "Hallo.", "signer": "07"}),
    Clip(id="c", video=None, extra={"duration": "1.50"}),
]


@pytest.fixture
def corpus(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_manifest(Path("train-1.tsv"), CLIPS)
    write_manifest(Path("val.tsv"), CLIPS[:1])
    return tmp_path


def test_a_round_trip_is_exact(corpus, capsys):
    assert main(["export-manifest", "train-1.tsv", "val.tsv", "--out", "out"]) == 0
    assert "3 clips in train_1, 1 clips in val: out" in capsys.readouterr().err
    files = sorted(path.name for path in Path("out/data").iterdir())
    assert files == ["train_1-00000-of-00001.parquet", "val-00000-of-00001.parquet"]
    assert "  - split: train_1\n    path: data/train_1-*.parquet\n" in Path("out/README.md").read_text("utf-8")
    found = read_manifest(Path("out/data", files[0]))
    assert [found.clip_from(clip, corpus) for clip in found.clips] == CLIPS
    assert found.clips[0].video == "../../v/a.mp4"
    assert main(["export-manifest", "train-1.tsv", "val.tsv", "--out", "out"]) == 0


def test_datasets_loads_it(corpus, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    export_manifests([read_manifest(Path(name)) for name in ("train-1.tsv", "val.tsv")], Path("out"))
    found = datasets.load_dataset("out", cache_dir="cache")
    assert {name: len(split) for name, split in found.items()} == {"train_1": 3, "val": 1}
    assert found["train_1"][0]["text"] == CLIPS[0].text
    assert found["train_1"][1]["text_deu_Latn"] == "Hallo."
    assert found["val"][0]["end_s"] == 2.25


def test_every_command_takes_its_files_as_manifests(corpus, capsys):
    assert main(["export-manifest", "val.tsv", "--out", "out"]) == 0
    Path("v").mkdir()
    Path("v/a.mp4").touch()
    assert main(["check-manifest", "out/data/val-00000-of-00001.parquet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["coverage"]["val"]["with_video"] == 1


def test_the_column_split_decides(corpus):
    clips = [Clip(id="a", video="v", extra={"split": "dev"}), Clip(id="b", video="v")]
    write_manifest(Path("all.tsv"), clips)
    assert export_manifests([read_manifest(Path("all.tsv"))], Path("out")) == {"dev": 1, "all": 1}


def test_what_does_not_fit_is_refused(corpus):
    manifest = read_manifest(Path("val.tsv"))
    with pytest.raises(UserError, match=r"the split val has two clips of the id a\.1"):
        export_manifests([manifest, read_manifest(Path("val.tsv"))], Path("out"))
    Path("mine").mkdir()
    Path("mine/notes.txt").touch()
    with pytest.raises(UserError, match=r"mine holds other files, notes\.txt for one"):
        export_manifests([manifest], Path("mine"))


def parquet(path: Path, **columns: object) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_files_of_others_are_read_and_all_their_mistakes_told(tmp_path):
    path = parquet(
        tmp_path / "m.parquet",
        id=["a", "b", "a", "c", "d"],
        video=["v.mp4", None, "v.mp4", "v.mp4", "v.mp4"],
        start_s=[0, 1, 2, 3, -4],
        text=["Hi", "two\nlines", "x", " y ", "z"],
        features=[[[1.0]]] * 5,
    )
    manifest, mistakes = scan_manifest(path)
    assert [(clip.id, clip.start_s, clip.text) for clip in manifest.clips] == [("a", 0.0, "Hi"), ("c", 3.0, "y")]
    assert manifest.columns == ("id", "video", "start_s", "text")
    assert sorted(map(str, mistakes)) == [
        "line 2, column text: found 'two\\nlines', expected one line without tabs",
        "line 3, column id: found 'a', expected another id than on line 1",
        "line 5, column start_s: found '-4', expected seconds from the video's beginning, such as 12.48, or nothing",
    ]
    with pytest.raises(UserError, match="is no manifest of a known layout"):
        read_manifest(parquet(tmp_path / "n.parquet", name=["a"]))


def test_parquet_files_that_are_not_whole_are_refused(tmp_path, monkeypatch):
    path = parquet(tmp_path / "m.parquet", id=[f"clip {i}" for i in range(5000)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(UserError, match="is not a whole parquet file"):
        read_manifest(path)
    damaged = bytearray(whole)
    damaged[10 : len(whole) // 2] = bytes(len(whole) // 2 - 10)
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"is damaged|mistakes in"):
        read_manifest(path)
    with pytest.raises(SltError, match=r"cannot read .*No such file"):
        read_manifest(tmp_path / "absent.parquet")
