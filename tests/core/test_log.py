from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest

from slt.core import log
from slt.core.errors import SltError, UserError


def on_a_terminal(code: str, **streams: object) -> str:
    """Run ``code`` with stderr, and whatever stream is not given, on a terminal; return what it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], **{"stdout": theirs, "stderr": theirs, **streams})
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += (piece := os.read(ours, 4096))
        except OSError:  # how Linux says that the other side is gone
            break
        if not piece:
            break
    assert process.wait(timeout=30) == 0
    os.close(ours)
    return shown.decode()


def test_results_go_to_stdout_and_all_else_to_stderr(capsys):
    log.result("text")
    log.say("told")
    log.warn("odd")
    log.fail(UserError("wrong", fix="mend it"))
    log.fail(SltError("broken"))
    out, err = capsys.readouterr()
    assert out == "text\n"
    assert err == "told\nwarning: odd\nerror: wrong\n  fix: mend it\nerror: broken\n"


def test_a_full_disk_is_told_once(monkeypatch):
    class Full(io.StringIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="No space left"):
        log.result("text")
    print("goes nowhere")


@pytest.mark.parametrize(("value", "said"), [(0.042, "0.04 s"), (3.21, "3.2 s"), (147.9, "148 s")])
def test_seconds_have_as_many_digits_as_one_reads(value, said):
    assert log.seconds(value) == said


@pytest.mark.parametrize(("value", "said"), [(0, "0.0 MB"), (4_852_054, "4.9 MB"), (3_468_000_000, "3.47 GB")])
def test_sizes_are_in_the_unit_one_reads(value, said):
    assert log.size(value) == said


def test_progress_off_a_terminal_is_a_line_now_and_then(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(log.time, "monotonic", lambda: now)
    with log.bars() as bars:
        for now in range(25):
            bars.update("videos", now, 25)
        bars.update("windows", 3, None)
    assert capsys.readouterr().err == "videos: 10 of 25\nvideos: 20 of 25\n"


def test_progress_on_a_terminal_is_a_bar_and_leaves_with_the_work():
    code = """
from slt.core import log
with log.bars() as bars:
    bars.update("videos", 1, 2)
    log.result("a text")
    log.warn("careful")
    bars.update("videos", 2, 2)
"""
    shown = on_a_terminal(code)
    assert "videos" in shown
    assert "1/2" in shown
    assert "a text\r\n" in shown
    assert "\x1b[33mwarning:\x1b[0m careful" in shown
    assert "videos" not in shown.rpartition("\x1b[2K")[2]


def test_results_in_a_file_are_complete_while_a_bar_is_on_the_terminal(tmp_path):
    code = """
from slt.core import log
with log.bars() as bars:
    bars.update("videos", 1, None)
    log.result("a text")
    print("printed")
"""
    with open(tmp_path / "out.txt", "wb") as file:
        shown = on_a_terminal(code, stdout=file)
    assert (tmp_path / "out.txt").read_text() == "a text\nprinted\n"
    assert "a text" not in shown


def test_a_pace_is_of_what_was_done_since_it_was_first_asked(monkeypatch):
    now = iter([100.0, 100.0, 104.0, 110.0])
    monkeypatch.setattr(log.time, "monotonic", lambda: next(now))
    pace = log.Pace()
    assert [pace(done, 30) for done in (10, 11, 12, 15)] == [
        "",
        "",
        "0.5 a second, 36 s left",
        "0.5 a second, 30 s left",
    ]


@pytest.mark.parametrize(("value", "written"), [(3.4, "3 s"), (150, "2 min"), (7200, "2.0 h")])
def test_a_span_is_written_as_one_says_it(value, written):
    assert log.span(value) == written


def test_a_terminal_that_only_prints_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    code = 'from slt.core import log\nwith log.bars() as bars:\n    bars.update("videos", 1, 2)\n'
    assert "\x1b" not in on_a_terminal(code)
