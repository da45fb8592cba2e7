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

# A search's float32 logits stay under 256 MB: 52 embeddings at once with beam 5 and 256,206 tokens.
LOGITS_PER_SEARCH = 2**26
# No phrase of so many tokens twice, in the search that follows one that went round in circles.
REPEATED_AT_MOST = 4


class BestScoreBeamSearch(BestScoreStop, BeamSearch):  # type: ignore[misc]
    """fairseq2's beam search, which stops only when nothing better can be under way."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How texts are searched; a search is made for one call of `SonarText.decode`.

    Attributes:
        decoder: sonar's decoder model.
        vocabulary: the tokenizer's.
        max_seq_len: tokens that the decoder has positions for, the prompt among them.
        beam_size: hypotheses kept alive for each row.
        limit: tokens of a text at most, the end among them.
        patient: go on while an unfinished text scores better than the finished.
    """

    decoder: ConditionalTransformerDecoderModel
    vocabulary: VocabularyInfo
    max_seq_len: int
    beam_size: int
    limit: int
    patient: bool

    def __call__(self, rows: Tensor, prompts: Tensor, *, forbid_repeats: bool = False) -> list[list[Hypothesis]]:
        """Search the best texts of each row.

        Args:
            rows: (B, D) embeddings.
            prompts: (B, P) tokens that each text starts with.
            forbid_repeats: forbid every phrase of four tokens to come twice.

        Returns:
            For each row its hypotheses, best first, without the prompt.

        Raises:
            SltError: the decoder gave NaN.
        """
        size = max(1, LOGITS_PER_SEARCH // (self.beam_size * self.vocabulary.size))
        found: list[list[Hypothesis]] = []
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            found += self._at_once(rows[part], prompts[part], forbid_repeats=forbid_repeats)
        return found

    def _at_once(self, rows: Tensor, prompts: Tensor, *, forbid_repeats: bool) -> list[list[Hypothesis]]:
        """Search as ``BeamSearchSeq2SeqGenerator`` does, whose class of searches this is; it takes no other one."""
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
            unk_penalty=math.inf,  # fairseq2 itself forbids padding only
            len_penalty=1.0,
            prefill_chunk_size=512,
            decode_capacity_increment=16,
            step_processors=[NGramRepeatBlockProcessor(REPEATED_AT_MOST)] if forbid_repeats else [],
            step_hooks={},
        )
        try:
            hypotheses, _ = search()
        except SequenceGenerationError as error:
            raise SltError(
                f"the text decoder gave NaN in {rows.dtype} on {rows.device}", fix="decode in float32"
            ) from error
        return hypotheses
