from itertools import combinations

from slt.data.synthetic.lexicon import (
    ADJECTIVES,
    HANDS,
    HANDSHAPES,
    MOVEMENTS,
    NOUNS,
    PLACES,
    PLACES_NAMED,
    SIGNS,
    TIMES,
    VERBS,
)


def test_there_are_at_least_sixty_signs_made_of_known_parts():
    assert len(SIGNS) >= 60
    for sign in SIGNS.values():
        assert sign.handshape in HANDSHAPES
        assert sign.place in PLACES
        assert sign.movement in MOVEMENTS
        assert sign.hands in HANDS


def test_any_two_signs_differ_in_at_least_two_parts():
    for one, other in combinations(SIGNS.values(), 2):
        parts = [(each.handshape, each.place, each.movement, each.hands) for each in (one, other)]
        assert sum(a != b for a, b in zip(*parts, strict=True)) >= 2, (one.gloss, other.gloss)


def test_every_part_is_used_and_some_signs_need_two_hands():
    assert {sign.handshape for sign in SIGNS.values()} == set(HANDSHAPES)
    assert {sign.place for sign in SIGNS.values()} == set(PLACES)
    assert {sign.movement for sign in SIGNS.values()} == set(MOVEMENTS)
    assert {sign.hands for sign in SIGNS.values()} == set(HANDS)


def test_words_and_signs_are_the_same_vocabulary():
    asking = {"WHO", "WHAT", "WHERE"}
    assert {*NOUNS, *VERBS, *ADJECTIVES, *PLACES_NAMED, *TIMES, *asking} == set(SIGNS)
