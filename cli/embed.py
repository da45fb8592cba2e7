"""``slt embed-text``: embed the sentences of manifests into a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slt_cli import completion
from slt_cli.translate import Dtype, TextEngineOption


def embed_text(
    manifests: Annotated[list[Path], typer.Argument(metavar="MANIFEST", help="Manifests with sentences.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The cache; what is in it is not computed again.")],
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|DIR",
            autocompletion=completion.models,
            help="A bundle with a text encoder.",
        ),
    ] = "demo",
    lang: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LANG",
            autocompletion=completion.languages,
            help="A language to embed, all if none; may be repeated.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="auto (a GPU when there is one), cpu, cuda or cuda:N.")
    ] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="Precision of the model.")] = Dtype.float32,
    text_engine: TextEngineOption = None,
) -> None:
    """Embed the sentences of manifests with SONAR's text encoder, in every language they have.

    Embeddings are kept by text, language and model. The same command goes on where it was stopped or killed.

    Example: slt embed-text corpus/train.tsv --out embeddings --model demo
    """
    from slt.core import log
    from slt.core.signals import stop_requests
    from slt.data.texts import gather_texts

    with log.bars() as bars, stop_requests() as stop:
        texts = gather_texts(manifests, lang)
        bars.update("loading the model", 0, 1)
        from slt.extract.texts import embed_texts

        pace = log.Pace()
        n_texts = sum(map(len, texts.values()))
        n_made = embed_texts(
            texts,
            out,
            model,
            device=device,
            dtype=dtype.value,
            text_engine=text_engine and text_engine.value,
            stop=stop,
            progress=lambda done, total: bars.update("texts", done, total, pace(done, total)),
        )
    log.say(f"{n_made} of {n_texts} texts embedded, {n_texts - n_made} were there: {', '.join(texts)}")
