"""One at a time in a folder, whatever becomes of the folder meanwhile."""

import errno
import fcntl
import shutil
import threading

import pytest

from slt.assets.lock import folder_lock
from slt.core.errors import SltError, UserError


def test_the_second_waits_and_says_so_even_when_the_first_removes_the_folder(tmp_path, capsys):
    folder = tmp_path / "some" / "folder"
    order = []

    def second() -> None:
        with folder_lock(folder):
            order.append("second")

    with folder_lock(folder):
        thread = threading.Thread(target=second)
        thread.start()
        while "another slt is at work in" not in capsys.readouterr().err:
            thread.join(0.01)
        shutil.rmtree(folder)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert folder.is_dir()


def test_a_file_system_without_locks_is_told_and_used(tmp_path, monkeypatch, capsys):
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with folder_lock(tmp_path):
        assert "has no locks" in capsys.readouterr().err


def test_other_failures_are_told(tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(SltError, match=r"cannot write .*: Input/output error"), folder_lock(tmp_path):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file"), folder_lock(tmp_path / "file"):
        pass
