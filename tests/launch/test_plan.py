from __future__ import annotations

from pathlib import Path

import pytest

from slt.core.errors import SltError, UserError
from slt.launch.plan import Job, Place, command


@pytest.fixture(autouse=True)
def _at_home(monkeypatch):
    monkeypatch.setattr("sys.executable", "/opt/venv/bin/python")
    monkeypatch.setenv("SLT_HOME", "/scratch/slt")
    monkeypatch.delenv("TMPDIR", raising=False)
    for name in ("OMP_NUM_THREADS", "SLT_OFFLINE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ({"run": " "}, "run: expected a verb of slt"),
        ({"run": "translate 'a"}, "run: No closing quotation"),
        ({"run": "train-encoder r", "nodes": 0}, "nodes: expected 1 or more, found 0"),
        ({"run": "train-encoder r", "gpus": -1}, "gpus: expected 0 or more, found -1"),
        ({"run": "train-encoder r", "grace_s": 1}, "grace_s: expected 10 or more"),
        ({"run": "extract-features m", "gpus": 2}, "extract-features is one process on one graphics card, found 1 x 2"),
        ({"run": "translate v", "nodes": 2}, "translate is one process"),
        ({"run": "demo", "name": "a/b"}, "name: expected letters, digits, dots and hyphens, found 'a/b'"),
        ({"run": "demo", "sbatch": ("-A me",)}, "sbatch: expected --name=value, found '-A me'"),
    ],
)
def test_needs_that_make_no_sense_are_refused(needs, said):
    with pytest.raises(UserError, match=said):
        Job(**needs)


def test_a_process_for_each_card_unless_told_otherwise():
    assert Job(run="train-encoder r").n_processes == 1
    assert Job(run="train-encoder r", gpus=4).n_processes == 4
    assert Job(run="train-encoder r", processes=2).n_processes == 2


def test_here_a_command_is_itself_or_in_torchruns_hands():
    place = Place(folder=Path("/project"))
    assert command(Job(run="translate 'my video.mp4'"), place) == ["/opt/venv/bin/slt", "translate", "my video.mp4"]
    words = command(Job(run="train-encoder r.yaml", processes=2), place)
    assert words[:3] == ["/opt/venv/bin/torchrun", "--nproc-per-node=2", "--standalone"]
    assert words[3:5] == ["--local-addr=127.0.0.1", "--no-python"]
    assert words[5:] == ["/opt/venv/bin/slt", "train-encoder", "r.yaml"]


def test_in_the_image_it_sees_what_it_needs_and_no_more(monkeypatch):
    monkeypatch.setenv("SLT_OFFLINE", "1")
    monkeypatch.setenv("PYTHONPATH", "/mine")
    place = Place(image=Path("/images/slt.sif"), binds=(Path("/corpora"),), folder=Path("/project"))
    words = command(Job(run="translate a.mp4"), place)
    head = "env APPTAINERENV_SLT_OFFLINE=1 apptainer exec --containall"
    binds = "--bind /scratch/slt:/slt --bind /tmp:/tmp --bind /corpora --bind /project"
    tail = "--pwd /project /images/slt.sif slt translate a.mp4"
    assert " ".join(words).replace(" --nv", "") == f"{head} {binds} {tail}"


def test_an_image_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no image at .*none\.sif"):
        Place(image=tmp_path / "none.sif", folder=tmp_path).check(("demo",))


@pytest.mark.parametrize("word", ["/elsewhere/a.mp4", "../a.mp4", "--out=/elsewhere/b"])
def test_files_that_the_container_would_not_see_are_named_with_the_way_to_show_them(tmp_path, word):
    (tmp_path / "slt.sif").touch()
    (tmp_path / "project").mkdir()
    place = Place(image=tmp_path / "slt.sif", folder=tmp_path / "project")
    with pytest.raises(UserError, match="the container does not see") as caught:
        place.check(("translate", word))
    assert (caught.value.fix or "").startswith("--bind /")
    Place(image=place.image, folder=place.folder, binds=(tmp_path, Path("/elsewhere"))).check(("translate", word))
    place.check(("translate", "inside/a.mp4", "--lang", "eng_Latn"))


def test_the_home_that_the_container_is_given_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("SLT_HOME", str(tmp_path / "cache/slt"))
    Place(folder=tmp_path).make_home()
    assert not (tmp_path / "cache").exists()  # nobody is given it
    contained = Place(image=tmp_path / "slt.sif", folder=tmp_path)
    contained.make_home()
    contained.make_home()
    assert (tmp_path / "cache/slt").is_dir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SLT_HOME", str(tmp_path / "file/slt"))
    with pytest.raises(SltError, match="file/slt"):
        contained.make_home()
