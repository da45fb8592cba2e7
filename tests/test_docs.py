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


ROOT = DOCS.parent
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md"), ROOT / "benchmarks/README.md"])
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return what a page's headings are called in links, as GitHub calls them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    words = (re.sub(r"\]\([^)]*\)", "", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in words}


@every_page
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)", prose(page))
    places = [(page.parent / path if path else page, anchor) for path, anchor in links]
    assert not [str(place) for place, _ in places if not place.exists()]
    assert not [
        f"{place.name}#{anchor}"
        for place, anchor in places
        if anchor and place.suffix == ".md" and anchor not in anchors(place)
    ]


@every_page
def test_every_table_begins_with_a_header(page):
    """A blank line within a table ends it: what follows is shown with its bars."""
    lines = ["", *prose(page).splitlines(), ""]
    begins = [number for number in range(1, len(lines)) if lines[number][:1] == "|" and lines[number - 1][:1] != "|"]
    assert not [lines[number] for number in begins if not re.fullmatch(r"\|[\s:|-]+\|", lines[number + 1])]
