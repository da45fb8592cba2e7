"""Which recordings of which alphabets show the letters of the American manual alphabet; decided by hand, listed here.

The recordings of a letter were drawn as joints, side by side, and compared by eye with what defines the American
letter: which fingers are raised, where the thumb lies, where the hand points, and how J and Z move. No figure of any
model or distance decided. Letters that look alike but differ (the F of Brazil, the T of most of Europe) are left out;
shapes that mean another letter at home (the O of Estonia, which is the American F) are counted under the American one.
M and N are fingers laid over the thumb, or fingers that point down: American signers use both.
"""

from __future__ import annotations

from collections.abc import Mapping

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOVING = "JZ"
AMERICAN = "ase"

_WHOLE = LETTERS  # of the American signer, every letter is American
AGREEING: Mapping[str, str] = {
    AMERICAN: _WHOLE,
    "asq": "ABCDEFGHIJKLMNOPRSUVWXYZ",
    "sgg": "ABCDEFGHIJKLMNOPQRSUVWXYZ",
    "gsg": "ABCDEFGHIJKLMNOQRSUVWXYZ",
    "bzs": "ABCDEIJKLMNOPQRSUVWXYZ",
    "ise": "ABCDEGHIJKLMNOQUVWXYZ",
    "mfs": "ABCDEGHIJKLMNORSUVWZ",
    "ssp": "CDEGIJKLRUVW",
    "svk": "ABDEFIJKLMNORSUVWY",
}
"""By signed language (ISO 639-3), one signer each: the letters that are the American ones, under the same name."""

RELABELLED: Mapping[tuple[str, str], str] = {
    ("eso", "O"): "F",
    ("lls", "O"): "F",
    ("lls", "S"): "F",
    ("ssp", "O"): "F",
    ("ssp", "S"): "F",
    ("gss", "Φ"): "F",
    ("ukl", "О"): "F",
    ("eso", "B"): "B",
    ("eso", "I"): "I",
    ("eso", "Y"): "Y",
    ("lls", "A"): "A",
    ("lls", "B"): "B",
    ("lls", "I"): "I",
    ("lls", "R"): "R",
    ("lls", "V"): "V",
    ("lls", "L"): "L",
    ("psr", "C"): "C",
    ("psr", "L"): "L",
    ("swl", "I"): "I",
    ("gss", "Ι"): "I",
    ("gss", "Δ"): "D",
    ("gss", "Υ"): "Y",
    ("ukl", "І"): "I",
    ("ukl", "У"): "Y",
    ("jos", "ل"): "L",
    ("jos", "ى"): "Y",
    ("asq", "Ä"): "A",
    ("asq", "Ö"): "O",
    ("asq", "Ü"): "U",
    ("asq", "ẞ"): "S",
    ("gsg", "ö"): "O",
    ("gsg", "ü"): "U",
    ("gsg", "ß"): "S",
    ("svk", "É"): "E",
    ("svk", "Ó"): "O",
    ("svk", "Ĺ"): "L",
    ("svk", "Ŕ"): "R",
    ("svk", "Š"): "S",
}
"""Single recordings of other alphabets, or under other names, that show an American letter."""


def american_letter(language: str, name: str) -> str | None:
    """Return the American letter that a recording shows, or None.

    Args:
        language: the signed language, ISO 639-3.
        name: the letter's name in the package's index.
    """
    if (language, name) in RELABELLED:
        return RELABELLED[language, name]
    letter = name.upper()
    return letter if len(name) == 1 and letter in AGREEING.get(language, "") else None
