"""Vocabulary of the synthetic language: each sign, and its English and German words.

A sign is built as signs are: a handshape, a place on or near the body, a movement, and one hand or two
(Stokoe 1960, "Sign Language Structure"). Any two signs differ in at least two of the four.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Extension of thumb, index, middle, ring and little finger (0 folded, 1 stretched), then how far they are spread.
HANDSHAPES: Mapping[str, tuple[float, float, float, float, float, float]] = {
    "fist": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "point": (0.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    "vee": (0.0, 1.0, 1.0, 0.0, 0.0, 1.0),
    "three": (0.0, 1.0, 1.0, 1.0, 0.0, 1.0),
    "flat": (0.2, 1.0, 1.0, 1.0, 1.0, 0.0),
    "five": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "horns": (1.0, 0.0, 0.0, 0.0, 1.0, 1.0),
    "ell": (1.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    "claw": (0.5, 0.5, 0.5, 0.5, 0.5, 1.0),
}

# Where the dominant hand goes: right of the signer's middle line (their dominant side) and down from the chin,
# both in head heights. Mirrored for left-handed signers.
PLACES: Mapping[str, tuple[float, float]] = {
    "above": (0.15, -1.35),
    "temple": (0.50, -0.72),
    "mouth": (0.05, -0.18),
    "ear": (0.85, -0.30),
    "high": (1.30, -0.85),
    "shoulder": (0.65, 0.35),
    "across": (-0.60, 0.40),
    "chest": (0.10, 0.75),
    "side": (1.35, 0.55),
    "belly": (0.15, 1.45),
    "hip": (1.15, 1.40),
    "far": (-0.95, 1.20),
}

MOVEMENTS = ("hold", "tap", "out", "down", "up", "circle", "shake", "twist", "open")
HANDS = ("one", "mirror", "base")  # the other hand rests, mirrors the dominant one, or lies still below it


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One sign: its gloss and its four parameters, each a name from the tables above."""

    gloss: str
    handshape: str
    place: str
    movement: str
    hands: str


