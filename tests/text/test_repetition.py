from __future__ import annotations

import pytest

from slt.text.repetition import is_repetitive


@pytest.mark.parametrize(
    "text",
    [
        "the cat the cat the cat the cat the cat",
        "no no no no no",
        "那个那个那个那个那个人",
        "a!!!!!!!!!!",
        "x" * 10_000,
    ],
)
def test_endless_repetition_is_seen(text):
    assert is_repetitive(text)


@pytest.mark.parametrize("text", ["", "No, no, no!", "It was very very very very good.", "那个那个人", "10000", "..."])
def test_what_people_write_is_left_alone(text):
    assert not is_repetitive(text)
