# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
"""Copies in half precision hold what casting would give, are made once, survive a kill, and are not needed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time

import pytest
import torch

from slt.assets.cards import read_card, write_card
from slt.assets.store import find_bundle, list_copies
from slt.bundle.load import load_bundle
from slt.models import half_precision
from slt.models.checkpoint import read_weights, save_weights
from slt.models.half_precision import read_weights_as
from tests.bundles import bundle, own_bundle

FILE = "encoder.safetensors"


@pytest.fixture(autouse=True)
def _small_files_too(monkeypatch):
    monkeypatch.setattr(half_precision, "MIN_CACHED_BYTES", 1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_copy_holds_what_casting_gives_and_is_half_as_big(own_bundle, dtype, capsys):
    stored = read_weights(own_bundle / FILE)
    found = read_weights_as(find_bundle(own_bundle), FILE, dtype)
    assert found.keys() == stored.keys()
    assert all(torch.equal(value, stored[name].to(dtype)) for name, value in found.items())
    assert "caching encoder.safetensors in" in capsys.readouterr().err
    (copy,) = (own_bundle / "copies").glob("*.safetensors")
    assert copy.stat().st_size < 0.8 * (own_bundle / FILE).stat().st_size  # names are not halved
    assert list_copies(own_bundle) == {str(dtype).removeprefix("torch."): copy.stat().st_size}


def test_a_copy_is_made_once_and_is_what_is_read(own_bundle, capsys):
    read_weights_as(find_bundle(own_bundle), FILE, torch.bfloat16)
    (copy,) = (own_bundle / "copies").glob("*.safetensors")
    made = copy.stat().st_mtime_ns
    capsys.readouterr()
    first, again = (read_weights_as(find_bundle(own_bundle), FILE, torch.bfloat16) for _ in range(2))
    assert copy.stat().st_mtime_ns == made
    assert capsys.readouterr().err == ""
    assert all(value.data_ptr() % 2 == 0 and torch.equal(value, again[name]) for name, value in first.items())


def test_shared_names_and_whole_numbers_stay_what_they_are(own_bundle):
    table = torch.randn(3, 2)
    save_weights(own_bundle / FILE, {"a": table, "b": table, "n": torch.arange(3), "one": torch.tensor(0.1)})
    write_card(own_bundle, read_card(own_bundle))
    found = read_weights_as(find_bundle(own_bundle), FILE, torch.float16)
    assert found["a"].data_ptr() == found["b"].data_ptr()
    assert found["n"].tolist() == [0, 1, 2]
    assert (found["one"].shape, found["one"].dtype) == ((), torch.float16)


def test_weights_that_changed_are_copied_anew(own_bundle):
    read_weights_as(find_bundle(own_bundle), FILE, torch.bfloat16)
    save_weights(own_bundle / FILE, {"w": torch.full((5,), 3.0)})
    write_card(own_bundle, read_card(own_bundle))
    assert read_weights_as(find_bundle(own_bundle), FILE, torch.bfloat16)["w"].tolist() == [3] * 5
    assert len(list((own_bundle / "copies").glob("*.safetensors"))) == 1


def test_what_needs_no_copy_gets_none(own_bundle, monkeypatch):
    read_weights_as(find_bundle(own_bundle), FILE, torch.float32)
    save_weights(own_bundle / FILE, {"w": torch.ones(2).bfloat16()})
    write_card(own_bundle, read_card(own_bundle))
    read_weights_as(find_bundle(own_bundle), FILE, torch.bfloat16)
    monkeypatch.setattr(half_precision, "MIN_CACHED_BYTES", 2**28)
    read_weights_as(find_bundle(own_bundle), "extractor.safetensors", torch.bfloat16)
    assert not (own_bundle / "copies").exists()


def test_without_room_the_model_loads_all_the_same(own_bundle, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    loaded = load_bundle(own_bundle, device="cpu", dtype="bfloat16")
    assert "cannot cache encoder.safetensors in bfloat16" in capsys.readouterr().err
    assert {value.dtype for value in loaded.encoder.parameters() if value.ndim == 2} == {torch.bfloat16}
    assert not list((own_bundle / "copies").glob("*.safetensors"))


def test_where_one_may_not_write_the_model_loads_all_the_same(own_bundle, capsys):
    (own_bundle / "copies").write_bytes(b"in the way, as a read-only folder would be")
    load_bundle(own_bundle, device="cpu", dtype="bfloat16")
    assert "so loading is slower: cannot write" in capsys.readouterr().err


def test_a_copy_that_is_damaged_is_made_again(own_bundle):
    expected = {
        name: value.clone() for name, value in read_weights_as(find_bundle(own_bundle), FILE, torch.bfloat16).items()
    }
    (copy,) = (own_bundle / "copies").glob("*.safetensors")
    copy.write_bytes(copy.read_bytes()[:100])
    found = read_weights_as(find_bundle(own_bundle), FILE, torch.bfloat16)
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_whole_copy_or_none(own_bundle):
    save_weights(own_bundle / FILE, {str(n): torch.full((500, 500), float(n)) for n in range(40)})
    write_card(own_bundle, read_card(own_bundle))
    found = find_bundle(own_bundle)
    moments, n_killed = random.Random(3), 0
    for _ in range(8):
        shutil.rmtree(found.copies, ignore_errors=True)
        child = os.fork()
        if not child:
            torch.set_num_threads(1)
            try:
                read_weights_as(found, FILE, torch.bfloat16)
            finally:
                os._exit(0)
        time.sleep(moments.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        n_killed += not list_copies(own_bundle)
        weights = read_weights_as(found, FILE, torch.bfloat16)
        assert all(bool((value == float(name)).all()) for name, value in weights.items())
        assert sorted(path.name for path in found.copies.iterdir()) == [".lock", "encoder.bfloat16.safetensors"]
    assert n_killed
