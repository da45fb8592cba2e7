"""The house's one structural rule: a module imports only from floors below its own, or from its own room."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from docs.house import FLOORS, modules, room_of

LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
VOCABULARY = "tensors"  # what the rooms of its own floor speak in, too
# Who may import what only one room can bear the cost or the API of; everyone else goes through that room.
ONLY_IN = {
    "fairseq2": ("slt.text.sonar",),
    "fairseq2n": ("slt.text.sonar",),
    "sonar": ("slt.text.sonar",),
    "lightning": ("slt.train",),
    "pytorch_lightning": ("slt.train",),
}
WITHOUT_TORCH = {*FLOORS[0], "assets", "env"}


def imports(name: str, tree: ast.AST, *, is_package: bool = False) -> Iterator[str]:
    """Yield the full name of all that a module imports, wherever in it: ``package.module.attribute``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = name.split(".")[: None if is_package and node.level == 1 else -node.level or None]
            base = ".".join([*(parents if node.level else []), *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def complaint(importer: str, imported: str) -> str:
    """Say what is wrong with one import; empty when nothing is."""
    package, here = imported.partition(".")[0], room_of(importer)
    if package in ONLY_IN and not any(f"{importer}.".startswith(f"{room}.") for room in ONLY_IN[package]):
        return f"only {', '.join(ONLY_IN[package])} may import {package}"
    if package == "torch" and here in WITHOUT_TORCH:
        return f"{here} does without torch"
    if package not in ("slt", "slt_cli") or imported == "slt":
        return ""
    there = room_of(imported)
    if there not in LEVEL:
        return f"{there} has no floor: put it into docs/house.py and docs/architecture.md"
    if there == here or LEVEL[there] < LEVEL[here] or LEVEL[there] == LEVEL[here] == 0:
        return ""
    if LEVEL[there] == LEVEL[here] and there == VOCABULARY:
        return ""
    return f"{here} is on step {LEVEL[here]} of the house, {there} on {LEVEL[there]}: not below it"


@pytest.mark.parametrize("name", modules())
def test_a_module_imports_only_from_below_or_from_its_own_room(name):
    path = modules()[name]
    if name == "slt":  # the front door: it opens to every room, when somebody asks for what lies there
        return
    assert room_of(name) in LEVEL, f"{name} has no floor: put it into docs/house.py and docs/architecture.md"
    tree = ast.parse(path.read_text("utf-8"))
    found = {
        imported: complaint(name, imported) for imported in imports(name, tree, is_package=path.stem == "__init__")
    }
    assert not {other: said for other, said in found.items() if said}


@pytest.mark.parametrize(
    ("importer", "code", "said"),
    [
        ("slt.video.crop", "def f():\n    import slt.translate", "not below it"),
        ("slt.video.crop", "from slt import models", "not below it"),
        ("slt.video.crop", "from slt.data import manifest", "not below it"),
        ("slt.video.crop", "from . import decode", ""),
        ("slt.video.crop", "from .. import translate", "not below it"),
        ("slt.video.crop", "from slt.tensors import FeatureBatch", ""),
        ("slt.tensors", "from slt.video import crop", "not below it"),
        ("slt.errors", "import torch", "errors does without torch"),
        ("slt.translate", "import slt_cli.main", "not below it"),
        ("slt.translate", "import fairseq2.nn", "only slt.text.sonar may import fairseq2"),
        ("slt.text.sonar", "import fairseq2.nn", ""),
        ("slt.text.sonar_extra", "import sonar", "only slt.text.sonar may import sonar"),
        ("slt.train.module", "import lightning", ""),
        ("slt.translate", "from slt.attic import box", "attic has no floor"),
    ],
)
def test_the_walk_itself_sees_every_form(importer, code, said):
    (imported,) = imports(importer, ast.parse(code))
    found = complaint(importer, imported)
    assert said in found if said else not found
