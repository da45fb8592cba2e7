"""SignHiera: windows of frames in, one feature vector per two frames out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from slt.core.errors import UserError
from slt.core.tensors import FeatureBatch
from slt.models.hiera import INIT_STD, HieraBlock, PatchEmbed, initialise, unrolled

PIXEL_MEAN, PIXEL_STD = 0.45, 0.225
"""Of all three colour channels, on pixels scaled to 0..1."""


@dataclass(frozen=True, kw_only=True)
class SignHieraConfig:
    """Shape of a SignHiera; the defaults are those of the published ``hiera_base_128x224``.

    Triples are (time, height, width); lists from a JSON card become tuples.

    Attributes:
        input_size: frames, height and width of one window, in frames and pixels.
        embed_dim: width of the first stage; doubled by every later stage.
        num_heads: attention heads of the first stage; doubled by every later stage.
        stages: blocks per stage.
        q_pool: number of stage transitions that pool the queries by ``q_stride``.
        q_stride: query pooling of one transition, in patches; time is never pooled.
        mask_unit_size: local attention window of the early stages, in patches; one time step long.
        mask_unit_attn: per stage, True for attention inside a mask unit, False for global attention.
        patch_kernel: kernel of the patch embedding convolution, in frames and pixels.
        patch_stride: its stride.
        patch_padding: its padding.
        sep_pos_embed: separate spatial and temporal position embeddings instead of one per patch.

    Raises:
        UserError: inconsistent sizes; all mistakes are listed.
    """

    input_size: tuple[int, int, int] = (128, 224, 224)
    embed_dim: int = 96
    num_heads: int = 1
    stages: tuple[int, ...] = (2, 3, 16, 3)
    q_pool: int = 3
    q_stride: tuple[int, int, int] = (1, 2, 2)
    mask_unit_size: tuple[int, int, int] = (1, 8, 8)
    mask_unit_attn: tuple[bool, ...] = (True, True, False, False)
    patch_kernel: tuple[int, int, int] = (3, 7, 7)
    patch_stride: tuple[int, int, int] = (2, 4, 4)
    patch_padding: tuple[int, int, int] = (1, 3, 3)
    sep_pos_embed: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), list):
                object.__setattr__(self, field.name, tuple(value))
        if mistakes := _mistakes(self):
            raise UserError("bad SignHiera configuration: " + "; ".join(mistakes))

    @property
    def feature_dim(self) -> int:
        """Width of one feature vector."""
        return int(self.embed_dim * 2 ** (len(self.stages) - 1))

    @property
    def rows_per_window(self) -> int:
        """Feature vectors of one window without padding."""
        return self.input_size[0] // self.patch_stride[0]

    @property
    def patches_per_row(self) -> int:
        """Patches of one time step."""
        return math.prod(size // step for size, step in zip(self.input_size[1:], self.patch_stride[1:], strict=True))

    @property
    def units_per_row(self) -> int:
        """Mask units of one time step."""
        return self.patches_per_row // math.prod(self.mask_unit_size)


def _mistakes(config: SignHieraConfig) -> list[str]:
    mistakes = []
    if config.mask_unit_size[0] != 1 or config.q_stride[0] != 1:
        mistakes.append("mask_unit_size and q_stride must start with 1: time is not pooled")
    if not 0 <= config.q_pool < len(config.stages) == len(config.mask_unit_attn):
        mistakes.append(f"{len(config.stages)} stages need as many mask_unit_attn and a smaller q_pool")
    if list(config.mask_unit_attn) != sorted(config.mask_unit_attn, reverse=True):
        mistakes.append("mask_unit_attn may be True for the first stages only")
    if config.embed_dim < 1 or config.embed_dim % config.num_heads:
        mistakes.append(f"embed_dim {config.embed_dim} is not a multiple of {config.num_heads} heads")
    for axis, name in enumerate(("frames", "height", "width")):
        unit = config.patch_stride[axis] * config.mask_unit_size[axis]
        if config.input_size[axis] < 1 or config.input_size[axis] % unit:
            mistakes.append(f"input_size {config.input_size[axis]} in {name} is not a multiple of the mask unit {unit}")
        if config.mask_unit_size[axis] != config.q_stride[axis] ** (len(config.stages) - 1):
            mistakes.append(f"mask_unit_size in {name} is not the product of q_stride over all stage transitions")
        overlap = config.patch_kernel[axis] - 2 * config.patch_padding[axis]
        if not 0 < overlap <= config.patch_stride[axis]:
            mistakes.append(f"patch_kernel, stride and padding do not give one patch per stride in {name}")
    return mistakes


class SignHiera(nn.Module):
    """Video Hiera backbone.

    Mask units span one time step, so padded time steps are removed before any computation. In the stages with local
    attention, mask units are part of the batch dimension, which allows fused attention.

    Reference:
        Ryali et al. 2023, arXiv 2306.00989; Rust et al. 2024, arXiv 2402.09611 (facebookresearch/ssvp_slt).
    """

    Config: ClassVar = SignHieraConfig
    OLD_NAMES: ClassVar[dict[str, str]] = {}
    UNUSED_WEIGHTS: ClassVar = ("norm.*", "head.*", "decoder*", "multi_scale_fusion*", "encoder_norm.*", "mask_token")
    """Weights of a classifier or of masked pre-training in published files."""

    def __init__(self, config: SignHieraConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(
            config.embed_dim, kernel=config.patch_kernel, stride=config.patch_stride, padding=config.patch_padding
        )
        steps, patches = config.rows_per_window, config.patches_per_row
        self.pos_embed = None if config.sep_pos_embed else _position(steps * patches, config.embed_dim)
        self.pos_embed_spatial = _position(patches, config.embed_dim) if config.sep_pos_embed else None
        self.pos_embed_temporal = _position(steps, config.embed_dim) if config.sep_pos_embed else None
        blocks = list(_blocks(config))
        initialise(blocks)
        self.blocks = nn.ModuleList(blocks)
        self.n_unit_blocks = _n_unit_blocks(config)
        self.grad_checkpointing = False

    def forward(self, pixels: Tensor, padding: Tensor | None = None) -> FeatureBatch:
        """Compute features of B windows.

        Args:
            pixels: (B, 3, T, H, W) float, from ``normalise``; (T, H, W) is the config's ``input_size``.
            padding: (B,) int64, number of padding frames at the end of each window; None: no padding.

        Returns:
            (B, N, feature_dim) features, N at most ``rows_per_window``; one row less for each whole patch (two frames)
            of padding. Rows do not depend on the other windows of the batch.

        Raises:
            ValueError: pixels of another shape, or padding outside 0..T−1.
        """
        n_frames = self.config.input_size[0]
        if pixels.shape[1:] != (3, *self.config.input_size):
            raise ValueError(f"expected pixels (B, 3, *{self.config.input_size}), got {tuple(pixels.shape)}")
        if padding is None:
            return FeatureBatch.of(self._features(pixels, self.config.rows_per_window).unbind())
        if padding.shape != pixels.shape[:1] or not all(0 <= n < n_frames for n in padding.tolist()):
            raise ValueError(f"expected a padding of 0..{n_frames - 1} frames per window, got {padding.tolist()}")

        rows = [self.config.rows_per_window - n // self.config.patch_stride[0] for n in padding.tolist()]
        if len(set(rows)) == 1:
            return FeatureBatch.of(self._features(pixels, rows[0]).unbind())
        return FeatureBatch.of(self._features_of_lengths(pixels, rows))

    def _features(self, pixels: Tensor, n_rows: int) -> Tensor:
        """(B, 3, T, H, W) → (B, n_rows, feature_dim), from the first ``n_rows`` time steps only."""
        tokens = self._units(pixels, n_rows)
        for block in self.blocks[: self.n_unit_blocks]:
            tokens = self._run(block, tokens)
        tokens = self._out_of_units(tokens, len(pixels))
        for block in self.blocks[self.n_unit_blocks :]:
            tokens = self._run(block, tokens)
        return self._means(tokens, n_rows)

    def _features_of_lengths(self, pixels: Tensor, rows: Sequence[int]) -> list[Tensor]:
        """Return the (n_rows, feature_dim) features of each window, all computed together whatever their lengths.

        Units are independent, and so are tokens outside of attention; global attention is of each window by itself.
        """
        each = zip(pixels.split(1), rows, strict=True)
        tokens = torch.cat([self._units(window, n_rows) for window, n_rows in each])
        for block in self.blocks[: self.n_unit_blocks]:
            tokens = self._run(block, tokens)
        windows = tokens.split([n_rows * self.config.units_per_row for n_rows in rows])
        tokens = torch.cat([self._out_of_units(window, 1) for window in windows], 1)  # (1, tokens of all, C)
        lengths = [len(window) * window.shape[1] for window in windows]
        for block in self.blocks[self.n_unit_blocks :]:
            tokens = self._run(block, tokens, lengths)
            lengths = [n // cast(HieraBlock, block).n_pooled for n in lengths]
        return [self._means(part, n)[0] for part, n in zip(tokens.split(lengths, 1), rows, strict=True)]

    def _units(self, pixels: Tensor, n_rows: int) -> Tensor:
        """(B, 3, T, H, W) → (B·units, patches of one, C), of the first ``n_rows`` time steps."""
        patches = self.patch_embed(pixels[:, :, : n_rows * self.config.patch_stride[0]])
        return self._into_units(patches + self._positions(n_rows))

    def _out_of_units(self, tokens: Tensor, batch: int) -> Tensor:
        """(B·units, tokens per unit, C) → (B, tokens per unit · units, C): strides first, as global attention pools."""
        return tokens.unflatten(0, (batch, -1)).transpose(1, 2).flatten(1, 2)

    def _means(self, tokens: Tensor, n_rows: int) -> Tensor:
        """(B, tokens, C) of the last stage → (B, n_rows, C)."""
        return tokens.unflatten(1, (-1, n_rows, self.config.units_per_row)).mean((1, 3))

    def _into_units(self, patches: Tensor) -> Tensor:
        """(B, steps·height·width, C), in patches → (B·units, patches of one unit, C), in the order of pooling."""
        _, high, wide = self.config.mask_unit_size
        across = self.config.input_size[2] // self.config.patch_stride[2] // wide
        units = patches.unflatten(1, (-1, high, across, wide)).transpose(2, 3)
        strides = [self.config.q_stride[1:]] * (len(self.config.stages) - 1)
        return unrolled(units.reshape(-1, high * wide, patches.shape[-1]), strides)

    def _positions(self, n_rows: int) -> Tensor:
        """Position embeddings of the first ``n_rows`` time steps, (1, steps·height·width, C)."""
        if self.pos_embed is not None:
            return self.pos_embed.unflatten(1, (self.config.rows_per_window, -1))[:, :n_rows].flatten(1, 2)
        spatial, temporal = cast(Tensor, self.pos_embed_spatial), cast(Tensor, self.pos_embed_temporal)
        return (temporal[:, :n_rows, None] + spatial[:, None]).flatten(1, 2)

    def _run(self, block: nn.Module, tokens: Tensor, lengths: Sequence[int] = ()) -> Tensor:
        """Run one block; its activations are recomputed in the backward pass if ``grad_checkpointing`` is set."""
        if self.grad_checkpointing:
            return checkpoint(block, tokens, lengths, use_reentrant=False)
        # A compiled block would be compiled anew for all lengths, and for a batch of one.
        return block.forward(tokens, lengths) if lengths or len(tokens) == 1 else block(tokens)


def _position(n: int, width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(1, n, width), std=INIT_STD))


def _blocks(config: SignHieraConfig) -> Iterator[HieraBlock]:
    """Yield the blocks of all stages; the first of each later stage doubles width and heads, and may pool."""
    width, heads = config.embed_dim, config.num_heads
    for stage, n_blocks in enumerate(config.stages):
        for index in range(n_blocks):
            if stage == 0 or index > 0:
                yield HieraBlock(width, width, heads)
                continue
            yield HieraBlock(width, 2 * width, 2 * heads, math.prod(config.q_stride) if stage <= config.q_pool else 1)
            width, heads = 2 * width, 2 * heads


def _n_unit_blocks(config: SignHieraConfig) -> int:
    """Return how many blocks attend within mask units: a stage's first block still does as the stage before it."""
    n_stages = sum(config.mask_unit_attn)
    return sum(config.stages[:n_stages]) + (0 < n_stages < len(config.stages))


def normalise(frames: Tensor) -> Tensor:
    """Normalise (B, T, H, W, 3) uint8 RGB frames: (B, 3, T, H, W) float32."""
    pixels = frames.permute(0, 4, 1, 2, 3).to(torch.float32, memory_format=torch.contiguous_format)
    return pixels.div_(255).sub_(PIXEL_MEAN).div_(PIXEL_STD)
