"""A server on this machine that speaks as much of the Hugging Face hub's HTTP as slt uses."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.servers import FileServer, Handler, serving

TOKEN = "hf_averysecrettoken1234567890"
LFS_ENDINGS = (".safetensors", ".model", ".bin")


def git_sha(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repo:
    """One repository.

    Attributes:
        commits: files of each commit, by its sha.
        refs: commit of each branch and tag.
        page: the metadata of its README.
        private: whether a token is needed to see it.
        gated: whether its terms must be accepted.
        listed: what the listing says differently: entries by file, None removes one.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    page: dict[str, Any] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    listed: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], ref: str = "main") -> str:
        """Add a commit with these files alone."""
        digest = hashlib.sha1(json.dumps([len(self.commits), sorted(files)]).encode())
        for name in sorted(files):
            digest.update(files[name])
        sha = digest.hexdigest()
        self.commits[sha] = dict(files)
        self.refs[ref] = sha
        return sha

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.refs["main"]]

    def siblings(self, sha: str) -> list[dict[str, Any]]:
        entries: dict[str, dict[str, Any]] = {}
        for name, content in self.commits[sha].items():
            entries[name] = {"rfilename": name, "size": len(content), "blobId": git_sha(content)}
            if name.endswith(LFS_ENDINGS):
                digest = hashlib.sha256(content).hexdigest()
                entries[name]["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 130}
        for name, other in self.listed.items():
            if other is None:
                entries.pop(name, None)
            else:
                entries[name] = {"rfilename": name, "blobId": "0" * 40, **entries.get(name, {}), **other}
        return list(entries.values())


class HubServer(FileServer):
    """Serves ``repos``, by OWNER/NAME; each fault of a file spoils one request for it, in order.

    Attributes:
        repos: by name.
        asked_for: method and path of each request.
        tokens: what each request had in its Authorization header.
        lfs: uploaded objects, by sha256.
        replies: what is answered to the next requests for a path: status, headers, body.
    """

    def __init__(self) -> None:
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), HubHandler)
        FileServer.set_up(self)
        self.repos: dict[str, Repo] = {}
        self.asked_for: list[str] = []
        self.tokens: list[str | None] = []
        self.lfs: dict[str, bytes] = {}
        self.replies: dict[str, list[tuple[int, dict[str, str], bytes]]] = {}

    def repo(self, name: str, files: dict[str, bytes], **about: Any) -> Repo:
        repo = self.repos.setdefault(name, Repo(**about))
        repo.commit(files)
        return repo


