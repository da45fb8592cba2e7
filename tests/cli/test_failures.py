from __future__ import annotations

from pathlib import Path

import pytest

from slt.core.errors import SltError, UserError
from slt_cli.failures import ItemsFailed

THEIRS = ("a.mp4", UserError("a.mp4 is empty", fix="copy it again"))
OURS = ("b.mp4", SltError("out of memory", fix="buy some"))


@pytest.mark.parametrize(
    ("failures", "total", "code"),
    [
        ([THEIRS], 1, 2),
        ([OURS], 1, 1),
        ([THEIRS, OURS], 2, 1),
        ([THEIRS, THEIRS], 2, 2),
        ([THEIRS], 2, 3),
        ([OURS], 5, 3),
    ],
)
def test_the_exit_code_says_whether_anything_was_done_and_whose_fault_it_is(failures, total, code):
    with pytest.raises(ItemsFailed) as raised:
        raise ItemsFailed(failures, total=total, what="videos")
    assert raised.value.exit_code == code


def test_every_reason_and_every_fix_is_told_once():
    error = ItemsFailed([THEIRS, OURS, THEIRS], total=7, what="videos")
    assert error.message.splitlines() == [
        "3 of 7 videos failed:",
        "  a.mp4 is empty",
        "  b.mp4: out of memory",
    ]
    assert error.fix == "copy it again; buy some"


def test_an_only_item_needs_no_list():
    assert ItemsFailed([OURS], total=1, what="videos").message == "b.mp4: out of memory"


def test_thousands_of_reasons_are_in_a_file():
    many = [(f"row {n}", UserError("too short")) for n in range(3000)]
    lines = ItemsFailed(many, total=4000, what="rows", all_in=Path("note.json")).message.splitlines()
    assert len(lines) == 1 + 20 + 1
    assert lines[-1] == "  and 2980 more: all are in note.json"
