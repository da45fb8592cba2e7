from __future__ import annotations

import json
from threading import Timer, current_thread

import pytest

from slt.errors import UserError
from slt.runs import environment, find_run, git_revision, open_run


def test_a_run_notes_what_it_stands_on(tmp_path):
    run = open_run(tmp_path / "run", "name: a\n")
    assert run.recipe.read_text() == "name: a\n"
    noted = json.loads((run.folder / "environment.json").read_text())
    assert noted["versions"]["torch"].startswith("2.")
    assert set(noted) == set(environment())
    assert open_run(tmp_path / "run", "name: a\n") == run == find_run(tmp_path / "run")


def test_another_recipe_does_not_go_on_with_it(tmp_path):
    open_run(tmp_path / "run", "name: a\nlr: 1\n").metrics.touch()
    with pytest.raises(UserError, match=r"run of another recipe; this one says lr: 2") as raised:
        open_run(tmp_path / "run", "name: a\nlr: 2\n")
    assert "--resume" in raised.value.fix
    with pytest.raises(UserError, match="this one says less"):
        open_run(tmp_path / "run", "name: a\n")


def test_a_recipe_by_which_nothing_was_trained_makes_room_for_a_better_one(tmp_path):
    open_run(tmp_path / "run", "weights: t5-smal\n")
    run = open_run(tmp_path / "run", "weights: t5-small\n")
    assert run.recipe.read_text() == "weights: t5-small\n"


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="is not empty, and no run"):
        open_run(tmp_path, "name: a\n")
    with pytest.raises(UserError, match=r"is no run: it has no recipe\.yaml"):
        find_run(tmp_path)


def test_later_processes_wait_for_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr("slt.runs.WAIT_S", 5.0)
    open_run(tmp_path / "run", "name: a\n")
    first = Timer(0.3, open_run, (tmp_path / "run", "name: b\n"))
    first.start()
    monkeypatch.setattr("slt.runs.process_rank", lambda: int(current_thread() is not first))
    monkeypatch.setattr("slt.runs.environment", lambda: {"by": current_thread().name})
    assert open_run(tmp_path / "run", "name: b\n").recipe.read_text() == "name: b\n"
    first.join()
    assert json.loads((tmp_path / "run" / "environment.json").read_text()) == {"by": first.name}


def test_outside_git_there_is_no_revision(tmp_path):
    assert git_revision(tmp_path) is None
