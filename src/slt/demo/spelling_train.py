"""Train the fingerspelling bundle from nothing: without one signer, to be scored; then on all, to be used."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from slt.assets.cards import BundleCard, DecoderCard, EncoderCard, ExtractorCard, write_card
from slt.core import log
from slt.core.files import atomic_write
from slt.data.fingerspelling.alphabets import LETTERS
from slt.data.fingerspelling.corpus import held_out_clips, recorded, usable
from slt.data.fingerspelling.recordings import DIGEST, PACKAGE, VERSION, digest_of, find_recordings, read_recordings
from slt.data.fingerspelling.spell import Letters
from slt.demo.bundle import note_plan
from slt.demo.spelling import Models, train_spelling
from slt.demo.spelling_plan import DECODER, ENCODER, LANG, NAME, PREPROCESS, SpellingPlan
from slt.demo.spelling_score import SpellingScore, read_words, score_spelling
from slt.models.checkpoint import read_weights, save_weights
from slt.models.fitting import build_model, load_strict
from slt.models.spelling import Spelling
from slt.text.letters import LetterText
from slt.train.steps import Figures

ATTRIBUTION = f"recordings of fingerspelled letters from {PACKAGE} {VERSION}, MIT licence, Copyright (c) 2026 ZurichNLP"
CANNOT = (
    "Reads single words of the American manual alphabet, letter by letter, from one hand that faces the camera. "
    "Made of one recording per letter and signer, joined by rule: nobody's real spelling of words was seen. "
    "J and Z, which move, the fists A, E, M, N, S, T, and fast spelling are its weakest; other alphabets are not read."
)


def train_fingerspelling(
    out: Path, plan: SpellingPlan | None = None, *, poses: Path | None = None
) -> dict[str, SpellingScore]:
    """Train and score the fingerspelling bundle; a run that was killed goes on where it was.

    Args:
        out: the run's folder; the bundle will be ``out/bundle``.
        plan: how much of everything; the one of the shipped bundle when None.
        poses: folder of the recordings; None: those of the installed package.

    Returns:
        the scores of the signer who was left out, on words and on random strings.

    Raises:
        UserError: there are no recordings, ``out`` cannot be written to, or it holds a run of another plan.
        SltError: the disk is full, or a training went astray.
    """
    plan = plan or SpellingPlan()
    folder = find_recordings(poses)
    letters = Letters(read_recordings(folder))
    own = recorded(letters, plan.held_out)
    digest = digest_of(folder)
    note_plan(out, plan, recordings=digest)
    begun = time.monotonic()
    with log.bars() as bars:
        log.say(f"stage 1 of 2: training without the signer {plan.held_out}")
        models = _trained(out / "held-out", usable(letters, plan.held_out), plan, bars)
        scores = {
            what: score_held_out(models, own, plan.held_out, plan.test_clips, random=what == "random strings")
            for what in ("words", "random strings")
        }
        for what, score in scores.items():
            log.say(f"  {what}: {describe(score)}")
        log.say("stage 2 of 2: training on all signers")
        models = _trained(out / "all", letters, plan, bars)
    minutes = (time.monotonic() - begun) / 60
    bundle = assemble(out / "bundle", models, plan, scores, origin=origin_of(digest), minutes=minutes)
    log.say(f"the bundle is {bundle}; try: slt translate --model {bundle} VIDEO")
    for what, score in scores.items():
        log.result(f"{what}\tletters {100 * score.letters:.1f} %\tCER {100 * score.cer:.1f} %\t{score.n_clips} clips")
    return scores


def score_held_out(
    models: Models, own: Letters, signer: str, n_clips: int, *, random: bool = False, seed: int = 1
) -> SpellingScore:
    """Score models on what a signer spells with their own letters; arguments as for ``held_out_clips``."""
    clips = held_out_clips(own, signer, n_clips, seed, random=random)
    texts = read_words(models, [clip.keypoints for clip in clips])
    return score_spelling(texts, [clip.spelled.text for clip in clips])


def describe(score: SpellingScore) -> str:
    """Return a score with its intervals, for people."""
    low, high = score.letters_interval
    least, most = score.cer_interval
    return (
        f"letters {100 * score.letters:.1f} % ({100 * low:.1f} to {100 * high:.1f}), "
        f"CER {100 * score.cer:.1f} % ({100 * least:.1f} to {100 * most:.1f}), "
        f"{score.n_letters} letters in {score.n_clips} clips"
    )


def origin_of(digest: str) -> str:
    """Return where recordings are from, for the card: the package's are known by their digest."""
    return ATTRIBUTION if digest == DIGEST else f"a user's own recordings of letters, SHA-256 {digest}"


