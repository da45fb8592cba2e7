"""Turn requests into jobs: forms with a video, and names of videos on the server, checked."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from slt.core.errors import OUT_OF_SPACE, UserError
from slt.serve import schemas
from slt.serve.jobs import Job, Options, new_id, shown_name, stored_name
from slt.serve.refusals import ApiError
from slt.serve.scheduler import check_options
from slt.serve.server import Server, as_user_error
from slt.serve.upload import Upload, receive_upload
from slt.video.pose_file import POSE

YES = {
    "true": True,
    "1": True,
    "on": True,
    "yes": True,
    "false": False,
    "0": False,
    "off": False,
    "no": False,
    "": False,
}


async def job_from_upload(request: Request, server: Server, draft: Path) -> Job:
    """Read an upload into a draft; return its job.

    Raises:
        ApiError: it cannot be accepted.
    """
    settings = server.settings
    try:
        claimed = int(request.headers.get("content-length", ""))
    except ValueError:
        claimed = None
    upload = await receive_upload(
        request.stream(),
        request.headers.get("content-type", ""),
        draft,
        most_bytes=settings.max_upload_bytes,
        idle_s=settings.idle_s,
        claimed=claimed,
    )
    if not upload.file or not upload.size:
        found = "an empty file" if upload.file else "no file"
        raise ApiError(422, "no_video", f"found {found}, expected a video in the field file", "choose a video")
    return _job(server, upload.name, upload.file, upload.size, _options(upload))


def _options(upload: Upload) -> schemas.TranslateRequest:
    """Read the fields of a form.

    Raises:
        ApiError: unknown fields, or values that cannot be.
    """
    fields = dict(upload.fields)
    given: dict[str, Any] = {"video": "", "langs": fields.pop("lang", [])}
    for name in ("model", "sentences", "nbest", "rerank"):
        values = fields.pop(name, [])
        if len(values) > 1:
            raise ApiError(422, "bad_request", f"found the field {name} {len(values)} times, expected it once")
        if values and values[0]:
            given[name] = YES.get(values[0].lower(), values[0]) if name in ("sentences", "rerank") else values[0]
    if fields:
        known = "file, model, lang, sentences, nbest, rerank"
        raise ApiError(422, "bad_request", f"unknown field {shown_name(next(iter(fields)))!r}; known: {known}")
    return _validated(given)


def _validated(given: object) -> schemas.TranslateRequest:
    try:
        return schemas.TranslateRequest.model_validate(given)
    except ValidationError as error:
        raise ApiError(422, "bad_request", in_words(error.errors())) from error


def in_words(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return what is wrong with a request's values, in one line."""
    places = (".".join(str(part) for part in error["loc"] if part != "body") for error in errors[:5])
    return "; ".join(f"{place or 'body'}: {error['msg']}" for place, error in zip(places, errors, strict=False))


async def job_from_disk(request: Request, server: Server, draft: Path) -> Job:
    """Copy a video of the server's folder into a draft: its name is looked up in a list, and never used as a path.

    Raises:
        ApiError: there is no such video, or it cannot be accepted.
    """
    try:
        content = await request.json()
    except (ValueError, RecursionError) as error:
        raise ApiError(422, "bad_request", "the body is not JSON, or too deep") from error
    wanted = _validated(content)
    if server.settings.videos is None:
        raise ApiError(403, "no_videos", "this server translates uploads only", "start it with --videos DIR")
    source = (await asyncio.to_thread(server.videos)).get(wanted.video)
    if source is None:
        raise ApiError(404, "not_found", "there is no such video on the server", "see GET /api/v1/videos")
    file = stored_name(wanted.video)
    try:
        size = source.stat().st_size
        if size > server.settings.max_upload_bytes:
            raise ApiError(413, "too_large", "the video is larger than this server accepts")
        await asyncio.to_thread(shutil.copyfile, source, draft / file)
    except OSError as error:
        if error.errno in OUT_OF_SPACE:
            raise ApiError(507, "disk_full", "the server's disk is full", "delete older translations") from error
        raise ApiError(404, "not_found", f"the video cannot be read: {error.strerror or error}") from error
    return _job(server, shown_name(wanted.video), file, size, wanted)


def _job(server: Server, name: str, file: str, size: int, wanted: schemas.TranslateRequest) -> Job:
    """Return the job of a checked request.

    Raises:
        ApiError: it asks for what there is not.
    """
    model = wanted.model or next(iter(server.models))
    langs = wanted.langs
    if not langs and model in server.models:
        known = server.models[model].languages
        langs = ["eng_Latn"] if "eng_Latn" in known else [*known[:1]]
    options = Options(
        model=model,
        langs=tuple(dict.fromkeys(langs)),
        sentences=wanted.sentences,
        nbest=wanted.nbest,
        rerank=wanted.rerank,
    )
    try:
        check_options(options, {name: offered.languages for name, offered in server.models.items()})
    except UserError as error:
        raise as_user_error(error) from error
    if file.endswith(POSE):
        _check_joints_do(server, name, options)
    if options.rerank and not server.models[model].can_rerank:
        raise ApiError(422, "bad_request", f"the model {model} cannot rerank: it has no text encoder")
    return Job(id=new_id(), name=name, file=file, size=size, options=options, created_s=time.time())


def _check_joints_do(server: Server, name: str, options: Options) -> None:
    """See that joints without pictures are enough for what is asked.

    Raises:
        ApiError: they are not.
    """
    without = f"{name} holds joints and no pictures, which"
    if not server.models[options.model].reads_joints:
        others = ", ".join(name for name, offered in server.models.items() if offered.reads_joints)
        raise ApiError(
            *(422, "no_pictures", f"{without} the model {options.model} looks at"),
            f"send the video; or choose a model that reads joints: {others or 'none is here'}",
        )
    if options.sentences:
        raise ApiError(
            *(422, "no_pictures", f"{without} finding sentences needs"),
            "send the video; or choose: the video is one sentence (sentences: false)",
        )
