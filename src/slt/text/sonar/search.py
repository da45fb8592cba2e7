"""fairseq2's beam search with a SONAR decoder, in batches that fit into memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fairseq2.data.tokenizers import VocabularyInfo
from fairseq2.generation.beam_search.algo import StandardBeamSearchAlgorithm
from fairseq2.generation.beam_search.generator import _BeamSearchSeq2SeqGeneratorOp as BeamSearch
from fairseq2.generation.generator import Hypothesis, SequenceGenerationError
from fairseq2.generation.step_processor import NGramRepeatBlockProcessor
from fairseq2.nn import BatchLayout
from sonar.models.sonar_translation.model import DummyEncoderModel, SonarEncoderDecoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor

from slt.core.errors import SltError
from slt.text.beam_stop import BestScoreStop

# Limits a search's float32 logits to 256 MB: 52 embeddings with beam 5 and 256,206 tokens.
LOGITS_PER_SEARCH = 2**26
# Size of the n-grams that may not be repeated, in the second search after a repetitive result.
NO_REPEAT_NGRAM = 4


class BestScoreBeamSearch(BestScoreStop, BeamSearch):  # type: ignore[misc]
    """fairseq2's beam search with the stopping criterion ``BestScoreStop``."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Beam search of one call of `SonarText.decode`.

    Attributes:
        decoder: sonar's decoder model.
        vocabulary: vocabulary of the tokenizer.
        max_seq_len: number of positions of the decoder, including the prompt.
        beam_size: active hypotheses per row.
        limit: maximum number of tokens of a text, including the end.
        patient: use ``BestScoreStop``.
    """

    decoder: ConditionalTransformerDecoderModel
    vocabulary: VocabularyInfo
    max_seq_len: int
    beam_size: int
    limit: int
    patient: bool

    def __call__(self, rows: Tensor, prompts: Tensor, *, forbid_repeats: bool = False) -> list[list[Hypothesis]]:
        """Decode each row.

        Args:
            rows: (B, D) embeddings.
            prompts: (B, P) int64 token ids at the start of each text.
            forbid_repeats: forbid repeated 4-grams.

        Returns:
            Per row its hypotheses, best first, without the prompt.

        Raises:
            SltError: the decoder returned NaN.
        """
        size = max(1, LOGITS_PER_SEARCH // (self.beam_size * self.vocabulary.size))
        found: list[list[Hypothesis]] = []
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            found += self._decode_batch(rows[part], prompts[part], forbid_repeats=forbid_repeats)
        return found

    def _decode_batch(self, rows: Tensor, prompts: Tensor, *, forbid_repeats: bool) -> list[list[Hypothesis]]:
        """Search as ``BeamSearchSeq2SeqGenerator`` does, which cannot be given another search class."""
        search = (BestScoreBeamSearch if self.patient else BeamSearch)(
            model=SonarEncoderDecoderModel(DummyEncoderModel(), self.decoder),
            target_vocab_info=self.vocabulary,
            source_seqs=rows,
            source_seqs_layout=BatchLayout.of(rows),
            prompt_seqs=prompts,
            prompt_seqs_layout=BatchLayout.of(prompts),
            algo=StandardBeamSearchAlgorithm(),
            beam_size=self.beam_size,
            min_gen_len=1,
            max_gen_len=self.limit,
            max_seq_len=self.max_seq_len,
            echo_prompt=False,
            normalize_scores=True,
            temperature=1.0,
            unk_penalty=math.inf,  # fairseq2 forbids only padding
            len_penalty=1.0,
            prefill_chunk_size=512,
            decode_capacity_increment=16,
            step_processors=[NGramRepeatBlockProcessor(NO_REPEAT_NGRAM)] if forbid_repeats else [],
            step_hooks={},
        )
        try:
            hypotheses, _ = search()
        except SequenceGenerationError as error:
            raise SltError(
                f"the text decoder returned NaN in {rows.dtype} on {rows.device}", fix="decode in float32"
            ) from error
        return hypotheses
