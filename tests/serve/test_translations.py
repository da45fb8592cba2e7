from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from slt.data.manifest import read_manifest
from tests.bundles import bundle  # noqa: F401 - fixture
from tests.frame_bundles import keypoint_bundle, siglip_folder  # noqa: F401 - fixtures
from tests.serve.conftest import VIDEO, StandIn, until, upload

URL = "/api/v1/translations"


def test_an_upload_is_translated_and_its_results_come_in_every_format(serve):
    client = serve()
    answer = upload(client, "../../ä <b>.mp4", lang=["eng_Latn", "deu_Latn"], sentences="true", nbest="2")
    assert answer.status_code == 202
    job = until(client, answer.json()["id"])
    assert (job["state"], job["name"], job["n_sentences"]) == ("done", "ä <b>.mp4", 2)
    assert [one["text"] for one in job["sentences"][1]["texts"]["deu_Latn"]] == ["deu_Latn 1 0", "deu_Latn 1 1"]
    results = f"{URL}/{job['id']}/results"
    assert client.get(f"{results}/txt").text == "eng_Latn 0 0\neng_Latn 1 0\n"
    assert "00:00:02,000 --> 00:00:03,500\ndeu_Latn 1 0" in client.get(f"{results}/srt?lang=deu_Latn").text
    vtt = client.get(f"{results}/vtt")
    assert vtt.text.startswith("WEBVTT\n\n")
    assert vtt.headers["content-type"] == "text/vtt; charset=utf-8"
    assert vtt.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A4%20%3Cb%3E.eng_Latn.vtt"
    assert len(client.get(f"{results}/json").json()) == 2
    assert client.get(f"{results}/exe").status_code == 404
    assert client.get(f"{results}/srt?lang=fra_Latn").json()["error"]["code"] == "bad_request"


def test_the_video_comes_back_whole_and_in_ranges(serve):
    client = serve()
    job = upload(client).json()["id"]
    whole = client.get(f"{URL}/{job}/video")
    assert (whole.content, whole.headers["content-type"]) == (VIDEO, "video/mp4")
    part = client.get(f"{URL}/{job}/video", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, VIDEO[4:8])
    page = upload(client, "x.html").json()["id"]
    assert client.get(f"{URL}/{page}/video").headers["content-type"] == "application/octet-stream"


def test_events_tell_every_change_and_begin_where_the_client_left(serve):
    client = serve()
    job = upload(client, sentences="true").json()["id"]
    events = client.get(f"{URL}/{job}/events").text
    assert re.findall(r"^event: (\w+)", events, re.M)[-1] == "end"
    assert re.findall(r"^id: (\d+)", events, re.M) == ["1", "2"]
    later = client.get(f"{URL}/{job}/events", headers={"Last-Event-ID": "1"}).text
    assert re.findall(r"^id: (\d+)", later, re.M) == ["2"]
    assert client.get(f"{URL}/{job}/events", headers={"Last-Event-ID": "99"}).text.count("event: sentence") == 2
    assert client.get(f"{URL}/{job}/events", headers={"Last-Event-ID": "x"}).text.count("event: sentence") == 2


def test_without_options_the_first_model_and_english_are_taken(serve):
    client = serve()
    options = upload(client).json()["options"]
    assert options == {"model": "demo", "langs": ["eng_Latn"], "sentences": False, "nbest": 1, "rerank": False}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lang": "xx"}, "unknown language 'xx'"),
        ({"lang": "fra_Latn"}, "does not support fra_Latn"),
        ({"model": "dmeo"}, "unknown model 'dmeo'; this server has demo"),
        ({"nbest": "9"}, "nbest: Input should be less than or equal to 5"),
        ({"nbest": ["1", "2"]}, "found the field nbest 2 times"),
        ({"sentences": "maybe"}, "sentences: Input should be a valid boolean"),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_wrong_options_are_named_and_nothing_is_kept(serve, tmp_path, fields, said):
    client = serve()
    answer = upload(client, **fields)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]
    assert not list((tmp_path / "data" / "jobs").iterdir())
    assert client.get("/healthz").json()["queued"] == 0


