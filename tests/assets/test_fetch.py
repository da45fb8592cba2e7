"""Files come whole or not at all, whatever servers, disks and kills do; and are what they were ever after."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from slt.assets import download
from slt.assets.download import Patience
from slt.assets.fetch import fetch
from slt.assets.published import PublishedFile
from slt.core.errors import SltError, UserError
from tests.servers import FileServer, answers, changes_to, claims, drops, ignores_ranges, stalls, tag, trickles

SIZE = 300_000
CONTENT = {name: hashlib.shake_128(name.encode()).digest(SIZE) for name in ("a.pt", "b.pt", "c.pt")}
OTHER = hashlib.shake_128(b"other").digest(SIZE)
FILES = [PublishedFile(name=n, url=f"https://files.example/{n}", about_bytes=SIZE, summary=n) for n in CONTENT]
A = FILES[:1]


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLT_OFFLINE", "0")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def waits() -> list[float]:
    """The seconds that were waited for; nobody waits for them here."""
    return []


@pytest.fixture
def get(server: FileServer, tmp_path: Path, waits: list[float]):
    """Fetch from the local server into ``folder``."""
    server.files = {f"/{name}": content for name, content in CONTENT.items()}

    def run(files=A, folder=tmp_path / "files", stall_s=10.0, **others):
        patience = Patience(stall_s=stall_s, sleep=waits.append, jitter=lambda: 1.0)
        return fetch(files, folder, **{"licence": "free", "mirror": server.url, "patience": patience} | others)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


def assert_whole(folder: Path, files=A) -> None:
    """The right bytes, their records, and nothing else but the lock."""
    for file in files:
        assert (folder / file.name).read_bytes() == CONTENT[file.name]
    records = json.loads((folder / "fetched.json").read_text())["files"]
    assert {n: r["sha256"] for n, r in records.items()} == {
        f.name: hashlib.sha256(CONTENT[f.name]).hexdigest() for f in files
    }
    assert {path.name for path in folder.iterdir()} == {"fetched.json", ".lock", *(file.name for file in files)}


def test_several_files_come_at_once_and_are_recorded(get, folder, server, capsys):
    seen = []
    records = get(FILES, progress=lambda *what: seen.append(what))
    assert_whole(folder, FILES)
    record = records["b.pt"]
    assert (record.url, record.size, record.licence) == (f"{server.url}/b.pt", SIZE, "free")
    assert record.etag == tag(CONTENT["b.pt"])
    assert ("c.pt", SIZE, SIZE) in seen
    assert f"a.pt: 0.3 MB, sha256 {records['a.pt'].sha256}" in capsys.readouterr().err


def test_what_is_here_is_not_fetched_again(get, folder, server):
    get(FILES)
    server.seen.clear()
    get(FILES)
    assert server.seen == []


def test_what_a_hand_removed_is_fetched_again_and_held_against_its_record(get, folder, server):
    first = get(FILES)
    (folder / "a.pt").unlink()
    assert get(FILES) == first
    assert_whole(folder, FILES)
    (folder / "a.pt").unlink()
    server.files["/a.pt"] = OTHER
    with pytest.raises(SltError, match=r"is not the a\.pt that was fetched at .*recorded was \w+; refused") as caught:
        get(FILES)
    assert (caught.value.exit_code, (folder / "a.pt").exists()) == (1, False)
    assert "slt models rm" in caught.value.fix
    server.files["/a.pt"] = CONTENT["a.pt"]
    get(FILES)
    assert_whole(folder, FILES)


@pytest.mark.parametrize("content", [OTHER, OTHER[:100]])
def test_a_file_that_changed_here_is_refused(get, folder, content):
    get(FILES)
    (folder / "b.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"b\.pt has changed since .*recorded was") as caught:
        get(FILES)
    assert "remove" in caught.value.fix
    (folder / "b.pt").unlink()
    get(FILES)
    assert_whole(folder, FILES)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 9}', '{"format": 1, "files": {"a.pt": {}}}'])
def test_a_damaged_record_is_not_taken_for_none(get, folder, content):
    get()
    (folder / "fetched.json").write_text(content)
    with pytest.raises(UserError, match=r"fetched\.json"):
        get()


def test_a_record_that_cannot_be_read_is_told(get, folder):
    (folder / "fetched.json").mkdir(parents=True)
    with pytest.raises(UserError, match=r"cannot read .*fetched\.json: Is a directory"):
        get()


def test_what_was_copied_here_is_recorded_as_it_is(get, folder, server, capsys):
    folder.mkdir()
    (folder / "a.pt").write_bytes(CONTENT["a.pt"])
    assert get()["a.pt"].url is None
    assert_whole(folder)
    assert server.seen == []
    assert "a.pt: was there already, recorded as it is" in capsys.readouterr().err


def test_half_a_copy_is_not_recorded(get, folder):
    folder.mkdir()
    (folder / "a.pt").write_bytes(CONTENT["a.pt"][:1000])
    with pytest.raises(UserError, match=r"a\.pt has 1000 bytes; about 300000 were expected"):
        get()
    (folder / "a.pt").unlink()
    get()
    assert_whole(folder)


STALL_S = {"stalls": 0.3, "trickles": 0.3}
PASSING = {
    "drops the connection": ([drops(100_000), drops(200_000)], "the connection ended after 100000 of 300000 bytes"),
    "stalls": ([stalls(100_000)], "nothing came for 0.3 s"),
    "trickles": ([trickles], "bytes came in 0 s"),
    "says 500": ([answers(500), answers(500)], "the server answered 500"),
    "says 503": ([drops(9), answers(503, Retry_After="7")], "the server answered 503"),
    "ignores ranges": ([drops(100_000), ignores_ranges], "cannot go on in the middle: starting anew"),
    "changes the file": ([changes_to(OTHER, drops(9)), changes_to(CONTENT["a.pt"])], "has changed on the server"),
    "sends other parts": (
        [drops(9), answers(206, Content_Range=f"bytes 5-{SIZE - 1}/{SIZE}", ETag=tag(CONTENT["a.pt"]))],
        "the server sent another part than the one asked for",
    ),
    "ignores If-Range": (
        [drops(9), answers(206, Content_Range=f"bytes 9-{SIZE - 1}/{SIZE}", ETag='"new"')],
        "has changed on the server",
    ),
    "claims too much once": ([claims(+10)], "the connection ended after 300000 of 300010 bytes"),
    "redirects": ([answers(302, Location="/b.pt?as=a.pt")], ""),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_outlasted(fault, get, folder, server, capsys):
    faults, said = PASSING[fault]
    server.faults["/a.pt"] = [*faults]
    server.files["/b.pt?as=a.pt"] = CONTENT["a.pt"]
    get(stall_s=STALL_S.get(fault, 10.0))
    assert_whole(folder)
    assert said in capsys.readouterr().err


LASTING = {
    "404": (answers(404), "answered 404 Not Found: there is no such file", "--mirror URL"),
    "403": (answers(403), "answered 403 Forbidden: no access", "--mirror URL"),
    "407": (answers(407), "the proxy refuses to pass on", "HTTPS_PROXY"),
    "500": (
        answers(500),
        r"cannot fetch http.*/a\.pt: the server answered 500 .* \(5 times in a row\)",
        "same command",
    ),
    "204": (answers(204), "answered 204 No Content, not a file", "--mirror URL"),
    "stalls": (stalls(0), r"nothing came for 0.3 s \(5 times", "same command"),
    "drops": (drops(0), r"the connection ended after 0 of 300000 bytes \(5 times", "same command"),
    "loops": (answers(302, Location="/a.pt"), "redirected in a loop", "--mirror URL"),
    "elsewhere": (answers(302, Location="ftp://files.example/a.pt"), "which is not encrypted: refused", "--mirror URL"),
    "nowhere": (answers(302), r"redirected in a loop or without a target \(302\)", "--mirror URL"),
    "nonsense": (answers(302, Location="http://["), "redirects to what is no address", "--mirror URL"),
    "no port": (answers(302, Location="http://127.0.0.1:x/"), r"no connection to .* \(5 times", "same command"),
    "never gets further": (
        lambda handler, content: handler.send(content, ranges=False, until=100_000),
        r"the connection ended after 100000 of 300000 bytes \(5 times",
        "same command",
    ),
    "too long": (claims(+10), r"there is no more of it|ended after 300000 of 300010 bytes", "same command"),
    "too short": (claims(-290_000), "is 10000 bytes long; about 300000 were expected", "--mirror URL"),
    "packed": (answers(200, Content_Encoding="gzip", Content_Length="300000"), "arrived compressed", "--mirror URL"),
    "endless": (answers(200, Content_Length=""), "has no Content-Length", "--mirror URL"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_is_told_and_a_later_run_succeeds(fault, get, folder, server):
    what, message, fix = LASTING[fault]
    server.faults["/a.pt"] = [what] * 30
    with pytest.raises(SltError, match=message) as caught:
        get(stall_s=STALL_S.get(fault, 10.0))
    assert fix in caught.value.fix
    assert caught.value.exit_code == (2 if fault == "407" else 1)
    assert not (folder / "a.pt").exists()
    server.faults.clear()
    get()
    assert_whole(folder)


def test_it_goes_on_where_it_stopped(get, folder, server):
    server.faults["/a.pt"] = [drops(100_000), answers(404)]
    with pytest.raises(SltError, match="404"):
        get()
    get()
    assert_whole(folder)
    assert [asked for _, asked in server.seen] == [None, "bytes=100000-", "bytes=100000-"]


def test_any_progress_renews_the_patience(get, folder, server, waits):
    server.faults["/a.pt"] = [drops(n) for n in range(10_000, SIZE, 10_000)]
    get()
    assert_whole(folder)
    assert set(waits) == {1.0}


def test_waits_grow_and_heed_the_server_within_reason(get, server, waits):
    server.faults["/a.pt"] = [
        answers(500),
        answers(500),
        answers(429, Retry_After="30"),
        answers(503, Retry_After="9999"),
    ]
    get()
    assert waits == [1.0, 2.0, 30.0, 60.0]
    assert Patience(jitter=lambda: 0.0).wait(3, 0.0) == 2.0


def test_a_part_from_elsewhere_or_of_nothing_known_is_not_gone_on_with(get, folder, server):
    for spoil in (
        lambda: (folder / "a.pt.part.json").unlink(),
        lambda: (folder / "a.pt.part.json").write_text('{"url": "http://other/a.pt", "size": 300000, "etag": "x"}'),
        lambda: (folder / "a.pt.part.json").write_text("{"),
        lambda: (folder / "a.pt.part").write_bytes(b"x" * (SIZE + 1)),
    ):
        server.faults["/a.pt"] = [drops(100_000), answers(404)]
        with pytest.raises(SltError, match="404"):
            get()
        spoil()
        server.seen.clear()
        get()
        assert server.seen == [("/a.pt", None)]
        assert_whole(folder)
        shutil.rmtree(folder)


def test_a_server_without_lengths_is_understood_when_it_marks_the_end(get, folder, server):
    def in_chunks(handler, content):
        handler.answer(200, {"Content-Length": "", "Transfer-Encoding": "chunked"})
        for begin in range(0, end, 50_000):
            part = content[begin : begin + 50_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if end != 250_000:
            handler.wfile.write(b"0\r\n\r\n")

    server.faults["/a.pt"] = [in_chunks]
    end = 250_000  # and then it is cut off
    get()
    server.faults["/b.pt"] = [in_chunks]
    end = SIZE
    get(FILES[:2])
    assert_whole(folder, FILES[:2])
    assert [path for path, _ in server.seen] == ["/a.pt", "/a.pt", "/b.pt"]
    server.faults["/c.pt"] = [in_chunks]
    end = 100_000
    with pytest.raises(SltError, match="ended after 100000 bytes; about 300000 were expected"):
        get(FILES)


def test_one_failure_hinders_no_other_file_and_all_are_told(get, folder, server):
    del server.files["/a.pt"]
    del server.files["/c.pt"]
    with pytest.raises(SltError, match=r"(a|c)\.pt answered 404[^\n]*\n .*(a|c)\.pt answered 404"):
        get(FILES)
    assert (folder / "b.pt").read_bytes() == CONTENT["b.pt"]


def test_a_server_that_is_not_there_is_told(get, server):
    with pytest.raises(SltError, match=r"no connection to 127\.0\.0\.1: Connection refused") as caught:
        get(mirror="http://127.0.0.1:9")
    assert caught.value.exit_code == 1


def test_a_mirror_may_have_a_path_and_come_from_the_environment(get, folder, server, monkeypatch):
    server.files = {"/some/where/a.pt": CONTENT["a.pt"]}
    monkeypatch.setenv("SLT_MIRROR", f"{server.url}/some/where/")
    get(mirror=None)
    assert_whole(folder)


@pytest.mark.parametrize(
    "mirror",
    [
        "files.example",
        "ftp://x",
        "http://",
        "https://me:pw@x",
        "http://x:y",
        "http://[",
        "http://a b",
        "http://ä",
        "http://x?y",
    ],
)
def test_what_is_no_mirror_is_told(get, mirror):
    with pytest.raises(UserError, match="is no address of a mirror"):
        get(mirror=mirror)


def test_offline_opens_no_socket_and_says_how_to_bring_the_files(get, folder, server, monkeypatch):
    get(A)
    server.seen.clear()
    monkeypatch.setenv("SLT_OFFLINE", "1")
    get(A)  # what is here is enough
    with pytest.raises(UserError, match=r"SLT_OFFLINE is set, and .* lacks b\.pt \(about 0\.3 MB\), c\.pt") as caught:
        get(FILES)
    assert "--to DIR" in caught.value.fix
    assert server.seen == []


def test_files_can_be_carried_to_a_machine_without_a_network(get, tmp_path, monkeypatch):
    get(FILES, tmp_path / "stick")
    shutil.copytree(tmp_path / "stick", tmp_path / "there")
    monkeypatch.setenv("SLT_OFFLINE", "1")
    get(FILES, tmp_path / "there")
    assert_whole(tmp_path / "there", FILES)


def test_a_disk_without_room_is_told_before_anything_is_asked(get, server, folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=SIZE * 2))
    with pytest.raises(SltError, match=r"files has 0\.6 MB free, and 0\.9 MB are to come") as caught:
        get(FILES)
    assert (server.seen, caught.value.exit_code) == ([], 1)
    monkeypatch.undo()
    monkeypatch.setenv("SLT_OFFLINE", "0")
    get(FILES)
    assert_whole(folder, FILES)


def test_a_disk_that_fills_up_is_told_and_nothing_is_lost(get, folder, server, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server.faults["/a.pt"] = [drops(100_000)]
    really = download.Download._pump
    pumps = [really, full]
    monkeypatch.setattr(download.Download, "_pump", lambda *args: pumps.pop(0)(*args))
    with pytest.raises(SltError, match=r"cannot write .*a\.pt\.part: No space left on device") as caught:
        get()
    assert caught.value.exit_code == 1
    monkeypatch.setattr(download.Download, "_pump", really)
    get()
    assert_whole(folder)
    assert server.seen[-1] == ("/a.pt", "bytes=100000-")


def test_a_folder_that_cannot_be_made_is_told(get, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/here"):
        get(folder=tmp_path / "file" / "here")


def test_an_interrupt_leaves_no_thread_that_writes_on(get, folder, server):
    server.faults["/a.pt"] = [stalls(100_000)]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        get(progress=interrupt, patience=Patience(stall_s=10))
    server.released.set()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (folder / "a.pt.part").stat().st_size <= 100_000
    get()
    assert_whole(folder)


def test_a_proxy_is_used_and_left_out_as_the_environment_says(get, folder, server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    get(mirror="http://files.example")
    assert_whole(folder)
    assert server.hosts == ["files.example"]
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    get(FILES[:2])
    assert_whole(folder, FILES[:2])


def test_a_proxy_that_lets_nothing_through_is_told(get, server, monkeypatch):
    monkeypatch.setenv("https_proxy", server.url)  # which knows no CONNECT
    with pytest.raises(
        UserError, match=r"the proxy lets nothing through to files\.example: Tunnel connection failed: 501"
    ):
        get(mirror="https://files.example")
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(UserError, match="HTTPS_PROXY names a SOCKS proxy"):
        get()
    monkeypatch.delenv("https_proxy")
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    with pytest.raises(UserError, match="ALL_PROXY names a SOCKS proxy"):
        get()


# A fetch in a process of its own, which kills itself at a chosen moment, as hard as kill -9 does.
PROCESS = """
import os, signal, sys
from pathlib import Path
from slt.assets import download, fetch, lockfile
from slt.assets.published import PublishedFile

