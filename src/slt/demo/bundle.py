"""Assemble the trained parts into the demo bundle, and choose the clips shipped with it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from slt.assets.cards import (
    BundleCard,
    ConfidenceCard,
    DecoderCard,
    DomainCard,
    EncoderCard,
    ExtractorCard,
    read_card,
    write_card,
)
from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.data.synthetic.grammar import LANGUAGES
from slt.demo.plan import ENCODER, EXTRACTOR, PREPROCESS, TEXT, DemoPlan
from slt.demo.score import Score
from slt.models.checkpoint import save_weights
from slt.models.out_of_domain import fit_domain
from slt.models.signhiera import SignHiera
from slt.models.sonar_t5 import SonarT5
from slt.text.sonar_text import SonarTextModel

# Measured on the shipped bundle; benchmarks/reranking.py prints it.
CONFIDENCE = ConfidenceCard(
    slope=33.36, bias=-31.28, fitted_on="drawn clips with noise, read several times (benchmarks/reranking.py)"
)
DOMAIN = "it knows only the drawn language of `slt prepare synthetic`, so this text means nothing"


def note_plan(out: Path, plan: object, **origin: str) -> None:
    """Write the plan of a run into its folder.

    Args:
        out: the folder.
        plan: a dataclass.
        **origin: what else the run follows from.

    Raises:
        UserError: there is another one, or the folder cannot be written to.
    """
    note, noted = out / "plan.json", _plain(plan) | origin
    if not note.exists():
        with atomic_write(note) as handle:
            handle.write((json.dumps(noted, indent=2) + "\n").encode())
    elif json.loads(note.read_text("utf-8")) != noted:
        raise UserError(
            f"{out} holds a run of another plan, see {note}", fix="choose another folder with --out, or remove that one"
        )


def assemble(
    folder: Path,
    plan: DemoPlan,
    text: SonarTextModel,
    extractor: SignHiera,
    encoder: SonarT5,
    known: Sequence[Tensor],
    *,
    tokenizer: Path,
) -> None:
    """Write a bundle, its weights in float16 so that it is small enough to be shipped.

    Args:
        folder: the bundle to be.
        plan: it was trained by; goes into the card.
        text: the trained text models.
        extractor: the trained SignHiera.
        encoder: the trained sign encoder.
        known: features of clips that were not trained on, to tell foreign videos by.
        tokenizer: the text models' sentencepiece model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / "extractor.safetensors", _halved(extractor.state_dict()))
    save_weights(folder / "encoder.safetensors", _halved(encoder.state_dict()))
    save_weights(folder / "text_decoder.safetensors", _halved(text.decoder_weights()))
    save_weights(folder / "text_encoder.safetensors", _halved(text.text_encoder_weights()))
    save_weights(folder / "domain.safetensors", fit_domain(known))
    shutil.copyfile(tokenizer, folder / "tokenizer.model")
    write_card(folder, _card(plan))


def note_scores(folder: Path, scores: Mapping[str, Score], *, minutes: float) -> None:
    """Add to a bundle's card how it scored and how long its training took."""
    card = read_card(folder)
    noted = {lang: dataclasses.asdict(score) for lang, score in scores.items()}
    write_card(folder, dataclasses.replace(card, made={**card.made, "held_out": noted, "minutes": round(minutes, 1)}))


def _halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.to(torch.float16) for name, value in weights.items()}


def _card(plan: DemoPlan) -> BundleCard:
    text = {name: value for name, value in TEXT.to_json().items() if name != "languages"}
    return BundleCard(
        name="demo",
        summary="A tiny model of a drawn signed language, to try every command with.",
        licence="Apache-2.0",
        languages=LANGUAGES,
        preprocess=PREPROCESS,
        extractor=ExtractorCard(kind="signhiera", config=_plain(EXTRACTOR), weights="extractor.safetensors"),
        encoder=EncoderCard(kind="sonar-t5", config=_plain(ENCODER), weights="encoder.safetensors"),
        decoder=DecoderCard(
            kind="sonar",
            config=text,
            weights="text_decoder.safetensors",
            text_encoder="text_encoder.safetensors",
            tokenizer="tokenizer.model",
        ),
        domain=DomainCard(weights="domain.safetensors", summary=DOMAIN),
        confidence=CONFIDENCE,
        made={"by": "slt demo --train", "plan": _plain(plan)},
    )


def _plain(settings: object) -> dict[str, object]:
    """Return a dataclass as JSON would give it back."""
    plain: dict[str, object] = json.loads(json.dumps(dataclasses.asdict(settings)))  # type: ignore[call-overload]
    return plain


def choose_clips(manifest: Path, out: Path, *, n_clips: int) -> None:
    """Copy the clips that are shipped: the first of each combination of cues, then the next ones, right or wrong.

    Args:
        manifest: of the held-out clips.
        out: a folder for ``test.tsv`` and the videos.
        n_clips: how many.
    """
    header, *rows = manifest.read_text("utf-8").splitlines()
    seen: set[tuple[str, ...]] = set()
    first: list[tuple[str, str]] = []
    later: list[tuple[str, str]] = []
    for row in rows:
        fields = dict(zip(header.split("\t"), row.split("\t"), strict=True))
        cues = tuple(cue.partition("@")[0] for cue in fields["cues"].split())
        (later if cues in seen else first).append((fields["video"], row))
        seen.add(cues)
    chosen = sorted([*first, *later][:n_clips])
    for video, _ in chosen:
        (out / video).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(manifest.parent / video, out / video)
    (out / manifest.name).write_text("\n".join([header, *(row for _, row in chosen)]) + "\n", "utf-8")
