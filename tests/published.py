"""Models of the published sizes with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"
KEYS = {
    "signhiera": "keys/signhiera_base_128x224.tsv",
    "sign_encoder": "keys/sign_t5_sonar_encoder_t5_v1_1_large.tsv",
    "text_encoder": "keys/sonar050_text_encoder_basic.tsv",
    "text_decoder": "keys/sonar050_text_decoder_basic.tsv",
}
"""The lists of each part's weights."""

N_PIECES = 256_000
_BLOCK = 2**22  # values that are drawn; weights are taken from them again and again, which is far quicker


def random_weights(part: str, dtype: torch.dtype = torch.float32, *, overlapping: bool = False) -> dict[str, Tensor]:
    """Return weights of one part in its published shapes, the same ones each time; no two of them alike.

    Norms have ones, and the rest is small, so that activations stay in range.

    Args:
        part: a key of ``KEYS``.
        dtype: theirs.
        overlapping: all are views of the same few values, so that ``torch.save`` writes 8 MB and not 5 GB.
    """
    block = torch.empty(_BLOCK).normal_(std=0.02, generator=torch.Generator().manual_seed(0)).to(dtype)
    weights: dict[str, Tensor] = {}
    for number, row in enumerate((GOLDEN / KEYS[part]).read_text().splitlines()[1:]):
        name, shape, _, _, alias = row.split("\t")
        sizes = [int(size) for size in shape.split("x")]
        is_norm = len(sizes) == 1 and name.endswith("weight")
        values = _view(block, 7919 * number % (_BLOCK // 2), sizes)
        values = values if overlapping else values.contiguous().clone()
        weights[name] = weights[alias] if alias else torch.ones(sizes, dtype=dtype) if is_norm else values
    return weights


def _view(block: Tensor, start: int, sizes: list[int]) -> Tensor:
    """Return values of a block in a shape that may be far larger: each row begins a little after the one before."""
    n_rows, *row = sizes
    n_values = torch.Size(row).numel()
    step = min(n_values, (len(block) - start - n_values) // n_rows)
    inner = [torch.Size(row[axis + 1 :]).numel() for axis in range(len(row))]
    return block.as_strided(sizes, [step, *inner], start)


def write_tokenizer(path: Path) -> None:
    """Write a small sentencepiece model, filled up to the published number of pieces with words that no text has."""
    import sentencepiece

    small = (GOLDEN / "tiny" / "small_spm.model").read_bytes()
    n_pieces = sentencepiece.SentencePieceProcessor(model_proto=small).get_piece_size()
    # A message of the format: field 1 of the model is a piece, whose fields are a text and a score; repeated fields
    # may stand anywhere in a file.
    filling = bytearray()
    for number in range(N_PIECES - n_pieces):
        text = f"▁filling{number}".encode()
        piece = b"\x0a" + bytes([len(text)]) + text + b"\x15\x00\x00\xc8\xc2"  # score −100
        filling += b"\x0a" + bytes([len(piece)]) + piece
    path.write_bytes(small + filling)
