from __future__ import annotations

import json
import re
from threading import Timer, current_thread

import pytest

from slt.core.errors import UserError
from slt.core.runs import environment, find_run, git_revision, open_run
from slt.recipe.load import load_recipe, to_yaml


def test_a_run_notes_what_it_stands_on(tmp_path):
    run = open_run(tmp_path / "run", "name: a\n")
    assert run.recipe.read_text() == "name: a\n"
    noted = json.loads((run.folder / "environment.json").read_text())
    assert noted["versions"]["torch"].startswith("2.")
    assert set(noted) == set(environment())
    assert open_run(tmp_path / "run", "name: a\n") == run == find_run(tmp_path / "run")


def test_another_recipe_does_not_go_on_with_it(tmp_path):
    open_run(tmp_path / "run", "name: a\nlr: 1\n").metrics.touch()
    with pytest.raises(UserError, match=r"run of another recipe; this one says lr 2, there 1$") as raised:
        open_run(tmp_path / "run", "name: a\nlr: 2\n")
    assert "--resume" in raised.value.fix
    with pytest.raises(UserError, match=r"this one says lr nothing, there 1$"):
        open_run(tmp_path / "run", "name: a\n")
    many = "".join(f"key{number}: {number}\n" for number in range(6))
    with pytest.raises(UserError, match=r"key3 3, there nothing; and 3 more$"):
        open_run(tmp_path / "run", f"name: b\n{many}")
    (tmp_path / "run" / "recipe.yaml").write_text("name: [a\n")
    with pytest.raises(UserError, match=r'this one says name "a", there nothing$'):
        open_run(tmp_path / "run", "name: a\n")


def test_a_recipe_written_otherwise_is_the_same(tmp_path):
    run = open_run(tmp_path / "run", "name: a\noptim: {lr: 1, ema: 0.9}\n")
    run.metrics.touch()
    assert open_run(tmp_path / "run", "optim:\n  ema: 0.9\n  lr: 1 # at its peak\nname: a\n") == run


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("encoder.checkpointing=true", "encoder.checkpointing true, there false"),
        (
            "data.train.features=features/how2sign-val",
            'data.train.features "features/how2sign-val", there "features/how2sign-train"',
        ),
        ("data.val.manifest=how2sign/train.tsv", 'data.val.manifest "how2sign/train.tsv", there "how2sign/val.tsv"'),
    ],
)
def test_a_value_that_stands_under_another_key_is_a_change_all_the_same(tmp_path, change, said):
    def recipe(*changes):
        # the extractor's own `checkpointing: true` is a line that the encoder's could be taken for
        return to_yaml(load_recipe("how2sign", "train-encoder", ("extractor.checkpointing=true", *changes)))

    open_run(tmp_path / "run", recipe()).metrics.touch()
    with pytest.raises(UserError, match=f"this one says {re.escape(said)}$"):
        open_run(tmp_path / "run", recipe(change))


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
    monkeypatch.setattr("slt.core.runs.WAIT_S", 5.0)
    open_run(tmp_path / "run", "name: a\n")
    first = Timer(0.3, open_run, (tmp_path / "run", "name: b\n"))
    first.start()
    monkeypatch.setattr("slt.core.runs.process_rank", lambda: int(current_thread() is not first))
    monkeypatch.setattr("slt.core.runs.environment", lambda: {"by": current_thread().name})
    assert open_run(tmp_path / "run", "name: b\n").recipe.read_text() == "name: b\n"
    first.join()
    assert json.loads((tmp_path / "run" / "environment.json").read_text()) == {"by": first.name}


def test_outside_git_there_is_no_revision(tmp_path):
    assert git_revision(tmp_path) is None
