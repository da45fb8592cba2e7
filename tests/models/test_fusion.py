"""The encoders on keypoints: alone as in a batch, and their parts against plain loops."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slt.core.errors import UserError
from slt.core.tensors import FeatureBatch
from slt.models.config import KEYPOINTS_DIM, FusionConfig, TransformerConfig
from slt.models.fusion import Fusion, resample_to
from slt.models.sequence import Layer, Stack, masked_mean, sinusoids
from slt.models.squeezeformer import Block, Convolution, RelativeAttention
from slt.models.transformer import Transformer

SMALL = {"output_dim": 6, "d_model": 16, "num_heads": 4, "d_ff": 24}
ENCODERS = {
    "fusion": (Fusion, FusionConfig(**SMALL, visual_dim=5, num_visual_layers=1, num_blocks=2, kernel_size=5)),
    "transformer": (Transformer, TransformerConfig(**SMALL, num_layers=2)),
}


@pytest.fixture(params=ENCODERS)
def encoder(request):
    torch.manual_seed(1)
    kind, config = ENCODERS[request.param]
    return random(kind(config))


def random(model):
    """Move every weight away from where it begins, as zeros and ones hide mistakes."""
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return model.eval()


def clips():
    torch.manual_seed(2)
    keypoints = [torch.rand(n, KEYPOINTS_DIM) for n in (1, 7, 30, 12)]
    keypoints[2][4:9, 100:] = torch.nan
    return keypoints, [torch.randn(n, 5) for n in (1, 4, 15, 20)]


def test_a_clip_alone_is_what_it_is_in_a_batch(encoder):
    keypoints, pictures = clips()
    batch = FeatureBatch.of(keypoints, pictures)
    batch.features[~batch.mask] = torch.nan
    batch.visual.features[~batch.visual.mask] = torch.inf
    together = encoder(batch)
    assert together.sequence.isfinite().all()
    for row, (joints, looks) in enumerate(zip(keypoints, pictures, strict=True)):
        alone = encoder(FeatureBatch.of([joints], [looks]))
        n = alone.sequence.shape[1]
        assert together.mask[row].sum() == n
        torch.testing.assert_close(together.sequence[row, :n], alone.sequence[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.sentence[row], alone.sentence[0], atol=1e-5, rtol=0)


def test_every_weight_gets_a_gradient_and_none_of_it_is_broken(encoder):
    encoder.train()
    keypoints, pictures = clips()
    encoder(FeatureBatch.of(keypoints, pictures)).sentence.square().sum().backward()
    for name, weight in encoder.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().max() > 0 or name.endswith("qkv.bias"), name


def test_it_computes_in_bfloat16(encoder):
    keypoints, pictures = clips()
    batch = FeatureBatch.of(keypoints, pictures)
    exact = encoder(batch).sentence
    with torch.autocast("cpu", torch.bfloat16):
        near = encoder(batch).sentence.float()
    assert torch.nn.functional.cosine_similarity(near, exact).min() > 0.99
    whole = encoder.bfloat16()(batch).sentence.float()
    assert torch.nn.functional.cosine_similarity(whole, exact).min() > 0.98


def test_both_streams_matter_and_so_does_order():
    torch.manual_seed(1)
    model = random(Fusion(ENCODERS["fusion"][1]))
    keypoints, pictures = clips()
    usual = model(FeatureBatch.of(keypoints, pictures)).sentence[2]
    others = [
        model(FeatureBatch.of([one.flip(0) for one in keypoints], pictures)),
        model(FeatureBatch.of(keypoints, [one.flip(0) for one in pictures])),
        model(FeatureBatch.of([torch.zeros_like(one) for one in keypoints], pictures)),
        model(FeatureBatch.of(keypoints, [torch.zeros_like(one) for one in pictures])),
    ]
    assert min((other.sentence[2] - usual).abs().max() for other in others) > 1e-3


def test_fusion_needs_its_second_stream():
    with pytest.raises(UserError, match="found one stream of features, expected two for the fusion encoder"):
        Fusion(ENCODERS["fusion"][1])(FeatureBatch.of(clips()[0]))


def test_the_sizes_of_the_system():
    model = Fusion(FusionConfig())
    assert (model.config.d_model, len(model.blocks)) == (384, 4)
    assert model.pictures.weight.shape == (384, 768)
    assert 17e6 < sum(weight.numel() for weight in model.parameters()) < 19e6


def test_impossible_sizes_are_refused():
    with pytest.raises(UserError, match="num_blocks 0, expected at least 1; feature_dim 3, expected 225"):
        FusionConfig(num_blocks=0, feature_dim=3)
    with pytest.raises(UserError, match="expected a multiple of num_heads 4; kernel_size 4, expected an odd"):
        FusionConfig(d_model=10, num_heads=4, kernel_size=4)
    with pytest.raises(UserError, match="d_model 9, expected an even number; d_model 9, expected a multiple"):
        TransformerConfig(d_model=9)


def test_relative_attention_is_that_of_a_plain_loop():
    torch.manual_seed(3)
    heads, width, n = 2, 8, 5
    attention = random(RelativeAttention(width, heads))
    sequence, mask = torch.randn(1, n, width), torch.tensor([[True] * 4 + [False]])
    query, key, value = attention.qkv(sequence)[0].view(n, 3, heads, width // heads).unbind(1)
    out = torch.zeros(n, heads, width // heads)
    for head in range(heads):
        for i in range(n):
            scores = []
            for j in range(4):
                wave = sinusoids(torch.tensor([i - j]), width)
                distance = attention.distance(wave)[0].view(heads, -1)[head]
                content = (query[i, head] + attention.content_bias[head, 0]) @ key[j, head]
                scores.append((content + (query[i, head] + attention.distance_bias[head, 0]) @ distance) / 2)
            out[i, head] = torch.stack(scores).softmax(0) @ value[:4, head]
    torch.testing.assert_close(attention(sequence, mask)[0], attention.out(out.flatten(1)), atol=1e-5, rtol=0)


def test_the_convolution_is_that_of_a_plain_loop():
    torch.manual_seed(4)
    convolution = random(Convolution(6, 3))
    sequence, mask = torch.randn(1, 5, 6), torch.tensor([[True] * 4 + [False]])
    inner = nn.functional.silu(convolution.into(sequence[0, :4]))
    kernel = convolution.depthwise.weight[:, 0]  # (D, 3)
    rows = []
    for step in range(4):
        near = [(step + k - 1, kernel[:, k]) for k in range(3) if 0 <= step + k - 1 < 4]
        rows.append(convolution.depthwise.bias + sum(weight * inner[at] for at, weight in near))
    expected = convolution.out(nn.functional.silu(convolution.norm(torch.stack(rows))))
    torch.testing.assert_close(convolution(sequence, mask)[0, :4], expected, atol=1e-5, rtol=0)


def test_a_block_scales_adds_and_norms_in_the_papers_order():
    torch.manual_seed(5)
    block = random(Block(8, 2, 12, 3, 0.1))
    sequence, mask = torch.randn(2, 6, 8), torch.ones(2, 6, dtype=torch.bool)
    expected = sequence
    for part, scale, norm in zip(block.parts, block.scales, block.norms, strict=True):
        expected = norm(expected + part(scale.scale * expected + scale.bias, mask))
    torch.testing.assert_close(block(sequence, mask), expected)
    assert [type(part).__name__ for part in block.parts] == [
        "RelativeAttention",
        "FeedForward",
        "Convolution",
        "FeedForward",
    ]


def test_a_layer_is_torchs_own_with_the_same_weights():
    torch.manual_seed(6)
    layer = random(Layer(8, 2, 12, 0.0))
    theirs = nn.TransformerEncoderLayer(8, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    theirs.self_attn.in_proj_weight.data, theirs.self_attn.in_proj_bias.data = layer.qkv.weight, layer.qkv.bias
    theirs.self_attn.out_proj, theirs.norm1, theirs.norm2 = layer.out, layer.attention_norm, layer.feed_forward[0]
    theirs.linear1, theirs.linear2 = layer.feed_forward[1], layer.feed_forward[4]
    sequence, mask = torch.randn(2, 6, 8), torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    expected = theirs(sequence, src_key_padding_mask=~mask)
    torch.testing.assert_close(layer(sequence, mask)[mask], expected[mask], atol=1e-5, rtol=0)


def test_a_stack_knows_where_it_is():
    torch.manual_seed(7)
    stack = random(Stack(1, 8, 2, 12, 0.0))
    same = stack(torch.ones(1, 4, 8), torch.ones(1, 4, dtype=torch.bool))
    assert (same[0, 0] - same[0, 3]).abs().max() > 1e-2


def test_a_stream_is_read_at_the_other_streams_pace():
    ramp = torch.arange(6.0)[None, :, None].expand(2, 6, 1)
    others = FeatureBatch.of([torch.zeros(12, 1), torch.zeros(2, 1)])
    read = resample_to(ramp, torch.tensor([6, 4]), others)[:, :, 0]
    torch.testing.assert_close(read[0], (torch.arange(12) / 2 - 0.25).clamp(0, 5))
    torch.testing.assert_close(read[1, :2], torch.tensor([0.5, 2.5]))
    same = resample_to(ramp[:1], torch.tensor([6]), FeatureBatch.of([torch.zeros(6, 1)]))
    torch.testing.assert_close(same, ramp[:1])
    held = resample_to(ramp, torch.tensor([1, 1]), others)
    assert (held == 0).all()


def test_a_mean_leaves_padding_out():
    sequence = torch.tensor([[[1.0], [3.0], [torch.nan]]])
    assert masked_mean(sequence, torch.tensor([[True, True, False]])).tolist() == [[2.0]]
