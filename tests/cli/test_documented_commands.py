"""Every command that the README and the pages of docs/ show is one that slt takes, with these options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from slt.core.errors import UserError
from slt_cli.arguments import check_arguments
from slt_cli.main import app

SLT = typer.main.get_command(app)
ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?:bash|sh|)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
IN_A_PIPELINE = re.compile(r"\{run: ([^},]+)")
SYNOPSIS = ("…", "[", "|")  # for a person to fill in
ENDS = {"&&", ";", "|", ">", "2>", "&"}


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words that follow ``slt`` in each command of a page."""
    for block in BLOCK.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            yield from after_slt(line)
    for span in SPAN.findall(BLOCK.sub("", page)):
        yield from (words for words in after_slt(span) if any(word.startswith("-") for word in words))
    for run in IN_A_PIPELINE.findall(page):
        yield from after_slt(f"slt {run}")


def after_slt(line: str) -> Iterator[list[str]]:
    if not re.search(r"(^|[ /])slt [a-z-]", line) or any(mark in line for mark in SYNOPSIS):
        return
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # prose with an apostrophe
        return
    while "slt" in words:
        words = words[words.index("slt") + 1 :]
        if words[:1] == ["slt"]:  # `docker run slt …`: the image, and `apptainer exec slt.sif slt …`
            continue
        end = next((i for i, word in enumerate(words) if word in ENDS), len(words))
        if len(words[:end]) > 1:  # a verb alone is a name for it
            yield words[:end]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_commands_are_commands(page):
    wrong = []
    for words in commands(page.read_text("utf-8")):
        try:
            check_arguments(words, SLT)
        except UserError as error:
            wrong.append(str(error))
    # A span may mention a command with only the option it is about.
    assert not [said for said in wrong if "Missing" not in said and "requires an argument" not in said]


def test_a_wrong_one_would_be_found():
    page = "```\nslt translate \\\n  a.mp4 --beem 5  # so\nslt demo && slt no-such thing\n```\nor `slt doctor --jsn`"
    found = list(commands(page))
    assert found == [["translate", "a.mp4", "--beem", "5"], ["no-such", "thing"], ["doctor", "--jsn"]]
    for words in found:
        with pytest.raises(UserError, match=f"slt {words[0]}.*(No such|no-such|jsn|beem)"):
            check_arguments(words, SLT)
