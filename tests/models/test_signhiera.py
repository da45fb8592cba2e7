"""SignHiera gives the public implementation's numbers, whatever shares its batch, and can be trained."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from slt.core.config import parse
from slt.core.errors import UserError
from slt.models.fitting import build_empty, load_strict
from slt.models.signhiera import SignHiera, SignHieraConfig, normalise

GOLDEN = Path(__file__).parents[1] / "golden"
TINY = {
    "input_size": (8, 32, 32),
    "embed_dim": 8,
    "stages": (1, 1, 1),
    "q_pool": 2,
    "mask_unit_attn": (True, False, False),
}
TINY |= {"mask_unit_size": (1, 4, 4)}


@pytest.fixture(scope="module")
def golden():
    return load_file(GOLDEN / "tiny/hiera_tiny_square.safetensors")


@pytest.fixture(scope="module")
def golden_model(golden):
    config = json.loads((GOLDEN / "tiny/hiera_tiny_square.json").read_text())["config"]
    del config["num_classes"]
    model = build_empty(lambda: SignHiera(SignHieraConfig(**config)))
    weights = {name.removeprefix("weights."): value for name, value in golden.items() if name.startswith("weights.")}
    load_strict(model, weights, unused=SignHiera.UNUSED_WEIGHTS)
    return model.eval()


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return SignHiera(SignHieraConfig(**TINY))


def pixels(batch, size=(8, 32, 32), seed=1):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(seed))


def published(name):
    rows = (GOLDEN / "keys" / name).read_text().splitlines()[1:]
    return {row.split("\t")[0]: tuple(int(n) for n in row.split("\t")[1].split("x")) for row in rows}


@pytest.mark.parametrize("case", ["no_padding", "padding_0_0", "padding_0_7", "padding_8_3"])
def test_features_equal_the_public_implementation(golden, golden_model, case):
    padding = golden.get(case.replace("padding_", "padding."))
    with torch.no_grad():
        batch = golden_model(normalise(golden["input_frames_u8"]), padding)
    expected = golden[f"out.features_{case}"]
    assert sum(batch.lengths.tolist()) == len(expected)
    torch.testing.assert_close(torch.cat(batch.clips()), expected, atol=1e-5, rtol=0)


def test_state_is_the_published_one_but_for_the_head():
    own = build_empty(lambda: SignHiera(SignHieraConfig())).state_dict()
    expected = published("signhiera_base_128x224.tsv")
    head = {"norm.weight", "norm.bias", "head.projection.weight", "head.projection.bias"}
    assert {name: tuple(value.shape) for name, value in own.items()} == {
        name: shape for name, shape in expected.items() if name not in head
    }


@pytest.mark.parametrize("file", ["signhiera_base_128x224.tsv", "mae_signhiera_base_128x224.tsv"])
def test_published_files_fit_also_those_of_pre_training(file):
    model = build_empty(lambda: SignHiera(SignHieraConfig()))
    load_strict(
        model,
        {name: torch.zeros(1).expand(shape) for name, shape in published(file).items()},
        unused=SignHiera.UNUSED_WEIGHTS,
    )
    assert not model.blocks[23].mlp.fc2.weight.any()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"q_pool": 1},
        {"q_pool": 0},
        {"mask_unit_attn": (True, True, True)},
        {"mask_unit_attn": (False, False, False)},
        {"mask_unit_size": (1, 9, 4), "q_stride": (1, 3, 2), "input_size": (4, 72, 32)},
        {"sep_pos_embed": False},
        {"input_size": (4, 32, 64)},
        {"num_heads": 2},
    ],
)
def test_equals_timms_own_forward(changes):
    from timm.models.hiera import Hiera

    config = SignHieraConfig(**TINY | changes)
    torch.manual_seed(0)
    ours = SignHiera(config)
    shape = {name: getattr(config, name) for name in SignHieraConfig.__dataclass_fields__ if name != "input_size"}
    timms = Hiera(img_size=config.input_size, num_classes=0, **shape)
    assert timms.load_state_dict(ours.state_dict(), strict=False).unexpected_keys == []
    x = pixels(2, config.input_size)
    with torch.no_grad():
        picture = timms.reroll(timms.forward_features(x), timms.stage_ends[-1])  # (B, steps, height, width, C)
        torch.testing.assert_close(ours(x).features, picture.mean((2, 3)), atol=2e-6, rtol=1e-5)


def test_shapes_follow_the_config(tiny):
    config = tiny.config
    assert (config.feature_dim, config.rows_per_window, config.units_per_row) == (32, 4, 4)
    assert tiny(pixels(2)).features.shape == (2, 4, 32)
    assert (SignHieraConfig().feature_dim, SignHieraConfig().rows_per_window) == (768, 64)
    assert SignHieraConfig(input_size=[64, 96, 96], embed_dim=24, stages=[1, 2, 2, 1]).stages == (1, 2, 2, 1)


def test_a_window_does_not_depend_on_its_batch_nor_on_its_padding(tiny):
    x = pixels(4)
    padding = torch.tensor([5, 0, 4, 7])
    with torch.no_grad():
        together = tiny(x, padding)
        assert together.lengths.tolist() == [2, 4, 2, 1]
        for i, features in enumerate(together.clips()):
            other = x[i : i + 1].clone()
            other[:, :, 8 - padding[i] // 2 * 2 :] = torch.nan
            alone = tiny(other, padding[i : i + 1])
            torch.testing.assert_close(features, alone.features[0], atol=1e-6, rtol=0)


def test_every_weight_is_trained(tiny):
    tiny(pixels(2), torch.tensor([0, 2])).features.square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in tiny.parameters())
    assert all(value.grad.any() for name, value in tiny.named_parameters() if name.endswith("weight"))


def test_recomputing_activations_gives_the_same_gradients(tiny):
    tiny(pixels(1)).features.square().sum().backward()
    stored = {name: value.grad.clone() for name, value in tiny.named_parameters()}
    tiny.zero_grad()
    tiny.grad_checkpointing = True
    tiny(pixels(1)).features.square().sum().backward()
    assert all(torch.equal(stored[name], value.grad) for name, value in tiny.named_parameters())


def test_normalise_brings_colours_first_and_to_the_published_scale():
    frames = torch.randint(0, 256, (2, 3, 4, 5, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    out = normalise(frames)
    assert out.is_contiguous()
    assert torch.equal(out, ((frames.float() / 255 - 0.45) / 0.225).permute(0, 4, 1, 2, 3))


def test_config_survives_a_card(tiny):
    assert parse(SignHieraConfig, json.loads(json.dumps(asdict(tiny.config))), where="a card") == tiny.config


def test_half_precision_stays_near(tiny):
    with torch.no_grad():
        expected = tiny(pixels(1)).features
        found = tiny.bfloat16()(pixels(1).bfloat16()).features
    assert found.dtype == torch.bfloat16
    assert torch.cosine_similarity(found.float(), expected, dim=-1).min() > 0.99


def test_other_pixels_are_refused(tiny):
    with pytest.raises(ValueError, match=r"expected pixels \(B, 3, \*\(8, 32, 32\)\), got \(1, 3, 8, 32, 16\)"):
        tiny(torch.zeros(1, 3, 8, 32, 16))


@pytest.mark.parametrize("padding", [[8], [-1], [0, 0]])
def test_impossible_padding_is_refused(tiny, padding):
    with pytest.raises(ValueError, match=r"padding of 0..7 frames per window, got"):
        tiny(pixels(1), torch.tensor(padding))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_unit_size": (2, 8, 8)}, "time is not pooled"),
        ({"q_stride": (2, 2, 2)}, "time is not pooled"),
        ({"q_pool": 4}, "4 stages need as many mask_unit_attn and a smaller q_pool"),
        ({"stages": (1, 1)}, "2 stages need as many mask_unit_attn"),
        ({"mask_unit_attn": (True, False, True, False)}, "True for the first stages only"),
        ({"embed_dim": 7, "num_heads": 2}, "embed_dim 7 is not a multiple of 2 heads"),
        ({"input_size": (128, 224, 100)}, "input_size 100 in width is not a multiple of the mask unit 32"),
        ({"input_size": (0, 224, 224)}, "input_size 0 in frames is not a multiple"),
        (
            {"mask_unit_size": (1, 16, 8)},
            "mask_unit_size in height is not the product of q_stride over all",
        ),
        ({"patch_kernel": (3, 7, 12)}, "do not give one patch per stride in width"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        SignHieraConfig(**changes)


def test_all_mistakes_of_a_config_are_told_at_once():
    with pytest.raises(UserError, match=r"100 in height.*; input_size 90 in width"):
        SignHieraConfig(input_size=(128, 100, 90))


def test_windows_of_any_lengths_are_computed_together_and_see_nothing_of_one_another(tiny, monkeypatch):
    padding = torch.tensor([0, 3, 6, 2])
    clips = pixels(4)
    alone = [tiny(clips[i : i + 1], padding[i : i + 1]).clips()[0] for i in range(4)]
    ran = []
    monkeypatch.setattr(SignHiera, "_run", lambda self, block, *rest: ran.append(block) or block(*rest))
    together = tiny(clips, padding).clips()
    assert ran == list(tiny.blocks)
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_attention_in_half_precision_is_as_the_flash_kernel_takes_it(tiny, monkeypatch):
    asked = []
    genuine = torch.nn.functional.scaled_dot_product_attention

    def attention(query, key, value, **options):
        asked.append((query, key, value, options))
        return genuine(query, key, value)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    tiny.bfloat16()(pixels(2).bfloat16(), torch.tensor([0, 3]))
    assert len(asked) > len(tiny.blocks)  # of each window by itself in the last stages
    for *tensors, options in asked:
        assert not options  # no mask and no dropout
        for one in tensors:
            assert one.dtype == torch.bfloat16
            assert one.ndim == 4
            assert one.stride(-1) == 1
            assert one.shape[-1] <= 256
    published = SignHieraConfig()
    assert published.embed_dim // published.num_heads == 96  # of all stages: width and heads double together
