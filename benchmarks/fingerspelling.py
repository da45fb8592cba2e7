"""Fingerspelling, each signer left out in turn: letters and characters on words that nobody in training spelled.

One training per signer whose alphabet agrees with the American one; each training resumes, and is kept in OUT. Prints a
table: the model on words and on random strings, on words with the hand frozen and with the frames shuffled; the letters
recorded alone; and the nearest-neighbour baseline, which is told when each letter is held. All spelling is made from
recorded letters by rule (src/slt/data/fingerspelling/spell.py).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from slt.core import log
from slt.data.fingerspelling.alphabets import AGREEING
from slt.data.fingerspelling.corpus import SpelledClip, held_out_clips, place, recorded, usable
from slt.data.fingerspelling.recordings import find_recordings, read_recordings
from slt.data.fingerspelling.spell import Letters, Spelled
from slt.demo.spelling import Models, train_spelling
from slt.demo.spelling_plan import SpellingPlan
from slt.demo.spelling_score import SpellingScore, confusions, read_words, score_spelling
from slt.demo.spelling_train import load_models, save_models

NEIGHBOURS = 5


def trained(out: Path, letters: Letters, signer: str, plan: SpellingPlan) -> Models:
    """Train without one signer, or read what an earlier run left."""
    weights = out / f"without-{signer}-{plan.steps}.safetensors"
    if not weights.exists():
        checkpoint = weights.with_suffix(".checkpoint")
        models = train_spelling(usable(letters, signer), plan, checkpoint=checkpoint, on_step=lambda *_: None)
        save_models(weights, models)
    return load_models(weights)


def alone(models: Models, own: Letters) -> tuple[int, int, str]:
    """Read each recording of a letter alone, whole; return how many are right, of how many, and the errors."""
    texts, spelled = [], []
    for one in own.recordings:
        hand = np.concatenate([one.before, one.hold, one.after])
        clip = Spelled(text=one.letter, hand=hand, letters=np.zeros(len(hand), np.int64), signer=one.language)
        texts += read_words(models, [place(clip, one, np.random.default_rng(0))])
        spelled.append(one.letter)
    wrong = [f"{letter}>{text or '-'}" for letter, text in zip(spelled, texts, strict=True) if letter != text]
    return len(texts) - len(wrong), len(texts), " ".join(wrong)


def frozen(clip: SpelledClip) -> SpelledClip:
    """Return a clip whose hand stays as it is in the middle."""
    return replace(clip, keypoints=np.repeat(clip.keypoints[len(clip.keypoints) // 2][None], len(clip.keypoints), 0))


def shuffled(clip: SpelledClip) -> SpelledClip:
    """Return a clip with its frames in another order."""
    order = np.random.default_rng(len(clip.keypoints)).permutation(len(clip.keypoints))
    return replace(clip, keypoints=clip.keypoints[order])


def still(hand: np.ndarray) -> np.ndarray:
    """Return the (63,) shape of a (21, 3) hand: wrist at the origin, scaled by the base of the middle finger."""
    shape = hand - hand[:1]
    return (shape / np.linalg.norm(shape[9])).reshape(-1)


def nearest(letters: Letters, clips: list[SpelledClip]) -> list[str]:
    """Return what the nearest neighbours read: of each letter one still hand, in the middle of its hold."""
    known = [one for one in letters.recordings if not one.derived]
    shapes = np.stack([still(one.hold[len(one.hold) // 2]) for one in known])
    texts = []
    for clip in clips:
        text = ""
        for number in range(len(clip.spelled.text)):
            held = np.flatnonzero((clip.spelled.letters == number) & np.isfinite(clip.spelled.hand[:, 0, 0]))
            if not len(held):
                continue
            away = np.linalg.norm(shapes - still(clip.spelled.hand[held[len(held) // 2]]), axis=1)
            votes: Counter[str] = Counter()
            for near in np.argsort(away)[:NEIGHBOURS]:
                votes[known[near].letter] += 1 / away[near]  # type: ignore[assignment]
            text += votes.most_common(1)[0][0]
        texts.append(text)
    return texts


def line(signer: str, what: str, score: SpellingScore) -> str:
    low, high = score.letters_interval
    least, most = score.cer_interval
    return (
        f"{signer}\t{what}\t{100 * score.letters:.1f} ({100 * low:.1f}–{100 * high:.1f})\t"
        f"{100 * score.cer:.1f} ({100 * least:.1f}–{100 * most:.1f})\t{score.n_letters}"
    )


def score_signer(letters: Letters, signer: str, plan: SpellingPlan, out: Path) -> None:
    models, own = trained(out, letters, signer, plan), recorded(letters, signer)
    words = held_out_clips(own, signer, plan.test_clips, seed=1)
    strings = held_out_clips(own, signer, plan.test_clips, seed=1, random=True)
    rest = usable(letters, signer)
    read = read_words(models, [clip.keypoints for clip in words])
    texts = {
        "words": (words, read),
        "random strings": (strings, read_words(models, [clip.keypoints for clip in strings])),
        "words, hand frozen": (words, read_words(models, [frozen(clip).keypoints for clip in words])),
        "words, frames shuffled": (words, read_words(models, [shuffled(clip).keypoints for clip in words])),
        "words, nearest neighbours": (words, nearest(rest, words)),
    }
    for what, (clips, found) in texts.items():
        log.result(line(signer, what, score_spelling(found, [clip.spelled.text for clip in clips])))
    right, total, wrong = alone(models, own)
    log.result(f"{signer}\tletters recorded alone\t{100 * right / total:.1f}\t\t{total}\t{wrong}")
    worst = confusions(read, [clip.spelled.text for clip in words]).most_common(12)
    log.result(f"{signer}\tconfusions\t" + " ".join(f"{a or '-'}>{b or '-'}:{n}" for (a, b), n in worst))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--poses", type=Path)
    parser.add_argument("--steps", type=int, default=SpellingPlan.steps)
    parser.add_argument("--clips", type=int, default=SpellingPlan.test_clips)
    parser.add_argument("--signers", nargs="*", default=list(AGREEING))
    given = parser.parse_args(words)
    given.out.mkdir(parents=True, exist_ok=True)
    letters = Letters(read_recordings(find_recordings(given.poses)))
    for signer in given.signers:
        score_signer(letters, signer, SpellingPlan(steps=given.steps, test_clips=given.clips), given.out)


if __name__ == "__main__":
    main()
