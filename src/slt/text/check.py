"""Self-test of a text engine with a tiny text encoder and decoder."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from slt.core.errors import SltError
from slt.text.config import SonarTextConfig, StackConfig
from slt.text.engines import sonar_text
from slt.text.tokenizer import train_tokenizer


def self_test(engine: str) -> str:
    """Train a tiny tokenizer, build both models, embed texts and decode them, on the CPU.

    Args:
        engine: as for ``slt.text.engines.sonar_text``.

    Returns:
        One line that summarises the test.

    Raises:
        SltError: wrong output; other errors come from the engine.
    """
    texts = ["the weather is nice today", "we go hiking in the mountains", "das Wetter ist heute schön"]
    stack = StackConfig(model_dim=16, num_layers=1, num_heads=2, ffn_inner_dim=32, max_seq_len=32)
    config = SonarTextConfig(encoder=stack, decoder=stack, languages=("eng_Latn", "deu_Latn"))
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        train_tokenizer(texts, Path(folder) / "tokenizer.model", 64)
        model = sonar_text(engine).build(config, Path(folder) / "tokenizer.model")
    embeddings = model.embed(texts, "eng_Latn")
    if embeddings.shape != (len(texts), stack.model_dim) or not embeddings.isfinite().all():
        raise SltError(f"a tiny SONAR text encoder returned wrong embeddings: {embeddings}")
    found = model.decode(embeddings, config.languages, beam_size=2, max_tokens=8)
    if [list(row) for row in found] != [list(config.languages)] * len(texts):
        raise SltError(f"a tiny SONAR text decoder returned wrong texts: {found}")
    return f"tiny SONAR encoder and decoder: {len(texts)} texts embedded, each decoded in 2 languages"
