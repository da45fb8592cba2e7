"""Uni-Sign's pose-only checkpoints become bundles that translate; what is anything else is refused."""

from __future__ import annotations

import re

import pytest
import torch

from slt.assets.cards import read_card
from slt.assets.fetch import fetch
from slt.assets.published import PublishedFile
from slt.bundle import unisign
from slt.bundle.load import load_bundle
from slt.bundle.unisign import UNKNOWN_LICENCE, import_unisign
from slt.core.errors import UserError
from slt.core.tensors import FeatureBatch
from slt.pipeline.translator import Translator
from slt.text.hf.config import HfTextConfig
from tests.bundles import write_clip
from tests.onnx_models import write_models
from tests.unisign_bundle import write_checkpoint, write_mt5
from tests.unisign_golden import PREFIX, keys, points, seeded_weights

HAND = "gcn_modules.{}.layer0_0.gcn.conv.weight"


@pytest.fixture
def mt5(tmp_path):
    return write_mt5(tmp_path / "mt5")


@pytest.mark.slow
def test_an_imported_checkpoint_translates(tmp_path, mt5):
    folder = import_unisign("tiny", write_checkpoint(tmp_path / "pose.pth"), mt5)
    card = read_card(folder)
    assert (card.extractor.kind, card.encoder.kind, card.decoder.kind) == ("wholebody", "stgcn", "mt5")
    assert (card.languages, card.licence) == (("eng_Latn",), UNKNOWN_LICENCE)
    assert card.made["sources"]["weights"]["file"] == "pose.pth"
    loaded = load_bundle("tiny", device="cpu")
    with torch.inference_mode():
        output = loaded.encoder(FeatureBatch.of([points("mid")]))
        states, _ = loaded.decoder._states(output)
    assert states.shape == (1, len(loaded.decoder.tokens.target(PREFIX)) + 12, 768)
    assert not loaded.decoder.model.training
    models = write_models(tmp_path / "models")
    translator = Translator("tiny", device="cpu", detector=f"rtmw={models}")
    found = translator.translate(write_clip(tmp_path / "clip.mp4"), beam_size=2)
    assert list(found.texts) == ["eng_Latn"]
    assert found.features.shape[1] == 399


def test_weights_keep_their_numbers_under_slts_names(tmp_path, mt5):
    import_unisign("tiny", write_checkpoint(tmp_path / "pose.pth"), mt5)
    loaded = load_bundle("tiny", device="cpu")
    weights = seeded_weights()
    encoder, decoder = loaded.encoder.state_dict(), loaded.decoder.state_dict()
    for name, value in weights.items():
        if name.startswith("mt5_model."):
            torch.testing.assert_close(decoder[name.replace("mt5_model.", "model.")], value, rtol=0, atol=0)
        elif not name.startswith("pose_proj."):
            torch.testing.assert_close(encoder[name], value, rtol=0, atol=0)
    torch.testing.assert_close(decoder["bridge.0.weight"], weights["pose_proj.weight"], rtol=0, atol=0)


def test_either_name_of_the_hands_will_do_and_both_must_agree(tmp_path, mt5):
    left, right = HAND.format("left"), HAND.format("right")
    import_unisign("one", write_checkpoint(tmp_path / "a.pth", **{left: None}), mt5)
    other = seeded_weights()[left] + 1
    with pytest.raises(UserError, match=rf"1 unequal to another name of the same tensor \({re.escape(right)}\)"):
        import_unisign("two", write_checkpoint(tmp_path / "b.pth", **{right: other}), mt5)


def test_every_missing_and_unexpected_key_is_named(tmp_path, mt5):
    changed = {
        "part_para": None,
        "pose_proj.bias": None,
        "mt5_model.lm_head.weight": None,
        "surplus.weight": torch.zeros(1),
        "proj_linear.body.weight": torch.zeros(64, 2),
    }
    with pytest.raises(UserError) as raised:
        import_unisign("tiny", write_checkpoint(tmp_path / "a.pth", **changed), mt5)
    for said in (
        "3 missing (part_para, mt5_model.lm_head.weight, pose_proj.bias)",
        "1 unexpected (surplus.weight)",
        "1 of another shape (proj_linear.body.weight (64, 2) for (64, 3))",
    ):
        assert said in raised.value.message
    with pytest.raises(UserError, match=r"on pictures and poses: it has 1 weights such as rgb_proj\.weight"):
        import_unisign("tiny", write_checkpoint(tmp_path / "b.pth", **{"rgb_proj.weight": torch.zeros(1)}), mt5)


def test_what_it_writes_in_is_its_prompts_language(tmp_path, mt5):
    file = write_checkpoint(tmp_path / "csl.pth")
    card = read_card(import_unisign("csl", file, mt5, lang="zho_Hans", licence="MIT"))
    assert card.decoder.config["prefix"] == "Translate sign language video to Chinese: "
    assert (card.languages, card.licence) == (("zho_Hans",), "MIT")
    with pytest.raises(UserError, match="fra_Latn"):
        import_unisign("fra", file, mt5, lang="fra_Latn")


def test_the_licence_is_the_one_that_was_recorded(tmp_path, mt5):
    file = write_checkpoint(tmp_path / "here.pth")
    published = PublishedFile(name="here.pth", url="https://nowhere.invalid/here.pth", about_bytes=1, summary="")
    fetch([published], tmp_path, licence="cc-by-4.0, as its page says")
    assert read_card(import_unisign("tiny", file, mt5)).licence == "cc-by-4.0, as its page says"


@pytest.mark.slow
def test_long_clips_are_thinned_out_and_that_is_told(tmp_path, mt5):
    import_unisign("tiny", write_checkpoint(tmp_path / "pose.pth"), mt5)
    models = write_models(tmp_path / "models")
    translator = Translator("tiny", device="cpu", detector=f"rtmw={models}")
    clip = write_clip(tmp_path / "clip.mp4")
    assert not any("evenly spaced" in one for one in translator.translate(clip, beam_size=1).warnings)
    loaded = translator.load()
    object.__setattr__(loaded.encoder.config, "max_frames", 5)
    warnings = translator.translate(clip, beam_size=1).warnings
    assert any(
        re.search(r"reads at most 5 frames of a clip; of \d+, evenly spaced ones were taken", one) for one in warnings
    )


def test_the_published_list_of_weights_is_exactly_what_is_read(tmp_path, mt5):
    shape = {"vocab_size": 250112, "d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12, "num_heads": 12}
    config = HfTextConfig(kind="mt5", feature_dim=1024, languages=("eng_Latn",), bridge="linear", model=shape)
    types = {"float32": torch.float32, "int64": torch.int64}
    # One number seen everywhere, so that 2.4 GB of weights take no memory.
    weights = {key: torch.zeros((), dtype=types[kind]).expand(size) for key, size, kind, _ in keys("mt5_base")}
    proto = (mt5 / "spiece.model").read_bytes()
    encoder, decoder = unisign._split(weights, config, proto, tmp_path / "pose.pth")
    shared = {key for key, _, _, alias in keys("mt5_base") if alias or ".right." in key}
    assert len(encoder) + len(decoder) == len(weights) - len(shared)
    with pytest.raises(UserError, match=r"1 missing \(mt5_model\.lm_head\.weight\)"):
        unisign._split({key: one for key, one in weights.items() if "lm_head" not in key}, config, proto, tmp_path)
