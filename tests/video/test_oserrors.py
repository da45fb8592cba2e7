from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from slt.core.errors import UserError
from slt.video.oserrors import explain_os_error


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_missing_file_points_at_the_folder_that_exists(tmp_path):
    said = explain_os_error(tmp_path / "a" / "b" / "c.mp4", error(errno.ENOENT))
    assert isinstance(said, UserError)
    assert "c.mp4 does not exist" in str(said)
    assert said.fix == f"{tmp_path} exists: look there for the right name"


def test_nothing_on_the_way_can_be_looked_at(monkeypatch):
    def refuse(self):
        raise PermissionError

    monkeypatch.setattr(Path, "is_dir", refuse)
    assert explain_os_error(Path("a.mp4"), error(errno.ENOENT)).fix == "give the path of a video"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_permission_denied(number):
    said = explain_os_error(Path("a.mp4"), error(number))
    assert isinstance(said, UserError)
    assert "a.mp4 may not be read: permission denied" in str(said)


@pytest.mark.parametrize("cause", [error(errno.ENAMETOOLONG), error(errno.ELOOP), ValueError("embedded null byte")])
def test_no_name_at_all(cause):
    said = explain_os_error(Path("x"), cause)
    assert isinstance(said, UserError)
    assert "'x' is no file's name" in str(said)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_failing_disk_is_not_the_users_fault(number):
    said = explain_os_error(Path("a.mp4"), error(number))
    assert said.exit_code == 1
    assert f"a.mp4 could not be read: {os.strerror(number)}" in str(said)
