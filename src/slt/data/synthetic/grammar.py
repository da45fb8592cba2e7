"""Meanings of the synthetic language, its signing, and its English and German.

Signed order is time, place, topic (the object with its adjective), then the comment. Three cues are made with the head
while the hands sign, and nothing else tells of them: a headshake over the comment negates, raised brows over the whole
sentence ask yes or no, lowered brows ask who, what or where.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from slt.data.synthetic.lexicon import ADJECTIVES, NOUNS, PEOPLE, PERSONAL, PLACES_NAMED, THINGS, TIMES, VERBS

LANGUAGES = ("eng_Latn", "deu_Latn")
SPLITS = ("train", "val", "test")
CUES = ("headshake", "brows-up", "brows-down")

_ENGLISH_BE = {"past": "was", "present": "is", "future": "will"}
_ENGLISH_DO = {"past": "did", "present": "does", "future": "will"}
_GERMAN_BE = {"past": "war", "present": "ist", "future": "wird"}


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What one sentence says; glosses from the lexicon, None where nothing is said.

    Attributes:
        time: sets the tense; none means present.
        place: where it happens, or where the subject is when there is neither verb nor adjective.
        subject: who does it; None when the sentence asks who.
        verb: with an ``obj``; None says what the subject is like or where it is.
        obj: None when the sentence asks what.
        adjective: of the object, or of the subject when there is no verb.
        asks: "yes-no", "WHO", "WHAT", "WHERE" or None for a statement.
    """

    time: str | None = None
    place: str | None = None
    subject: str | None = None
    verb: str | None = None
    obj: str | None = None
    adjective: str | None = None
    negated: bool = False
    asks: str | None = None

    @property
    def tense(self) -> str:
        """Past, present or future."""
        return TIMES[self.time][2] if self.time else "present"


@dataclass(frozen=True, kw_only=True)
class CueSpan:
    """A cue of the head that lasts from sign ``first`` to sign ``last`` (both included)."""

    cue: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class SignedSentence:
    """Glosses in signed order and the cues made at the same time."""

    glosses: tuple[str, ...]
    cues: tuple[CueSpan, ...]


def sign(meaning: Meaning) -> SignedSentence:
    """Put a meaning into signs."""
    setting = [gloss for gloss in (meaning.time, meaning.place) if gloss]
    if meaning.verb:
        topic = [gloss for gloss in (meaning.obj, meaning.adjective) if gloss]
        comment = [gloss for gloss in (meaning.subject, meaning.verb) if gloss]
    elif meaning.adjective:
        topic, comment = [_said(meaning.subject)], [meaning.adjective]
    else:
        topic, comment = [], [_said(meaning.subject)]
    asked = [meaning.asks] if meaning.asks in ("WHO", "WHAT", "WHERE") else []
    glosses = (*setting, *topic, *comment, *asked)
    cues = []
    if meaning.negated:
        first = len(setting) + len(topic)
        cues.append(CueSpan(cue="headshake", first=first, last=first + len(comment) - 1))
    if meaning.asks:
        cue = "brows-up" if meaning.asks == "yes-no" else "brows-down"
        cues.append(CueSpan(cue=cue, first=0, last=len(glosses) - 1))
    return SignedSentence(glosses=glosses, cues=tuple(cues))


def write(meaning: Meaning, lang: str) -> str:
    """Put a meaning into a written sentence of ``lang``, one of LANGUAGES."""
    words, end = {"eng_Latn": _english, "deu_Latn": _german}[lang](meaning), "?" if meaning.asks else "."
    text = " ".join(word for word in words if word)
    return text[0].upper() + text[1:] + end


def split_of(meaning: Meaning) -> str:
    """Return the split a sentence belongs to, in every corpus of any size and seed: 8 in 10 train, 1 val, 1 test."""
    bucket = hashlib.sha256(write(meaning, "eng_Latn").encode()).digest()[0] % 10
    return {8: "val", 9: "test"}.get(bucket, "train")


def sentences(split: str, rng: random.Random) -> Iterator[Meaning]:
    """Yield endless random meanings of one split; a sentence may come again only after most others have come."""
    seen: set[Meaning] = set()
    while True:
        meaning = _draw(rng)
        if split_of(meaning) == split and meaning not in seen:
            seen.add(meaning)
            yield meaning
        if len(seen) >= 50_000:
            seen.clear()


