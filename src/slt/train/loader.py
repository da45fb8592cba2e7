"""Data loader: prefetch in worker processes, augment, and choose one target text per clip."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from slt.core.device import send
from slt.core.tensors import FeatureBatch
from slt.recipe.data import Augment
from slt.train.augment import augment
from slt.train.batches import Batches
from slt.train.examples import Corpus, Example
from slt.train.sources import Streams, Windows
from slt.train.targets import Targets


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """The windows of B clips, one clip after the other.

    Attributes:
        pixels: (W, T, H, W, 3) uint8, RGB.
        padding: (W,) int64, sampled frames at each window's end that are padding.
        per_clip: how many windows each clip has.
    """

    pixels: Tensor
    padding: Tensor
    per_clip: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one process sees of a batch.

    Attributes:
        ids: of its B clips.
        texts: a target text each.
        langs: the language of each text.
        targets: (B, D) float32, the embeddings of the texts; D is 0 where nothing is compared with them.
        features: of the clips; None when they are made from windows, or when there are only texts.
        windows: of the clips, or None.
        n_clips: clips in the whole batch, of all processes.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    langs: tuple[str, ...]
    targets: Tensor
    features: FeatureBatch | None
    windows: WindowBatch | None
    n_clips: int

    @property
    def shape(self) -> str:
        """Its size, as a person reads it."""
        if self.windows is not None:
            return f"{len(self.ids)} clips of together {len(self.windows.padding)} windows"
        if self.features is not None:
            return f"{len(self.ids)} clips × {self.features.features.shape[1]} time steps"
        return f"{len(self.ids)} texts of at most {max(map(len, self.texts))} characters"

    def to(self, device: torch.device) -> Batch:
        """Return it on a device."""
        features, windows = self.features, self.windows
        if windows is not None:
            windows = replace(windows, pixels=send(windows.pixels, device))
        features = features.to(device) if features else None
        return replace(self, targets=send(self.targets, device), features=features, windows=windows)

    def pin_memory(self) -> Batch:
        """Return it in pinned memory, from which a GPU copies while it computes; the data loader calls this ahead."""
        windows = self.windows and replace(self.windows, pixels=self.windows.pixels.pin_memory())
        return replace(self, features=self.features and self.features.pin_memory(), windows=windows)


Key = tuple[int, tuple[int, ...], int]
"""Of a batch: the epoch, the clips of this process, and how many clips all processes have."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a process that reads ahead needs to know of a batch.

    Attributes:
        key: of the batch.
        examples: its clips.
    """

    key: Key
    examples: tuple[Example, ...]


class Clips(Dataset[Batch]):
    """Batches of a split, by key: which target text, and how the features are disturbed, is drawn anew every epoch.

    Processes that read ahead get neither the list of all clips nor the embeddings of all texts, which of a large corpus
    take gigabytes: a request brings its clips along, and the targets are added where the batch arrives.

    Args:
        corpus: the split.
        targets: the embeddings of its texts.
        langs: target languages.
        seed: with epoch and clip, decides everything random.
        augment: how features are disturbed; None: not at all, and the text is always that of the first language.
        spreads: of each stream, (D,) standard deviation of the features.
    """

    def __init__(
        self,
        corpus: Corpus,
        targets: Targets,
        langs: Sequence[str],
        *,
        seed: int = 0,
        augment: Augment | None = None,
        spreads: Streams = (),
    ) -> None:
        self.corpus, self.targets, self.langs = corpus, targets, langs
        self.seed, self.augment, self.spreads = seed, augment, spreads
        self._reads_ahead = False

    def __len__(self) -> int:
        return len(self.corpus.examples)

    def request(self, key: Key) -> Request:
        """Return the request of a batch."""
        return Request(key=key, examples=tuple(self.corpus.examples[index] for index in key[1]))

    def __getitem__(self, wanted: Request | Key) -> Batch:
        request = wanted if isinstance(wanted, Request) else self.request(wanted)
        (epoch, indices, n_clips), examples = request.key, request.examples
        rngs = [np.random.default_rng([self.seed, epoch, index]) for index in indices]
        langs = [self._lang(example, rng) for example, rng in zip(examples, rngs, strict=True)]
        texts = [example.texts[lang] for example, lang in zip(examples, langs, strict=True)]
        inputs = [self._read(example, rng) for example, rng in zip(examples, rngs, strict=True)]
        features = [tuple(map(torch.from_numpy, streams)) for streams in inputs if isinstance(streams, tuple)]
        windows = [cut for cut in inputs if isinstance(cut, Windows)]
        batch = Batch(
            ids=tuple(example.clip.id for example in examples),
            texts=tuple(texts),
            langs=tuple(langs),
            targets=torch.empty(0),
            features=FeatureBatch.of(*zip(*features, strict=True)) if features else None,
            windows=_joined(windows) if windows else None,
            n_clips=n_clips,
        )
        return batch if self._reads_ahead else self.with_targets(batch)

    def with_targets(self, batch: Batch) -> Batch:
        """Return a batch with the embeddings of its texts."""
        found = [self.targets.of(text, lang) for text, lang in zip(batch.texts, batch.langs, strict=True)]
        # Of a batch with fewer clips than processes, a process may have none.
        targets = np.asarray(found, np.float32).reshape(len(found), self.targets.dim)
        return replace(batch, targets=torch.from_numpy(targets))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "corpus": self.corpus.source_alone(), "targets": None, "_reads_ahead": True}

    def _lang(self, example: Example, rng: np.random.Generator) -> str:
        known = [lang for lang in self.langs if lang in example.texts]
        return known[int(rng.integers(len(known)))] if self.augment else known[0]

    def _read(self, example: Example, rng: np.random.Generator) -> Streams | Windows | None:
        found = self.corpus.source.read(example.clip)
        if self.augment and isinstance(found, tuple):
            return augment(found, self.augment, self.spreads, rng, blank=self.corpus.source.blank)
        return found


class Positions(Sampler[Key]):
    """Which batches come next: from a position in the training to the end of the interval it lies in.

    Attributes:
        batches: of the whole training.
        interval: batches between two validations.
        process: which one this is, of how many.
        position: batches that are done; to be kept up by whoever trains.
    """

    def __init__(self, batches: Batches, interval: int, process: tuple[int, int] = (0, 1)) -> None:
        self.batches, self.interval, self.process = batches, interval, process
        self.position = 0

    def __len__(self) -> int:
        return self.interval

    def __iter__(self) -> Iterator[Key]:
        index, count = self.process
        left = self.interval - self.position % self.interval
        for epoch, batch in islice(self.batches.from_position(self.position), left):
            yield epoch, tuple(batch[index::count]), len(batch)


class _Requests(Sampler[Request]):
    """The batches that come next, with their clips."""

    def __init__(self, clips: Clips, positions: Positions) -> None:
        self.clips, self.positions = clips, positions

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[Request]:
        return map(self.clips.request, self.positions)


class Loader(DataLoader[Batch]):
    """Reads batches ahead; Lightning saves and restores its position with a checkpoint.

    Args:
        clips: of the split.
        positions: which batches come next.
        workers: processes that read ahead.
        pin: put batches into pinned memory, for a GPU.

    Attributes:
        positions: which batches come next.
        waited: seconds that whoever asked for batches waited for them; to be set back by whoever reads it.
    """

    dataset: Clips

    def __init__(self, clips: Clips, positions: Positions, *, workers: int, pin: bool = False) -> None:
        super().__init__(
            clips,
            batch_size=None,
            sampler=_Requests(clips, positions),
            collate_fn=_as_is,  # type: ignore[arg-type] # there is nothing to collate
            num_workers=workers,
            persistent_workers=workers > 0,
            # Not forked: decoders and torch have threads of their own.
            multiprocessing_context="spawn" if workers else None,
            pin_memory=pin,
        )
        self.positions = positions
        self.waited = 0.0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override] # DataLoader promises more than iterating takes
        batches = super().__iter__()
        while True:
            begun = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.waited += time.perf_counter() - begun
            yield self.dataset.with_targets(batch) if self.num_workers else batch

    def state_dict(self) -> dict[str, int]:
        """Return how many batches of the training are done."""
        return {"position": self.positions.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind that many batches."""
        self.positions.position = state["position"]


def feature_spreads(corpus: Corpus, at_most: int = 200) -> Streams:
    """Return (D,) of each stream, the standard deviation of stored features, over clips spread through the corpus."""
    step = max(1, len(corpus.examples) // at_most)
    clips = [corpus.source.read(example.clip) for example in corpus.examples[::step]]
    streams = zip(*(clip for clip in clips if isinstance(clip, tuple)), strict=True)
    return tuple(np.ma.masked_invalid(np.concatenate(rows)).std(0).filled(0.0) for rows in streams)


def _as_is(batch: Batch) -> Batch:
    return batch


def _joined(clips: Sequence[Windows]) -> WindowBatch:
    return WindowBatch(
        pixels=torch.from_numpy(np.concatenate([clip.pixels for clip in clips])),
        padding=torch.from_numpy(np.concatenate([clip.padding for clip in clips])),
        per_clip=tuple(len(clip.padding) for clip in clips),
    )
