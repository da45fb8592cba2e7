"""Routes of translations: upload, follow, cancel, read, correct, delete."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from slt.core.leftovers import release
from slt.serve import schemas
from slt.serve.corrections import clean_text
from slt.serve.events import follow
from slt.serve.intake import job_from_disk, job_from_upload
from slt.serve.jobs import State
from slt.serve.refusals import ApiError
from slt.serve.results import FORMATS
from slt.serve.scheduler import QueueFull
from slt.serve.server import Here

VIDEO_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".ogv": "video/ogg",
    ".3gp": "video/3gpp",
    ".gif": "image/gif",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Error, "description": about}
    for status, about in {
        401: "The token is missing or wrong.",
        403: "The request comes from another site.",
        404: "There is no such thing.",
        411: "A body without a length.",
        413: "Too large.",
        421: "The server is not called so.",
        422: "Something in the request is wrong; the message says what.",
        429: "Too many wrong tokens.",
    }.items()
}
UPLOAD_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Error, "description": about}
    for status, about in {
        400: "The form is malformed.",
        408: "The upload is too slow.",
        415: "Neither a form nor JSON.",
        503: "The queue is full; Retry-After says when to try again.",
        507: "The server's disk is full.",
    }.items()
}
FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "The video."},
        "model": {"type": "string", "description": "A name from GET /api/v1/models."},
        "lang": {"type": "array", "items": {"type": "string"}, "description": "FLORES-200 codes; may be repeated."},
        "sentences": {"type": "boolean", "description": "Find the sentences and translate each."},
        "nbest": {"type": "integer", "minimum": 1, "maximum": 5},
        "rerank": {"type": "boolean"},
    },
    "example": {"file": "(binary)", "model": "demo", "lang": ["eng_Latn", "deu_Latn"], "sentences": False},
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": FORM},
            "application/json": {"schema": schemas.TranslateRequest.model_json_schema()},
        },
    }
}

router = APIRouter(prefix="/api/v1/translations", tags=["translations"], responses=ERRORS)


@router.post(
    "",
    status_code=202,
    response_model=schemas.Accepted,
    responses=UPLOAD_ERRORS,
    openapi_extra=BODY,
    operation_id="translate",
)
async def translate(request: Request, server: Here) -> Response:
    """Upload a video, or name one on the server, and queue its translation.

    The answer's Location is the translation; follow its events, or ask for it until its state is done.
    """
    is_json = request.headers.get("content-type", "").startswith("application/json")
    try:
        server.scheduler.reserve()
    except QueueFull as full:
        headers = {"Retry-After": str(full.retry_s)}
        raise ApiError(503, "queue_full", full.message, full.fix or "", headers) from full
    draft = await asyncio.to_thread(server.store.draft)
    try:
        job = await (job_from_disk if is_json else job_from_upload)(request, server, draft)
        await asyncio.to_thread(server.store.accept, draft, job)
    except ClientDisconnect as error:
        raise ApiError(400, "bad_form", "the upload ended early", "send it again") from error
    finally:
        server.scheduler.release()
        await asyncio.to_thread(release, draft)
    await server.scheduler.submit(job)
    server.metrics.uploaded.inc(job.size)
    return _json(server.view(job), status=202, headers={"Location": f"translations/{job.id}"})


@router.get("", response_model=list[schemas.Translation], operation_id="listTranslations")
async def list_translations(server: Here) -> Response:
    """List all translations, the newest first, without their sentences."""
    jobs = reversed(list(server.scheduler.jobs.values()))
    return _json([server.view(job, sentences=False) for job in jobs])


@router.get("/{id}", response_model=schemas.Translation, operation_id="getTranslation")
async def get_translation(id: str, server: Here) -> Response:
    """Return a translation: its state, and the sentences so far."""
    return _json(server.view(server.job(id)))


@router.get(
    "/{id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"example": 'event: job\ndata: {"state": "running"}\n\n'}}}},
    operation_id="followTranslation",
)
async def get_events(
    id: str, server: Here, last_event_id: Annotated[str | None, Header(max_length=20)] = None
) -> Response:
    """Follow a translation by server-sent events.

    `job`: the translation without its sentences, at every change. `sentence`: each sentence as it comes; its id is how
    many there are, and a client that comes back with Last-Event-ID gets the rest. `end`: it is finished.
    """
    first = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else 0
    events: AsyncIterator[str] = follow(server, server.job(id), first)
    headers = {"X-Accel-Buffering": "no"}  # nginx would keep them back
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


@router.post("/{id}/cancel", response_model=schemas.Translation, operation_id="cancelTranslation")
async def cancel_translation(id: str, server: Here) -> Response:
    """Stop a translation; what was translated so far stays."""
    job = server.job(id)
    await server.scheduler.cancel(job)
    return _json(server.view(job))


@router.delete("/{id}", status_code=204, operation_id="deleteTranslation")
async def delete_translation(
    id: str,
    server: Here,
    keep_corrections: Annotated[bool, Query(description="Keep the corrected sentences and their video.")] = False,
) -> Response:
    """Delete a translation at once: the video, the texts, and the corrections unless they are to be kept."""
    job = server.job(id)
    await server.scheduler.delete(job)
    if not keep_corrections and job.corrections:
        await asyncio.to_thread(server.corrections.forget, job)
    return Response(status_code=204)


@router.get(
    "/{id}/video",
    response_class=FileResponse,
    responses={200: {"content": {"video/*": {}}}, 206: {"description": "A part of it, by Range."}},
    operation_id="getVideo",
)
async def get_video(id: str, server: Here) -> Response:
    """Return the video as it was uploaded; ranges are supported."""
    job = server.job(id)
    path = server.store.video(job)
    if not path.is_file():
        raise ApiError(404, "not_found", "the video is not here any more")
    kind = VIDEO_TYPES.get(path.suffix, "application/octet-stream")
    return FileResponse(path, media_type=kind, headers={"Content-Disposition": _disposition("inline", job.name)})


@router.get(
    "/{id}/results/{format}",
    response_class=Response,
    responses={200: {"content": {kind.partition(";")[0]: {} for kind, _ in FORMATS.values()}}},
    operation_id="getResult",
)
async def get_result(
    id: str,
    format: str,
    server: Here,
    lang: Annotated[str | None, Query(description="One of the translation's languages; by default its first.")] = None,
) -> Response:
    """Return the texts as srt, vtt, txt (in one language) or json (everything), with corrections."""
    job = server.job(id)
    if format not in FORMATS:
        raise ApiError(404, "not_found", f"unknown format, known: {', '.join(FORMATS)}")
    lang = lang or (job.options.langs[0] if job.options.langs else "")
    if lang not in job.options.langs:
        known = ", ".join(job.options.langs)
        raise ApiError(422, "bad_request", f"this video was not translated into that language, but into {known}")
    kind, write = FORMATS[format]
    stem = Path(job.name).stem or "video"
    name = f"{stem}.{format}" if format == "json" or len(job.options.langs) == 1 else f"{stem}.{lang}.{format}"
    headers = {"Content-Type": kind, "Content-Disposition": _disposition("attachment", name)}
    return Response(write(job, lang), headers=headers)


@router.get("/{id}/joints", operation_id="getJoints", responses={200: {"content": {"application/json": {}}}})
async def get_joints(id: str, server: Here) -> Response:
    """Return the joints that a model on keypoints saw: per sentence start, rate, and x and y from 0 to 1 per frame."""
    job = server.job(id)
    path = server.store.joints(job)
    if not job.has_joints or not path.is_file():
        raise ApiError(404, "not_found", "this model does not read joints, or the translation is not done")
    return FileResponse(path, media_type="application/json")


@router.put(
    "/{id}/sentences/{index}/corrections/{lang}", response_model=schemas.Sentence, operation_id="correctSentence"
)
async def correct_sentence(
    id: str, index: int, lang: str, server: Here, correction: Annotated[schemas.Correction, Body()]
) -> Response:
    """Correct a sentence. It is kept with its video in a manifest that slt's trainers take; an empty text undoes it."""
    job = server.job(id)
    if not 0 <= index < len(job.sentences) or lang not in job.options.langs:
        raise ApiError(404, "not_found", "there is no such sentence in this language")
    if job.state is not State.done:
        raise ApiError(409, "not_done", "the translation is not done", "wait until it is")
    texts = dict(job.corrections.get(str(index), {}))
    texts.pop(lang, None)
    if text := clean_text(correction.text):
        texts[lang] = text
    job.corrections[str(index)] = texts
    await asyncio.to_thread(server.corrections.keep, job, server.store.video(job))
    await asyncio.to_thread(server.store.save, job)
    return _json({**job.sentences[index], "corrections": texts})


def _json(content: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    return Response(body, status_code=status, media_type="application/json", headers=dict(headers or {}))


def _disposition(kind: str, name: str) -> str:
    """Return a Content-Disposition; a name in any script is quoted as RFC 6266 says."""
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}"