def _draw(rng: random.Random) -> Meaning:
    time = rng.choice(tuple(TIMES)) if rng.random() < 0.6 else None
    kind = rng.choices(("action", "quality", "location", "who", "what", "where"), (45, 19, 14, 9, 9, 4))[0]
    if kind == "where":
        return Meaning(time=time, subject=rng.choice(tuple(NOUNS)), asks="WHERE")
    extra = rng.choices(("adjective", "place", None), (4, 3, 3))[0]
    place = rng.choice(tuple(PLACES_NAMED)) if extra == "place" else None
    adjective = rng.choice(tuple(ADJECTIVES)) if extra == "adjective" else None
    person, thing, verb = rng.choice(PEOPLE), rng.choice(THINGS), rng.choice(tuple(VERBS))
    if kind == "who":
        return Meaning(time=time, place=place, verb=verb, obj=thing, adjective=adjective, asks="WHO")
    if kind == "what":
        return Meaning(time=time, place=place, subject=person, verb=verb, asks="WHAT")
    asks, negated = ("yes-no" if rng.random() < 0.3 else None), rng.random() < 0.3
    if kind == "action":
        done = {"subject": person, "verb": verb, "obj": thing, "adjective": adjective}
        return Meaning(time=time, place=place, **done, negated=negated, asks=asks)
    subject = rng.choice(tuple(NOUNS))
    if kind == "quality":
        quality = rng.choice(PERSONAL if subject in PEOPLE else tuple(ADJECTIVES))
        return Meaning(time=time, subject=subject, adjective=quality, negated=negated, asks=asks)
    return Meaning(time=time, subject=subject, place=rng.choice(tuple(PLACES_NAMED)), negated=negated, asks=asks)


def _said(gloss: str | None) -> str:
    if gloss is None:
        raise ValueError("a sentence without a verb needs a subject")
    return gloss


def _english(meaning: Meaning) -> list[str]:
    time = TIMES[meaning.time][0] if meaning.time else ""
    place = PLACES_NAMED[meaning.place][0] if meaning.place else ""
    subject = f"the {NOUNS[meaning.subject].en}" if meaning.subject else "who"
    negation = "not" if meaning.negated else ""
    if meaning.verb is None:
        be = _ENGLISH_BE[meaning.tense]
        rest = ["be" if be == "will" else "", ADJECTIVES[meaning.adjective][0] if meaning.adjective else place]
        if meaning.asks == "WHERE":
            return ["where", be, subject, *rest, time]
        if meaning.asks:
            return [be, subject, negation, *rest, time]
        return [time, subject, be, negation, *rest]
    base, third, past = VERBS[meaning.verb].en
    do, finite = _ENGLISH_DO[meaning.tense], {"past": past, "present": third, "future": f"will {base}"}[meaning.tense]
    adjective = ADJECTIVES[meaning.adjective][0] if meaning.adjective else ""
    obj = ["the", adjective, NOUNS[meaning.obj].en] if meaning.obj else []
    if meaning.asks == "WHO":
        return ["who", finite, *obj, place, time]
    if meaning.asks == "WHAT":
        return ["what", do, subject, base, place, time]
    if meaning.asks:
        return [do, subject, negation, base, *obj, place, time]
    verb = [do, "not", base] if meaning.negated else [finite]
    return [time, subject, *verb, *obj, place]


def _german(meaning: Meaning) -> list[str]:
    """German keeps its finite verb second (first in a yes-no question) and the rest of the verb last."""
    time = TIMES[meaning.time][1] if meaning.time else ""
    place = PLACES_NAMED[meaning.place][1] if meaning.place else ""
    subject = _german_noun(meaning.subject, None, "nominative") if meaning.subject else ""
    negation = "nicht" if meaning.negated else ""
    if meaning.verb is None:
        finite = _GERMAN_BE[meaning.tense]
        said = [negation, ADJECTIVES[meaning.adjective][1] if meaning.adjective else place]
        last = "sein" if finite == "wird" else ""
    else:
        infinitive, third, past = VERBS[meaning.verb].de
        finite = {"past": past, "present": third, "future": "wird"}[meaning.tense]
        obj = _german_noun(meaning.obj, meaning.adjective, "accusative") if meaning.obj else ""
        said, last = [obj, negation, place], infinitive if meaning.tense == "future" else ""
    if meaning.asks == "yes-no":
        return [finite, subject, time, *said, last]
    if meaning.asks:
        asked = {"WHO": "wer", "WHAT": "was", "WHERE": "wo"}[meaning.asks]
        return [asked, finite, subject, time, *said, last]
    return [time, finite, subject, *said, last] if time else [subject, finite, *said, last]


def _german_noun(gloss: str, adjective: str | None, case: str) -> str:
    noun = NOUNS[gloss]
    accusative_m = case == "accusative" and noun.gender == "m"
    article = "den" if accusative_m else {"m": "der", "f": "die", "n": "das"}[noun.gender]
    quality = f"{ADJECTIVES[adjective][2]}{'en' if accusative_m else 'e'} " if adjective else ""
    return f"{article} {quality}{noun.de}"