def test_joints_without_pictures_are_for_models_that_read_joints(serve, tmp_path, keypoint_bundle):  # noqa: F811
    client = serve(models=("demo", str(keypoint_bundle)))
    refused = upload(client, "walk.pose")
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert error["code"] == "no_pictures"
    assert error["message"] == "walk.pose holds joints and no pictures, which the model demo looks at"
    name = client.get("/api/v1/models").json()[1]["name"]
    assert error["fix"].endswith(f"a model that reads joints: {name}")
    refused = upload(client, "walk.pose", model=name, sentences="true")
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert error["code"] == "no_pictures"
    assert error["message"] == "walk.pose holds joints and no pictures, which finding sentences needs"
    assert error["fix"].startswith("send the video; or choose: the video is one sentence")
    assert not list((tmp_path / "data" / "jobs").glob("*/*"))
    job = upload(client, "walk.pose", model=name).json()["id"]
    assert until(client, job)["state"] == "done"
    assert (tmp_path / "data" / "jobs" / job / "video.pose").is_file()


def test_a_video_that_is_none_fails_alone_and_says_why(serve):
    client = serve()
    broken = until(client, upload(client, "broken.txt").json()["id"])
    assert broken["error"] == {"code": "bad_video", "message": "broken.txt is not a video", "fix": "choose another"}
    crashed = until(client, upload(client, "crash.mp4").json()["id"])
    assert crashed["error"]["message"].endswith("killed by signal 11")
    odd = until(client, upload(client, "odd.mp4").json()["id"])
    assert odd["error"]["message"] == "unexpected KeyError: 'sentence'"
    assert until(client, upload(client).json()["id"])["state"] == "done"
    assert client.get("/healthz").json()["status"] == "ok"


def test_a_translation_can_be_cancelled_while_it_waits_runs_or_does_not_listen(serve, monkeypatch):
    monkeypatch.setattr("slt.serve.scheduler.GRACE_S", 0.05)
    client = serve()
    slow, waiting = (upload(client, name).json()["id"] for name in ("slow.mp4", "waiting.mp4"))
    until(client, slow, "running")
    assert client.get(f"{URL}/{waiting}").json()["position"] == 0
    assert client.post(f"{URL}/{waiting}/cancel").json()["state"] == "cancelled"
    assert client.post(f"{URL}/{slow}/cancel").json()["state"] == "cancelled"
    stuck = upload(client, "stuck.mp4").json()["id"]
    while not any(request.get("id") == stuck for request in StandIn.running[0].requests):
        time.sleep(0.005)
    client.post(f"{URL}/{stuck}/cancel")
    assert until(client, stuck)["state"] == "cancelled"
    assert StandIn.running[0].ended.is_set()


def test_deleting_leaves_nothing(serve, tmp_path):
    client = serve()
    job = until(client, upload(client).json()["id"])["id"]
    correct(client, job, "eng_Latn", "Right.")
    assert client.delete(f"{URL}/{job}").status_code == 204
    for path in ("", "/events", "/video", "/results/srt"):
        assert client.get(f"{URL}/{job}{path}").json()["error"]["code"] == "not_found"
    assert client.delete(f"{URL}/{job}").status_code == 404
    left = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["manifest.tsv"]
    assert read_manifest(left[0]).clips == ()


def correct(client, job: str, lang: str, text: str, index: int = 0):
    return client.put(f"{URL}/{job}/sentences/{index}/corrections/{lang}", json={"text": text})


def test_corrections_go_into_the_results_and_a_manifest(serve, tmp_path):
    client = serve()
    job = until(client, upload(client, lang=["eng_Latn", "deu_Latn"], sentences="true").json()["id"])["id"]
    answer = correct(client, job, "deu_Latn", "  Guten\tTag,\nWelt. ", index=1)
    assert answer.json()["corrections"] == {"deu_Latn": "Guten Tag, Welt."}
    correct(client, job, "eng_Latn", "Hello, world.", index=1)
    assert client.get(f"{URL}/{job}/results/txt?lang=deu_Latn").text == "deu_Latn 0 0\nGuten Tag, Welt.\n"
    manifest = read_manifest(tmp_path / "data" / "corrections" / "manifest.tsv")
    (clip,) = manifest.clips
    assert clip.texts() == {"deu_Latn": "Guten Tag, Welt.", "eng_Latn": "Hello, world."}
    assert (clip.start_s, clip.end_s) == (2.0, 3.5)
    assert manifest.video_path(clip).read_bytes() == VIDEO
    assert client.get("/api/v1/corrections").json()["n_corrections"] == 1
    assert "Guten Tag, Welt." in client.get("/api/v1/corrections/manifest.tsv").text
    correct(client, job, "eng_Latn", "", index=1)
    correct(client, job, "deu_Latn", "", index=1)
    assert client.get("/api/v1/corrections").json()["n_corrections"] == 0
    assert not list((tmp_path / "data" / "corrections" / "videos").iterdir())


