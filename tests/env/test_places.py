from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from slt.assets import store
from slt.env import places
from slt.env.places import check_bundles, check_disk, check_home, check_network


def test_the_home_is_made_and_written_to(tmp_path, monkeypatch):
    assert check_home().found.endswith("slt-home (SLT_HOME)")
    assert list((tmp_path / "slt-home").iterdir()) == []
    monkeypatch.delenv("SLT_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert check_home().found == f"{tmp_path}/slt (SLT_HOME is not set: the default)"


def test_a_home_that_cannot_be_made_fails(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SLT_HOME", str(tmp_path / "file"))
    result = check_home()
    assert (result.status, result.found) == ("fail", f"{tmp_path}/file cannot be written: File exists")
    assert result.fix == "set SLT_HOME to a folder you may write to"


@pytest.mark.parametrize(("free_gb", "status"), [(10.0, "ok"), (9.9, "warn"), (1.0, "warn"), (0.9, "fail")])
def test_the_disk_should_hold_the_published_weights(free_gb, status):
    assert check_disk(free_gb).status == status
    assert check_disk(free_gb).found == f"{free_gb} GB free"


def test_the_disk_is_looked_at_where_the_home_will_be(tmp_path, monkeypatch):
    monkeypatch.setenv("SLT_HOME", str(tmp_path / "not" / "yet"))
    assert check_disk().found.endswith("GB free")
    assert not Path(tmp_path, "not").exists()


@pytest.fixture
def online(monkeypatch):
    monkeypatch.delenv("SLT_OFFLINE")
    for name in places.PROXIES:
        monkeypatch.delenv(name, raising=False)


def test_offline_says_so(monkeypatch):
    monkeypatch.setattr(places, "_resolves", pytest.fail)
    assert check_network().found == "SLT_OFFLINE is set: nothing will be fetched"


def test_a_proxy_is_named_without_its_password(online, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy:3128")
    monkeypatch.setattr(places, "_resolves", pytest.fail)
    assert check_network().found == "through the proxy that https_proxy names"


def test_the_weights_host_is_looked_up(online, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: [(host, port)])
    assert check_network().found == "dl.fbaipublicfiles.com has an address"


def unknown(host, port):
    raise socket.gaierror(-2, "Name or service not known")


def slow(host, port):
    time.sleep(2)
    return [(host, port)]


@pytest.mark.parametrize("answer", [unknown, slow])
def test_a_host_without_an_answer_is_a_warning(online, monkeypatch, answer):
    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(places, "DNS_TIMEOUT_S", 0.1)
    result = check_network()
    assert (result.status, result.found) == ("warn", "dl.fbaipublicfiles.com has no address here")
    assert "SLT_OFFLINE=1" in result.fix


def test_bundles_that_lack_something_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "demo_folder", lambda: tmp_path / "no-demo")
    mine = tmp_path / "slt-home" / "bundles" / "mine"
    mine.mkdir(parents=True)
    (mine / "card.json").write_text("not json")
    result = check_bundles()
    assert result.status == "warn"
    assert result.found.startswith("none; but demo: this installation lacks its demo bundle")
    assert "; mine: " in result.found
    assert "slt demo --train" in result.fix