def assemble(
    folder: Path, models: Models, plan: SpellingPlan, scores: dict[str, SpellingScore], *, origin: str, minutes: float
) -> Path:
    """Write the bundle, its weights in float16; return its folder."""
    encoder, decoder = models
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in (("encoder", encoder), ("text_decoder", decoder)):
        halved = {key: value.to(torch.float16) for key, value in model.state_dict().items()}
        save_weights(folder / f"{name}.safetensors", halved)
    with atomic_write(folder / "letters.txt") as file:
        file.write("".join(f"{letter}\n" for letter in LETTERS).encode())
    write_card(folder, _card(plan, scores, origin, minutes))
    return folder


def _card(plan: SpellingPlan, scores: dict[str, SpellingScore], origin: str, minutes: float) -> BundleCard:
    return BundleCard(
        name=NAME,
        summary="Fingerspelling, American alphabet: words spelled by hand, read letter by letter from real hands.",
        licence="Apache-2.0",
        languages=(LANG,),
        preprocess=PREPROCESS,
        extractor=ExtractorCard(kind="keypoints", config={"unit": "width"}, weights=None),
        encoder=EncoderCard(kind="spelling", config=dataclasses.asdict(ENCODER), weights="encoder.safetensors"),
        decoder=DecoderCard(
            kind="letters",
            config={"feature_dim": DECODER.feature_dim, "letter_cost": DECODER.letter_cost},
            weights="text_decoder.safetensors",
            tokenizer="letters.txt",
        ),
        made={
            "by": f"slt demo --train {NAME}",
            "plan": dataclasses.asdict(plan),
            "from": origin,
            "cannot": CANNOT,
            "held_out": {
                "signer": plan.held_out,
                **{what: json.loads(json.dumps(dataclasses.asdict(score))) for what, score in scores.items()},
            },
            "minutes": round(minutes, 1),
        },
    )


def _trained(stem: Path, letters: Letters, plan: SpellingPlan, bars: log.Bars) -> Models:
    """Train, or read what an earlier run left."""
    weights = stem.with_suffix(".safetensors")
    if weights.exists():
        return load_models(weights)
    checkpoint = stem.with_suffix(".checkpoint")
    models = train_spelling(letters, plan, checkpoint=checkpoint, on_step=_counter(bars, stem.name, plan.steps))
    save_models(weights, models)
    checkpoint.unlink(missing_ok=True)
    return models


def save_models(path: Path, models: Models) -> None:
    """Write encoder and decoder into one file."""
    parts = {"encoder": models[0], "decoder": models[1]}
    save_weights(
        path, {f"{name}.{key}": value for name, one in parts.items() for key, value in one.state_dict().items()}
    )


def load_models(path: Path) -> Models:
    """Read what ``save_models`` wrote."""
    weights = read_weights(path)
    part = {
        name: {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
        for name in ("encoder", "decoder")
    }
    decoder = LetterText(DECODER, LETTERS)
    load_strict(decoder, part["decoder"], source=path)
    return build_model(Spelling, ENCODER, part["encoder"], source=path), decoder.eval()


def _counter(bars: log.Bars, what: str, total: int) -> Callable[[int, Figures], None]:
    return lambda done, figures: bars.update(f"{what}: steps", done, total)
