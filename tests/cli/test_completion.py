"""Shell completion, as the shells ask for it, and in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SLT = Path(sys.executable).with_name("slt")


def ask(shell: str, words: str) -> list[str]:
    """Return what a shell is answered after these words, the last of them unfinished."""
    asks = {"_SLT_COMPLETE": f"complete_{shell}", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    asks |= {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run([SLT], env=os.environ | asks, capture_output=True, text=True, check=True, timeout=60)
    assert not done.stderr
    return [line for line in done.stdout.split("\n") if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("slt train-v", ["train-vlp"]),
        ("slt models f", ["fetch"]),
        ("slt train-vlp pho", ["phoenix-vlp", "phoenix"]),
        ("slt translate --model de", ["demo"]),
        ("slt translate --save-f", ["--save-features"]),
        ("slt train-encoder ./rec", []),
    ],
)
def test_verbs_options_recipes_and_models_are_completed(words, offered):
    assert ask("bash", words) == offered


def test_languages_come_with_their_names_where_the_shell_shows_them():
    assert ask("fish", "slt translate --lang deu") == ["deu_Latn\tGerman"]
    assert any('"deu_Latn":"German"' in line for line in ask("zsh", "slt translate --lang deu"))


def in_bash(home: Path, script: str) -> str:
    """Run lines in a bash that reads no file of its own, with slt on its PATH."""
    environment = os.environ | {"HOME": str(home), "PATH": f"{SLT.parent}:{os.environ['PATH']}"}
    command = ["bash", "--norc", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=home)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_a_real_bash_completes_once_it_was_installed(tmp_path):
    said = in_bash(tmp_path, "slt --install-completion; exit $?")  # which shell it is, slt sees by its parent
    assert "bash completion installed" in said
    script = """
        source ~/.bashrc
        COMP_WORDS=(slt translate --model de) COMP_CWORD=3
        $(complete -p slt | sed 's/.*-F \\([^ ]*\\) .*/\\1/') slt de --model
        echo "${COMPREPLY[@]}"
    """
    assert in_bash(tmp_path, script) == "demo\n"
    assert "complete -o default -F" in in_bash(tmp_path, "slt --show-completion; exit $?")
