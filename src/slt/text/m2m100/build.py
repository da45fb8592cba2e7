"""SONAR's text encoder and decoder as M2M100 models of transformers, and fairseq2's names of their weights."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.m2m_100.configuration_m2m_100 import M2M100Config
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Decoder, M2M100Encoder

from slt.models.fitting import load_strict
from slt.text.config import SonarTextConfig, StackConfig
from slt.text.m2m100.single_context import SingleContextAttention
from slt.text.nllb import END, UNKNOWN
from slt.text.weights import current_layer_name

EXTRA_POSITIONS = 2
"""sonar extends the text encoder's positions by two."""

FIRST_POSITION = 2
"""Positions count from the padding id of fairseq, 1, plus one."""


CACHE = "cache" if "cache" in inspect.signature(M2M100Decoder.forward).parameters else "past_key_values"
"""Name of an argument that transformers 5.24 renamed."""


class Frontend(nn.Module):
    """Token embeddings scaled by √D plus sinusoidal positions, added in float32 as in fairseq2.

    Attributes:
        embed: the embedding table. As in the published models, the unknown token's row gets no gradient: their
            padding id is 1, though their tokenizer's is 0.
    """

    def __init__(self, stack: StackConfig, vocab_size: int, n_positions: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, stack.model_dim, padding_idx=UNKNOWN)
        self._scale = math.sqrt(stack.model_dim)
        self.register_buffer("freqs", sinusoids(n_positions, stack.model_dim), persistent=False)

    def forward(self, ids: Tensor, first: int = 0) -> Tensor:
        """(B, S) int64 token ids, the first one at position ``first`` → (B, S, D)."""
        embeddings = self.embed(ids) * self._scale
        return (embeddings.float() + self.get_buffer("freqs")[first : first + ids.shape[1]]).type_as(embeddings)


class TextDecoder(nn.Module):
    """SONAR's text decoder: (B, S) token ids and (B, D) embeddings → (B, S, V) logits.

    Submodules carry fairseq2's names, except inside the layers.
    """

    def __init__(self, config: SonarTextConfig, vocab_size: int) -> None:
        super().__init__()
        stack = config.decoder
        self.decoder_frontend = Frontend(stack, vocab_size, stack.max_seq_len)
        self.decoder = _without_frontend(M2M100Decoder(_m2m100(stack)))
        for layer in self.decoder.layers:
            _set_context_width(layer.encoder_attn, config.encoder.model_dim)
            layer.encoder_attn = SingleContextAttention(layer.encoder_attn)
        self.final_proj = nn.Linear(stack.model_dim, vocab_size, bias=False, device="meta")
        self.final_proj.weight = self.decoder_frontend.embed.weight

    def forward(self, ids: Tensor, embeddings: Tensor, cache: Any = None) -> Tensor:
        """Predict the token after each of (B, S) ``ids``; with a cache of earlier ones, these are not repeated."""
        first = cache.get_seq_length() if cache is not None else 0
        with _random_state_kept(self):
            states = self.decoder(
                inputs_embeds=self.decoder_frontend(ids, first),
                encoder_hidden_states=embeddings[:, None],  # (B, 1, D): a one-step encoder output
                use_cache=cache is not None,
                **{CACHE: cache},
            ).last_hidden_state
        return self.final_proj(states)


class TextEncoder(nn.Module):
    """SONAR's text encoder: (B, S) token ids and their (B,) lengths → (B, D) mean-pooled states."""

    def __init__(self, config: SonarTextConfig, vocab_size: int) -> None:
        super().__init__()
        stack = config.encoder
        self.encoder_frontend = Frontend(stack, vocab_size, stack.max_seq_len + EXTRA_POSITIONS)
        self.encoder = _without_frontend(M2M100Encoder(_m2m100(stack)))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Embed B token sequences, right-padded."""
        real = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]  # (B, S)
        inputs = self.encoder_frontend(ids)
        with _random_state_kept(self):
            states = self.encoder(inputs_embeds=inputs, attention_mask=real.long()).last_hidden_state
        total = states.where(real[:, :, None], 0).sum(dim=1)
        return total / lengths[:, None].to(total.dtype)


def create(part: str, config: SonarTextConfig, vocab_size: int) -> TextDecoder | TextEncoder:
    """Build the "encoder" or "decoder", initialised as fairseq2 does, on torch's default device and in its dtype."""
    model = TextDecoder(config, vocab_size) if part == "decoder" else TextEncoder(config, vocab_size)
    initialise(model)
    table = next(model.parameters())
    return model if table.is_meta else model.to(table.device)  # the positions too, which are computed on the CPU


