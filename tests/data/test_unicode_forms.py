from __future__ import annotations

import unicodedata

import pytest

from slt.data.unicode_forms import MIXED, difference, form_of, forms_of, normalise

NFC = "schön"
NFD = unicodedata.normalize("NFD", NFC)


@pytest.mark.parametrize(
    ("text", "form"), [("plain", None), (NFC, "NFC"), (NFD, "NFD"), (NFC + NFD, MIXED), ("", None)]
)
def test_the_form_of_a_text(text, form):
    assert form_of(text) == form


def test_the_forms_of_texts():
    assert forms_of([NFD, "plain", NFC, NFD]) == ["NFC", "NFD"]
    assert normalise(NFD, "NFC") == NFC
    assert normalise("Ａ", "NFKC") == "A"
    assert normalise(NFD, None) == NFD


def test_texts_in_two_forms_differ():
    assert difference([NFC, "plain"], ["plain", NFC]) is None
    assert difference(["plain"], [NFC]) is None
    assert "hypotheses are in NFD, references in NFC, so" in difference([NFD], [NFC])
    assert "hypotheses are in NFC and NFD, references in NFC" in difference([NFD, NFC], [NFC])
