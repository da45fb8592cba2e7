"""What a long run spent its time on, and what bounded it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SIGNER, DECODE, CROP, IDLE = "finding the signer", "decoding", "cropping", "waiting for room"
LEAST_S = 60.0
"""Seconds; of shorter runs it is not told what bounded them."""
MOSTLY = 0.5


@dataclass(kw_only=True)
class Usage:
    """Where the time of an extraction went.

    Attributes:
        device: type of the device that computed.
        n_workers: clips decoded at once.
        reading: seconds of each stage of reading, of all workers together.
        idle_s: seconds that workers waited for room, together.
        waiting_s: seconds that nothing was there to compute.
        device_s: seconds that the device computed.
        took_s: seconds in all.
    """

    device: str = "cpu"
    n_workers: int = 1
    reading: dict[str, float] = field(default_factory=dict)
    idle_s: float = 0.0
    waiting_s: float = 0.0
    device_s: float = 0.0
    took_s: float = 0.0

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add the seconds that a worker read."""
        for stage, took in seconds.items():
            if stage == IDLE:
                self.idle_s += took
            else:
                self.reading[stage] = self.reading.get(stage, 0.0) + took

    @property
    def busy(self) -> float:
        """Share of the time that the device computed, 0 to 1."""
        return min(1.0, self.device_s / self.took_s) if self.took_s else 0.0

    @property
    def bottleneck(self) -> str:
        """The stage that bounded the run."""
        if self.waiting_s > MOSTLY * self.took_s and self.reading:
            return max(self.reading, key=self.reading.__getitem__)
        return "extracting"

    @property
    def is_worth_telling(self) -> bool:
        """Whether the run was long enough to say what bounded it."""
        return self.took_s >= LEAST_S

    def summary(self) -> str:
        """Return one line for people."""
        all_s = sum(self.reading.values()) or 1.0
        stages = ", ".join(f"{stage} {100 * took / all_s:.0f} %" for stage, took in self.reading.items())
        device = "the CPU" if self.device == "cpu" else "the GPU"
        readers = f"{self.n_workers} reader{'s' * (self.n_workers > 1)}"
        return (
            f"bounded by {self.bottleneck}: {device} computed {100 * self.busy:.0f} % of the time; "
            f"{readers}: {stages or 'nothing read'}"
        )
