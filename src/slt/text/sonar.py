"""SONAR's own text encoder and decoder on fairseq2: text to sentence embedding and back, in up to 202 languages.

The only file that imports fairseq2 or sonar.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from fairseq2.data.tokenizers import VocabularyInfo
from fairseq2.data.tokenizers.sentencepiece import SentencePieceModel
from fairseq2.generation.beam_search.algo import StandardBeamSearchAlgorithm
from fairseq2.generation.beam_search.generator import _BeamSearchSeq2SeqGeneratorOp as BeamSearch
from fairseq2.generation.generator import Hypothesis as GeneratedHypothesis
from fairseq2.generation.generator import SequenceGenerationError
from fairseq2.generation.step_processor import NGramRepeatBlockProcessor
from fairseq2.models.nllb.tokenizer import NllbTokenizer
from fairseq2.nn import BatchLayout, SinusoidalPositionEncoder
from fairseq2.nn.utils.padding import pad_seqs
from sonar.models.sonar_text.config import SonarTextDecoderConfig, SonarTextEncoderConfig
from sonar.models.sonar_text.factory import SonarTextDecoderFactory, SonarTextEncoderFactory
from sonar.models.sonar_text.model import SonarTextTransformerEncoderModel
from sonar.models.sonar_translation.model import DummyEncoderModel, SonarEncoderDecoderModel
from sonar.nn.conditional_decoder_model import ConditionalTransformerDecoderModel
from torch import Tensor, nn
from torch.nn import functional as F

from slt.errors import SltError, UserError
from slt.log import warn
from slt.models.checkpoint import fit, load_strict
from slt.tensors import EncoderOutput
from slt.text.config import SonarTextConfig, StackConfig
from slt.text.contexts import evaluating, made_on
from slt.text.decoder import Hypothesis, by_length, check_search
from slt.text.languages import check_languages
from slt.text.loops import goes_in_circles
from slt.text.one_step import attend_once
from slt.text.patience import Patience
from slt.text.tokenizer import train_tokenizer
from slt.text.weights import EMBEDDING, OUTPUT_TABLE, modern_weights

# A search's float32 logits stay under 256 MB: 52 embeddings at once with beam 5 and 256,206 tokens.
LOGITS_PER_SEARCH = 2**26
TEXTS_PER_BATCH = 64
TOKENS_OF_A_SENTENCE = 48  # that a batch of texts to be scored is planned for
# No phrase of so many tokens twice, in the search that follows one that went round in circles.
REPEATED_AT_MOST = 4
PADDING = 0


class PatientBeamSearch(Patience, BeamSearch):  # type: ignore[misc]
    """fairseq2's beam search, which stops only when nothing better can be under way."""


