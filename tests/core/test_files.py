"""A file is whole or as it was, and what kept it from being written is told."""

import errno
import os
import stat
import threading

import pytest

from slt.core import files
from slt.core.errors import SltError, UserError
from slt.core.files import atomic_write, publish_folder


def test_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "out.json"
    with atomic_write(path) as handle:
        handle.write(b"whole")
        handle.flush()
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_block_may_write_by_name_and_finds_the_ending_it_knows(tmp_path):
    with atomic_write(tmp_path / "video.mp4") as handle, open(handle.name, "wb") as by_name:
        assert handle.name.endswith(".mp4")
        by_name.write(b"whole")
    assert (tmp_path / "video.mp4").read_bytes() == b"whole"


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_file_stays_as_it_was_when_the_block_fails(tmp_path, failure):
    path = tmp_path / "out"
    path.write_bytes(b"before")
    with pytest.raises(failure), atomic_write(path) as handle:  # noqa: PT012 - the block is what is tested
        handle.write(b"half")
        raise failure
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_new_file_has_the_rights_of_any_other(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic_write(tmp_path / "out"):
        pass
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with atomic_write(tmp_path / "link") as handle:
        handle.write(b"whole")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"whole"


def test_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    with atomic_write(tmp_path / "pipe") as handle:
        handle.write(b"through")
    reader.join(timeout=10)
    assert read == [b"through"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_long_name_is_no_obstacle(tmp_path):
    with atomic_write(tmp_path / ("n" * 255)) as handle:
        handle.write(b"whole")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_the_machines_failure(tmp_path, monkeypatch, code):
    def full(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(SltError, match=r"cannot write .*out: ") as caught, atomic_write(tmp_path / "out"):
        pass
    assert caught.value.exit_code == 1
    assert "free some space" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_broken_disk_is_the_machines_failure(tmp_path):
    with pytest.raises(SltError, match="Input/output error") as caught, atomic_write(tmp_path / "out"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert caught.value.exit_code == 1


def test_file_where_a_folder_should_be_is_the_users(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot write .*file/out") as caught, atomic_write(tmp_path / "file" / "out"):
        pass
    assert "choose a place" in caught.value.fix


def test_folder_where_the_file_should_be_is_the_users(tmp_path):
    with pytest.raises(UserError, match="Is a directory"), atomic_write(tmp_path):
        pass


def test_forbidden_place_is_the_users(tmp_path, monkeypatch):
    def forbidden(source, target):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), source, None, target)

    monkeypatch.setattr(files.os, "replace", forbidden)  # a real folder forbids nothing to root
    with pytest.raises(UserError, match="Permission denied"), atomic_write(tmp_path / "out"):
        pass


def test_failure_at_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_write(tmp_path / "out"):
        (tmp_path / "elsewhere").read_bytes()
    assert not (tmp_path / "out").exists()


def test_a_finished_folder_is_given_its_name(tmp_path):
    draft = tmp_path / "draft"
    draft.mkdir()
    (draft / "file").touch()
    publish_folder(draft, tmp_path / "folder")
    assert (tmp_path / "folder" / "file").is_file()
    assert not draft.exists()


def test_a_folder_takes_no_others_place(tmp_path):
    for name in ("draft", "folder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    with pytest.raises(UserError, match=r"cannot write .*folder: Directory not empty"):
        publish_folder(tmp_path / "draft", tmp_path / "folder")
    assert (tmp_path / "folder" / "folder").is_file()
    assert (tmp_path / "draft" / "draft").is_file()
