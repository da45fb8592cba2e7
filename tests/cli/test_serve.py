from __future__ import annotations

import re
import shlex
import socket
from pathlib import Path

import pytest
import typer
import yaml

from slt_cli.arguments import check_arguments
from slt_cli.main import app

DOCKER = Path(__file__).parents[2] / "docker"


@pytest.fixture
def served(monkeypatch):
    """Stand in for the server itself, and note its application."""
    import uvicorn

    started = []

    async def serve(self, sockets) -> None:
        started.append(self.config)

    monkeypatch.setattr(uvicorn.Server, "serve", serve)
    return started


def test_the_address_is_printed_and_the_folder_made(slt, served, tmp_path):
    outcome = slt("serve", "--port", "0", "--data", tmp_path / "data")
    assert outcome.code == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\n", outcome.out)
    assert len(served) == 1
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0, "nobody else's videos"


def test_an_open_address_prints_a_link_with_a_new_token(slt, served, tmp_path):
    first, second = (slt("serve", "--host", "0.0.0.0", "--port", "0", "--data", tmp_path).out for _ in range(2))
    assert re.fullmatch(r"http://localhost:\d+/#token=[\w-]{32}\n", first)
    assert first.partition("#")[2] != second.partition("#")[2]


def test_mistakes_are_told_before_anything_is_served(slt, served, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = slt("serve", "--port", port)
    assert (outcome.code, served) == (2, [])
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in outcome.err
    for options, said in {
        "--model nothing": "unknown model 'nothing'",
        "--max-upload lots": "found the size 'lots'",
        "--token-file none": "none does not exist",
        "--videos none": "none is no folder",
        "--keep 0": "found keep_s 0.0, expected a number above 0",
        "--host 300.0.0.1 --token-file token": "cannot listen on 300.0.0.1:0",
    }.items():
        (tmp_path / "token").write_text("long-enough-a-token")
        words = [tmp_path / word if word == "token" else word for word in options.split()]
        outcome = slt("serve", "--port", "0", *words)
        assert (outcome.code, served) == (2, []), options
        assert said in outcome.err


def test_the_service_of_compose_and_systemd_are_commands_that_slt_takes():
    command = typer.main.get_command(app)
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))["services"]["serve"]
    check_arguments(compose["command"], command)
    assert compose["healthcheck"]["test"][0] == "CMD"
    unit = (DOCKER / "slt-serve.service").read_text("utf-8")
    (line,) = re.findall(r"^ExecStart=(.+)$", unit, re.M)
    check_arguments(shlex.split(line)[1:], command)