def test_what_cannot_be_corrected_is_refused(serve):
    client = serve()
    job = until(client, upload(client).json()["id"])["id"]
    assert correct(client, job, "deu_Latn", "x").status_code == 404
    assert correct(client, job, "eng_Latn", "x", index=7).status_code == 404
    assert correct(client, job, "eng_Latn", "x" * 3000).status_code == 422
    broken = until(client, upload(client, "broken.mp4").json()["id"])["id"]
    assert correct(client, broken, "eng_Latn", "x").status_code == 404
    assert client.get("/api/v1/corrections/manifest.tsv").status_code == 404


def full(*_) -> None:
    raise OSError(28, "No space left on device")


def test_a_video_on_the_server_is_named_and_never_a_path(serve, tmp_path, monkeypatch):
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.mp4").write_bytes(VIDEO)
    (folder / ".hidden.mp4").write_bytes(VIDEO)
    (folder / "link.mp4").symlink_to("/etc/passwd")
    client = serve(videos=folder)
    assert client.get("/api/v1/videos").json() == [{"name": "sub/a.mp4", "size": len(VIDEO)}]
    answer = client.post(URL, json={"video": "sub/a.mp4", "langs": ["deu_Latn"]})
    assert answer.status_code == 202
    assert until(client, answer.json()["id"])["name"] == "a.mp4"
    for name in ("../data", "/etc/passwd", "link.mp4", ".hidden.mp4", "sub/../sub/a.mp4", "sub/a.mp4\0"):
        assert client.post(URL, json={"video": name}).status_code == 404
    assert client.post(URL, json={"vid": "x"}).status_code == 422
    deep = b"[" * 50_000
    assert client.post(URL, content=deep, headers={"Content-Type": "application/json"}).status_code == 422
    monkeypatch.setattr("slt.serve.intake.shutil.copyfile", full)
    full_disk = client.post(URL, json={"video": "sub/a.mp4"})
    assert (full_disk.status_code, full_disk.json()["error"]["code"]) == (507, "disk_full")
    (folder / "sub" / "a.mp4").unlink()
    monkeypatch.setattr("slt.serve.server.Server.videos", lambda self: {"sub/a.mp4": folder / "sub" / "a.mp4"})
    assert client.post(URL, json={"video": "sub/a.mp4"}).status_code == 404
    assert client.post(URL, content=b"{", headers={"Content-Type": "application/json"}).status_code == 422
    assert client.get("/api/v1/info").json()["videos"] is True


def test_a_server_without_a_folder_of_videos_has_none(serve):
    client = serve()
    assert client.get("/api/v1/videos").json() == []
    assert client.post(URL, json={"video": "a.mp4"}).json()["error"]["code"] == "no_videos"


def test_a_full_queue_says_when_to_come_back(serve):
    client = serve(max_queue=2)
    until(client, upload(client, "slow.mp4").json()["id"], "running")
    assert [upload(client, "slow.mp4").status_code for _ in range(2)] == [202, 202]
    refused = upload(client)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_full")
    assert 1 <= int(refused.headers["retry-after"]) <= 600
    assert "slt_translations_refused_total 1.0" in client.get("/metrics").text


def test_models_and_languages_are_listed(serve):
    client = serve()
    (model,) = client.get("/api/v1/models").json()
    assert (model["name"], model["languages"]) == ("demo", ["eng_Latn", "deu_Latn"])
    assert client.get("/api/v1/languages?model=demo").json()[1] == {"code": "deu_Latn", "name": "German"}
    assert len(client.get("/api/v1/languages").json()) > 200
    assert client.get("/api/v1/languages?model=none").status_code == 404
    assert "slt_queue_length 0.0" in client.get("/metrics").text


def test_the_description_of_the_api_is_complete(serve):
    schema = serve().get("/openapi.json").json()
    operations = [one for path in schema["paths"].values() for one in path.values()]
    assert all(one.get("description") and one.get("operationId") for one in operations)
    assert len({one["operationId"] for one in operations}) == len(operations)
    page = (Path(__file__).parents[2] / "docs" / "serve.md").read_text("utf-8")
    for path, methods in schema["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in page, "docs/serve.md lacks it"
    assert json.dumps(schema["paths"][URL]["post"]["requestBody"]).count("multipart/form-data") == 1
