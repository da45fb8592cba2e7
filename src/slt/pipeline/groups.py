"""Translate many segments in groups that grow: the first text comes at once, later ones for less."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from slt.bundle.load import LoadedBundle
from slt.frontend.run import Progress
from slt.pipeline.result import Failure, Translation
from slt.pipeline.segment import EncodedSegment, translate_encoded
from slt.pipeline.texts import STEPS_AT_ONCE


def translate_in_groups(
    bundle: LoadedBundle,
    items: Iterable[EncodedSegment | Failure],
    langs: Sequence[str],
    *,
    most: int,
    beam_size: int = 5,
    nbest: int = 1,
    rerank: bool = False,
    progress: Progress | None = None,
) -> Iterator[Translation | Failure]:
    """Yield the outcome of each item, in their order, each as soon as its group was searched.

    Args:
        bundle: sign encoder and text decoder.
        items: encoded segments, and those that failed before; read as they are needed.
        langs: FLORES-200 codes supported by the model.
        most: segments of a group at most; 1: none waits for another.
        beam_size: as for ``translate_segment``, as are the others.
        nbest: likewise.
        rerank: likewise.
        progress: called with "texts" before and after the search of several.

    Raises:
        Exception: as ``items`` do, once those before are translated.
    """
    for group in in_groups(items, most):
        encoded = [one for one in group if isinstance(one, EncodedSegment)]
        tell = progress if progress and len(encoded) > 1 else lambda *_: None
        tell("texts", 0, len(encoded))
        found = iter(translate_encoded(bundle, encoded, langs, beam_size=beam_size, nbest=nbest, rerank=rerank))
        tell("texts", len(encoded), len(encoded))
        for one in group:
            if isinstance(one, Failure):
                yield one
                continue
            result = next(found)
            yield result if isinstance(result, Translation) else one.segment.failure(result)


def in_groups(items: Iterable[EncodedSegment | Failure], most: int) -> Iterator[list[EncodedSegment | Failure]]:
    """Yield items in groups of 1, 2, 4, … segments up to ``most``; a failure is in the group that it falls into.

    With sizes that double, nobody waits for the next texts for longer than for all texts so far, and of 16 clips 5
    searches are left. A group also ends where its segments are long, so that memory stays bounded.

    Raises:
        Exception: as ``items`` do, after the items before it.
    """
    group: list[EncodedSegment | Failure] = []
    size, n_segments, n_steps = 1, 0, 0
    try:
        for one in items:
            group.append(one)
            if isinstance(one, EncodedSegment):
                n_segments, n_steps = n_segments + 1, n_steps + one.n_steps
            if n_segments in (0, size) or n_steps >= STEPS_AT_ONCE:
                yield group
                size = min(2 * size, most) if n_segments else size
                group, n_segments, n_steps = [], 0, 0
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group
