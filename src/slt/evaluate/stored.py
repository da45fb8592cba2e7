"""A model translates clips by features that were extracted earlier: nothing is decoded, and no extractor runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from slt.assets.store import find_bundle
from slt.data.features.open import open_features
from slt.data.features.store import Features
from slt.data.manifest import Clip, Manifest
from slt.errors import SltError, UserError
from slt.evaluate.journal import Journal, packed
from slt.evaluate.model import Answer, Asked, Reader
from slt.stages import encode
from slt.text.decoder import token_limit

FRAMES_PER_ROW = 2
"""Sampled frames that SignHiera makes one feature vector of."""


def open_stored(folder: Path, model: str, manifest: Path) -> Features:
    """Open features, and see that they are those a model reads.

    Raises:
        UserError: no such features or model; or they were made by another extractor, or otherwise.
    """
    bundle, features = find_bundle(model), open_features(folder)
    card = bundle.card
    features.header.check_fits(
        where=folder,
        fix=f"slt extract-features {manifest} --model {bundle.folder} --out DIR",
        extractor=card.extractor.kind,
        weights_sha256=card.sha256.get(card.extractor.weights),
        geometry=asdict(card.preprocess),
        feature_dim=card.encoder.config.get("feature_dim"),
    )
    return features


class StoredReader(Reader):
    """A ``Reader`` of features.

    Args:
        asked: as of a ``Reader``.
        journal: the same.
        features: by the clips' ids.
    """

    def __init__(self, asked: Asked, journal: Journal, features: Features) -> None:
        super().__init__(asked, journal)
        self._features = features

    def read(self, manifest: Manifest, clip: Clip) -> Answer:
        """Translate a clip; what has no features, or damaged ones, gives an answer that says so."""
        if clip.id not in self._features:
            return Answer(text="", error=UserError(f"there are no features of {clip.id}"), kept={})
        try:
            rows = self._features[clip.id]
        except SltError as error:
            return Answer(text="", error=error, kept={})
        question = json.dumps(["features", clip.id, clip.start_s, clip.end_s, sha256(rows.tobytes()).hexdigest()])
        return self._answer(question, lambda: self._from_rows(clip, rows))

    def _from_rows(self, clip: Clip, rows: NDArray[Any]) -> dict[str, Any]:
        bundle, asked = self.bundle, self.asked
        weight = next(bundle.encoder.parameters())
        encoded = encode(bundle.encoder, torch.from_numpy(np.array(rows)).to(weight.device, weight.dtype))
        limit = token_limit(self._seconds(clip, len(rows)))
        found = bundle.decoder.translate(encoded, [asked.lang], nbest=1, beam_size=asked.beam, max_tokens=limit)
        best = found[0][asked.lang][0]
        embedding = packed(encoded.sentence[0].float().cpu().numpy())
        return {"text": best.text, "confidence": best.score, "embedding": embedding}

    def _seconds(self, clip: Clip, n_rows: int) -> float:
        """Return how long a clip is; where nobody noted it, at most: overlapping windows see frames twice."""
        if clip.start_s is not None and clip.end_s is not None:
            return clip.end_s - clip.start_s
        geometry = self.bundle.geometry
        return n_rows * FRAMES_PER_ROW * geometry.sampling_rate / geometry.target_fps
