from __future__ import annotations

import importlib
import sys
import textwrap

import pytest

from slt.core.deferred import deferred

LIBRARY = """
    import heavy.inner as inner
    from heavy import Thing, tell
    from heavy.inner import Other

    def make() -> Thing:
        return Thing("made")

    def check(value: object) -> bool:
        return isinstance(value, Thing)

    hint = Thing[int]
"""
HEAVY = """
    class Thing:
        size = 3

        def __init__(self, name: str) -> None:
            self.name = name

        def __class_getitem__(cls, item: object) -> type:
            return cls

    def tell() -> str:
        return "told"
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library that names another one; return its name and that of the other."""
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy" / "__init__.py").write_text(textwrap.dedent(HEAVY))
    (tmp_path / "heavy" / "inner.py").write_text("class Other:\n    pass\n")
    (tmp_path / "light.py").write_text(textwrap.dedent(LIBRARY))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("heavy", "light")]:
        del sys.modules[name]


def test_what_is_deferred_is_imported_when_it_is_used(library):
    with deferred("heavy"):
        light = importlib.import_module("light")
    assert not {"heavy", "heavy.inner"} & set(sys.modules)
    assert light.make().name == "made"
    assert "heavy" in sys.modules
    assert light.tell() == "told"
    assert light.Thing.size == 3
    assert light.check(light.make())
    assert not light.check("text")
    assert light.inner.Other is sys.modules["heavy.inner"].Other
    assert isinstance(light.inner.Other(), light.Other)


def test_using_it_meanwhile_is_an_import_error(library):
    with deferred("heavy"):
        light = importlib.import_module("light")
        with pytest.raises(ImportError, match="heavy is not imported now"):
            light.make()
        with pytest.raises(ImportError, match="heavy is not imported now"):
            _ = light.Thing.size


def test_one_part_of_a_package_may_be_deferred(library):
    import heavy

    with deferred("heavy.inner"):
        light = importlib.import_module("light")
    assert light.Thing is heavy.Thing
    assert "inner" not in vars(heavy)
    assert light.inner.Other.__module__ == "heavy.inner"


def test_what_is_there_already_is_given_as_it_is(library):
    import heavy.inner

    with deferred("heavy"):
        light = importlib.import_module("light")
    assert light.Thing is heavy.Thing
    assert light.Other is heavy.inner.Other


def test_python_s_own_questions_are_answered_no(library):
    with deferred("heavy"):
        light = importlib.import_module("light")
        assert not hasattr(sys.modules["heavy"], "__wrapped__")
    assert not hasattr(light.Thing, "__wrapped__")