@dataclass(frozen=True, kw_only=True)
class Noun:
    """Words of a noun; ``gender`` is German's: m, f or n."""

    en: str
    de: str
    gender: str


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Words of a verb: base, third person and past, in both languages."""

    en: tuple[str, str, str]
    de: tuple[str, str, str]


def _signs(rows: str) -> dict[str, Sign]:
    """Read the table below: gloss, handshape, place, movement, hands."""
    table = {}
    for row in rows.strip().splitlines():
        gloss, handshape, place, movement, hands = row.split()
        table[gloss] = Sign(gloss=gloss, handshape=handshape, place=place, movement=movement, hands=hands)
    return table


SIGNS: Mapping[str, Sign] = _signs("""
YESTERDAY   horns  ear      up      one
TODAY       horns  belly    down    mirror
TOMORROW    fist   ear      out     one
NOW         flat   hip      down    mirror
LAST-WEEK   point  far      up      base
NEXT-YEAR   vee    high     circle  one
MAN         flat   temple   down    one
WOMAN       fist   mouth    down    one
CHILD       flat   hip      tap     one
BOY         claw   temple   tap     one
GIRL        fist   ear      circle  mirror
TEACHER     claw   temple   out     mirror
DOCTOR      three  far      tap     base
FRIEND      point  chest    twist   mirror
MOTHER      five   mouth    tap     one
FATHER      five   above    hold    one
FARMER      five   mouth    out     mirror
NEIGHBOUR   flat   side     tap     mirror
DOG         flat   hip      shake   base
CAT         three  mouth    open    mirror
HORSE       vee    temple   shake   mirror
BIRD        ell    mouth    shake   one
HOUSE       flat   above    out     mirror
BOOK        flat   chest    open    mirror
CAR         fist   chest    circle  base
TREE        five   high     twist   one
BREAD       ell    belly    shake   base
APPLE       point  ear      twist   one
LETTER      ell    mouth    down    base
FLOWER      claw   shoulder shake   one
BALL        claw   chest    shake   mirror
BOAT        five   belly    up      mirror
PICTURE     ell    temple   down    mirror
TABLE       flat   across   down    base
WATER       three  shoulder tap     one
CLOCK       point  across   tap     base
SEE         vee    temple   out     one
BUY         flat   belly    out     base
LIKE        horns  chest    out     one
SEEK        claw   mouth    circle  one
FIND        ell    hip      up      one
PAINT       vee    far      shake   base
NEED        point  side     down    one
LOSE        claw   belly    open    mirror
CARRY       three  side     circle  mirror
SELL        fist   side     out     mirror
WASH        fist   belly    hold    base
BIG         ell    chest    out     mirror
SMALL       flat   shoulder shake   mirror
RED         point  mouth    hold    one
BLUE        three  side     twist   one
OLD         fist   chest    hold    one
NEW         claw   belly    up      base
BEAUTIFUL   five   temple   circle  one
EXPENSIVE   five   belly    open    base
GARDEN      five   across   circle  base
SCHOOL      flat   chest    tap     base
CITY        vee    above    twist   mirror
HOME        claw   ear      hold    one
MARKET      claw   shoulder down    mirror
FOREST      horns  across   twist   base
SEA         three  side     shake   base
KITCHEN     vee    belly    twist   base
WHO         ell    above    circle  one
WHAT        five   hip      shake   mirror
WHERE       point  high     shake   one
""")

NOUNS: Mapping[str, Noun] = {
    gloss: Noun(en=en, de=de, gender=gender)
    for gloss, en, de, gender in (
        ("MAN", "man", "Mann", "m"),
        ("WOMAN", "woman", "Frau", "f"),
        ("CHILD", "child", "Kind", "n"),
        ("BOY", "boy", "Junge", "m"),
        ("GIRL", "girl", "Mädchen", "n"),
        ("TEACHER", "teacher", "Lehrer", "m"),
        ("DOCTOR", "doctor", "Ärztin", "f"),
        ("FRIEND", "friend", "Freund", "m"),
        ("MOTHER", "mother", "Mutter", "f"),
        ("FATHER", "father", "Vater", "m"),
        ("FARMER", "farmer", "Bäuerin", "f"),
        ("NEIGHBOUR", "neighbour", "Nachbarin", "f"),
        ("DOG", "dog", "Hund", "m"),
        ("CAT", "cat", "Katze", "f"),
        ("HORSE", "horse", "Pferd", "n"),
        ("BIRD", "bird", "Vogel", "m"),
        ("HOUSE", "house", "Haus", "n"),
        ("BOOK", "book", "Buch", "n"),
        ("CAR", "car", "Auto", "n"),
        ("TREE", "tree", "Baum", "m"),
        ("BREAD", "bread", "Brot", "n"),
        ("APPLE", "apple", "Apfel", "m"),
        ("LETTER", "letter", "Brief", "m"),
        ("FLOWER", "flower", "Blume", "f"),
        ("BALL", "ball", "Ball", "m"),
        ("BOAT", "boat", "Boot", "n"),
        ("PICTURE", "picture", "Bild", "n"),
        ("TABLE", "table", "Tisch", "m"),
        ("WATER", "water", "Wasser", "n"),
        ("CLOCK", "clock", "Uhr", "f"),
    )
}
PEOPLE = tuple(NOUNS)[:12]
THINGS = tuple(NOUNS)[12:]

VERBS: Mapping[str, Verb] = {
    "SEE": Verb(en=("see", "sees", "saw"), de=("sehen", "sieht", "sah")),
    "BUY": Verb(en=("buy", "buys", "bought"), de=("kaufen", "kauft", "kaufte")),
    "LIKE": Verb(en=("like", "likes", "liked"), de=("mögen", "mag", "mochte")),
    "SEEK": Verb(en=("seek", "seeks", "sought"), de=("suchen", "sucht", "suchte")),
    "FIND": Verb(en=("find", "finds", "found"), de=("finden", "findet", "fand")),
    "PAINT": Verb(en=("paint", "paints", "painted"), de=("malen", "malt", "malte")),
    "NEED": Verb(en=("need", "needs", "needed"), de=("brauchen", "braucht", "brauchte")),
    "LOSE": Verb(en=("lose", "loses", "lost"), de=("verlieren", "verliert", "verlor")),
    "CARRY": Verb(en=("carry", "carries", "carried"), de=("tragen", "trägt", "trug")),
    "SELL": Verb(en=("sell", "sells", "sold"), de=("verkaufen", "verkauft", "verkaufte")),
    "WASH": Verb(en=("wash", "washes", "washed"), de=("waschen", "wäscht", "wusch")),
}

# English, German as a predicate, German stem that takes the endings -e and -en beside a noun.
ADJECTIVES: Mapping[str, tuple[str, str, str]] = {
    "BIG": ("big", "groß", "groß"),
    "SMALL": ("small", "klein", "klein"),
    "RED": ("red", "rot", "rot"),
    "BLUE": ("blue", "blau", "blau"),
    "OLD": ("old", "alt", "alt"),
    "NEW": ("new", "neu", "neu"),
    "BEAUTIFUL": ("beautiful", "schön", "schön"),
    "EXPENSIVE": ("expensive", "teuer", "teur"),
}
PERSONAL = ("BIG", "SMALL", "OLD", "BEAUTIFUL")  # what people are said to be

PLACES_NAMED: Mapping[str, tuple[str, str]] = {
    "GARDEN": ("in the garden", "im Garten"),
    "SCHOOL": ("at school", "in der Schule"),
    "CITY": ("in the city", "in der Stadt"),
    "HOME": ("at home", "zu Hause"),
    "MARKET": ("at the market", "auf dem Markt"),
    "FOREST": ("in the forest", "im Wald"),
    "SEA": ("by the sea", "am Meer"),
    "KITCHEN": ("in the kitchen", "in der Küche"),
}

# English, German, tense: a time sign comes first in a signed sentence and sets the tense of the written one.
TIMES: Mapping[str, tuple[str, str, str]] = {
    "YESTERDAY": ("yesterday", "gestern", "past"),
    "LAST-WEEK": ("last week", "letzte Woche", "past"),
    "TODAY": ("today", "heute", "present"),
    "NOW": ("now", "jetzt", "present"),
    "TOMORROW": ("tomorrow", "morgen", "future"),
    "NEXT-YEAR": ("next year", "nächstes Jahr", "future"),
}
