# ruff: noqa: F401, F811 - fixtures are imported, then asked for by name
from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from transformers import SiglipVisionModel

from slt.core.config import parse
from slt.core.errors import UserError
from slt.models.fitting import load_model
from slt.models.pictures import CONFIG_NAME, PROCESSOR_NAME, Pictures
from slt.models.siglip import Siglip, SiglipConfig, siglip_config
from tests.frame_bundles import VISUAL_DIM, siglip_folder


def test_a_configuration_goes_through_json_and_makes_the_same_model(siglip_folder):
    config = siglip_config(siglip_folder)
    again = parse(SiglipConfig, json.loads(json.dumps(asdict(config))), where="a card")
    assert again == config
    assert again.feature_dim == VISUAL_DIM
    model = load_model(Siglip, again, siglip_folder / "model.safetensors")
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8))
    theirs = SiglipVisionModel.from_pretrained(siglip_folder, local_files_only=True).eval()
    with torch.inference_mode():
        expected = theirs(pixel_values=model.pictures.normalise(frames)).pooler_output
    torch.testing.assert_close(model(frames), expected, rtol=0, atol=0)
    torch.testing.assert_close(Siglip.from_folder(siglip_folder)(frames), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_size": 0}, "hidden_size 0, expected more than 0"),
        ({"num_attention_heads": 5}, "hidden_size 16, expected a multiple of 5 heads"),
    ],
)
def test_impossible_shapes_are_refused(siglip_folder, changed, said):
    with pytest.raises(UserError, match=said):
        replace(siglip_config(siglip_folder), **changed)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (PROCESSOR_NAME, "{", "cannot be read: "),
        (PROCESSOR_NAME, [], "cannot be read: "),
        (PROCESSOR_NAME, {"size": "large"}, "cannot be read: "),
        (PROCESSOR_NAME, {"size": {"height": "32", "width": 32}}, "cannot be read: '<' not supported"),
        (PROCESSOR_NAME, {"image_mean": 0.5}, "cannot be read: 'float' object is not iterable"),
        (PROCESSOR_NAME, {"size": {"height": 0, "width": 32}}, "bad image configuration: 0 pixels"),
        (PROCESSOR_NAME, {"do_resize": False}, "found do_resize false in the image configuration"),
        (CONFIG_NAME, {"hidden_size": "16"}, "cannot be read: "),
        (CONFIG_NAME, {"hidden_size": [16]}, "cannot be read: "),
        (CONFIG_NAME, {"patch_size": 0}, "bad SigLIP configuration: patch_size 0"),
    ],
)
def test_a_file_that_is_broken_is_named(siglip_folder, tmp_path, name, content, said):
    folder = shutil.copytree(siglip_folder, tmp_path / "siglip")
    if isinstance(content, dict):
        content = {**json.loads((folder / name).read_text()), **content}
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=f"{re.escape(str(folder / name))}:? {said}"):
        siglip_config(folder)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"height": 0}, "0 pixels, expected at least 1"),
        ({"height": None}, "neither height and width nor shortest_edge"),
        ({"resample": 9}, "resample 9, expected the number of a Pillow filter"),
        ({"std": (0.5, 0.0, 0.5)}, "std 0"),
    ],
)
def test_impossible_pictures_are_refused(changed, said):
    good = {"height": 32, "width": 32, "shortest_edge": None, "crop": None, "resample": 2, "rescale": 1 / 255}
    numbers = {**good, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    Pictures(**numbers)
    with pytest.raises(UserError, match=f"bad image configuration: {said}"):
        Pictures(**{**numbers, **changed})
