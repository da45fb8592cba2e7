from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from slt.env import doctor as examination
from slt.env.checks import CheckResult
from slt_cli.doctor import doctor

GOOD = CheckResult(name="torch", status="ok", found="2.9.1", expected="2.9.1")
POOR = CheckResult(name="network", status="warn", found="none", fix="set a proxy")
BAD = CheckResult(name="fairseq2", status="fail", found="[missing]", expected="0.8.1", fix="`make env`")

app = typer.Typer()
app.command()(doctor)


@pytest.fixture
def examined(monkeypatch):
    """Return a function that makes the examination find something, and the arguments it was asked with."""

    def finds(*results: CheckResult) -> dict[str, object]:
        asked: dict[str, object] = {}
        monkeypatch.setattr(examination, "examine", lambda **words: asked.update(words) or list(results))
        return asked

    return finds


def test_a_good_environment_ends_well(examined):
    asked = examined(GOOD)
    done = CliRunner().invoke(app, ["--quick", "--timeout", "5"])
    assert done.exit_code == 0
    assert asked == {"quick": True, "timeout_s": 5.0}
    assert done.stdout.splitlines()[-1].split() == ["ok", "torch", "2.9.1", "2.9.1"]
    assert done.stderr.startswith("everything works (")


def test_warnings_alone_end_well_and_are_named(examined):
    examined(GOOD, POOR)
    done = CliRunner().invoke(app)
    assert done.exit_code == 0
    assert done.stderr.startswith("everything works, though not ideal: network (")
    assert "fix: set a proxy" in done.stdout


def test_what_must_be_mended_ends_with_2_and_is_shown_literally(examined):
    examined(GOOD, BAD)
    done = CliRunner().invoke(app)
    assert done.exit_code == 2
    assert done.stderr.startswith("1 of 2 checks need mending: fairseq2 (")
    assert "[missing]" in done.stdout
    assert "fix: `make env`" in done.stdout


def test_json_is_all_there_is_on_stdout(examined):
    examined(BAD)
    done = CliRunner().invoke(app, ["--json"])
    assert done.exit_code == 2
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert report["checks"] == [
        {"name": "fairseq2", "status": "fail", "found": "[missing]", "expected": "0.8.1", "fix": "`make env`"}
    ]
