import random
from itertools import islice

import pytest

from slt.data.synthetic.grammar import SPLITS, Meaning, sentences, sign, split_of, write

BUY = {"subject": "MAN", "verb": "BUY", "obj": "CAR"}


@pytest.mark.parametrize(
    ("meaning", "signed", "cues", "english", "german"),
    [
        (
            Meaning(**BUY, time="YESTERDAY", adjective="RED", negated=True),
            "YESTERDAY CAR RED MAN BUY",
            [("headshake", 3, 4)],
            "Yesterday the man did not buy the red car.",
            "Gestern kaufte der Mann das rote Auto nicht.",
        ),
        (
            Meaning(**BUY, time="TOMORROW", place="MARKET", asks="yes-no"),
            "TOMORROW MARKET CAR MAN BUY",
            [("brows-up", 0, 4)],
            "Will the man buy the car at the market tomorrow?",
            "Wird der Mann morgen das Auto auf dem Markt kaufen?",
        ),
        (
            Meaning(**{**BUY, "subject": None}, adjective="EXPENSIVE", asks="WHO"),
            "CAR EXPENSIVE BUY WHO",
            [("brows-down", 0, 3)],
            "Who buys the expensive car?",
            "Wer kauft das teure Auto?",
        ),
        (
            Meaning(subject="WOMAN", verb="NEED", time="LAST-WEEK", asks="WHAT"),
            "LAST-WEEK WOMAN NEED WHAT",
            [("brows-down", 0, 3)],
            "What did the woman need last week?",
            "Was brauchte die Frau letzte Woche?",
        ),
        (
            Meaning(subject="DOG", time="NEXT-YEAR", asks="WHERE"),
            "NEXT-YEAR DOG WHERE",
            [("brows-down", 0, 2)],
            "Where will the dog be next year?",
            "Wo wird der Hund nächstes Jahr sein?",
        ),
        (
            Meaning(subject="BIRD", adjective="SMALL", negated=True, asks="yes-no"),
            "BIRD SMALL",
            [("headshake", 1, 1), ("brows-up", 0, 1)],
            "Is the bird not small?",
            "Ist der Vogel nicht klein?",
        ),
        (
            Meaning(subject="DOCTOR", place="HOME", time="TODAY"),
            "TODAY HOME DOCTOR",
            [],
            "Today the doctor is at home.",
            "Heute ist die Ärztin zu Hause.",
        ),
        (
            Meaning(subject="GIRL", verb="FIND", obj="APPLE", adjective="BIG"),
            "APPLE BIG GIRL FIND",
            [],
            "The girl finds the big apple.",
            "Das Mädchen findet den großen Apfel.",
        ),
    ],
)
def test_a_meaning_is_signed_and_written(meaning, signed, cues, english, german):
    sentence = sign(meaning)
    assert " ".join(sentence.glosses) == signed
    assert [(span.cue, span.first, span.last) for span in sentence.cues] == cues
    assert write(meaning, "eng_Latn") == english
    assert write(meaning, "deu_Latn") == german


def test_negation_and_yes_no_questions_change_no_sign():
    plain = sign(Meaning(**BUY))
    assert sign(Meaning(**BUY, negated=True)).glosses == plain.glosses
    assert sign(Meaning(**BUY, asks="yes-no")).glosses == plain.glosses


def test_splits_share_no_sentence_in_either_language():
    texts = {
        split: {write(meaning, lang) for meaning in islice(sentences(split, random.Random(0)), 1500) for lang in LANGS}
        for split in SPLITS
    }
    assert not texts["train"] & texts["test"]
    assert not texts["train"] & texts["val"]
    assert not texts["val"] & texts["test"]


LANGS = ("eng_Latn", "deu_Latn")


def test_a_sentence_stays_in_its_split_whatever_the_seed():
    for seed in range(3):
        for meaning in islice(sentences("test", random.Random(seed)), 50):
            assert split_of(meaning) == "test"


def test_one_meaning_has_one_sentence_in_each_language():
    drawn = list(islice(sentences("train", random.Random(1)), 3000))
    assert len(drawn) == len(set(drawn))
    for lang in LANGS:
        assert len({write(meaning, lang) for meaning in drawn}) == len(drawn)


def test_the_same_seed_draws_the_same_sentences():
    first, again, other = (list(islice(sentences("train", random.Random(seed)), 20)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_a_sentence_about_nothing_is_refused():
    with pytest.raises(ValueError, match="a sentence without a verb needs a subject"):
        sign(Meaning(place="HOME"))
