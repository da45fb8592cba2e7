"""Evaluate a model on stored features: no decoding, no extractor."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from slt.assets.store import find_bundle
from slt.core.device import choose_device, is_accelerator
from slt.core.errors import SltError, UserError
from slt.core.signals import StopRequests
from slt.core.tensors import EncoderOutput, FeatureBatch
from slt.data.features.open import open_features
from slt.data.features.store import Features
from slt.data.manifest import Clip, Manifest
from slt.evaluate.model import ClipTranslation, ClipTranslator, ModelSettings
from slt.evaluate.progress_log import ProgressLog, packed
from slt.frontend.streams import bundle_streams
from slt.pipeline.segment import encode, the_one
from slt.pipeline.texts import EncodedClip, Texts, clips_at_once, find_texts

FRAMES_PER_ROW = {"signhiera": 2}
"""Sampled frames per feature vector; 1 for other extractors."""


def open_features_for(folder: Path, model: str, manifest: Path) -> Features:
    """Open a feature store and check that its features suit a model.

    Raises:
        UserError: no such store or model, or the features have another extractor or other settings.
    """
    card, features = find_bundle(model).card, open_features(folder)
    if len(streams := bundle_streams(card)) > 1:
        names = " and ".join(stream.kind for stream in streams)
        raise UserError(
            f"found one store in --features, expected two streams: the model {card.name} reads {names}",
            fix="remove --features, to extract features from the videos",
        )
    streams[0].check(
        features.header,
        where=folder,
        fix=f"slt extract-features {manifest} --model {model} --out DIR",
        feature_dim=card.encoder.config.get("feature_dim"),
    )
    return features


class FeatureTranslator(ClipTranslator):
    """A ``ClipTranslator`` that reads stored features instead of videos.

    Args:
        settings: as for ``ClipTranslator``.
        log: likewise.
        features: clip id → features.
    """

    def __init__(self, settings: ModelSettings, log: ProgressLog, features: Features) -> None:
        super().__init__(settings, log)
        self._features = features

    def translate(self, manifest: Manifest, clip: Clip) -> ClipTranslation:
        """Translate a clip; missing or damaged features give a translation with an error."""
        if clip.id not in self._features:
            return ClipTranslation(text="", error=UserError(f"the store has no features of {clip.id}"), record={})
        try:
            rows = self._features[clip.id]
        except SltError as error:
            return ClipTranslation(text="", error=error, record={})
        key = self._key(clip, rows)
        return self._cached(key, lambda: the_one(self._from_many([rows], [self._seconds(clip, len(rows))])))

    def translate_ahead(
        self, manifest: Manifest, clips: Sequence[Clip], stop: StopRequests, progress: Callable[[int], None]
    ) -> None:
        """Translate clips that are not in the log, several at once (``slt.pipeline.texts``), and log them.

        Those that fail are left to ``translate``. Only the rows of one search are held at once, of clips of about the
        same duration, so that their texts end at about the same step.
        """
        waiting: list[tuple[float, str, str]] = []
        for clip in clips:
            stop.check()
            with suppress(SltError, KeyError):
                rows = self._features[clip.id]
                if (key := self._key(clip, rows)) not in self._log and len(rows):
                    waiting.append((self._seconds(clip, len(rows)), key, clip.id))
        waiting.sort()
        size = clips_at_once(choose_device(self.settings.device))
        for begin in range(0, len(waiting), size):
            part = waiting[begin : begin + size]
            found: list[dict[str, Any] | SltError] = []
            with suppress(Exception):  # told with its clip, when that is translated alone
                found = self._from_many([self._features[id] for _, _, id in part], [seconds for seconds, _, _ in part])
            for (_, key, _), record in zip(part, found, strict=bool(found)):
                if not isinstance(record, SltError):
                    self._log.add(key, record)
            progress(begin + len(part))
            stop.check()

    def _key(self, clip: Clip, rows: NDArray[Any]) -> str:
        return json.dumps(["features", clip.id, clip.start_s, clip.end_s, sha256(rows.tobytes()).hexdigest()])

    def _from_many(self, clips: Sequence[NDArray[Any]], seconds: Sequence[float]) -> list[dict[str, Any] | SltError]:
        """Translate the features of clips that last so long, together; of each its record, or why it failed."""
        bundle, settings = self.bundle, self.settings
        encoded = [
            EncodedClip(output=one, seconds=duration)
            for one, duration in zip(self._encode(clips), seconds, strict=True)
        ]
        found = find_texts(bundle.decoder, encoded, [settings.lang], beam_size=settings.beam)
        return [
            texts if isinstance(texts, SltError) else self._record(clip, texts)
            for clip, texts in zip(encoded, found, strict=True)
        ]

    def _record(self, clip: EncodedClip, texts: Texts) -> dict[str, Any]:
        best = texts[self.settings.lang][0]
        embedding = clip.output.sentence[0].float().cpu().numpy()
        return {"text": best.text, "confidence": best.score, "embedding": packed(embedding)}

    @torch.inference_mode()
    def _encode(self, clips: Sequence[NDArray[Any]]) -> list[EncoderOutput]:
        """Encode the features of clips: together on an accelerator; on a CPU, where one keeps it busy, each alone."""
        bundle = self.bundle
        weight = next(bundle.encoder.parameters())
        tensors = [torch.from_numpy(np.array(rows)) for rows in clips]
        if bundle.card.extractor.kind != "keypoints":  # coordinates would lose precision
            tensors = [rows.to(weight.dtype) for rows in tensors]
        if not is_accelerator(weight.device):
            return [encode(bundle.encoder, rows) for rows in tensors]
        encoded: EncoderOutput = bundle.encoder(FeatureBatch.of(tensors).to(weight.device))
        return encoded.clips()

    def _seconds(self, clip: Clip, n_rows: int) -> float:
        """Return a clip's duration in seconds; an upper bound if not recorded, because windows overlap."""
        if clip.start_s is not None and clip.end_s is not None:
            return clip.end_s - clip.start_s
        preprocess = self.bundle.card.preprocess
        per_row = FRAMES_PER_ROW.get(self.bundle.card.extractor.kind, 1)
        return n_rows * per_row * preprocess.sampling_rate / preprocess.target_fps
