"""What is on the disk after a server was killed, and what the next one makes of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from slt.core.errors import UserError
from slt.serve.jobs import Job, JobStore, Options, State, shown_name, stored_name
from slt.serve.lock import only_server
from slt.serve.settings import ServeSettings
from tests.serve.conftest import VIDEO, StandIn, until, upload

URL = "/api/v1/translations"


def write_job(data: Path, **changed) -> Job:
    """Leave a job behind as a killed server would."""
    fields = {"id": "0" * 31 + str(len(list(data.glob("jobs/*")))), "name": "a.mp4", "file": "video.mp4", "size": 5}
    job = Job(**(fields | {"options": Options(model="demo", langs=("eng_Latn",)), "created_s": time.time()} | changed))
    store = JobStore(data)
    store.folder.mkdir(parents=True, exist_ok=True)
    draft = store.draft()
    (draft / job.file).write_bytes(VIDEO)
    store.accept(draft, job)
    return job


def test_what_was_queued_or_under_way_is_done_by_the_next_server(serve, tmp_path):
    queued = write_job(tmp_path / "data")
    running = write_job(tmp_path / "data", state=State.running, attempts=1, sentences=[{"half": "done"}])
    client = serve()
    assert until(client, queued.id)["state"] == "done"
    again = until(client, running.id)
    assert (again["state"], again["n_sentences"]) == ("done", 1)
    assert again["note"] == "the server was restarted while it translated this video, and began again"
    assert [request["id"] for request in StandIn.running[0].requests if request["id"]] == [queued.id, running.id]


def test_a_video_that_is_there_whenever_the_server_dies_is_given_up_by_name(serve, tmp_path, capsys):
    job = write_job(tmp_path / "data", state=State.running, attempts=3)
    found = serve().get(f"{URL}/{job.id}").json()
    assert (found["state"], found["error"]["code"]) == ("failed", "lost")
    assert found["error"]["message"] == "the server ended 3 times while it translated this video"
    assert "0 translations queued again, 1 given up" in capsys.readouterr().err


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"id": 1}', "\x00"])
def test_a_record_that_cannot_be_read_is_named_and_costs_no_other(serve, tmp_path, record):
    damaged, whole = write_job(tmp_path / "data"), write_job(tmp_path / "data")
    (tmp_path / "data" / "jobs" / damaged.id / "job.json").write_text(record)
    client = serve()
    found = client.get(f"{URL}/{damaged.id}").json()
    assert (found["state"], found["error"]["code"]) == ("failed", "lost")
    assert client.get(f"{URL}/{damaged.id}/video").content == VIDEO
    assert client.get(f"{URL}/{damaged.id}/results/txt").status_code == 422
    assert until(client, whole.id)["state"] == "done"
    assert client.delete(f"{URL}/{damaged.id}").status_code == 204


def test_what_was_half_uploaded_is_removed(serve, tmp_path):
    draft = JobStore(tmp_path / "data").draft()
    (draft / "video.mp4").write_bytes(VIDEO)
    serve()
    assert not list((tmp_path / "data" / "jobs").iterdir())


def test_a_server_that_ends_leaves_what_it_had_not_finished_to_the_next(serve):
    first = serve()
    slow = upload(first, "slow.mp4").json()["id"]
    until(first, slow, "running")
    waiting = upload(first, "later.mp4").json()["id"]
    first.__exit__(None, None, None)
    second = serve()
    assert until(second, slow, "running")["note"]
    second.post(f"{URL}/{slow}/cancel")
    assert until(second, waiting)["state"] == "done"


def test_what_is_old_is_removed_but_corrections_stay(serve, tmp_path):
    first = serve()
    job = until(first, upload(first).json()["id"])["id"]
    assert first.put(f"{URL}/{job}/sentences/0/corrections/eng_Latn", json={"text": "x"}).status_code == 200
    first.__exit__(None, None, None)
    record = tmp_path / "data" / "jobs" / job / "job.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"finished_s": time.time() - 86500}))
    client = serve()
    for _ in range(1000):
        if not list((tmp_path / "data" / "jobs").iterdir()):
            break
        time.sleep(0.01)
    assert not list((tmp_path / "data" / "jobs").iterdir())
    assert client.get(f"{URL}/{job}").status_code == 404
    assert client.get("/api/v1/corrections").json()["n_corrections"] == 1
    assert len(list((tmp_path / "data" / "corrections" / "videos").iterdir())) == 1


def test_no_more_than_so_many_are_kept(serve, tmp_path):
    jobs = [write_job(tmp_path / "data", state=State.done, finished_s=time.time() + n) for n in range(4)]
    client = serve(max_kept=2)
    left = []
    for _ in range(1000):
        left = [job["id"] for job in client.get(URL).json()]
        if len(left) == 2:
            break
        time.sleep(0.01)
    assert left == [jobs[3].id, jobs[2].id]


def test_one_folder_has_one_server(tmp_path):
    first, second = only_server(tmp_path / "data"), only_server(tmp_path / "data")
    with first, pytest.raises(UserError, match="another slt serve uses"), second:
        pass
    with only_server(tmp_path / "data"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"), only_server(tmp_path / "file" / "data"):
        pass
    with pytest.raises(UserError, match="file is no folder"):
        ServeSettings(models=(), data=tmp_path, videos=tmp_path / "file")


def test_names_are_text_and_only_a_known_ending_reaches_the_disk():
    assert shown_name("C:\\videos\\a\u202e\n.mp4") == "a.mp4"
    assert shown_name("../..") == ".."
    assert shown_name("a/") == "video"
    assert len(shown_name("x" * 999)) == 200
    names = ["A.MP4", "a.html", "a.mp4/../../b.sh", "..", "a.webm\0", ".mkv"]
    assert [stored_name(name) for name in names] == ["video.mp4", *["video.bin"] * 3, "video.webm", "video.bin"]


def test_a_record_says_all_that_is_kept(tmp_path):
    job = write_job(tmp_path, corrections={"0": {"eng_Latn": "x"}}, sentences=[{"index": 0}])
    (again,) = JobStore(tmp_path).load()
    assert again.record() == job.record()
    assert json.loads((tmp_path / "jobs" / job.id / "job.json").read_text())["state"] == "queued"
