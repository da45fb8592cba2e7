"""The parts of docs/ that are made from code are fresh."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.house import PARTS, renewed

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("name", PARTS)
def test_the_pages_show_the_code_as_it_is(name):
    page = (DOCS / name).read_text("utf-8")
    mark, text = PARTS[name]
    assert renewed(page, mark, text()) == page, "run `make docs`"


def test_only_what_stands_between_the_marks_is_renewed():
    page = "before\n<!-- list: begin -->\nold\n<!-- list: end -->\nafter\n"
    assert renewed(page, "list", "new") == page.replace("old", "new")
    with pytest.raises(ValueError, match="the page has no place for its list: put <!-- list: begin --> and"):
        renewed("only <!-- list: begin -->", "list", "new")


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]
