"""Sentence segmentation of continuous signing: recall, precision, IoU, and effect on translation.

    python benchmarks/segmentation.py                 # 4 videos of 20 sentences; minutes
    python benchmarks/segmentation.py --talks 1       # quick check

Synthetic signers of the test split sign sentences with rests in between; thresholds were chosen on other videos. A
sentence is found if a segment overlaps it with IoU >= 0.5. Texts of found segments are compared with those of oracle
spans: the true times, with the 0.2 s of rest that the model was trained on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from slt.data.synthetic.corpus import write_video
from slt.data.synthetic.grammar import LANGUAGES, write
from slt.data.synthetic.talk import Talk, plan_talk
from slt.demo.score import score_texts
from slt.pipeline.translator import Translator
from slt.segmentation.stream import find_sentences

FPS = 25.0
FIRST_SEED = 100  # earlier seeds were used for choosing thresholds
RESTS = ((0.5, 2.0), (0.4, 0.8))
FOUND = 0.5
LEAD_S = 0.2
Span = tuple[float, float]
Film = list[np.ndarray]


@dataclass
class Tally:
    """Counts of sentences and segments."""

    n_signed: int = 0
    n_segments: int = 0
    overlaps: list[float] = field(default_factory=list)

    def add(self, signed: Sequence[Span], segments: Sequence[Span]) -> dict[int, int]:
        """Count one video; return sentence → segment of the matches."""
        pairs = sorted(
            ((iou(one, other), i, j) for i, one in enumerate(signed) for j, other in enumerate(segments)), reverse=True
        )
        matched: dict[int, int] = {}
        for overlap, i, j in pairs:
            if overlap >= FOUND and i not in matched and j not in matched.values():
                matched[i] = j
                self.overlaps.append(overlap)
        self.n_signed += len(signed)
        self.n_segments += len(segments)
        return matched

    def cells(self) -> str:
        """Return table cells: sentences, found, precision, mean IoU."""
        hits = len(self.overlaps)
        return (
            f"{self.n_signed} | {hits / self.n_signed:.1%} | {hits / max(self.n_segments, 1):.1%} | "
            f"{np.mean(self.overlaps or [0]):.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--talks", type=int, default=4)
    parser.add_argument("--sentences", type=int, default=20)
    options = parser.parse_args()
    print("| rest, s | video | sentences | found | precision | mean IoU |\n|---|---|---|---|---|---|")
    for rest in RESTS:
        talks = [plan_talk(options.sentences, FIRST_SEED + seed, rest_s=rest) for seed in range(options.talks)]
        films = [[cv2.resize(frame, (96, 96)) for frame in talk.frames()] for talk in talks]
        for name, (degrade, fps) in DEGRADATIONS.items():
            tally = Tally()
            for talk, film in zip(talks, films, strict=True):
                tally.add(spans_of(talk), find(degrade(film), fps))
            print(f"| {rest[0]} to {rest[1]} | {name} | {tally.cells()} |", flush=True)
    print("\n| rest, s | spans | language | sentences | BLEU | to the letter |\n|---|---|---|---|---|---|")
    for rest in RESTS:
        compare_texts(
            [plan_talk(options.sentences, FIRST_SEED + seed, rest_s=rest) for seed in range(options.talks)], rest
        )


def compare_texts(talks: Sequence[Talk], rest: Span) -> None:
    """Translate H.264 videos with the demo model by oracle spans and by found segments; print the scores."""
    translator = Translator("demo")
    texts: dict[tuple[str, str], list[str]] = {(way, lang): [] for way in ("oracle", "found") for lang in LANGUAGES}
    truth: dict[str, list[str]] = {lang: [] for lang in LANGUAGES}
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "talk.mp4"
        for talk in talks:
            write_video(video, np.stack(list(talk.frames())))
            signed = spans_of(talk)
            segments = list(translator.segments(video, LANGUAGES))
            matched = Tally().add(signed, [(one.start_s, one.end_s) for one in segments])
            for number, (sentence, (start, end)) in enumerate(zip(talk.sentences, signed, strict=True)):
                span = {"start_s": max(start - LEAD_S, 0.0), "end_s": end + LEAD_S}
                oracle = translator.translate(video, LANGUAGES, **span)
                found = segments[matched[number]] if number in matched else None
                for lang in LANGUAGES:
                    truth[lang].append(write(sentence.meaning, lang))
                    texts["oracle", lang].append(oracle.text(lang))
                    texts["found", lang].append(found.text(lang) if found else "")
    for (way, lang), said in texts.items():
        score = score_texts(said, truth[lang])
        print(
            f"| {rest[0]} to {rest[1]} | {way} | {lang} | {score.n_clips} | {score.bleu:.1f} | {score.exact:.1%} |",
            flush=True,
        )


def find(film: Iterable[np.ndarray], fps: float) -> list[Span]:
    """Return the (start, end) of the sentences in a video, in seconds."""
    timed = ((number / fps, frame) for number, frame in enumerate(film))
    return [(one.start_s, one.end_s) for one in find_sentences(timed, fps=fps)]


def spans_of(talk: Talk) -> list[Span]:
    return [(sentence.start_s, sentence.end_s) for sentence in talk.sentences]


def iou(one: Span, other: Span) -> float:
    both = min(one[1], other[1]) - max(one[0], other[0])
    return max(both, 0.0) / (max(one[1], other[1]) - min(one[0], other[0]))


def noisy(film: Film) -> Film:
    rng = np.random.default_rng(1)
    return [np.clip(frame + rng.normal(0, 10, frame.shape), 0, 255).astype(np.uint8) for frame in film]


def shaken(film: Film) -> Film:
    """Simulate camera shake of about 1 of 96 pixels per frame."""
    rng, place, moved = np.random.default_rng(1), np.zeros(2), []
    for frame in film:
        place = 0.9 * place + rng.normal(0, 0.4, 2)
        matrix = np.array([[1, 0, place[0]], [0, 1, place[1]]])
        moved.append(cv2.warpAffine(frame, matrix, (96, 96), borderMode=cv2.BORDER_REPLICATE))
    return moved


def lit(film: Film) -> Film:
    """Vary the brightness by 15 % over several seconds."""
    light = 1 + 0.15 * np.sin(np.arange(len(film)) / 60)
    return [np.clip(frame * share, 0, 255).astype(np.uint8) for frame, share in zip(film, light, strict=True)]


def small(film: Film) -> Film:
    """Show the signer at half the size."""
    frames = []
    for frame in film:
        wide = np.full((96, 96, 3), frame[2, 2], dtype=np.uint8)
        wide[40:88, 24:72] = cv2.resize(frame, (48, 48), interpolation=cv2.INTER_AREA)
        frames.append(wide)
    return frames


def at_rate(fps: float) -> Callable[[Film], Film]:
    def shown(film: Film) -> Film:
        return [film[int(number * FPS / fps)] for number in range(int(len(film) * fps / FPS))]

    return shown


DEGRADATIONS: dict[str, tuple[Callable[[Film], Film], float]] = {
    "as drawn": (lambda film: film, FPS),
    "noise, 10 grey levels": (noisy, FPS),
    "camera shakes": (shaken, FPS),
    "light changes by 15 %": (lit, FPS),
    "signer half as large": (small, FPS),
    "20 frames per second": (at_rate(20.0), 20.0),
    "30 frames per second": (at_rate(30.0), 30.0),
}


if __name__ == "__main__":
    begun = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - begun:.0f} s")
