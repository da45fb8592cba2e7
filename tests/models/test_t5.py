"""T5 layers equal those of transformers, forwards and backwards."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from slt.models.config import SonarT5Config
from slt.models.t5 import T5Stack, finite, initialise, relative_buckets

CONFIG = SonarT5Config(
    feature_dim=6, output_dim=5, d_model=16, d_kv=4, d_ff=24, num_layers=3, num_decoder_layers=2, num_heads=2,
    vocab_size=3, relative_attention_num_buckets=8, relative_attention_max_distance=20,
)  # fmt: skip


@pytest.fixture
def pair():
    """Our encoder and decoder, and transformers' model with the same weights."""
    from transformers.models.t5.configuration_t5 import T5Config
    from transformers.models.t5.modeling_t5 import T5Model

    torch.manual_seed(0)
    shared = torch.nn.Embedding(CONFIG.vocab_size, CONFIG.d_model)
    ours = torch.nn.ModuleDict(
        {"encoder": T5Stack(CONFIG, shared, is_decoder=False), "decoder": T5Stack(CONFIG, shared, is_decoder=True)}
    )
    initialise(ours, CONFIG)
    shape = {name: value for name, value in asdict(CONFIG).items() if name not in ("feature_dim", "output_dim")}
    theirs = T5Model(T5Config(**shape, feed_forward_proj="gated-gelu", layer_norm_epsilon=1e-6))
    theirs.load_state_dict({**ours.state_dict(), "shared.weight": shared.weight})
    return ours, theirs


def run_both(pair, states, mask, tokens):
    ours, theirs = pair
    memory = ours["encoder"](states, mask)
    found = ours["decoder"](tokens, memory=memory, memory_mask=mask)
    expected = theirs(
        inputs_embeds=states, attention_mask=mask, decoder_input_ids=tokens, use_cache=False
    ).last_hidden_state
    return found, expected


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("n_tokens", [1, 5])
def test_states_and_gradients_are_those_of_transformers(pair, training, n_tokens):
    ours, theirs = pair
    ours.train(training)
    theirs.train(training)
    states = torch.randn(2, 30, CONFIG.d_model)
    mask = torch.arange(30) < torch.tensor([[30], [11]])
    tokens = torch.randint(CONFIG.vocab_size, (2, n_tokens))
    found, expected = run_both(pair, states, mask, tokens)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    found.square().sum().backward()
    expected.square().sum().backward()
    others = dict(theirs.named_parameters())
    for name, weight in ours.named_parameters():
        grad = weight.grad if weight.grad is not None else torch.zeros_like(weight)
        other = others[name if "embed_tokens" not in name else "shared.weight"].grad
        torch.testing.assert_close(grad, other, atol=1e-4, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("is_causal", [False, True])
def test_buckets_are_those_of_transformers(is_causal):
    from transformers.models.t5.modeling_t5 import T5Attention

    config = SonarT5Config()
    distance = torch.arange(-400, 401)
    expected = T5Attention._relative_position_bucket(
        distance, bidirectional=not is_causal, num_buckets=32, max_distance=128
    )
    assert torch.equal(relative_buckets(distance, config, is_causal=is_causal), expected)


def test_states_in_half_precision_stay_finite():
    x = torch.tensor([torch.inf, -torch.inf, 60000.0], dtype=torch.float16)
    assert finite(x).isfinite().all()
    assert torch.equal(finite(x.float()), x.float())


def test_the_last_product_may_be_wider_than_the_rest(pair):
    ours, _ = pair
    ours.bfloat16()
    for name, part in ours.named_modules():
        if name.endswith(".wo"):
            part.float()
    states = torch.randn(1, 9, CONFIG.d_model, dtype=torch.bfloat16)
    assert ours["encoder"](states).isfinite().all()
