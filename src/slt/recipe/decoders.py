"""Recipe: the text decoder, SONAR's or one of transformers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from slt.core.registry import T5_FAMILY
from slt.recipe.parts import refuse


@dataclass(frozen=True, kw_only=True)
class SonarDecoder:
    """SONAR's text decoder, as a bundle has it; the bundle's text encoder makes the targets.

    Attributes:
        kind: its name.
        bundle: whose text models and languages: a bundle's name or folder.
        engine: what computes them: fairseq2 or transformers; null: fairseq2 where it can be imported.
        train: "frozen"; "lora", small matrices added to its attention; or "full".
        lora_rank: rank of these matrices.
        lora_alpha: their sum is scaled by alpha / rank.
        lora_layers: ends of the names of the layers that get them.
    """

    kind: Literal["sonar"]
    bundle: str
    engine: Literal["fairseq2", "transformers"] | None = None
    train: Literal["frozen", "lora", "full"] = "frozen"
    lora_rank: int = 8
    lora_alpha: float = 16.0
    lora_layers: tuple[str, ...] = ("q_proj", "v_proj")

    def __post_init__(self) -> None:
        refuse(
            (self.lora_rank < 1, f"lora_rank {self.lora_rank}, expected at least 1"),
            (self.lora_alpha <= 0, f"lora_alpha {self.lora_alpha}, expected more than 0"),
            (not self.lora_layers, "lora_layers is empty"),
        )


@dataclass(frozen=True, kw_only=True)
class T5Shape:
    """The size of a T5, mT5 or ByT5 that begins at random; the defaults are t5-small's.

    Attributes:
        d_model: width of the transformer.
        d_kv: width of one attention head.
        d_ff: inner width of the feed-forward layers.
        num_layers: encoder layers.
        num_decoder_layers: decoder layers.
        num_heads: attention heads.
    """

    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int = 6
    num_heads: int = 8

    def __post_init__(self) -> None:
        _check_sizes(asdict(self))


@dataclass(frozen=True, kw_only=True)
class MBartShape:
    """The size of an mBART or NLLB that begins at random; the defaults are mbart-large's.

    Attributes:
        d_model: width of the transformer, a multiple of its attention heads.
        encoder_layers: of its own text encoder.
        decoder_layers: of what writes.
        encoder_attention_heads: in each encoder layer.
        decoder_attention_heads: in each decoder layer.
        encoder_ffn_dim: inner width of the encoder's feed-forward layers.
        decoder_ffn_dim: of the decoder's.
        max_position_embeddings: tokens at most.
    """

    d_model: int = 1024
    encoder_layers: int = 12
    decoder_layers: int = 12
    encoder_attention_heads: int = 16
    decoder_attention_heads: int = 16
    encoder_ffn_dim: int = 4096
    decoder_ffn_dim: int = 4096
    max_position_embeddings: int = 1024

    def __post_init__(self) -> None:
        _check_sizes(asdict(self))
        heads = (self.encoder_attention_heads, self.decoder_attention_heads)
        refuse((any(self.d_model % n for n in heads), f"d_model {self.d_model}, expected a multiple of {heads} heads"))


@dataclass(frozen=True, kw_only=True)
class HfDecoder:
    """What all decoders of transformers are told alike.

    Attributes:
        kind: its name.
        weights: to start from: a name, a folder as transformers has them, or a bundle or run with such a decoder; none:
            random weights.
        shape: sizes of one that begins at random; the others have their own.
        vocab_size: of the tokenizer that is then learnt from the training texts, at most; a ByT5 learns none.
        source: what it reads of the encoder: its states, or the sentence embedding alone.
        train: "full"; or "frozen", all but the layers between it and the encoder stays as it is.
        dropout: of these layers and of itself.
        checkpointing: recompute its activations in the backward pass.
        prefix: text that a T5, mT5 or ByT5 reads before the clip.
        bridge: from the encoder's states to its width: "normed", the kind's own; or "linear", a linear layer alone.
    """

    kind: Literal["t5", "mt5", "byt5", "mbart", "nllb"]
    weights: str | None = None
    shape: T5Shape | MBartShape | None = None
    vocab_size: int = 8000
    source: Literal["sequence", "sentence"] = "sequence"
    train: Literal["frozen", "full"] = "full"
    dropout: float = 0.1
    checkpointing: bool = False
    prefix: str = ""
    bridge: Literal["normed", "linear"] = "normed"

    def __post_init__(self) -> None:
        refuse(
            (bool(self.prefix) and self.kind not in T5_FAMILY, f"prefix {self.prefix!r}, which no {self.kind} reads"),
            (bool(self.weights and self.shape), f"shape is that of the weights, {self.weights}: remove it"),
            (self.vocab_size < 1, f"vocab_size {self.vocab_size}, expected at least 1"),
            (not 0 <= self.dropout < 1, f"dropout {self.dropout}, expected 0 or more, below 1"),
        )


@dataclass(frozen=True, kw_only=True)
class T5Decoder(HfDecoder):
    """A T5: what the encoder returns goes through a projection into T5's own encoder, as if it were text.

    By name there are t5-small, t5-base, flan-t5-small and flan-t5-base.
    """

    kind: Literal["t5"]
    shape: T5Shape | None = None


@dataclass(frozen=True, kw_only=True)
class MT5Decoder(HfDecoder):
    """An mT5, which is used as a T5 is. By name there are mt5-small and mt5-base."""

    kind: Literal["mt5"]
    shape: T5Shape | None = None


@dataclass(frozen=True, kw_only=True)
class ByT5Decoder(HfDecoder):
    """A ByT5, which is used as a T5 is, and writes bytes. By name there are byt5-small and byt5-base."""

    kind: Literal["byt5"]
    shape: T5Shape | None = None


@dataclass(frozen=True, kw_only=True)
class NllbDecoder(HfDecoder):
    """An NLLB's decoder, of 202 languages, which is used as an mBART's is. By name there is nllb-200-distilled-600M."""

    kind: Literal["nllb"]
    shape: MBartShape | None = None


@dataclass(frozen=True, kw_only=True)
class MBartDecoder(HfDecoder):
    """An mBART's decoder, which attends to what an adapter makes of what the encoder returns.

    By name there are mbart-large-cc25 and mbart-large-50.
    """

    kind: Literal["mbart"]
    shape: MBartShape | None = None


Decoder: TypeAlias = SonarDecoder | T5Decoder | MT5Decoder | ByT5Decoder | MBartDecoder | NllbDecoder


def _check_sizes(sizes: dict[str, int]) -> None:
    refuse(*((size < 1, f"{name} {size}, expected at least 1") for name, size in sizes.items()))
