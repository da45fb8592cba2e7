"""``slt export-manifest``: write manifests as a Hugging Face dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export_manifest(
    manifests: Annotated[
        list[Path], typer.Argument(metavar="MANIFEST", help="Manifests, of one split each, or of more.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the dataset.")],
) -> None:
    """Write manifests as a Hugging Face dataset: parquet files, one per split, and a card; videos stay where they are.

    datasets.load_dataset("DIR") reads it, and every command of slt takes one of its files as a manifest. With the
    features beside the texts: slt features export --format hf-datasets --manifest MANIFEST.

    Example: slt export-manifest corpus/train.tsv corpus/val.tsv --out dataset
    """
    from slt.core import log
    from slt.data.hf_manifest import export_manifests
    from slt.data.manifest import read_manifest

    counts = export_manifests([read_manifest(path) for path in manifests], out)
    said = ", ".join(f"{count} clips in {name}" for name, count in counts.items())
    log.say(f"{said or 'no clips'}: {out}")
