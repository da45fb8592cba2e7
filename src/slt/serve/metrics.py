"""What the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from slt.serve.engine import Engine, resident_bytes

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.accepted = Counter("slt_translations_accepted", "Translations that were queued.", registry=registry)
        self.refused = Counter("slt_translations_refused", "Refused because the queue was full.", registry=registry)
        self.finished = Counter(
            "slt_translations_finished", "Translations that ended, by state.", ["state"], registry=registry
        )
        self.seconds = Histogram(
            "slt_translation_seconds", "Seconds of work on a translation.", buckets=SECONDS, registry=registry
        )
        self.stage = Counter("slt_stage_seconds", "Seconds of work by stage.", ["stage"], registry=registry)
        self.uploaded = Counter("slt_uploaded_bytes", "Bytes of accepted uploads.", registry=registry)

    def stages(self, timings_s: Mapping[str, float]) -> None:
        """Add the seconds of each stage."""
        for stage, seconds in timings_s.items():
            self.stage.labels(stage).inc(seconds)

    def watch(self, *, queued: Callable[[], int], running: Callable[[], int], engines: Sequence[Engine]) -> None:
        """Show values that are read when they are asked for."""
        gauges: dict[tuple[str, str], Callable[[], float]] = {
            ("slt_queue_length", "Translations that wait."): queued,
            ("slt_running", "Translations under way."): running,
            ("slt_worker_restarts", "Worker processes started again."): lambda: sum(
                max(0, engine.restarts) for engine in engines
            ),
            ("slt_models_loaded", "Models in memory."): lambda: sum(len(engine.loaded) for engine in engines),
            ("slt_worker_bytes", "Memory of the worker processes."): lambda: sum(
                resident_bytes(engine.pid) for engine in engines if engine.pid
            ),
        }
        for (name, about), value in gauges.items():
            Gauge(name, about, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)
