"""Checkpoints of the published size, in every layout they are published in, become one and the same model."""

from __future__ import annotations

import shutil

import pytest
import torch

from slt.assets.cards import read_card
from slt.bundle.convert import Sources, import_bundle
from slt.bundle.load import load_bundle
from slt.core.tensors import FeatureBatch
from slt.frontend.base import Settings
from slt.frontend.registry import load_frontend
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


@pytest.mark.slow
def test_all_published_layouts_become_one_model_at_full_size(tmp_path):
    if shutil.disk_usage(tmp_path).free < NEEDED_BYTES:
        pytest.skip("needs 12 GB of disk")
    cards, first = [], None
    for layout in ("published", "old", "copied"):
        folder = tmp_path / layout
        folder.mkdir()
        write_tokenizer(folder / "tokenizer.model")
        for part in KEYS:
            # In half precision, which an import keeps: half the disk and time, the same names and shapes.
            weights = random_weights(part, torch.float16, overlapping=layout != "published")
            torch.save(LAYOUTS[layout][part](weights), folder / f"{part}.pt")
        sources = Sources(**{part: folder / f"{part}.pt" for part in KEYS}, tokenizer=folder / "tokenizer.model")
        bundle = import_bundle(layout, sources)
        shutil.rmtree(folder)
        card = read_card(bundle)
        cards.append((card.sha256, card.extractor, card.encoder, card.decoder, card.preprocess))
        first = first or outcome(bundle)
        shutil.rmtree(bundle)
    assert cards == cards[:1] * len(cards)  # the same bytes under the same configuration compute the same
    *numbers, text = first
    assert [tuple(value.shape) for value in numbers] == [(2, 768), (1, 1024), (1, 1024)]
    assert all(bool(value.isfinite().all()) and value.std() > 0 for value in numbers)
    assert isinstance(text.text, str)
