"""The shapes of the sign encoders, as they stand in a bundle's card or a recipe; reading one needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from slt.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SonarT5Config:
    """The shape of a SONAR sign encoder; the defaults are the published one (T5-v1.1-large).

    Attributes:
        feature_dim: width of one input feature.
        output_dim: width of a sentence embedding.
        d_model: width of the transformer.
        d_kv: width of one attention head.
        d_ff: inner width of the feed-forward layers.
        num_layers: encoder layers.
        num_decoder_layers: layers of the decoder that pools.
        num_heads: attention heads.
        vocab_size: rows of the token embedding, of which one, the pooling query, is used.
        relative_attention_num_buckets: buckets of the relative position bias.
        relative_attention_max_distance: distance, in time steps, from which all share the last bucket.
        dropout_rate: of every dropout in the transformer while training.

    Raises:
        UserError: impossible sizes; every one is named.
    """

    feature_dim: int = 768
    output_dim: int = 1024
    d_model: int = 1024
    d_kv: int = 64
    d_ff: int = 2816
    num_layers: int = 24
    num_decoder_layers: int = 24
    num_heads: int = 16
    vocab_size: int = 32128
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        sizes = {name: value for name, value in asdict(self).items() if name != "dropout_rate"}
        _refuse("SONAR sign encoder", sizes, self.dropout_rate)


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """The shape of a sign encoder that looks at each feature by itself.

    Attributes:
        feature_dim: width of one input feature.
        hidden_dim: width between the two layers.
        output_dim: width of a sentence embedding.
        length: every embedding's Euclidean length; SONAR's decoder reads it, so training sets it to its targets' mean.
        dropout_rate: before the second layer, while training.

    Raises:
        UserError: impossible sizes; every one is named.
    """

    feature_dim: int = 256
    hidden_dim: int = 512
    output_dim: int = 1024
    length: float = 1.0
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("feature_dim", "hidden_dim", "output_dim")}
        _refuse("mlp sign encoder", sizes, self.dropout_rate)
        if not 0 < self.length < float("inf"):
            raise UserError(f"bad mlp sign encoder configuration: length {self.length}, expected more than 0")


def _refuse(what: str, sizes: dict[str, int], dropout_rate: float) -> None:
    mistakes = [f"{name} {value}, expected at least 1" for name, value in sizes.items() if value < 1]
    if not 0 <= dropout_rate < 1:
        mistakes.append(f"dropout_rate {dropout_rate}, expected 0 or more, less than 1")
    if mistakes:
        raise UserError(f"bad {what} configuration: " + "; ".join(mistakes))
