"""The floors of the house as data, and the parts of these pages that are made from code.

``make docs`` renews them; tests hold that they are fresh, and that imports follow the floors.
"""

from __future__ import annotations

import ast
import functools
import runpy
from pathlib import Path

from slt.env.matrix import table
from slt.evaluate.results import schema
from slt.recipe import json_schema
from slt.video.skeletons import conversion_table

ROOT = Path(__file__).parents[1]
# A module imports only from rooms on floors below its own, or from its own room. A room is a package of src/slt, or the
# command line. Some floors of architecture.md have several steps here: doctor looks at assets, clips have videos.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("core",),
    ("recipe",),
    ("assets",),
    ("env",),
    ("video",),
    ("data",),
    ("models",),
    ("text",),
    ("segmentation", "subtitles"),
    ("bundle",),
    ("frontend",),
    ("pipeline",),
    ("extract",),
    ("evaluate",),
    ("train",),
    ("sharing",),
    ("launch",),
    ("demo",),
    ("serve",),
    ("slt_cli",),
)


@functools.cache
def modules() -> dict[str, Path]:
    """Return every module of the project by its name."""
    found: dict[str, Path] = {}
    for package, folder in {"slt": ROOT / "src" / "slt", "slt_cli": ROOT / "cli"}.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


def room_of(module: str) -> str:
    """Return the room a module of the project lies in: a key of the floors."""
    package, _, rest = module.partition(".")
    return package if package == "slt_cli" else rest.partition(".")[0]


def module_list() -> str:
    """Return each module's first line of words, floor by floor from the top, as Markdown."""
    words = {name: _first_line(path) for name, path in modules().items() if path.name != "__init__.py"}
    lines: list[str] = []
    for floor in reversed(FLOORS):
        for room in floor:
            rooms = {name: text for name, text in words.items() if room_of(name) == room}
            lines += [f"- `{name.removeprefix('slt.')}`: {text}" for name, text in rooms.items()]
    return "\n".join(lines)


def _first_line(path: Path) -> str:
    words = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return " ".join(words.partition("\n\n")[0].split())


def costs() -> str:
    """Return what a large corpus costs, as docs/scale.py computes it."""
    page: str = runpy.run_path(str(ROOT / "docs" / "scale.py"))["costs_page"]()
    return page


PARTS = {
    "compatibility.md": ("matrix", table),
    "modules.md": ("modules", module_list),
    "evaluation.md": ("results", schema),
    "keypoints.md": ("skeletons", conversion_table),
    "scale.md": ("costs", costs),
}


def renewed(page: str, mark: str, text: str) -> str:
    """Return a Markdown page with what stands between two marks renewed.

    Raises:
        ValueError: the page lacks the marks.
    """
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    head, found, rest = page.partition(begin)
    _, found_too, tail = rest.partition(end)
    if not (found and found_too):
        raise ValueError(f"the page has no place for its {mark}: put {begin} and {end} on lines of their own")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def main() -> None:
    """Renew the pages, and the schema of recipes."""
    json_schema.FILE.write_text(json_schema.as_text(), "utf-8")
    for name, (mark, text) in PARTS.items():
        page = Path(__file__).with_name(name)
        page.write_text(renewed(page.read_text("utf-8"), mark, text()), "utf-8")


if __name__ == "__main__":
    main()
