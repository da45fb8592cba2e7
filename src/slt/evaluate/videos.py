"""Evaluate a model on a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt.core.device import choose_device
from slt.core.errors import UserError
from slt.core.signals import stop_requests
from slt.data.manifest import Clip, Manifest
from slt.evaluate.blaser import blaser_scores
from slt.evaluate.evaluation import EvaluationData
from slt.evaluate.from_features import FeatureTranslator, open_features_for
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
    """Translate the clips of a manifest that have a text in the language.

    Args:
        settings: the model and its decoding settings.
        manifest: the clips.
        out: folder of the progress log, from which a stopped run resumes; None: no log.
        progress: called with (unit, done, total).
        blanks: translate blank videos as well.
        blasers: BLASER metrics to compute, from ``choose_blasers``.
        features: feature store to read instead of videos; then there are no timings.

    Raises:
        UserError: no such model, or a manifest without a sentence in the language.
        Stopped: a stop was requested.
        SltError: the machine failed.
    """
    clips, texts, without_text = _with_text(manifest, settings.lang)
    stored = open_features_for(features, settings.model, manifest.path) if features else None
    store = {"features": str(features.absolute())} if features else {}
    with ExitStack() as stack:
        log = stack.enter_context(ProgressLog(out, {**settings.fingerprint(), **store}))
        stop = stack.enter_context(stop_requests())
        translator = ClipTranslator(settings, log) if stored is None else FeatureTranslator(settings, log, stored)
        translations = translate_clips(translator, manifest, clips, stop, progress)
        blank_texts = translate_blanks(translator, translations, stop, progress) if blanks and stored is None else None
        has_targets = translator.embeds_text and any(not one.error for one in translations)
        targets = translator.embed(texts) if has_targets else None
        predicted = None if targets is None else _embeddings(translations, targets.shape[1])
        rows = zip(clips, texts, translations, strict=True)
        return EvaluationData(
            sentences=[_sentence(manifest, *row) for row in rows],
            predicted=predicted,
            targets=targets,
            learned_metrics=_learned_metrics(blasers, translator, translations, predicted, targets),
            blanks=blank_texts,
            timing=_timing(translations, str(choose_device(settings.device))),
            without_reference=without_text,
            failures=[(clip.id, one.error) for clip, one in zip(clips, translations, strict=True) if one.error],
            notes=[NO_TEXT_ENCODER] * (not translator.embeds_text) + [NO_TIME] * (stored is not None),
        )


def _with_text(manifest: Manifest, lang: str) -> tuple[list[Clip], list[str], list[str]]:
    """Return the clips with a text in the language, their texts, and the ids of the other clips."""
    texts = [clip.texts().get(lang) for clip in manifest.clips]
    found = [(clip, text) for clip, text in zip(manifest.clips, texts, strict=True) if text]
    if not found:
        known = sorted({code for clip in manifest.clips for code in clip.texts()})
        raise UserError(
            f"{manifest.path} has no reference in {lang}, found {', '.join(known) or 'no text'}",
            fix=f"give --lang {known[0]}" if known else None,
        )
    without = [clip.id for clip, text in zip(manifest.clips, texts, strict=True) if not text]
    return [clip for clip, _ in found], [text for _, text in found], without


def _sentence(manifest: Manifest, clip: Clip, text: str, translation: ClipTranslation) -> Sentence:
    record: Mapping[str, Any] = translation.record
    path = manifest.video_path(clip)
    return Sentence(
        id=clip.id,
        reference=text,
        hypothesis=translation.text,
        failure=translation.error.message if translation.error else None,
        confidence=record.get("confidence"),
        seconds=record.get("seconds"),
        duration_s=record.get("duration_s"),
        signer=next((clip.extra[name] for name in SIGNER_COLUMNS if clip.extra.get(name)), None),
        video=str(path.absolute()) if path else None,
        start_s=clip.start_s,
        end_s=clip.end_s,
    )


def _embeddings(translations: Sequence[ClipTranslation], width: int) -> NDArray[np.float32]:
    """Return (N, D) float32, zeros for failed clips."""
    zeros = np.zeros(width, np.float32)
    return np.stack([zeros if one.error else unpacked(one.record["embedding"]) for one in translations])


def _learned_metrics(
    blasers: Sequence[str],
    translator: ClipTranslator,
    translations: Sequence[ClipTranslation],
    predicted: NDArray[np.float32] | None,
    targets: NDArray[np.float32] | None,
) -> list[LearnedMetric]:
    if not blasers or predicted is None or targets is None:
        return []
    hypotheses = translator.embed([one.text for one in translations])
    failed = np.array([one.error is not None for one in translations])
    return blaser_scores(blasers, predicted, hypotheses, targets, failed=failed)


def _timing(translations: Sequence[ClipTranslation], device: str) -> Timing | None:
    good = [one.record for one in translations if "seconds" in one.record]
    if not good:
        return None
    seconds = np.array([one["seconds"] for one in good])
    duration_s = sum(one["duration_s"] for one in good)
    return Timing(
        n=len(good),
        median_s=float(np.median(seconds)),
        p95_s=float(np.quantile(seconds, 0.95)),
        real_time_factor=float(seconds.sum() / duration_s) if duration_s else 0.0,
        device=device,
    )
