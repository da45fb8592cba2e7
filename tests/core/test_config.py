"""What JSON gave becomes a typed configuration, or every mistake in it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Optional

import pytest

from slt.core.config import parse
from slt.core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Part:
    size: int
    kind: Literal["small", "large"] = "small"

    def __post_init__(self):
        if self.size < 0:
            raise UserError(f"size {self.size} is negative")


@dataclass(frozen=True, kw_only=True)
class Whole:
    name: str
    part: Part
    rate: float = 1.0
    flag: bool = False
    shape: tuple[int, int] = (1, 2)
    names: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    maybe: int | None = None
    possibly: Optional[str] = None  # noqa: UP045 - both spellings are understood
    anything: Any = None
    scores: Mapping[str, float] = field(default_factory=dict)
    place: str | Mapping[str, str] | None = None

    def __post_init__(self):
        if self.name == "bad":
            raise UserError("a bad name")


def mistakes(value):
    with pytest.raises(UserError, match=r"in card\.json") as caught:
        parse(Whole, value, where="card.json")
    return caught.value.message


def test_absent_keys_take_their_defaults():
    assert parse(Whole, {"name": "a", "part": {"size": 1}}, where="x") == Whole(name="a", part=Part(size=1))


def test_every_kind_of_value_is_read():
    value = {
        "name": "a",
        "part": {"size": 1, "kind": "large"},
        "rate": 3,
        "flag": True,
        "shape": [3, 4],
        "names": ["b", "c"],
        "parts": [{"size": 2}],
        "maybe": 5,
        "possibly": "d",
        "anything": {"e": [None]},
        "scores": {"bleu": 90},
    }
    whole = parse(Whole, value, where="x")
    assert whole.part == Part(size=1, kind="large")
    assert whole.parts == (Part(size=2),)
    assert (whole.rate, type(whole.rate)) == (3.0, float)
    assert (whole.shape, whole.names, whole.flag, whole.maybe, whole.possibly) == ((3, 4), ("b", "c"), True, 5, "d")
    assert (whole.anything, whole.scores) == ({"e": [None]}, {"bleu": 90.0})
    assert parse(Whole, value | {"maybe": None}, where="x").maybe is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 1}, "name: expected a text, found 1"),
        ({"part": 1}, "part: expected a group of keys, found 1"),
        ({"part": {"size": True}}, "part.size: expected an integer, found True"),
        ({"part": {"size": 1.0}}, "part.size: expected an integer, found 1.0"),
        ({"part": {"size": 1, "kind": "huge"}}, "part.kind: expected one of 'small', 'large', found 'huge'"),
        ({"rate": "1"}, "rate: expected a number, found '1'"),
        ({"flag": 1}, "flag: expected true or false, found 1"),
        ({"shape": [1]}, r"shape: expected a list of 2, found \[1\]"),
        ({"shape": 1}, "shape: expected a list, found 1"),
        ({"names": ["a", 2]}, r"names\[1\]: expected a text, found 2"),
        ({"parts": [{"size": -1}]}, r"parts\[0\]: size -1 is negative"),
        ({"maybe": "x"}, "maybe: expected an integer, found 'x'"),
        ({"scores": [1]}, r"scores: expected a group of keys, found \[1\]"),
        ({"scores": {"bleu": "high"}}, "scores.bleu: expected a number, found 'high'"),
        ({"name": "bad"}, "1 mistake in card.json: a bad name"),
        ({"ratte": 1}, "ratte: unknown, did you mean rate"),
        ({"part": {}}, "part.size: absent"),
    ],
)
def test_mistakes_are_told_with_their_path(change, message):
    with pytest.raises(UserError, match=message):
        parse(Whole, {"name": "a", "part": {"size": 1}} | change, where="card.json")


def test_all_mistakes_are_told_at_once():
    told = mistakes({"part": {"size": "x"}, "flag": 2, "qqq": 3})
    assert told == (
        "4 mistakes in card.json: qqq: unknown; name: absent;"
        " part.size: expected an integer, found 'x'; flag: expected true or false, found 2"
    )


@dataclass(frozen=True, kw_only=True)
class Circle:
    kind: Literal["circle"]
    radius: float


@dataclass(frozen=True, kw_only=True)
class Square:
    kind: Literal["square"]
    side: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Drawing:
    shape: Circle | Square
    behind: Circle | Square | None = None


def test_one_of_several_is_told_by_its_kind():
    value = {"shape": {"kind": "circle", "radius": 2}, "behind": {"kind": "square"}}
    assert parse(Drawing, value, where="x") == Drawing(
        shape=Circle(kind="circle", radius=2.0), behind=Square(kind="square")
    )
    assert parse(Drawing, {**value, "behind": None}, where="x").behind is None


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"kind": "cirkle"}, "shape.kind: unknown 'cirkle', known: circle, square; did you mean circle"),
        ({"kind": 1}, "shape.kind: unknown 1, known: circle, square"),
        ({"radius": 1}, "shape: expected a group of keys with a kind, one of circle, square, found {'radius': 1}"),
        (None, "shape: expected a group of keys with a kind, one of circle, square, found None"),
        ({"kind": "circle"}, "shape.radius: absent"),
        ({"kind": "square", "radius": 1}, "shape.radius: unknown"),
    ],
)
def test_a_mistake_in_one_of_several_is_told_with_its_path(shape, message):
    with pytest.raises(UserError) as caught:
        parse(Drawing, {"shape": shape}, where="x")
    assert message in caught.value.message


def test_something_else_altogether_is_told_without_a_path():
    assert mistakes([1]) == "1 mistake in card.json: expected a group of keys, found [1]"


@pytest.mark.parametrize("place", [None, "here", {"a": "there"}])
def test_a_text_or_a_group_of_keys(place):
    assert parse(Whole, {"name": "a", "part": {"size": 1}, "place": place}, where="x").place == place


def test_neither_a_text_nor_a_group_of_keys():
    assert "place: expected a text, found 7" in mistakes({"name": "a", "part": {"size": 1}, "place": 7})
    assert "place.a: expected a text, found 7" in mistakes({"name": "a", "part": {"size": 1}, "place": {"a": 7}})