class HubHandler(Handler):
    server: HubServer

    def do_HEAD(self) -> None:
        self.route("HEAD")

    def do_GET(self) -> None:
        self.route("GET")

    def do_POST(self) -> None:
        self.route("POST")

    def do_PUT(self) -> None:
        self.route("PUT")

    def route(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.asked_for.append(f"{method} {path}")
        self.server.tokens.append(self.headers["Authorization"])
        self.server.asked.set()
        if replies := self.server.replies.get(path):
            code, headers, body = replies.pop(0)
            self.answer(code, {**headers, "Content-Length": str(len(body))})
            self.wfile.write(body)
            return
        for pattern, verb, reply in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in verb:
                reply(self, *found.groups())
                return
        self.answer(404)

    def json(self, content: object, code: int = 200) -> None:
        body = json.dumps(content).encode()
        self.answer(code, {"Content-Length": str(len(body)), "Content-Type": "application/json"})
        self.wfile.write(body)

    def refuse(self, code: int, error: str) -> None:
        self.answer(code, {"X-Error-Code": error, "X-Error-Message": error})

    def find(self, name: str) -> Repo | None:
        """Return a repository that whoever asks may see; else answer as the hub does."""
        repo = self.server.repos.get(name)
        known = self.headers["Authorization"] == f"Bearer {TOKEN}"
        if repo is None or (repo.private and not known):
            self.refuse(404 if known else 401, "RepoNotFound")
            return None
        return repo

    def info(self, name: str, revision: str | None = None) -> None:
        if (repo := self.find(name)) is None:
            return
        sha = repo.refs.get(revision or "main", revision or "")
        if sha not in repo.commits:
            self.refuse(404, "RevisionNotFound")
            return
        about = {"id": name, "sha": sha, "private": repo.private, "cardData": repo.page, "gated": False}
        blobs = "blobs" in parse_qs(urlsplit(self.path).query)
        files = repo.siblings(sha)
        self.json({**about, "siblings": files if blobs else [{"rfilename": one["rfilename"]} for one in files]})

    def resolve(self, name: str, revision: str, file: str) -> None:
        if (repo := self.find(name)) is None:
            return
        if repo.gated:
            self.refuse(403, "GatedRepo")
            return
        sha = repo.refs.get(revision, revision)
        content = repo.commits.get(sha, {}).get(file)
        if content is None:
            self.refuse(404, "EntryNotFound")
            return
        self.server.seen.append((file, self.headers["Range"]))
        self.commit = sha
        if self.command == "HEAD":
            self.send_head(content)
        elif faults := self.server.faults.get(file):
            faults.pop(0)(self, content)
        else:
            self.send(content)

    def send_head(self, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        self.answer(200, {"Content-Length": str(len(content)), "ETag": f'"{digest}"', "X-Repo-Commit": self.commit})

    def create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.refuse(401, "Unauthorized")
            return
        if name in self.server.repos:
            self.json({"url": f"{self.server.url}/{name}"}, 409)
            return
        self.server.repos[name] = Repo(private=bool(asked.get("private")))
        self.server.repos[name].commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        self.json({"url": f"{self.server.url}/{name}", "name": name})

    def preupload(self, name: str, _: str) -> None:
        files = json.loads(self.body)["files"]
        modes = {True: "lfs", False: "regular"}
        told = [
            {"path": one["path"], "uploadMode": modes[one["path"].endswith(LFS_ENDINGS)], "shouldIgnore": False}
            for one in files
        ]
        self.json({"files": told})

    def batch(self, name: str) -> None:
        wanted = []
        for one in json.loads(self.body)["objects"]:
            href = f"{self.server.url}/lfs/{one['oid']}"
            actions = {} if one["oid"] in self.server.lfs else {"actions": {"upload": {"href": href}}}
            wanted.append({**one, **actions})
        self.json({"transfer": "basic", "objects": wanted})

    def upload(self, oid: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        assert self.headers["Authorization"] is None  # the store is somebody else's, with an address that is signed
        self.server.lfs[oid] = self.body
        self.answer(200)

    def add(self, name: str, ref: str) -> None:
        if (repo := self.find(name)) is None:
            return
        files = dict(repo.files)
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.server.lfs[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files, ref)
        self.json({"commitUrl": f"{self.server.url}/{name}/commit/{sha}", "commitOid": sha})

    def validate(self) -> None:
        page = json.loads(self.body)["content"]
        bad = not page.startswith("---\n")
        self.json({"errors": [{"message": "no metadata"}] if bad else [], "warnings": []}, 400 if bad else 200)


_REPO = r"([^/]+/[^/]+)"
ROUTES: tuple[tuple[str, tuple[str, ...], Callable[..., None]], ...] = (
    (rf"/api/models/{_REPO}", ("GET",), HubHandler.info),
    (rf"/api/models/{_REPO}/revision/(.+)", ("GET",), HubHandler.info),
    (rf"/{_REPO}/resolve/([^/]+)/(.+)", ("GET", "HEAD"), HubHandler.resolve),
    (r"/api/repos/create", ("POST",), HubHandler.create),
    (r"/api/validate-yaml", ("POST",), HubHandler.validate),
    (rf"/api/models/{_REPO}/preupload/(.+)", ("POST",), HubHandler.preupload),
    (rf"/{_REPO}\.git/info/lfs/objects/batch", ("POST",), HubHandler.batch),
    (r"/lfs/([0-9a-f]{64})", ("PUT",), HubHandler.upload),
    (rf"/api/models/{_REPO}/commit/(.+)", ("POST",), HubHandler.add),
)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The hub, on this machine; connections are allowed, and nobody is logged in."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import reset_sessions

    from slt.assets.download import Patience

    with serving(HubServer()) as running:
        assert isinstance(running, HubServer)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        for name in ("SLT_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.setenv(name, "0")
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        # Read from the environment when the library is first imported.
        files = f"{running.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)  # what a break may lose
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nonexistent/token")
        monkeypatch.setattr("slt.assets.hub_transfer.Patience", lambda: Patience(sleep=lambda _: None))
        reset_sessions()
        yield running
        reset_sessions()


@pytest.fixture
def logged_in(monkeypatch: pytest.MonkeyPatch) -> str:
    """A token that the hub knows."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return TOKEN
