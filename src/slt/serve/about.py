"""Routes about the server: session, models, languages, videos, corrections, health and metrics."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from slt.serve import schemas
from slt.serve.guard import COOKIE, shown_token
from slt.serve.refusals import ApiError
from slt.serve.server import Here
from slt.serve.settings import is_loopback
from slt.serve.translations import ERRORS
from slt.text.languages import LANGUAGE_NAMES

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COOKIE_S = 30 * 24 * 3600

router = APIRouter(prefix="/api/v1", tags=["server"], responses=ERRORS)
health = APIRouter(tags=["operation"])


@router.get("/session", response_model=schemas.Session, operation_id="getSession")
async def get_session(request: Request, server: Here) -> dict[str, bool]:
    """Return whether a token is needed, and whether this client shows one; other requests compare it."""
    needed = server.settings.token is not None
    return {"needed": needed, "shown": shown_token(dict(request.headers)) is not None}


@router.post("/session", response_model=schemas.Session, operation_id="signIn")
async def sign_in(token: schemas.Token, request: Request, response: Response, server: Here) -> dict[str, bool]:
    """Show the token once; a cookie that scripts cannot read keeps it."""
    if server.guard is not None:
        await server.guard.check(token.token)
    if server.settings.token is not None:
        secure = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, server.settings.token, max_age=COOKIE_S, httponly=True, samesite="strict", secure=secure
        )
    return {"needed": server.settings.token is not None, "shown": True}


@router.delete("/session", status_code=204, operation_id="signOut")
async def sign_out() -> Response:
    """Forget the token."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@router.get("/info", response_model=schemas.Info, operation_id="getInfo")
async def get_info(server: Here) -> dict[str, object]:
    """Return the version, the limits, and what is kept where and for how long."""
    settings = server.settings
    return {
        "version": version("slt"),
        "max_upload_bytes": settings.max_upload_bytes,
        "max_duration_s": settings.max_duration_s,
        "keep_s": settings.keep_s,
        "data": str(settings.data) if is_loopback(settings.host) else "",
        "videos": settings.videos is not None,
    }


@router.get("/models", response_model=list[schemas.Model], operation_id="listModels")
async def list_models(server: Here) -> list[dict[str, object]]:
    """List the models, the default one first."""
    return [
        {
            "name": model.name,
            "summary": model.summary,
            "licence": model.licence,
            "languages": list(model.languages),
            "extractor": model.extractor,
            "can_rerank": model.can_rerank,
            "spells": model.spells,
        }
        for model in server.models.values()
    ]


@router.get("/languages", response_model=list[schemas.Language], operation_id="listLanguages")
async def list_languages(
    server: Here, model: Annotated[str | None, Query(description="Those of this model only.")] = None
) -> list[dict[str, str]]:
    """List languages by code and English name."""
    if model is not None and model not in server.models:
        raise ApiError(404, "not_found", "there is no such model", "see GET /api/v1/models")
    codes = server.models[model].languages if model else tuple(LANGUAGE_NAMES)
    return [{"code": code, "name": LANGUAGE_NAMES.get(code, code)} for code in codes]


@router.get("/videos", response_model=list[schemas.ServerVideo], operation_id="listVideos")
async def list_videos(server: Here) -> list[dict[str, object]]:
    """List the videos on the server that may be translated; none unless it was started with --videos."""
    found = await asyncio.to_thread(server.videos)
    return [{"name": name, "size": path.stat().st_size} for name, path in found.items() if path.is_file()]


@router.get("/corrections", response_model=schemas.CorrectionList, operation_id="getCorrections")
async def get_corrections(server: Here) -> dict[str, object]:
    """Return how many sentences were corrected, and where their manifest lies."""
    clips = await asyncio.to_thread(server.corrections.clips)
    here = is_loopback(server.settings.host)
    return {"n_corrections": len(clips), "manifest": str(server.corrections.manifest) if here else ""}


@router.delete("/corrections", status_code=204, operation_id="deleteCorrections")
async def delete_corrections(server: Here) -> Response:
    """Delete all corrected sentences and their videos, those of deleted translations too."""
    for job in server.scheduler.jobs.values():
        if job.corrections:
            job.corrections = {}
            await asyncio.to_thread(server.store.save, job)
    await asyncio.to_thread(server.corrections.forget_all)
    return Response(status_code=204)


@router.get(
    "/corrections/manifest.tsv",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/tab-separated-values": {}}}},
    operation_id="getManifest",
)
async def get_manifest(server: Here) -> Response:
    """Return the manifest of corrected sentences."""
    if not server.corrections.manifest.is_file():
        raise ApiError(404, "not_found", "no sentence was corrected so far")
    content = await asyncio.to_thread(server.corrections.manifest.read_bytes)
    return Response(content, media_type="text/tab-separated-values; charset=utf-8")


@health.get("/healthz", response_model=schemas.Health, operation_id="health")
async def healthz(server: Here) -> JSONResponse:
    """Return whether the server works; needs no token."""
    scheduler = server.scheduler
    working = scheduler.is_working
    content = {"status": "ok" if working else "failing", "queued": scheduler.n_waiting, "running": scheduler.n_running}
    return JSONResponse(content, status_code=200 if working else 503)


@health.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"example": "slt_queue_length 0.0"}}}, **ERRORS},
    operation_id="metrics",
)
async def metrics(server: Here) -> Response:
    """Return counters for Prometheus."""
    return Response(server.metrics.text(), media_type=METRICS_TYPE)
