"""Evaluate a model on stored features: no decoding, no extractor."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from slt.assets.store import find_bundle
from slt.core.errors import SltError, UserError
from slt.data.features.open import open_features
from slt.data.features.store import Features
from slt.data.manifest import Clip, Manifest
from slt.evaluate.model import ClipTranslation, ClipTranslator, ModelSettings
from slt.evaluate.progress_log import ProgressLog, packed
from slt.frontend.streams import bundle_streams
from slt.pipeline.segment import encode
from slt.text.decoder import token_limit

FRAMES_PER_ROW = {"signhiera": 2}
"""Sampled frames per feature vector; 1 for other extractors."""


def open_features_for(folder: Path, model: str, manifest: Path) -> Features:
    """Open a feature store and check that its features suit a model.

    Raises:
        UserError: no such store or model, or the features have another extractor or other settings.
    """
    bundle, features = find_bundle(model), open_features(folder)
    card = bundle.card
    if len(streams := bundle_streams(card)) > 1:
        names = " and ".join(stream.kind for stream in streams)
        raise UserError(
            f"found one store in --features, expected two streams: the model {card.name} reads {names}",
            fix="remove --features, to extract features from the videos",
        )
    streams[0].check(
        features.header,
        where=folder,
        fix=f"slt extract-features {manifest} --model {bundle.folder} --out DIR",
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
        key = json.dumps(["features", clip.id, clip.start_s, clip.end_s, sha256(rows.tobytes()).hexdigest()])
        return self._cached(key, lambda: self._from_rows(clip, rows))

    def _from_rows(self, clip: Clip, rows: NDArray[Any]) -> dict[str, Any]:
        bundle, settings = self.bundle, self.settings
        weight = next(bundle.encoder.parameters())
        features = torch.from_numpy(np.array(rows)).to(weight.device)
        if bundle.card.extractor.kind != "keypoints":  # coordinates would lose precision
            features = features.to(weight.dtype)
        encoded = encode(bundle.encoder, features)
        limit = token_limit(self._seconds(clip, len(rows)))
        found = bundle.decoder.translate(encoded, [settings.lang], nbest=1, beam_size=settings.beam, max_tokens=limit)
        best = found[0][settings.lang][0]
        embedding = packed(encoded.sentence[0].float().cpu().numpy())
        return {"text": best.text, "confidence": best.score, "embedding": embedding}

    def _seconds(self, clip: Clip, n_rows: int) -> float:
        """Return a clip's duration in seconds; an upper bound if not recorded, because windows overlap."""
        if clip.start_s is not None and clip.end_s is not None:
            return clip.end_s - clip.start_s
        preprocess = self.bundle.card.preprocess
        per_row = FRAMES_PER_ROW.get(self.bundle.card.extractor.kind, 1)
        return n_rows * per_row * preprocess.sampling_rate / preprocess.target_fps
