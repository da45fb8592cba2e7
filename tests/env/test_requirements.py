from __future__ import annotations

import sys

import pytest

from slt.env import requirements
from slt.env.requirements import check_requirements, declared
from tests.env.broken import distribution


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that puts packages of other versions before the real ones, by their metadata."""

    def put(name: str, version: str) -> None:
        for file, content in distribution(name, version).items():
            (tmp_path / file).parent.mkdir()
            (tmp_path / file).write_text(content)
        monkeypatch.syspath_prepend(tmp_path)

    return put


def test_what_slt_declares_is_read_from_its_own_metadata():
    wanted = declared()
    assert wanted is not None
    assert wanted["sacrebleu"] == "==2.6.0"
    assert wanted["rich"] == ""
    assert "pytest" not in wanted


def test_this_environment_has_it_all():
    assert {result.name: result.status for result in check_requirements()} == {
        "slt": "ok",
        "transformers": "ok",
        "other packages": "ok",
    }


def test_another_version_is_named_with_the_one_wanted(installed):
    installed("transformers", "5.0.0")
    installed("sacrebleu", "2.5.1")
    _, transformers, others = check_requirements()
    assert (transformers.status, transformers.found) == ("fail", "5.0.0")
    assert (others.status, others.found) == ("fail", "sacrebleu is 2.5.1 instead of ==2.6.0")


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(requirements, "declared", lambda: {"transformers": ">4", "no-such-package": "", "rich": ""})
    assert [result.found for result in check_requirements()[2:]] == ["no-such-package is missing"]


def test_an_slt_that_is_not_installed_is_one_complaint(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    (result,) = check_requirements()
    assert (result.name, result.status, result.fix) == ("slt", "fail", "`make env` installs it")


def test_without_packaging_versions_are_not_compared(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging.specifiers", None)
    monkeypatch.setattr(requirements, "declared", lambda: {"transformers": "<1"})
    assert check_requirements()[1].status == "ok"


def test_packages_of_other_pythons_are_not_asked_for(monkeypatch):
    lines = ["rich", "mediapipe ; python_version < '3.0'", "timm==1 ; python_version > '3.0'", "uv ; extra == 'dev'"]
    monkeypatch.setattr(requirements.metadata, "requires", lambda _: lines)
    assert declared() == {"rich": "", "timm": "==1"}
    monkeypatch.setitem(sys.modules, "packaging.markers", None)
    assert declared() == {"rich": "", "mediapipe": "", "timm": "==1"}
