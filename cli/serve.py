"""``slt serve``: a web page and an API that translate videos, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slt_cli import completion
from slt_cli.translate import Dtype


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|DIR",
            autocompletion=completion.models,
            help="A model to offer, from slt models list or a bundle's folder; may be repeated, the first is the "
            "default. None: all that are here.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file with the token that requests must show; SLT_SERVE_TOKEN may hold it instead. Without either, "
            "an address that is not this machine's own gets a new one at every start.",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further name of this server, that of a reverse proxy; may be repeated."),
    ] = None,
    videos: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Offer the videos in this folder for translation without an upload."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of uploads, texts and corrections; default SLT_HOME/serve."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N; repeated, each works on its own videos."),
    ] = None,
    dtype: Annotated[Dtype, typer.Option(help="Precision of the weights.")] = Dtype.float32,
    max_upload: Annotated[str, typer.Option(metavar="SIZE", help="Largest video, such as 500M or 2G.")] = "2G",
    max_duration: Annotated[float, typer.Option(metavar="S", help="Longest video in seconds.")] = 3600.0,
    max_queue: Annotated[int, typer.Option(min=1, help="Videos that may wait; then clients are told to retry.")] = 64,
    keep: Annotated[
        float, typer.Option(metavar="HOURS", help="Remove videos and texts so long after their translation.")
    ] = 24.0,
    model_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory for models; beyond it the least used is unloaded.")
    ] = "8G",
) -> None:
    """Serve a web page and an API that translate sign-language videos, on this machine.

    The address is printed; with a token, it is a link that signs the browser in. Videos and texts stay in SLT_HOME and
    are removed after a day; corrected sentences are kept as a manifest for slt train-encoder. A server that was killed
    goes on with what it had accepted.

    Example: slt serve

    Example: slt serve --model demo --host 0.0.0.0 --port 8000 --max-upload 500M
    """
    from slt.core.home import slt_home
    from slt.serve.run import run_server
    from slt.serve.settings import ServeSettings, parse_size
    from slt.serve.tokens import token_for

    run_server(
        ServeSettings(
            models=tuple(model or ()),
            data=(data or slt_home() / "serve").absolute(),
            host=host,
            port=port,
            token=token_for(host, token_file),
            allowed_hosts=tuple(allowed_host or ()),
            videos=videos,
            devices=tuple(device or ("auto",)),
            dtype=dtype.value,
            max_upload_bytes=parse_size(max_upload),
            max_duration_s=max_duration,
            max_queue=max_queue,
            keep_s=keep * 3600,
            model_bytes=parse_size(model_memory),
        )
    )
