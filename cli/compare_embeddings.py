"""``slt compare-embeddings``: compare the embeddings that sign encoders give the same clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slt_cli import completion
from slt_cli.translate import Dtype


def compare_embeddings(
    model: Annotated[
        list[str],
        typer.Option(
            metavar="NAME|DIR",
            autocompletion=completion.models,
            help="A model, or a bundle's folder; given twice or more.",
        ),
    ],
    manifest: Annotated[Path, typer.Option(metavar="FILE", help="Manifest of the clips and their references.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Write figures and embeddings.json there; a stopped run resumes.")
    ],
    features: Annotated[
        list[Path] | None,
        typer.Option(metavar="STORE", help="The clips' features, extracted earlier: once for all models, or for each."),
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(
            metavar="LANG",
            autocompletion=completion.languages,
            help="FLORES-200 code of the texts: the manifest's, or eng_Latn.",
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(min=0, help="Bootstrap resamples; 0: no intervals.")] = 1000,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="auto (a GPU when there is one), cpu, cuda or cuda:N.")
    ] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="Precision of the models.")] = Dtype.float32,
) -> None:
    """Compare the embeddings that models give the same clips: nearness to the text, retrieval, norms, a projection.

    Writes cosines and projection as PNG and SVG, and embeddings.json.

    Example: slt compare-embeddings --model demo --model my-run --manifest test.tsv --out space
    """
    from dataclasses import asdict

    from slt.core import log
    from slt.core.errors import UserError
    from slt.data.manifest import read_manifest
    from slt.evaluate.bootstrap import Resampling
    from slt.evaluate.embeddings import common_clips, describe, draw
    from slt.evaluate.model import ModelSettings
    from slt.evaluate.results import write_json
    from slt.evaluate.videos import translate_manifest
    from slt_cli.evaluate import language_of, lines_of

    if len(model) < 2:
        raise UserError("found one model, expected at least two to compare", fix="give --model twice or more")
    stores: list[Path | None] = list(features) if features else [None]
    if len(stores) not in (1, len(model)):
        raise UserError(
            f"{len(stores)} stores of features for {len(model)} models",
            fix="give --features once for all models, or once for each, in the order of --model",
        )
    stores = stores * len(model) if len(stores) == 1 else stores
    language = lang or language_of(manifest)
    clips = read_manifest(manifest, lang=language)
    asked = [ModelSettings(model=one, lang=language, beam=1, device=device, dtype=dtype.value) for one in model]
    names = [f"{number}-{one.fingerprint()['model']}" for number, one in enumerate(asked, 1)]
    with log.bars() as bars:
        read = [
            translate_manifest(one, clips, out / name, bars.update, blanks=False, features=store)
            for one, name, store in zip(asked, names, stores, strict=True)
        ]
    sides, left_out, identity = common_clips(names, read)
    found = describe(sides, left_out, identity, Resampling(resamples=resamples))
    draw(sides, out)
    write_json(out / "embeddings.json", asdict(found))
    log.result(f"{found.n} clips in {language}, {found.sha256[:12]}")
    for name in names:
        for line in lines_of(name, found.scores[name]):
            log.result(line)
        log.result("  " + ", ".join(f"{key.replace('_', ' ')} {value:.3f}" for key, value in found.norms[name].items()))
    for name, agreement in found.agreement.items():
        log.result(
            f"\n{names[0]} and {name}: " + (", ".join(f"{k} {v:.3f}" for k, v in agreement.items()) or "other widths")
        )
    if left_out:
        log.warn(f"{len(left_out)} clips that some model could not read were excluded: {', '.join(left_out[:10])}")
