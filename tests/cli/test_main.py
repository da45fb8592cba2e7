from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from slt.core import log
from slt.core.errors import SltError, UserError
from slt_cli import main as front

VERBS = [[], ["doctor"], ["demo"], ["translate"], ["models"], ["models", "list"], ["models", "verify"], ["prepare"]]
VERBS += [["models", "fetch"], ["models", "push"]]
VERBS += [["models", "import"], ["prepare", "synthetic"], ["train-features"], ["train-encoder"], ["train-decoder"]]
VERBS += [["train-translator"], ["train-vlp"]]
VERBS += [["launch"], ["launch", "slurm"], ["launch", "torchrun"], ["launch", "apptainer"]]
VERBS += [["evaluate"], ["compare"], ["check-manifest"], ["report"], ["serve"], ["compare-embeddings"]]
VERBS += [["prepare", "how2sign"], ["prepare", "phoenix"], ["prepare", "dailymoth"], ["prepare", "openasl"]]
VERBS += [["prepare", "youtube-asl"], ["prepare", "csl-daily"], ["prepare", "elan"], ["prepare", "table"]]
VERBS += [["extract-features"], ["embed-text"], ["export-manifest"], ["features"]]
VERBS += [["features", verb] for verb in ("info", "export", "import", "compact")]
HEAVY = {"torch", "av", "cv2", "numpy", "fairseq2", "sonar", "transformers", "dlib", "huggingface_hub"}


@pytest.fixture
def verb(monkeypatch):
    """Mount a verb ``try`` that does what the test sets as ``verb.does``."""

    class Verb:
        does = staticmethod(lambda: None)

    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command("try")(lambda: Verb.does())
    app.callback()(lambda: None)
    monkeypatch.setattr(front, "app", app)
    return Verb


def raising(error):
    def does():
        raise error

    return does


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("no such file", fix="give another"), 2, "error: no such file\n  fix: give another\n"),
        (SltError("the disk failed"), 1, "error: the disk failed\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "error: no space left on the device\n  fix: free some"),
        (RuntimeError("oh\nno"), 1, "error: unexpected RuntimeError: oh\n  fix: a bug in slt"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (typer.Exit(2), 2, ""),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
    ],
)
def test_every_failure_has_its_exit_code_and_its_line(slt, verb, error, code, said):
    verb.does = staticmethod(raising(error))
    outcome = slt("try")
    assert outcome.code == code
    assert outcome.err.startswith(said)
    assert "Traceback" not in outcome.err
    assert bool(outcome.err) == bool(said)
    assert outcome.out == ""


def test_success_is_zero(slt, verb):
    verb.does = staticmethod(lambda: log.result("done"))
    assert slt("try") == type(slt("try"))(code=0, out="done\n", err="")


def test_a_traceback_is_shown_to_those_who_ask(slt, verb, monkeypatch):
    monkeypatch.setenv("SLT_TRACEBACK", "1")
    verb.does = staticmethod(raising(UserError("no such file")))
    outcome = slt("try")
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert outcome.err.endswith("error: no such file\n")


@pytest.mark.parametrize(
    "words", [["nonsense"], ["translate"], ["translate", "--nonsense", "x"], ["translate", "-x.mp4"]]
)
def test_wrong_usage_is_the_users_to_mend(slt, words):
    outcome = slt(*words)
    assert outcome.code == 2
    assert outcome.err
    assert outcome.out == ""


def test_names_that_no_encoding_can_show_do_not_stop_the_work(slt, verb):
    verb.does = staticmethod(lambda: log.result("clip-\udcff.mp4"))
    outcome = slt("try")
    assert (outcome.code, outcome.out) == (0, "clip-\\udcff.mp4\n")


def test_version(slt):
    assert slt("--version").out == f"slt {version('slt')}\n"


@pytest.mark.parametrize("words", VERBS, ids=lambda words: " ".join(words) or "slt")
def test_help_is_printed_with_an_example(slt, words):
    outcome = slt(*words, "--help")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.out.startswith(" ".join(["Usage: slt", *words]))
    assert ("Example: slt " + " ".join(words) in outcome.out) == (
        words not in ([], ["models"], ["prepare"], ["launch"], ["features"])
    )


def test_every_verb_is_tried_here(slt):
    listed = re.findall(r"^  (\w[\w-]*)  ", slt("--help").out.partition("Commands:")[2], re.M)
    assert set(listed) == {words[0] for words in VERBS if words}


@pytest.mark.parametrize("words", [[], ["models"], ["prepare"], ["launch"], ["features"]])
def test_commands_are_told_in_whole_sentences(slt, words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    listed = slt(*words, "--help").out.partition("Commands:")[2]
    assert listed
    assert "..." not in listed


def test_help_loads_nothing_heavy():
    code = f"""
import sys
from slt_cli.main import main
assert main(["translate", "--help"]) == 0
import slt
print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_help_is_there_at_once():
    slt = Path(sys.executable).with_name("slt")

    def seconds() -> float:
        before = os.times()
        subprocess.run([slt, "--help"], capture_output=True, check=True)
        after = os.times()
        # Of the processor, not of the clock: what else the machine does is not our doing.
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(3)) <= 0.5


def test_the_installed_command_is_this_one():
    slt = Path(sys.executable).with_name("slt")
    done = subprocess.run([slt, "translate", "no.mp4", "--model", "no"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: unknown model 'no'")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_results_that_nothing_can_take_are_one_clear_failure():
    slt = Path(sys.executable).with_name("slt")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([slt, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr == "error: no space left on the device\n  fix: free some space, then run the same command again\n"
    )


def test_a_reader_that_leaves_early_is_no_failure_to_speak_of():
    slt = Path(sys.executable).with_name("slt")
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    reader.wait()
    time.sleep(0.05)
    done = subprocess.run([slt, "--version"], stdout=reader.stdin, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == ""
