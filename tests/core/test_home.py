from __future__ import annotations

from pathlib import Path

import pytest

from slt.core.home import is_offline, slt_home


def test_the_home_is_the_chosen_folder_else_in_the_users_cache(monkeypatch):
    monkeypatch.setenv("SLT_HOME", "~/models")
    assert slt_home() == Path.home() / "models"
    monkeypatch.setenv("SLT_HOME", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/mine")
    assert slt_home() == Path("/var/cache/mine/slt")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert slt_home() == Path.home() / ".cache" / "slt"


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_offline_is_anything_but_empty_and_zero(monkeypatch, value, offline):
    monkeypatch.setenv("SLT_OFFLINE", value)
    assert is_offline() is offline