def stored_name(part: str, name: str) -> str:
    """Return fairseq2's name of a weight."""
    if name.startswith(f"{part}.layers."):
        return current_layer_name(name)
    return name.removeprefix("encoder.") if name.startswith("encoder.layer_norm.") else name


def fill(module: nn.Module, weights: Mapping[str, Tensor], part: str, device: torch.device | str) -> None:
    """Load weights of fairseq2's names into a module built on the meta device.

    Raises:
        UserError: weights are missing, unexpected or of another shape.
    """
    load_strict(
        module,
        {name: value.to(device) for name, value in weights.items()},
        source=f"these weights of a SONAR text {part}",
        stored_name=lambda name: stored_name(part, name),
    )
    module.to(device)


def sinusoids(n_positions: int, width: int) -> Tensor:
    """Return the (n_positions, width) float32 position encodings, on the CPU.

    Reference: Vaswani et al. 2017, arXiv 1706.03762, section 3.5, in tensor2tensor's form: all sines, then all cosines.
    """
    half = width // 2
    steps = torch.arange(FIRST_POSITION, FIRST_POSITION + n_positions, dtype=torch.float32, device="cpu")
    waves = torch.arange(half, dtype=torch.float32, device="cpu") * (-math.log(10000.0) / max(half - 1, 1))
    angles = torch.outer(steps, waves.exp())
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@torch.no_grad()
def initialise(model: nn.Module) -> None:
    """Initialise weights as fairseq2's factories do: Xavier for attention, 1/√D for embeddings."""
    for name, part in model.named_modules():
        leaf = name.rpartition(".")[2]
        if isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=part.embedding_dim**-0.5)
            part.weight[UNKNOWN] = 0
        elif leaf in ("q_proj", "k_proj", "v_proj", "out_proj"):
            nn.init.xavier_uniform_(part.weight, gain=1.0 if leaf == "out_proj" else 2**-0.5)
        elif leaf in ("fc1", "fc2"):
            part.reset_parameters()


class _NoPositions(nn.Module):
    """Positions of a stack whose ``Frontend`` has added them already."""

    def forward(self, _: Any, inputs: Tensor, *others: Any) -> Tensor:
        return inputs.new_zeros(())


def _random_state_kept(module: nn.Module) -> AbstractContextManager[None]:
    """Keep the random state in evaluation mode: transformers 4 draws a number per layer, to drop layers in training."""
    return torch.random.fork_rng(devices=[], enabled=not module.training)


def _without_frontend(stack: Any) -> Any:
    """Leave embeddings and positions of an M2M100 stack to ``Frontend``."""
    stack.embed_tokens, stack.embed_positions = None, _NoPositions()
    return stack


def _m2m100(stack: StackConfig) -> M2M100Config:
    return M2M100Config(
        vocab_size=END + 1,  # the control tokens; the table is the frontend's
        pad_token_id=UNKNOWN,
        d_model=stack.model_dim,
        max_position_embeddings=1,
        encoder_layers=stack.num_layers,
        decoder_layers=stack.num_layers,
        encoder_attention_heads=stack.num_heads,
        decoder_attention_heads=stack.num_heads,
        encoder_ffn_dim=stack.ffn_inner_dim,
        decoder_ffn_dim=stack.ffn_inner_dim,
        activation_function="relu",
        dropout=stack.dropout,
        attention_dropout=stack.dropout,
        activation_dropout=stack.dropout,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        attn_implementation="sdpa",
    )


def _set_context_width(attention: Any, width: int) -> None:
    """Let a cross-attention read a context of another width than its own."""
    if width != attention.embed_dim:
        attention.k_proj, attention.v_proj = (nn.Linear(width, attention.embed_dim) for _ in range(2))
