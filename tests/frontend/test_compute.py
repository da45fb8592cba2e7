"""Computing batches: memory that runs out, failures, and what bounded a run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from slt.core import device as devices
from slt.core.device import in_parts
from slt.extract.jobs import gather_jobs
from slt.frontend import batching
from slt.frontend.base import Settings
from slt.frontend.batching import batch_size
from slt.frontend.clip import ClipSource
from slt.frontend.registry import load_frontend
from slt.frontend.run import clip_features, many_clip_features
from slt.frontend.usage import CROP, DECODE, SIGNER, Usage
from slt.pipeline.translator import Translator

FULL_WINDOW = 128 * 224 * 224 * 3


@pytest.fixture(autouse=True)
def _told_nothing_yet(monkeypatch):
    monkeypatch.setattr(devices, "_TOLD", set())


@pytest.fixture
def frontend(bundle):
    return load_frontend(None, Settings(model=str(bundle), device="cpu"))


def found_in(frontend, clips, **settings):
    outcomes = {one.clip.id: one for one in many_clip_features(clips, frontend, **settings)}
    assert not [one.error for one in outcomes.values() if one.error]
    return {id: one.found for id, one in outcomes.items()}


def run_out_above(frontend, most, monkeypatch):
    genuine, sizes = frontend.features, []

    def features(inputs):
        sizes.append(len(inputs))
        if len(inputs) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return genuine(inputs)

    monkeypatch.setattr(frontend, "features", features)
    return sizes


def test_memory_that_runs_out_halves_the_batch_says_so_once_and_changes_no_feature(
    frontend, videos, monkeypatch, capsys
):
    opener = partial(frontend.open, ClipSource(id="v11", path=videos[11]))
    expected = clip_features(opener, frontend)
    frontend.batch_size = 8
    sizes = run_out_above(frontend, 1, monkeypatch)
    found = clip_features(opener, frontend)
    assert frontend.batch_size == 1
    assert sizes[0] > 1
    assert sizes[-1] == 1
    assert capsys.readouterr().err.count("memory ran out: going on with at most") == 1
    torch.testing.assert_close(found.readings[0][0], expected.readings[0][0], rtol=0, atol=1e-5)


def test_a_window_that_does_not_fit_alone_costs_its_clip(frontend, videos, monkeypatch):
    run_out_above(frontend, 0, monkeypatch)
    (outcome,) = many_clip_features(gather_jobs(videos[:1]), frontend)
    assert "out of memory" in outcome.error.message


def test_translating_goes_on_with_less(bundle, clip, monkeypatch, capsys):
    translator = Translator(bundle, device="cpu")
    expected = translator.translate(clip, ["eng_Latn", "deu_Latn"])
    translator.frontend.batch_size = 8
    run_out_above(translator.frontend, 1, monkeypatch)
    genuine = type(translator.load().decoder)._search

    def search(decoder, rows, prompts, limits, settings):
        if len(rows) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return genuine(decoder, rows, prompts, limits, settings)

    monkeypatch.setattr(type(translator.load().decoder), "_search", search)
    found = translator.translate(clip, ["eng_Latn", "deu_Latn"])
    assert {lang: texts[0].text for lang, texts in found.texts.items()} == {
        lang: texts[0].text for lang, texts in expected.texts.items()
    }
    said = capsys.readouterr().err
    assert said.count("at most 1 inputs at once") == 1
    assert said.count("at most 1 texts at once") == 1


def test_parts_are_halved_and_other_errors_are_not_hidden():
    tried = []

    def compute(part):
        tried.append((part.start, part.stop))
        if part.stop - part.start > 2:
            raise torch.OutOfMemoryError
        return list(range(part.start, part.stop))

    assert in_parts(5, 5, compute, what="numbers") == [0, 1, 2, 3, 4]
    assert tried == [(0, 5), (0, 2), (2, 4), (4, 5)]
    with pytest.raises(torch.OutOfMemoryError):
        in_parts(1, 1, lambda part: compute(slice(0, 9)), what="numbers")
    with pytest.raises(ValueError, match="another"):
        in_parts(4, 4, lambda part: (_ for _ in ()).throw(ValueError("another")), what="numbers")


@pytest.mark.parametrize(
    ("free", "itemsize", "size"),
    [(None, 4, 1), (80_000_000_000, 4, 33), (40_000_000_000, 4, 19), (14_000_000_000, 2, 13), (1_000_000_000, 4, 1)],
)
def test_a_batch_fits_into_free_memory(free, itemsize, size, monkeypatch):
    monkeypatch.setattr(batching, "free_bytes", lambda device: free)
    assert batch_size(torch.device("cuda" if free else "cpu"), FULL_WINDOW, itemsize) == size


def test_what_bounded_a_run_is_told(frontend, videos):
    usage = Usage()
    found_in(frontend, gather_jobs(videos[:4]), n_workers=2, usage=usage)
    assert set(usage.reading) == {SIGNER, DECODE, CROP}
    assert all(took > 0 for took in usage.reading.values())
    assert 0 < usage.device_s <= usage.took_s
    assert not usage.is_worth_telling
    reading = {SIGNER: 1.0, DECODE: 70.0, CROP: 29.0}
    waiting = replace(usage, reading=reading, device="cuda", took_s=100.0, waiting_s=80.0, device_s=20.0, n_workers=16)
    assert waiting.is_worth_telling
    assert waiting.summary() == (
        "bounded by decoding: the GPU computed 20 % of the time; 16 readers: finding the signer 1 %, decoding 70 %, "
        "cropping 29 %"
    )
    computing = replace(waiting, waiting_s=3.0, device_s=97.0, n_workers=1)
    assert computing.summary().startswith("bounded by extracting: the GPU computed 97 % of the time; 1 reader:")
    assert Usage().busy == 0