url, folder, moment, *names = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(function, after):
    def run(*args):
        if after:
            function(*args)
        die()
    return run

module, _, rest = moment.partition(":")
if module:
    owner = {"download": download.Download, "fetch": fetch, "os": os}[module]
    name, _, when = rest.partition(":")
    setattr(owner, name, dying(getattr(owner, name), when == "after"))
files = [PublishedFile(name=n, url=f"https://files.example/{n}", about_bytes=300_000, summary=n) for n in names]
fetch.fetch(files, Path(folder), licence="free", mirror=url)
"""


def start(server: FileServer, folder: Path, moment: str, *names: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, server.url, str(folder), moment, *names]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "SLT_OFFLINE": "0"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(
    "moment",
    [
        "download:_start_anew:after",
        "download:_pump:after",
        "fetch:sha256_of:before",
        "fetch:add_record:before",
        "fetch:add_record:after",
        "os:replace:before",
        "os:replace:after",
        "download:forget:before",
    ],
)
def test_kill_9_leaves_nothing_that_passes_for_whole(moment, get, folder, server):
    process = start(server, folder, moment, "a.pt")
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    if (folder / "a.pt").exists():
        assert (folder / "a.pt").read_bytes() == CONTENT["a.pt"]
    get()
    get()
    assert (folder / "a.pt").read_bytes() == CONTENT["a.pt"]
    assert json.loads((folder / "fetched.json").read_text())["files"]["a.pt"]["size"] == SIZE


def test_kill_9_in_the_middle_of_a_body_is_gone_on_with(get, folder, server):
    server.faults["/a.pt"] = [stalls(100_000)]
    process = start(server, folder, "", "a.pt")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not ((p := folder / "a.pt.part").exists() and p.stat().st_size >= 100_000):
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=20)
    server.released.set()
    get()
    assert_whole(folder)
    assert server.seen[-1] == ("/a.pt", "bytes=100000-")


def test_two_processes_do_not_fetch_the_same(get, folder, server):
    server.faults["/a.pt"] = [stalls(1000)]
    first = start(server, folder, "", *CONTENT)
    assert server.asked.wait(20)
    second = start(server, folder, "", *CONTENT)
    assert any("another slt is at work in" in line for line in second.stderr)
    server.released.set()
    first.communicate(timeout=20)
    second.communicate(timeout=20)
    assert (first.returncode, second.returncode) == (0, 0)
    assert_whole(folder, FILES)
    assert sorted(path for path, _ in server.seen) == ["/a.pt", "/b.pt", "/c.pt"]
