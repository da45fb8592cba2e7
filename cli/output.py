"""Output of ``slt translate``: print, save and count each translation, and summarise at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slt.core.errors import SltError
    from slt.pipeline.result import Failure, Translation
    from slt_cli.failures import ItemsFailed

VISUAL = "visual"
"""What the name of a second stream's features ends in."""


def print_outcome(outcome: Translation | Failure, *, json: bool, several: bool, whole: bool) -> None:
    """Print one result; what failed is told at the end, to people, and here, to programs.

    Args:
        outcome: the result.
        json: print an object.
        several: name the video and the language.
        whole: it is of a whole video; else name its start and end.
    """
    from json import dumps

    from slt.core import log
    from slt.pipeline.result import Failure

    if json:
        log.result(dumps(outcome.as_json(), ensure_ascii=False))
    elif not isinstance(outcome, Failure):
        times = [] if whole else [f"{outcome.start_s:.3f}", f"{outcome.end_s:.3f}"]
        for lang, hypotheses in outcome.texts.items():
            for one in hypotheses:
                log.result("\t".join([outcome.video, *times, lang, one.text] if several else [*times, one.text]))


def output_name(video: str | Path) -> str:
    """Return the name under which a video's features or embedding are saved."""
    path = Path(video).absolute()
    return f"{path.name if path.is_dir() else path.stem}.npy"


def saved_names(video: str | Path, *, visual: bool) -> tuple[str, ...]:
    """Return all names under which a whole video's arrays are saved; ``visual``: it has features of a second stream."""
    name = output_name(video)
    return (name, _name_of(name, VISUAL)) if visual else (name,)


def _name_of(name: str, part: str) -> str:
    return f"{name.removesuffix('.npy')}.{part}.npy"


def save(folder: Path | None, outcome: Translation, array: NDArray[Any], *, whole: bool, of: str = "") -> None:
    """Write an array of ``outcome`` into ``folder``, unless there is none; segments have their times in the name.

    Args:
        folder: where to.
        outcome: whose.
        array: what.
        whole: it is of the whole video.
        of: ends the name where a video has several arrays.
    """
    if folder is None:
        return
    import numpy as np

    from slt.core.files import atomic_write

    name = output_name(outcome.video)
    if not whole:
        name = _name_of(name, f"{outcome.start_s:.3f}-{outcome.end_s:.3f}")
    if of:
        name = _name_of(name, of)
    with atomic_write(folder / name) as file:
        np.save(file, array)


def _name(failure: Failure) -> str:
    if failure.span_s is None:
        return failure.video
    return f"{failure.video}, {failure.span_s[0]:g} to {failure.span_s[1]:g} s"


class Report:
    """Summary at the end: durations, warnings and failures.

    Attributes:
        clock: seconds per stage, of all videos together.
        failures: (video, or segment of one, and why it failed), so far.

    Args:
        n_videos: how many videos were named.
        what: the plural noun for what is translated.
    """

    def __init__(self, n_videos: int, what: str = "videos") -> None:
        from slt.core.timing import StageTimer

        self.clock = StageTimer()
        self.failures: list[tuple[str, SltError]] = []
        self._n_videos = n_videos
        self._what = what
        self._translated_s: list[float] = []
        self._warned: dict[str, int] = {}

    def add(self, outcome: Translation | Failure) -> None:
        """Count a video in; tell the warnings about it that no earlier one had."""
        from slt.core import log
        from slt.pipeline.result import Failure

        if isinstance(outcome, Failure):
            self.failures.append((_name(outcome), outcome.error))
            return
        self._translated_s.append(outcome.duration_s)
        for stage, seconds in outcome.timings.items():
            self.clock.seconds[stage] = self.clock.seconds.get(stage, 0.0) + seconds
        for warning in outcome.warnings:
            self._warned[warning] = self._warned.get(warning, 0) + 1
            if self._warned[warning] == 1:
                log.warn(f"{outcome.video}: {warning}")

    @property
    def n_translated(self) -> int:
        """How many videos, sentences or spans were translated."""
        return len(self._translated_s)

    def tell(self) -> None:
        """Write how many more videos a warning is true of, and the times of all stages."""
        from slt.core import log

        for warning, count in self._warned.items():
            if count > 1:
                log.warn(f"{count - 1} more of these {self._what}: {warning}")
        if self._translated_s:
            number = self.n_translated
            translated = f"{number} {self._what.removesuffix('s') if number == 1 else self._what}"
            stages = ", ".join(f"{stage} {log.seconds(value)}" for stage, value in self.clock.seconds.items())
            took = log.seconds(sum(self.clock.seconds.values()))
            log.say(f"{translated} of {log.seconds(sum(self._translated_s))} in {took}: {stages}")

    def failed(self) -> ItemsFailed:
        """Return the error that lists the failures."""
        from slt_cli.failures import ItemsFailed

        # Interrupted, not all videos had their turn; of one video there may be many sentences.
        total = max(self._n_videos, self.n_translated + len(self.failures))
        error = ItemsFailed(self.failures, total=total, what=self._what)
        error.__cause__ = self.failures[0][1]
        return error
