"""Checkpoints of the published size, in every layout they are published in, become one and the same model."""

from __future__ import annotations

import os
import shutil

import pytest
import torch
from safetensors import safe_open

from slt.assets import cards
from slt.assets.cards import read_card
from slt.bundle import convert
from slt.bundle.convert import Sources, import_bundle
from slt.bundle.load import load_bundle
from slt.core.tensors import FeatureBatch
from slt.frontend.base import Settings
from slt.frontend.registry import load_frontend
from slt.models import checkpoint
from tests.checkpoints import LAYOUTS
from tests.published import KEYS, random_weights, write_tokenizer

NEEDED_BYTES = 12e9


def outcome(model):
    """The features of a window that is nearly all padding, their embedding, a text's, and a text."""
    loaded = load_bundle(model, device="cpu", dtype="float16", text_encoder=True)
    frontend = load_frontend(None, Settings(model=model, device="cpu", dtype="float16"))
    pixels = torch.randn(1, 3, 128, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        features = frontend.model(pixels, torch.tensor([124])).features[0]
        embedding = loaded.encoder(FeatureBatch.of([features])).sentence
    text = loaded.decoder.decode(embedding, ["eng_Latn"], beam_size=1, max_tokens=2)[0]["eng_Latn"][0]
    return features.float(), embedding.float(), loaded.decoder.embed(["the weather"], "eng_Latn").float(), text


def link_instead_of_writing(bundle, monkeypatch):
    """Let each file that an import would write be compared with a bundle's, and linked to it.

    What safetensors is given makes the file's every byte, so nothing is lost but the time for writing 5 GB, and for
    reading them to hash them.
    """
    hashes, save_weights, sha256_of = read_card(bundle).sha256, checkpoint.save_weights, cards.sha256_of

    def save(path, weights):
        there = bundle / path.name

        def compare(stored, part, header):
            with safe_open(there, framework="pt") as file:
                assert file.metadata() == header
                assert set(file.keys()) == stored.keys()
                for name, value in stored.items():
                    expected = file.get_tensor(name)
                    assert value.dtype == expected.dtype, name
                    assert torch.equal(value, expected), name
            os.unlink(part)
            os.link(there, part)

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "save_file", compare)
            save_weights(path, weights)

    def hash_once(path):
        there = bundle / path.name
        return hashes[path.name] if there.is_file() and path.samefile(there) else sha256_of(path)

    monkeypatch.setattr(convert, "save_weights", save)
    monkeypatch.setattr(cards, "sha256_of", hash_once)


@pytest.mark.slow
def test_all_published_layouts_become_one_model_at_full_size(tmp_path, monkeypatch):
    if shutil.disk_usage(tmp_path).free < NEEDED_BYTES:
        pytest.skip("needs 12 GB of disk")
    write_tokenizer(tmp_path / "tokenizer.model")
    found = []
    for layout in ("published", "old", "copied"):
        folder = tmp_path / layout
        folder.mkdir()
        for part in KEYS:
            # In half precision, which an import keeps: half the disk and time, the same names and shapes. One file is
            # of the published length too.
            is_long = (layout, part) == ("published", "text_decoder")
            weights = random_weights(part, torch.float16, overlapping=not is_long)
            torch.save(LAYOUTS[layout][part](weights), folder / f"{part}.pt")
        sources = Sources(**{part: folder / f"{part}.pt" for part in KEYS}, tokenizer=tmp_path / "tokenizer.model")
        bundle = import_bundle(layout, sources)
        shutil.rmtree(folder)
        card = read_card(bundle)
        found.append((card.sha256, card.extractor, card.encoder, card.decoder, card.preprocess))
        if layout == "published":
            *numbers, text = outcome(bundle)
            link_instead_of_writing(bundle, monkeypatch)
    shutil.rmtree(bundle.parent)
    assert found == found[:1] * 3  # the same bytes under the same configuration compute the same
    assert [tuple(value.shape) for value in numbers] == [(2, 768), (1, 1024), (1, 1024)]
    assert all(bool(value.isfinite().all()) and value.std() > 0 for value in numbers)
    assert isinstance(text.text, str)
