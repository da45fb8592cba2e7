"""Put a server of ``slt serve`` under load, under attack, and to death, and print what came of it.

python benchmarks/serve.py load --seconds 120 --clients 50
python benchmarks/serve.py hostile --examples 300 --cancelled 1000
python benchmarks/serve.py kills --moments 10

``hostile`` runs schemathesis on the schema through uvx, which fetches it once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from slt.data.manifest import read_manifest
from slt.demo.show import CLIPS

FIRST = read_manifest(CLIPS).clips[0]
VIDEO = (CLIPS.parent / str(FIRST.video)).read_bytes()


@contextlib.contextmanager
def server(home: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server; yield its process and address."""
    command = [sys.executable, "-m", "slt_cli.main", "serve", "--model", "demo", "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"SLT_HOME": str(home)}, stderr=sys.stderr
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def processes_of(pid: int) -> list[int]:
    """Return a server's process and those of the sessions that its children lead."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            found.append((int(status.parent.name), int(fields[1]), int(fields[3])))
    leaders = {process for process, parent, _ in found if parent == pid}
    return [pid, *(process for process, _, session in found if session in leaders)]


def memory_mb(pid: int) -> dict[str, float]:
    """Return the resident memory of the server and of all its workers, in MB."""
    sizes = {}
    for process in processes_of(pid):
        with contextlib.suppress(OSError):
            sizes[process] = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {"server": sizes.get(pid, 0) / 1e6, "workers": (sum(sizes.values()) - sizes.get(pid, 0)) / 1e6}


async def submit(api: httpx.AsyncClient, content: bytes = VIDEO, name: str = "clip.mp4") -> str:
    """Upload a video, as often as the queue is full; return its id."""
    while True:
        answer = await api.post("translations", files={"file": (name, content)})
        if answer.status_code == 202:
            return str(answer.json()["id"])
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(min(float(answer.headers["retry-after"]), 2.0))


async def finished(api: httpx.AsyncClient, job: str) -> dict[str, Any]:
    """Wait for a translation."""
    while True:
        found: dict[str, Any] = (await api.get(f"translations/{job}")).json()
        if found["state"] in ("done", "failed", "cancelled"):
            return found
        await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def api_of(address: str) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=f"{address}api/v1/", timeout=120, limits=limits) as api:
        yield api


def health(address: str, seconds: float) -> list[float]:
    """Ask for a server's health again and again, from a process of its own; return the seconds each answer took."""
    ends, took = time.monotonic() + seconds, []
    with httpx.Client(timeout=60) as client:
        while (began := time.monotonic()) < ends:
            assert client.get(f"{address}healthz").status_code == 200
            took.append(time.monotonic() - began)
            time.sleep(0.1)
    return took


async def load(address: str, pid: int, *, seconds: float, clients: int) -> dict[str, Any]:
    """Let clients translate, read and delete for a while, and watch memory and health."""
    ends = 0.0
    texts: Counter[str] = Counter()
    memory: list[dict[str, float]] = []

    async def client(api: httpx.AsyncClient) -> None:
        while time.monotonic() < ends:
            found = await finished(api, job := await submit(api))
            right = found["state"] == "done" and found["sentences"][0]["texts"]["eng_Latn"][0]["text"] == FIRST.text
            texts["right" if right else f"{found['state']}: {found['error']}"] += 1
            await api.delete(f"translations/{job}")

    async def watch() -> None:
        while time.monotonic() < ends:
            memory.append(memory_mb(pid))
            await asyncio.sleep(max(seconds / 8, 1))

    async with api_of(address) as api:
        await finished(api, first := await submit(api))
        await api.delete(f"translations/{first}")
        ends = time.monotonic() + seconds
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            healthy = asyncio.get_running_loop().run_in_executor(pool, health, address, seconds)
            await asyncio.gather(watch(), *(client(api) for _ in range(clients)))
            took = await healthy
        left = len((await api.get("translations")).json())
    return {
        "translated": texts,
        "left_or_lost": left,
        "per_second": round(sum(texts.values()) / seconds, 2),
        "healthz_ms": {f"p{p}": round(float(np.percentile(took, p)) * 1000, 1) for p in (50, 95, 99)},
        "memory_mb_over_time": [{name: round(size) for name, size in one.items()} for one in memory],
    }


def raw(address: str, request: bytes, *pieces: bytes, pause_s: float = 0.0, close: bool = False) -> str:
    """Send bytes as they are; return the status line of the answer."""
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection, contextlib.suppress(OSError):
        connection.sendall(request.replace(b"HOST", f"{host}:{port}".encode()))
        for piece in pieces:
            time.sleep(pause_s)
            connection.sendall(piece)
        if close:
            return "we left"
        return connection.recv(4096).split(b"\r\n")[0].decode("latin-1")
    return "the server left"


def lying_uploads(address: str) -> Counter[str]:
    """Uploads that stop half-way, claim another length, or never end; requests that are none."""
    head = b"POST /api/v1/translations HTTP/1.1\r\nHost: HOST\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../../../tmp/a.mp4"\r\n\r\n'
    answers: Counter[str] = Counter()
    rng = random.Random(0)
    for number in range(60):
        cut = VIDEO[: rng.randrange(len(VIDEO))]
        body = part + cut + b"\r\n--x--\r\n"
        claim = {0: len(body), 1: len(body) + 999_999, 2: 10**15, 3: 5, 4: -1}[number % 5]
        length = b"Content-Length: %d\r\n\r\n" % claim
        answers[raw(address, head + length, body, close=number % 5 == 1)] += 1
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    answers[raw(address, chunked + b"ffffffffffffffffff\r\n", b"x" * 100)] += 1
    answers[raw(address, head + b"Content-Length: 900000\r\n\r\n", *[b"-"] * 5, pause_s=0.3)] += 1  # then silence
    for line in (b"\0" * 200, b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"):
        answers[raw(address, line)] += 1
    return answers


async def broken_videos(api: httpx.AsyncClient) -> Counter[str]:
    """Videos with bytes changed, cut or exchanged; and what is none."""
    rng = random.Random(1)
    videos = [b"", b"\0" * 10_000, rng.randbytes(50_000), b"#EXTM3U\nfile:///etc/passwd\n", b"RIFF\xff\xff\xff\xffAVI "]
    for _ in range(35):
        changed = bytearray(VIDEO)
        for _ in range(rng.choice((1, 20, 500))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        videos.append(bytes(changed[: rng.choice((len(changed), len(changed) // 2))]))
    states: Counter[str] = Counter()
    for number, video in enumerate(videos):
        if not video:
            continue
        states[(await finished(api, await submit(api, video, f"{number}.mp4")))["state"]] += 1
    return states


async def cancelled(api: httpx.AsyncClient, number: int) -> Counter[str]:
    """Jobs that are cancelled at once, or deleted."""
    states: Counter[str] = Counter()

    async def one(index: int) -> None:
        job = await submit(api)
        if index % 3:
            await api.post(f"translations/{job}/cancel")
            states[(await finished(api, job))["state"]] += 1
        await api.delete(f"translations/{job}")

    for first in range(0, number, 20):
        await asyncio.gather(*(one(index) for index in range(first, min(first + 20, number))))
    return states


async def hostile(address: str, pid: int, home: Path, *, examples: int, n_cancelled: int) -> dict[str, Any]:
    """Attack a server, then look at what is left."""
    found: dict[str, Any] = {}
    uvx = Path(sys.executable).with_name("uvx")
    command = [str(uvx), "--quiet", "--from", "schemathesis<5", "schemathesis", "run", f"{address}openapi.json"]
    command += ["--url", address.rstrip("/"), "--max-examples", str(examples), "--checks", "not_a_server_error"]
    command += ["--exclude-path-regex", "events$", "--phases", "examples,coverage,fuzzing", "--seed", "0"]
    if examples:
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
        found["schemathesis"] = {"exit": done.returncode, "said": done.stdout.strip().splitlines()[-12:]}
    found["lying uploads"] = await asyncio.to_thread(lying_uploads, address)
    async with api_of(address) as api:
        found["broken videos"] = await broken_videos(api)
        found["cancelled"] = await cancelled(api, n_cancelled)
        for job in (await api.get("translations")).json():
            await api.delete(f"translations/{job['id']}")
        found["still right"] = (await finished(api, await submit(api)))["sentences"][0]["texts"]["eng_Latn"][0]["text"]
        for job in (await api.get("translations")).json():
            await api.delete(f"translations/{job['id']}")
        found["health"] = (await api.get(f"{address}healthz")).json()
    found["left on the disk"] = [str(path.relative_to(home)) for path in (home / "serve" / "jobs").rglob("*")]
    found["processes"] = len(processes_of(pid))
    found["memory_mb"] = memory_mb(pid)
    return found


async def orphans(pids: list[int]) -> int:
    """Return how many of these processes are still there after ten seconds."""
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return 0
        await asyncio.sleep(0.1)
    return sum(Path(f"/proc/{pid}").exists() for pid in pids)


async def kills(home: Path, *, moments: int) -> dict[str, Any]:
    """Kill a server at moments of a job, and see that the next one tells what became of everything accepted."""
    fates: Counter[str] = Counter()
    for moment in range(moments):
        accepted: list[str] = []
        with server(home) as (process, address):
            async with api_of(address) as api:
                await finished(api, await submit(api))  # the model is loaded
                pids = processes_of(process.pid)
                asyncio.get_running_loop().call_later(0.1 + 0.15 * moment, os.kill, process.pid, signal.SIGKILL)
                with contextlib.suppress(httpx.HTTPError):
                    while True:
                        accepted.append(await submit(api))
                        await asyncio.sleep(0.1)
            process.wait()
        fates["orphan processes"] += await orphans(pids)
        with server(home) as (_, address):
            async with api_of(address) as api:
                for job in accepted:
                    found = await finished(api, job)
                    fates[found["state"] + (" after beginning again" if found["note"] else "")] += 1
    fates["drafts left"] = len(list((home / "serve" / "jobs").glob(".*")))
    return dict(fates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["load", "hostile", "kills"])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--cancelled", type=int, default=50)
    parser.add_argument("--moments", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slt-serve-") as folder:
        home = Path(folder)
        if given.what == "kills":
            found = asyncio.run(kills(home, moments=given.moments))
        else:
            with server(home) as (process, address):
                if given.what == "load":
                    found = asyncio.run(load(address, process.pid, seconds=given.seconds, clients=given.clients))
                else:
                    attack = hostile(address, process.pid, home, examples=given.examples, n_cancelled=given.cancelled)
                    found = asyncio.run(attack)
    print(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
