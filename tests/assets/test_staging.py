"""A bundle in the making is seen by nobody, and stands in nobody's way."""

from __future__ import annotations

import fcntl
import os
from collections import namedtuple

import pytest

from slt.assets import staging
from slt.assets.staging import stage_bundle
from slt.assets.store import list_bundles
from slt.core.errors import SltError, UserError
from slt.core.home import slt_home


def fill(draft):
    (draft / "card.json").write_text("{}")


def left():
    return list((slt_home() / "bundles" / ".drafts").iterdir())


def test_the_bundle_appears_when_the_block_is_done():
    with stage_bundle("mine", n_bytes=1) as draft:
        fill(draft)
        assert "mine" not in list_bundles()
    assert list_bundles()["mine"] == slt_home() / "bundles" / "mine"
    assert left() == []


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(failure):
    with pytest.raises(failure), stage_bundle("mine", n_bytes=1) as draft:  # noqa: PT012 - the block is what is tested
        fill(draft)
        raise failure
    assert "mine" not in list_bundles()
    assert left() == []


def test_what_a_kill_left_is_no_bundle_and_goes_with_the_next_draft():
    killed = slt_home() / "bundles" / ".drafts" / "killed"
    killed.mkdir(parents=True)
    fill(killed)
    assert not {"killed", ".drafts"} & set(list_bundles())
    with stage_bundle("mine", n_bytes=1):
        assert not killed.exists()


@pytest.mark.parametrize("name", ["", "demo", "a/b", "..", ".hidden", "-x", "a b", "a\n"])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(UserError, match="a bundle cannot be named"), stage_bundle(name, n_bytes=1):
        pytest.fail("lent")
    assert not slt_home().exists()


def test_a_name_is_given_once():
    taken = slt_home() / "bundles" / "mine"
    taken.mkdir(parents=True)
    with pytest.raises(UserError, match=r"there is a bundle mine already, .*mine"), stage_bundle("mine", n_bytes=1):
        pytest.fail("lent")


def test_a_name_that_somebody_else_took_meanwhile_stays_theirs():
    theirs = slt_home() / "bundles" / "mine"
    lent = stage_bundle("mine", n_bytes=1)
    fill(lent.__enter__())
    theirs.mkdir()
    (theirs / "theirs").touch()
    with pytest.raises(UserError, match=r"cannot write .*mine: Directory not empty"):
        lent.__exit__(None, None, None)
    assert [path.name for path in theirs.iterdir()] == ["theirs"]
    assert left() == []


def test_there_is_one_draft_at_a_time():
    with stage_bundle("mine", n_bytes=1) as draft:
        with pytest.raises(UserError, match="another process makes a bundle in"), stage_bundle("yours", n_bytes=1):
            pytest.fail("lent")
        assert draft.is_dir()


def test_a_full_disk_is_told_before_anything_is_written(monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: usage(free=5 * 10**9))
    lent = stage_bundle("mine", n_bytes=97 * 10**8)
    with pytest.raises(SltError, match=r"the bundle needs 9\.7 GB, and .*bundles has 5\.0 GB left") as caught:
        lent.__enter__()
    assert caught.value.exit_code == 1
    assert left() == []


def test_a_home_that_is_a_file_is_told(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SLT_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write to .*: Not a directory"), stage_bundle("mine", n_bytes=1):
        pytest.fail("lent")


def test_bundles_may_lie_on_another_disk(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    slt_home().mkdir()
    (slt_home() / "bundles").symlink_to(elsewhere)
    with stage_bundle("mine", n_bytes=1) as draft:
        assert draft.resolve().is_relative_to(elsewhere)
        fill(draft)
    assert (elsewhere / "mine" / "card.json").is_file()


def test_the_lock_goes_with_its_process():
    workshop = slt_home() / "bundles" / ".drafts"
    workshop.mkdir(parents=True)
    child = os.fork()
    if not child:
        fcntl.flock(os.open(workshop, os.O_RDONLY), fcntl.LOCK_EX)
        os._exit(0)
    os.waitpid(child, 0)
    with stage_bundle("mine", n_bytes=1) as draft:
        assert draft.is_dir()
