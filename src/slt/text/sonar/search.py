"""fairseq2's beam search with a SONAR decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from slt.text.beam_stop import BestScoreStop, RowLimits
from slt.text.sonar.library import (
    BatchLayout,
    BeamSearch,
    ConditionalTransformerDecoderModel,
    DummyEncoderModel,
    NGramRepeatBlockProcessor,
    SequenceGenerationError,
    SonarEncoderDecoderModel,
    StandardBeamSearchAlgorithm,
    VocabularyInfo,
)
from slt.text.sonar_engine import NO_REPEAT_NGRAM, ScoredTokens, SearchSettings, overflow


class LimitedBeamSearch(RowLimits, BeamSearch):  # type: ignore[misc]
    """fairseq2's beam search with a limit per row."""


class BestScoreBeamSearch(RowLimits, BestScoreStop, BeamSearch):  # type: ignore[misc]
    """The same with the stopping criterion ``BestScoreStop``."""


def search(
    decoder: ConditionalTransformerDecoderModel,
    vocabulary: VocabularyInfo,
    rows: Tensor,
    prompts: Tensor,
    limits: Sequence[int],
    settings: SearchSettings,
) -> list[list[ScoredTokens]]:
    """Decode each row, as ``BeamSearchSeq2SeqGenerator`` does, which cannot be given another search class.

    Args:
        decoder: sonar's decoder model.
        vocabulary: vocabulary of the tokenizer.
        rows: (B, D) embeddings.
        prompts: (B, P) int64 token ids at the start of each text.
        limits: maximum number of tokens of each row's texts, including the end.
        settings: of the search.

    Returns:
        Per row its texts, best first.

    Raises:
        SltError: the decoder returned NaN.
    """
    run = (BestScoreBeamSearch if settings.patient else LimitedBeamSearch)(
        model=SonarEncoderDecoderModel(DummyEncoderModel(), decoder),
        target_vocab_info=vocabulary,
        source_seqs=rows,
        source_seqs_layout=BatchLayout.of(rows),
        prompt_seqs=prompts,
        prompt_seqs_layout=BatchLayout.of(prompts),
        algo=StandardBeamSearchAlgorithm(),
        beam_size=settings.beam_size,
        min_gen_len=1,
        max_gen_len=max(limits),
        max_seq_len=settings.max_seq_len,
        echo_prompt=False,
        normalize_scores=True,
        temperature=1.0,
        unk_penalty=math.inf,  # fairseq2 forbids only padding
        len_penalty=1.0,
        prefill_chunk_size=512,
        decode_capacity_increment=16,
        step_processors=[NGramRepeatBlockProcessor(NO_REPEAT_NGRAM)] if settings.no_repeat else [],
        step_hooks={},
    )
    run.limits = limits
    try:
        found, _ = run()
    except SequenceGenerationError as error:
        raise overflow(rows.dtype, rows.device) from error
    # A score is None for sampling only.
    return [[ScoredTokens(ids=one.seq, score=float(one.score)) for one in row] for row in found]  # type: ignore[arg-type]
