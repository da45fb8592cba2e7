"""Evaluate a model on a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.bundle.load import choose_device
from slt.core.errors import UserError
from slt.core.signals import stop_requests
from slt.data.manifest import Clip, Manifest
from slt.evaluate.blaser import blaser_scores
from slt.evaluate.evaluation import EvaluationData
from slt.evaluate.from_features import FeatureReader, open_features_for
from slt.evaluate.model import ClipTranslation, ClipTranslator, ModelSettings, translate_blanks, translate_clips
from slt.evaluate.progress_log import ProgressLog, unpacked
from slt.evaluate.results import Sentence, Timing
from slt.evaluate.sonar_space import LearnedMetric

SIGNER_COLUMNS = ("signer", "speaker", "signer_id")
NO_TIME = "no time per clip: stored features were read instead of videos"
NO_TEXT_ENCODER = "no SONAR-space metrics: the model has no text encoder"


def translate_manifest(
    settings: ModelSettings,
    manifest: Manifest,
    out: Path | None,
    progress: Callable[[str, int, int | None], None],
    *,
    blanks: bool,
    blasers: Sequence[str] = (),
    features: Path | None = None,
) -> EvaluationData:
    """Translate the clips of a manifest that have a text in the language; what was translated is record in ``out``.

    Args:
        settings: the model and its decoding settings.
        manifest: the clips.
        out: a folder in which a run that was stopped goes on; None: nothing is record.
        progress: called with each clip.
        blanks: ask it for blank videos as well.
        blasers: blaser_scores its texts by these, as ``choose_blasers`` gives them.
        features: where those of the clips lie: no video is read then, and no time told.

    Raises:
        UserError: no such model, or a manifest without a sentence in the language.
        Stopped: a stop was requested.
        SltError: the machine failed.
    """
    clips, texts, silent = _with_text(manifest, settings.lang)
    stored = open_features_for(features, settings.model, manifest.path) if features else None
    told = {"features": str(features.absolute())} if features else {}
    with ExitStack() as stack:
        log = stack.enter_context(ProgressLog(out, {**settings.fingerprint(), **told}))
        stop = stack.enter_context(stop_requests())
        reader = ClipTranslator(settings, log) if stored is None else FeatureReader(settings, log, stored)
        answers = translate_clips(reader, manifest, clips, stop, progress)
        blank_texts = translate_blanks(reader, answers, stop, progress) if blanks and stored is None else None
        targets = reader.embed(texts) if reader.embeds_text and any(not one.error for one in answers) else None
        predicted = None if targets is None else _embeddings(answers, targets.shape[1])
        rows = zip(clips, texts, answers, strict=True)
        return EvaluationData(
            sentences=[_sentence(manifest, *row) for row in rows],
            predicted=predicted,
            targets=targets,
            learned_metrics=_learned_metrics(blasers, reader, answers, predicted, targets),
            blanks=blank_texts,
            timing=_timing(answers, str(choose_device(settings.device))),
            without_reference=silent,
            failures=[(clip.id, one.error) for clip, one in zip(clips, answers, strict=True) if one.error],
            notes=[NO_TEXT_ENCODER] * (not reader.embeds_text) + [NO_TIME] * (stored is not None),
        )


def _with_text(manifest: Manifest, lang: str) -> tuple[list[Clip], list[str], list[str]]:
    """Return the clips with a text in the language, these texts, and the ids of the other clips."""
    texts = [clip.texts().get(lang) for clip in manifest.clips]
    found = [(clip, text) for clip, text in zip(manifest.clips, texts, strict=True) if text]
    if not found:
        known = sorted({code for clip in manifest.clips for code in clip.texts()})
        raise UserError(
            f"{manifest.path} has no text in {lang} to compare with; it has {', '.join(known) or 'no text'}",
            fix=f"give --lang {known[0]}" if known else None,
        )
    silent = [clip.id for clip, text in zip(manifest.clips, texts, strict=True) if not text]
    return [clip for clip, _ in found], [text for _, text in found], silent


def _sentence(manifest: Manifest, clip: Clip, text: str, answer: ClipTranslation) -> Sentence:
    record: Mapping[str, Any] = answer.record
    path = manifest.video_path(clip)
    return Sentence(
        id=clip.id,
        reference=text,
        hypothesis=answer.text,
        failure=answer.error.message if answer.error else None,
        confidence=record.get("confidence"),
        seconds=record.get("seconds"),
        duration_s=record.get("duration_s"),
        signer=next((clip.extra[name] for name in SIGNER_COLUMNS if clip.extra.get(name)), None),
        video=str(path.absolute()) if path else None,
        start_s=clip.start_s,
        end_s=clip.end_s,
    )


def _embeddings(answers: Sequence[ClipTranslation], width: int) -> NDArray[np.float32]:
    """Return (N, D), zeros where a clip failed."""
    nothing = np.zeros(width, np.float32)
    return np.stack([nothing if one.error else unpacked(one.record["embedding"]) for one in answers])


def _learned_metrics(
    blasers: Sequence[str],
    reader: ClipTranslator,
    answers: Sequence[ClipTranslation],
    predicted: NDArray[np.float32] | None,
    targets: NDArray[np.float32] | None,
) -> list[LearnedMetric]:
    if not blasers or predicted is None or targets is None:
        return []
    said = reader.embed([one.text for one in answers])
    return blaser_scores(blasers, predicted, said, targets, failed=np.array([one.error is not None for one in answers]))


def _timing(answers: Sequence[ClipTranslation], device: str) -> Timing | None:
    good = [one.record for one in answers if "seconds" in one.record]
    if not good:
        return None
    seconds = np.array([one["seconds"] for one in good])
    signed = sum(one["duration_s"] for one in good)
    return Timing(
        n=len(good),
        median_s=float(np.median(seconds)),
        p95_s=float(np.quantile(seconds, 0.95)),
        real_time_factor=float(seconds.sum() / signed) if signed else 0.0,
        device=device,
    )