class SonarText(nn.Module):
    """A SONAR text decoder, and a text encoder where there is one, around one NLLB tokenizer.

    Attributes:
        config: the shape and the languages.
        tokenizer: fairseq2's NLLB tokenizer.
        decoder: sonar's decoder model.
        encoder: sonar's text encoder model, or None.
        n_cut: how many texts were too long and have been cut so far; at the first, the person is warned.
    """

    Config = SonarTextConfig

    def __init__(
        self,
        *,
        config: SonarTextConfig,
        tokenizer: NllbTokenizer,
        decoder: ConditionalTransformerDecoderModel,
        encoder: SonarTextTransformerEncoderModel | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.decoder = decoder
        self.encoder = encoder
        self.n_cut = 0
        attend_once(decoder)
        self._open_tokenizer()

    def _open_tokenizer(self) -> None:
        self._to_text = self.tokenizer.create_decoder()
        self._token_encoders = {
            (lang, mode): self.tokenizer.create_encoder(lang=lang, mode=mode)
            for lang in self.languages
            for mode in ("source", "target")
        }

    # fairseq2's token encoders can neither be copied nor pickled, as an averaged model or a worker process needs.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_to_text", "_token_encoders"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._open_tokenizer()

    @classmethod
    def build(
        cls,
        config: SonarTextConfig,
        tokenizer_path: Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> SonarText:
        """Make both models with random weights, to be trained; seed torch before to get the same ones again."""
        tokenizer = load_tokenizer(tokenizer_path, config.languages)
        with made_on(device, dtype):
            decoder = create_decoder(config, tokenizer.vocab_info.size)
            encoder = create_encoder(config, tokenizer.vocab_info.size)
        return cls(config=config, tokenizer=tokenizer, decoder=decoder, encoder=encoder)

    @classmethod
    def load(
        cls,
        config: SonarTextConfig,
        decoder_weights: Mapping[str, Tensor],
        tokenizer_path: Path,
        text_encoder_weights: Mapping[str, Tensor] | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> SonarText:
        """Put weights, of today's or the old fairseq layout, into models that were never initialised.

        Raises:
            UserError: weights are missing, unexpected or of another shape.
        """
        tokenizer = load_tokenizer(tokenizer_path, config.languages)
        with made_on("meta", dtype):
            decoder = create_decoder(config, tokenizer.vocab_info.size)
            encoder = None if text_encoder_weights is None else create_encoder(config, tokenizer.vocab_info.size)
        _fill(decoder, decoder_weights, "decoder", device)
        if text_encoder_weights is not None and encoder is not None:
            _fill(encoder, text_encoder_weights, "encoder", device)
        return cls(config=config, tokenizer=tokenizer, decoder=decoder, encoder=encoder).eval()

    def decoder_weights(self) -> dict[str, Tensor]:
        """Return what ``load`` takes; the output table is left out, as it is the embedding table itself."""
        return {name: value for name, value in self.decoder.state_dict().items() if name != OUTPUT_TABLE}

    def text_encoder_weights(self) -> dict[str, Tensor]:
        """Return what ``load`` takes."""
        return dict(self._text_encoder().state_dict())

    @property
    def languages(self) -> tuple[str, ...]:
        """The FLORES-200 codes of the texts it reads and writes."""
        return self.config.languages

    @property
    def device(self) -> torch.device:
        """Where its weights lie; embeddings are moved there by themselves."""
        return self.decoder.get_parameter(EMBEDDING["decoder"]).device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in, and so what its embeddings are made of; its tables may be kept in less."""
        return next(value.dtype for value in self.decoder.parameters() if value.ndim == 1)

    def embed(self, texts: Sequence[str], lang: str) -> Tensor:
        """Return the (B, D) embeddings of ``texts``, all in ``lang``, without gradients; batched by length."""
        check_languages([lang], self.languages)
        width = self.config.encoder.model_dim
        embeddings = torch.empty(len(texts), width, device=self.device, dtype=self.dtype)
        with evaluating(self), torch.no_grad():
            for part in by_length(texts, TEXTS_PER_BATCH):
                embeddings[part] = self.embed_batch([texts[i] for i in part], [lang] * len(part))
        return embeddings

    def embed_batch(self, texts: Sequence[str], langs: Sequence[str]) -> Tensor:
        """Return the (B, D) embeddings of one batch, a language per text, with gradients.

        Raises:
            UserError: an unknown language.
            SltError: this model came without a text encoder.
        """
        # sonar lengthens its text encoder's table of positions by two.
        rows = self._tokens(texts, langs, "source", self.config.encoder.max_seq_len + 2)
        tokens, layout = self._batch(rows)
        return self._text_encoder()(tokens, layout).sentence_embeddings

    def loss(
        self, embeddings: Tensor, texts: Sequence[str], langs: Sequence[str], *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, int]:
        """Teacher-forced cross entropy of ``texts``, each given its embedding.

        The decoder is fed ``</s> __lang__ tokens`` and predicts ``__lang__ tokens </s>``.

        Args:
            embeddings: (B, D) float.
            texts: B target texts.
            langs: the language of each.
            label_smoothing: share of the target's probability spread over the whole vocabulary.

        Returns:
            The sum over tokens in nats, with gradients, and the number of tokens.

        Raises:
            UserError: an unknown language.
        """
        logits, targets = self._forced(embeddings, texts, langs)
        real = targets != PADDING
        total = F.cross_entropy(logits[real].float(), targets[real], reduction="sum", label_smoothing=label_smoothing)
        return total, int(real.sum())

    @torch.inference_mode()
    def log_likelihoods(self, embeddings: Tensor, texts: Sequence[str], langs: Sequence[str]) -> Tensor:
        """Return the (B,) mean log-probability of each text's tokens, language and end among them, given its embedding.

        Args:
            embeddings: (B, D) float.
            texts: B texts.
            langs: the language of each.

        Raises:
            UserError: an unknown language.
        """
        size = max(1, LOGITS_PER_SEARCH // (self.tokenizer.vocab_info.size * TOKENS_OF_A_SENTENCE))
        found: list[Tensor] = []
        with evaluating(self):
            for start in range(0, len(texts), size):
                part = slice(start, start + size)
                logits, targets = self._forced(embeddings[part], texts[part], langs[part])
                losses = F.cross_entropy(
                    logits.float().transpose(1, 2), targets, reduction="none", ignore_index=PADDING
                )  # (B, S)
                found.append(-losses.sum(1) / (targets != PADDING).sum(1))
        return torch.cat(found).cpu()

    def _forced(self, embeddings: Tensor, texts: Sequence[str], langs: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the (B, S, V) logits of texts that the decoder is fed, and the (B, S) tokens it should predict."""
        tokens = self._tokens(texts, langs, "target", self.config.decoder.max_seq_len + 1)
        inputs, layout = self._batch([row[:-1] for row in tokens])
        targets, _ = self._batch([row[1:] for row in tokens])
        source = embeddings.to(self.device, self.dtype)[:, None]  # (B, 1, D): a one-step encoder output
        return self.decoder(source, BatchLayout.of(source), inputs, layout), targets

    def translate(
        self,
        output: EncoderOutput,
        langs: Sequence[str],
        *,
        beam_size: int = 5,
        nbest: int = 1,
        max_tokens: int | None = None,
    ) -> list[dict[str, list[Hypothesis]]]:
        """See ``slt.text.decoder.TextDecoder``; SONAR's decoder reads the sentence embedding only."""
        return self.decode(
            output.sentence, langs, beam_size=beam_size, nbest=nbest, max_tokens=max_tokens, no_loops=True
        )

    @torch.inference_mode()
    def decode(
        self,
        embeddings: Tensor,
        langs: Sequence[str],
        *,
        beam_size: int = 5,
        nbest: int = 1,
        max_tokens: int | None = None,
        patient: bool | None = None,
        no_loops: bool = False,
    ) -> list[dict[str, list[Hypothesis]]]:
        """Search the best texts of each embedding in each language, all in one beam search.

        Args:
            embeddings: (B, D) float.
            langs: FLORES-200 codes.
            beam_size: hypotheses kept alive for each embedding and language.
            nbest: how many to return, at most ``beam_size``.
            max_tokens: tokens at most, the end included; by default all the decoder has positions for.
            patient: go on while an unfinished text scores better than the finished; by default as configured.
            no_loops: where the best text goes round in circles, search again with every repeat forbidden.

        Returns:
            B dictionaries, language -> up to ``nbest`` hypotheses, best first.

        Raises:
            UserError: an unknown language, or a size out of range.
            SltError: embeddings of another width, or NaN or infinity, in them or made of them.
        """
        langs = check_languages(langs, self.languages)
        n_tokens = self.tokenizer.vocab_info.size - 2  # padding and unknown aside
        check_search(beam_size=beam_size, nbest=nbest, max_tokens=max_tokens, n_tokens=n_tokens)
        self._check_embeddings(embeddings)
        # The target starts with an end token and its language: a prompt for each row of one search.
        prompts = torch.stack([self._token_encoders[lang, "target"]("")[:2] for lang in langs])  # (L, 2)
        prompts = prompts.to(self.device).repeat(len(embeddings), 1)  # (B * L, 2)
        rows = embeddings.to(self.device, self.dtype).repeat_interleave(len(langs), dim=0)  # (B * L, D)
        limit = self.config.decoder.max_seq_len - prompts.shape[1]
        limit = limit if max_tokens is None else min(limit, max_tokens)
        size = max(1, LOGITS_PER_SEARCH // (beam_size * self.tokenizer.vocab_info.size))
        patient = self.config.patient if patient is None else patient
        search = partial(self._search, beam_size=beam_size, limit=limit, patient=patient)
        found: list[list[Hypothesis]] = []
        with evaluating(self):
            for start in range(0, len(rows), size):
                part = slice(start, start + size)
                found += search(rows[part], prompts[part])
            looped = [row for row, texts in enumerate(found) if no_loops and goes_in_circles(texts[0].text)]
            for start in range(0, len(looped), size):
                again = looped[start : start + size]
                for row, texts in zip(again, search(rows[again], prompts[again], no_repeats=True), strict=True):
                    found[row] = [replace(text, looped=True) for text in texts]
        best = [hypotheses[:nbest] for hypotheses in found]
        return [dict(zip(langs, best[i : i + len(langs)], strict=True)) for i in range(0, len(best), len(langs))]

    def _check_embeddings(self, embeddings: Tensor) -> None:
        width = self.config.encoder.model_dim
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise SltError(f"the decoder reads embeddings of shape (B, {width}), found {tuple(embeddings.shape)}")
        broken = (~embeddings.isfinite().all(dim=1)).nonzero().flatten().tolist()
        if broken:
            raise SltError(f"embeddings {', '.join(map(str, broken))} hold NaN or infinity")

    def _search(
        self, rows: Tensor, prompts: Tensor, *, beam_size: int, limit: int, patient: bool, no_repeats: bool = False
    ) -> list[list[Hypothesis]]:
        """Search as ``BeamSearchSeq2SeqGenerator`` does, whose class of searches this is; it takes no other one."""
        search = (PatientBeamSearch if patient else BeamSearch)(
            model=SonarEncoderDecoderModel(DummyEncoderModel(), self.decoder),
            target_vocab_info=self.tokenizer.vocab_info,
            source_seqs=rows,
            source_seqs_layout=BatchLayout.of(rows),
            prompt_seqs=prompts,
            prompt_seqs_layout=BatchLayout.of(prompts),
            algo=StandardBeamSearchAlgorithm(),
            beam_size=beam_size,
            min_gen_len=1,
            max_gen_len=limit,
            max_seq_len=self.config.decoder.max_seq_len,
            echo_prompt=False,
            normalize_scores=True,
            temperature=1.0,
            unk_penalty=math.inf,  # fairseq2 itself forbids padding only
            len_penalty=1.0,
            prefill_chunk_size=512,
            decode_capacity_increment=16,
            step_processors=[NGramRepeatBlockProcessor(REPEATED_AT_MOST)] if no_repeats else [],
            step_hooks={},
        )
        try:
            hypotheses, _ = search()
        except SequenceGenerationError as error:
            raise SltError(
                f"the text decoder gave NaN in {self.dtype} on {self.device}", fix="decode in float32"
            ) from error
        return [[self._hypothesis(found, limit) for found in row] for row in hypotheses]

    def _hypothesis(self, found: GeneratedHypothesis, limit: int) -> Hypothesis:
        score = float(cast(Tensor, found.score))  # sampling alone leaves it out
        return Hypothesis(text=str(self._to_text(found.seq.cpu())), score=score, truncated=len(found.seq) == limit)

    def _text_encoder(self) -> SonarTextTransformerEncoderModel:
        if self.encoder is None:
            raise SltError("this model came without a text encoder, so it cannot embed text")
        return self.encoder

    def _tokens(self, texts: Sequence[str], langs: Sequence[str], mode: str, limit: int) -> list[Tensor]:
        check_languages(langs, self.languages)
        rows = [self._token_encoders[lang, mode](text) for text, lang in zip(texts, langs, strict=True)]
        cut = [text for text, row in zip(texts, rows, strict=True) if len(row) > limit]
        if cut and not self.n_cut:
            warn(f"texts of more than {limit} tokens are cut there; the first starts {cut[0][:40]!r}")
        self.n_cut += len(cut)
        return [row[:limit] for row in rows]

    def _batch(self, rows: list[Tensor]) -> tuple[Tensor, BatchLayout]:
        return pad_seqs(rows, pad_value=PADDING, device=self.device)


def load_tokenizer(path: Path, languages: Sequence[str]) -> NllbTokenizer:
    """Read a sentencepiece model as an NLLB tokenizer: padding in front, the languages behind, in their order.

    Raises:
        UserError: the file is no sentencepiece model, or one whose control tokens have other ids.
    """
    symbols = [f"__{lang}__" for lang in languages]
    symbols += ["<MINED_DATA>", "<MMT_BT_DATA>", "<SMT_BT_DATA>", "<pad>@0"]
    try:
        model = SentencePieceModel(path, symbols)
    except RuntimeError as error:
        raise UserError(f"{path} is not a readable sentencepiece model") from error
    if (model.pad_idx, model.unk_idx, model.bos_idx, model.eos_idx) != (PADDING, 1, 2, 3):
        raise UserError(
            f"{path} is not a tokenizer for NLLB: its unknown, start and end tokens must have the ids 0, 1 and 2",
            fix="train it with sentencepiece's default ids and without a padding symbol",
        )
    return NllbTokenizer(model, set(languages), languages[0])


def create_decoder(config: SonarTextConfig, vocab_size: int) -> ConditionalTransformerDecoderModel:
    """Make sonar's decoder model, randomly initialised, on torch's default device."""
    settings = _settings(config.decoder, vocab_size)
    settings |= {
        "activation_fn": "ReLU",
        "no_scale_embedding": False,
        "no_token_positional_embeddings": False,
        "learned_pos": False,
        "normalize_before": True,
        "input_dim": config.encoder.model_dim,
    }
    return SonarTextDecoderFactory(SonarTextDecoderConfig(**settings)).create_model()


def create_encoder(config: SonarTextConfig, vocab_size: int) -> SonarTextTransformerEncoderModel:
    """Make sonar's text encoder model, randomly initialised, on torch's default device."""
    settings = _settings(config.encoder, vocab_size) | {"pooling": "mean", "_from_fairseq": True}
    return SonarTextEncoderFactory(SonarTextEncoderConfig(**settings)).create_model()


def published_weights(
    config: SonarTextConfig, weights: Mapping[str, Tensor], part: str, tokenizer_path: Path, *, source: Path | str
) -> dict[str, Tensor]:
    """Return weights of today's or the old fairseq layout as ``SonarText.load`` takes them, none missing, none extra.

    Args:
        config: the shape.
        weights: by name.
        part: "encoder" or "decoder".
        tokenizer_path: the sentencepiece model they were trained with, whose size is theirs.
        source: what the weights are called in an error.

    Raises:
        UserError: weights that are not those of this part in this shape, every name told, or no such tokenizer.
    """
    vocab_size = load_tokenizer(tokenizer_path, config.languages).vocab_info.size
    with made_on("meta", torch.float32):
        model = create_decoder(config, vocab_size) if part == "decoder" else create_encoder(config, vocab_size)
    return fit(model, modern_weights(weights, part), source=source, name_all=True)


def _settings(stack: StackConfig, vocab_size: int) -> dict[str, Any]:
    return {
        "model_dim": stack.model_dim,
        "max_seq_len": stack.max_seq_len,
        # The published models take token 1 for padding, where their tokenizer has 0: it shifts the positions.
        "vocab_info": VocabularyInfo(size=vocab_size, unk_idx=1, bos_idx=2, eos_idx=3, pad_idx=1),
        "num_encoder_layers": stack.num_layers,
        "num_decoder_layers": stack.num_layers,
        "num_encoder_attn_heads": stack.num_heads,
        "num_decoder_attn_heads": stack.num_heads,
        "ffn_inner_dim": stack.ffn_inner_dim,
        "emb_dropout_p": stack.dropout,
        "attention_dropout_p": stack.dropout,
        "activation_dropout_p": stack.dropout,
    }


def _fill(module: nn.Module, weights: Mapping[str, Tensor], part: str, device: torch.device | str) -> None:
    """Give a module that was made on the meta device its weights, and the positions, which no file holds."""
    for child in module.modules():
        if isinstance(child, SinusoidalPositionEncoder):
            child.freqs = torch.empty_like(child.freqs, device=device)
            child.reset_parameters()
    moved = {name: value.to(device) for name, value in modern_weights(weights, part).items()}
    load_strict(module, moved, source=f"these weights of a SONAR text {part}")


def self_test() -> str:
    """Train a tokenizer, build both models, embed text and search text, all tiny and on the CPU.

    Returns:
        One line saying what was done.

    Raises:
        SltError: what came out cannot be right; any other error is fairseq2's, sonar's or torch's own.
    """
    texts = ["the weather is nice today", "we go hiking in the mountains", "das Wetter ist heute schön"]
    stack = StackConfig(model_dim=16, num_layers=1, num_heads=2, ffn_inner_dim=32, max_seq_len=32)
    config = SonarTextConfig(encoder=stack, decoder=stack, languages=("eng_Latn", "deu_Latn"))
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        train_tokenizer(texts, Path(folder) / "tokenizer.model", 64)
        model = SonarText.build(config, Path(folder) / "tokenizer.model")
    embeddings = model.embed(texts, "eng_Latn")
    if embeddings.shape != (len(texts), stack.model_dim) or not embeddings.isfinite().all():
        raise SltError(f"a tiny SONAR text encoder gave wrong embeddings: {embeddings}")
    found = model.decode(embeddings, config.languages, beam_size=2, max_tokens=8)
    if [list(row) for row in found] != [list(config.languages)] * len(texts):
        raise SltError(f"a tiny SONAR text decoder gave wrong texts: {found}")
    return f"tiny SONAR encoder and decoder: {len(texts)} texts embedded, each searched in 2 languages"
