"""The half of the engine that computes: batches of inputs, on an accelerator one of them ahead of its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from slt.core.device import Work, is_accelerator, make_room
from slt.core.errors import is_out_of_memory
from slt.frontend.base import FrameInput, Frontend, Streams
from slt.frontend.clip import ClipSource, OpenClip
from slt.video.windows import Window


@dataclass(eq=False)
class ClipInProgress:
    """A clip being processed.

    Attributes:
        source: where it lies.
        opened: its video; None: it is not open yet.
        done: reading → features of the inputs that were computed, in order.
        windows: of the first reading.
        units: of the inputs that were computed.
        n_waiting: inputs that were decoded and whose features have not arrived.
        ended: no more inputs will come.
        error: why it failed.
    """

    source: ClipSource
    opened: OpenClip | None = None
    done: dict[int, list[Streams]] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    units: int = 0
    n_waiting: int = 0
    ended: bool = False
    error: Exception | None = None

    def add(self, one: FrameInput, features: Streams) -> None:
        """Add the features of an input."""
        self.done.setdefault(one.reading, []).append(features)
        if one.window is not None and one.reading == 0:
            self.windows.append(one.window)
        self.units += one.units


Item: TypeAlias = tuple[ClipInProgress, FrameInput]


class Computer:
    """Computes batches; while a device computes one, the program goes on to fill and send the next.

    Args:
        frontend: the extractor.

    Attributes:
        device_s: seconds that the device was busy, or the CPU computing.
    """

    def __init__(self, frontend: Frontend) -> None:
        self.device_s = 0.0
        self._frontend = frontend
        self._goes_ahead = is_accelerator(frontend.device)
        self._flight: tuple[Sequence[Item], Work, list[int]] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether results are still to arrive."""
        return self._flight is not None

    def compute(self, batch: Sequence[Item]) -> list[ClipInProgress]:
        """Begin to compute a batch, and return the clips of those whose results have arrived.

        When it fails for lack of memory, it is computed in halves, as all later batches are; when it fails otherwise,
        each input is computed by itself, to find which clip is at fault.
        """
        parts: list[Sequence[Item]] = [[item] for item in batch]
        try:
            launched = self._launch(batch)
        except Exception as error:  # reported with its clip; it must not cost the others
            if len(batch) == 1:
                clip, _ = batch[0]
                clip.error, clip.n_waiting = error, clip.n_waiting - 1
                return [*self.arrivals(), clip]
            short = is_out_of_memory(error)
        else:
            arrived = self.arrivals()
            self._flight = launched
            return arrived if self._goes_ahead else [*arrived, *self.arrivals()]
        arrived = self.arrivals()
        if short:  # outside the handler: the error holds on to the tensors that did not fit
            half = len(batch) // 2
            self._frontend.batch_size = half
            make_room("inputs", half)
            parts = [batch[:half], batch[half:]]
        for part in parts:
            arrived += self.compute(part)
        return arrived

    def arrivals(self) -> list[ClipInProgress]:
        """Wait for the results that are still to arrive, and return their clips."""
        if self._flight is None:
            return []
        (batch, work, counts), self._flight = self._flight, None
        try:
            tensors = iter(work.wait())
        except Exception as error:  # a device says late what failed
            for clip, _ in batch:
                clip.error, clip.n_waiting = error, clip.n_waiting - 1
            return [clip for clip, _ in batch]
        self.device_s += work.seconds
        for (clip, one), n_streams in zip(batch, counts, strict=True):
            clip.add(one, tuple(next(tensors) for _ in range(n_streams)))
            clip.n_waiting -= 1
        return [clip for clip, _ in batch]

    def _launch(self, batch: Sequence[Item]) -> tuple[Sequence[Item], Work, list[int]]:
        work = Work(self._frontend.device)
        with torch.inference_mode():
            features = self._frontend.features([one for _, one in batch])
            tensors: list[Tensor] = [stream for streams in features for stream in streams]
            work.bring(tensors)
        return batch, work, [len(streams) for streams in features]
