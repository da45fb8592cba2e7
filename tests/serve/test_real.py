"""Whole servers: a process, its worker, the demo model; and a camera that shows a demo clip."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import av
import httpx
import pytest

from slt.data.manifest import read_manifest
from slt_cli.main import main
from tests.serve.browser import chromium, needs_browser, whole_server

pytestmark = pytest.mark.slow
CLIPS = Path(__file__).parents[2] / "src" / "slt" / "demo" / "clips"
CLIP = CLIPS / "videos" / "test" / "test-000000.mp4"
FIRST = read_manifest(CLIPS / "test.tsv").clips[0]


def send(api: httpx.Client, content: bytes | None = None, name: str = "clip.mp4", **fields) -> dict:
    answer = api.post("translations", files={"file": (name, content or CLIP.read_bytes())}, data=fields)
    assert answer.status_code == 202, answer.text
    return answer.json()


def ended(api: httpx.Client, job: dict) -> dict:
    for _ in range(3000):
        found = api.get(f"translations/{job['id']}").json()
        if found["state"] in ("done", "failed", "cancelled"):
            return found
        time.sleep(0.02)
    raise AssertionError(f"still {found}")


def session_of(pid: int) -> list[int]:
    """Return the processes of the sessions that a server's children lead, and of their children."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found.append((int(status.parent.name), int(fields[1]), int(fields[3])))
    leaders = {process for process, parent, _ in found if parent == pid}
    return [process for process, _, session in found if session in leaders]


def test_what_is_accepted_survives_a_kill_and_no_process_does(tmp_path):
    with whole_server(tmp_path) as (server, address):
        api = httpx.Client(base_url=f"{address}api/v1/", timeout=60)
        first = ended(api, send(api, lang=["eng_Latn", "deu_Latn"], nbest="2"))
        texts = first["sentences"][0]["texts"]
        assert texts["eng_Latn"][0]["text"] == FIRST.text
        assert texts["deu_Latn"][0]["text"] == FIRST.texts()["deu_Latn"]
        assert len(texts["eng_Latn"]) == 2
        wrong = ended(api, send(api, CLIP.read_bytes()[:300], "cut.mp4"))
        assert wrong["state"] == "failed"
        assert "cut.mp4" in wrong["error"]["message"]
        assert str(tmp_path) not in str(wrong)
        answer = api.put(f"translations/{first['id']}/sentences/0/corrections/eng_Latn", json={"text": "A farmer."})
        assert answer.status_code == 200
        processes = session_of(server.pid)
        jobs = [send(api, name=f"{number}.mp4") for number in range(3)]
        assert processes
        server.kill()
        server.wait()
    for _ in range(500):
        if not any(Path(f"/proc/{process}").exists() for process in processes):
            break
        time.sleep(0.02)
    assert not [process for process in processes if Path(f"/proc/{process}").exists()]
    manifest = tmp_path / "serve" / "corrections" / "manifest.tsv"
    assert main(["check-manifest", str(manifest)]) == 0
    with whole_server(tmp_path) as (server, address):
        api = httpx.Client(base_url=f"{address}api/v1/", timeout=60)
        again = [ended(api, job) for job in jobs]
        assert [job["sentences"][0]["texts"]["eng_Latn"][0]["text"] for job in again] == [FIRST.text] * 3
        assert api.get(f"translations/{first['id']}").json()["sentences"][0]["corrections"] == {"eng_Latn": "A farmer."}
        os.kill(session_of(server.pid)[0], signal.SIGKILL)
        assert ended(api, send(api))["state"] in ("done", "failed"), "a worker that was killed is started again"
        assert ended(api, send(api))["state"] == "done"
        assert main(["serve", "--port", "0", "--data", str(tmp_path / "serve")]) == 2, "another server holds the folder"


@needs_browser
def test_the_camera_is_recorded_shown_and_translated(tmp_path):
    film = tmp_path / "camera.y4m"
    with av.open(str(CLIP)) as source, av.open(str(film), "w") as target:
        stream = target.add_stream("wrapped_avframe", rate=25)
        stream.width = stream.height = 224
        stream.pix_fmt = "yuv420p"
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(format="yuv420p")))
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with (
        whole_server(tmp_path) as (_, address),
        chromium(*fake, f"--use-file-for-fake-video-capture={film}") as browser,
    ):
        page = browser.new_context(permissions=["camera"]).new_page()
        page.set_default_timeout(60_000)
        page.goto(address)
        page.wait_for_selector("#new:not([hidden])")
        page.check("input[name=source][value=camera]")
        page.click("#camera-start")
        page.click("#record")
        assert "mirror" in (page.get_attribute("#camera", "class") or "")
        page.wait_for_selector("#countdown.recording")
        page.wait_for_timeout(1500)
        page.click("#stop")
        page.wait_for_selector("#recorded:not([hidden])")
        page.click("#again")
        page.wait_for_selector("#record:not([hidden])")
        page.click("#record")
        page.wait_for_selector("#countdown.recording")
        page.wait_for_timeout(2500)
        page.click("#stop")
        page.wait_for_selector("#recorded:not([hidden])")
        page.click("#translate")
        page.wait_for_selector("#downloads a")
        assert page.inner_text("#sentences .words")
        assert page.inner_text("#result-title").startswith("camera ")
        assert page.is_hidden("#recorded"), "the camera is off"
