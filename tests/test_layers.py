"""The house's one structural rule: a module imports only from floors below its own, or from its own room."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from docs.house import FLOORS, ROOT, modules, room_of

LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
# Who may import what only one room can bear the cost or the API of; everyone else goes through that room.
ONLY_IN = {
    "fairseq2": ("slt.text.sonar",),
    "fairseq2n": ("slt.text.sonar",),
    "sonar": ("slt.text.sonar",),
    "lightning": ("slt.train",),
    "pytorch_lightning": ("slt.train",),
}
OPTIONAL = "slt.text.sonar"
WITHOUT_TORCH = {"core", "recipe", "assets", "env"}
OF_TORCH = ("slt.core.tensors", "slt.core.device")  # the modules of core that are made of torch


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
    """Describe what is wrong with one import; empty when nothing is."""
    package, here = imported.partition(".")[0], room_of(importer)
    if package in ONLY_IN and not any(f"{importer}.".startswith(f"{room}.") for room in ONLY_IN[package]):
        return f"only {', '.join(ONLY_IN[package])} may import {package}"
    if f"{imported}.".startswith(f"{OPTIONAL}.") and not f"{importer}.".startswith(f"{OPTIONAL}."):
        return f"{OPTIONAL} needs fairseq2, which may be absent: go through slt.text.engines"
    if package == "torch" and here in WITHOUT_TORCH and importer not in OF_TORCH:
        return f"{here} does without torch"
    if package not in ("slt", "slt_cli") or imported == "slt":
        return ""
    there = room_of(imported)
    if there not in LEVEL:
        return f"{there} has no floor: put it into docs/house.py and docs/architecture.md"
    if there == here or LEVEL[there] < LEVEL[here]:
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


def test_at_the_root_there_are_only_packages():
    root = {path.name for path in (ROOT / "src" / "slt").glob("*.py")}
    assert root == {"__init__.py"}
    rooms = {path.parent.name for path in (ROOT / "src" / "slt").glob("*/__init__.py")}
    assert rooms == set(LEVEL) - {"slt_cli"}


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle():
    graph = {name: set(module_imports(name)) for name in modules()}
    while leaves := {name for name, others in graph.items() if not others & graph.keys()}:
        for name in leaves:
            del graph[name]
    assert not graph, "these import each other, or are imported by those that do"


def module_imports(name: str) -> Iterator[str]:
    """Yield the modules that one module imports, for type checking and inside functions too."""
    if name == "slt":  # the front door
        return
    path = modules()[name]
    for imported in imports(name, ast.parse(path.read_text("utf-8")), is_package=path.stem == "__init__"):
        module = imported if imported in modules() else imported.rpartition(".")[0]
        if module != name and module != "slt":
            yield module


@pytest.mark.parametrize(
    ("importer", "code", "said"),
    [
        ("slt.video.crop", "def f():\n    import slt.pipeline.translator", "not below it"),
        ("slt.video.crop", "from slt import models", "not below it"),
        ("slt.video.crop", "from slt.data import manifest", "not below it"),
        ("slt.video.crop", "from . import decode", ""),
        ("slt.video.crop", "from .. import pipeline", "not below it"),
        ("slt.video.crop", "from slt.core.tensors import FeatureBatch", ""),
        ("slt.core.tensors", "from slt.video import crop", "not below it"),
        ("slt.core.tensors", "import torch", ""),
        ("slt.core.errors", "import torch", "core does without torch"),
        ("slt.pipeline.translator", "import slt_cli.main", "not below it"),
        ("slt.pipeline.translator", "import fairseq2.nn", "only slt.text.sonar may import fairseq2"),
        ("slt.text.sonar", "import fairseq2.nn", ""),
        ("slt.bundle.load", "from slt.text.sonar.model import SonarText", "go through slt.text.engines"),
        ("slt.text.engines", "from slt.text import sonar", "go through slt.text.engines"),
        ("slt.bundle.load", "from slt.text.sonar_text import SonarTextModel", ""),
        ("slt.text.sonar_extra", "import sonar", "only slt.text.sonar may import sonar"),
        ("slt.train.module", "import lightning", ""),
        ("slt.pipeline.translator", "from slt.attic import box", "attic has no floor"),
    ],
)
def test_the_walk_itself_sees_every_form(importer, code, said):
    (imported,) = imports(importer, ast.parse(code))
    found = complaint(importer, imported)
    assert said in found if said else not found
