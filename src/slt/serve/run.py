"""Run the server until it is interrupted."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from contextlib import closing
from urllib.parse import quote

import uvicorn

from slt.core import log
from slt.core.errors import UserError
from slt.serve.app import create_app
from slt.serve.jobs import JobStore
from slt.serve.lock import only_server
from slt.serve.settings import ServeSettings, is_loopback

MOST_CONNECTIONS = 1000
GOODBYE_S = 3
BACKLOG = 512


def run_server(settings: ServeSettings) -> None:
    """Serve until an interrupt or SIGTERM; unfinished translations are taken up by the next server.

    Raises:
        UserError: the address is taken, a model is not here, or another server uses the same folder.
        SltError: the folder cannot be written.
    """
    with only_server(settings.data), closing(_listen(settings)) as listening:
        JobStore(settings.data).prepare()
        app = create_app(settings)
        address = _address(settings, listening.getsockname()[1])
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # names and ids are nobody's business
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=GOODBYE_S,
            backlog=BACKLOG,
        )
        log.say("videos and texts stay on this machine; Ctrl-C ends the server")
        if not is_loopback(settings.host):
            log.say("from other machines, put this one's name or address in place of localhost")
        log.result(f"{address}#token={quote(settings.token)}" if settings.token else address)
        logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it reports forms that are answered with 400
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


def _listen(settings: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host.strip("[]"), settings.port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        said = getattr(error, "strerror", None) or str(error)
        where = f"{settings.host}:{settings.port}"
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        fix = "end the other program, or choose another --port" if taken else "choose another --host or --port"
        raise UserError(f"cannot listen on {where}: {said}", fix=fix) from error
    return listening


def _address(settings: ServeSettings, port: int) -> str:
    host = settings.host.strip("[]")
    if host in ("0.0.0.0", "::"):
        host = "localhost"  # of a container too, whose own name nobody else knows
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
