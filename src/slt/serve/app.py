"""The application: routes, page, errors and guard put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from slt.core import log
from slt.core.errors import OUT_OF_SPACE, SltError, UserError
from slt.serve import about, translations
from slt.serve.guard import Guard
from slt.serve.intake import in_words
from slt.serve.refusals import ApiError
from slt.serve.server import Server
from slt.serve.settings import ServeSettings

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def create_app(settings: ServeSettings) -> Guard:
    """Return the whole server as an ASGI application.

    Raises:
        UserError: a model that is not here.
    """
    server = Server(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await server.scheduler.start()
        try:
            yield
        finally:
            await server.scheduler.stop()

    app = FastAPI(
        title="slt serve",
        version=version("slt"),
        description="Sign-language video to text. Everything stays on the machine that serves it.",
        lifespan=lifespan,
        docs_url=None,  # they would fetch their scripts from elsewhere
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": ".", "description": "This server, under whatever prefix."}],
    )
    app.state.server = server
    app.include_router(translations.router)
    app.include_router(about.router)
    app.include_router(about.health)
    _add_page(app)
    _add_error_handlers(app)
    server.guard = Guard(app, settings)
    return server.guard


def _add_page(app: FastAPI) -> None:
    """Serve the page and its files: all are read at the start, so a request names no file."""
    folder = resources.files("slt.serve") / "static"
    files = {
        entry.name: (entry.read_bytes(), KINDS["." + entry.name.rpartition(".")[2]])
        for entry in folder.iterdir()
        if "." + entry.name.rpartition(".")[2] in KINDS
    }

    def answer(name: str) -> Response:
        if name not in files:
            raise ApiError(404, "not_found", "there is no such page")
        content, kind = files[name]
        return Response(content, headers={"Content-Type": kind, "Cache-Control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return answer("index.html")

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return answer("icon.svg")

    @app.get("/static/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        return answer(name)


def _add_error_handlers(app: FastAPI) -> None:
    """Answer every failure in one shape: code, message, fix."""

    @app.exception_handler(ApiError)
    async def known(request: Request, error: ApiError) -> Response:
        return JSONResponse(error.content, status_code=error.status, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _error(422, "bad_request", in_words(error.errors()), "")

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "bad_request")
        return _error(error.status_code, code, str(error.detail), "see /openapi.json", dict(error.headers or {}))

    @app.exception_handler(SltError)
    async def machine(request: Request, error: SltError) -> Response:
        if isinstance(error, UserError):
            return _error(422, "bad_request", error.message, error.fix or "")
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in OUT_OF_SPACE:
            return _error(507, "disk_full", "the server's disk is full", "delete older translations, then try again")
        log.fail(error)
        return _error(500, "server_failure", error.message, error.fix or "")


def _error(status: int, code: str, message: str, fix: str, headers: dict[str, str] | None = None) -> Response:
    error = ApiError(status, code, message, fix, headers)
    return JSONResponse(error.content, status_code=status, headers=error.headers)
