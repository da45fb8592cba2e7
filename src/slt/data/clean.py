"""Write manifests without harmful clips, and a list of what was removed and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.data.findings import CHECKS
from slt.data.manifest import write_manifest
from slt.data.validate import Report


def clean_names(report: Report, out: Path) -> list[Path]:
    """Return where the clean form of each manifest goes: one to the file ``out``, several into the folder ``out``.

    Raises:
        UserError: two would be one file, or one would be written over its original.
    """
    names = [f"{manifest.path.stem}.tsv" for manifest in report.manifests]
    targets = [out] if len(names) == 1 and out.suffix == ".tsv" else [out / name for name in names]
    if len(set(targets)) < len(targets):
        raise UserError(f"two of these manifests would be written to one file in {out}", fix="clean them one by one")
    originals = {manifest.path.resolve() for manifest in report.manifests}
    if written_over := [target for target in targets if target.resolve() in originals]:
        raise UserError(f"{written_over[0]} is the manifest itself", fix="choose another place for the clean one")
    return targets


def write_clean(report: Report, targets: list[Path]) -> list[Counter[str]]:
    """Write the manifests, and beside each ``<name>.dropped.tsv``: which rows were left out, and why.

    Returns:
        For each manifest, how many rows each check has cost it; a row counts for the first one it fails.
    """
    dropped: list[dict[str, tuple[str, str]]] = [{} for _ in targets]
    for one in report.findings:
        if CHECKS[one.check].drops:
            dropped[one.manifest].setdefault(one.row, (one.check, one.reason))
    for manifest, target, rows in zip(report.manifests, targets, dropped, strict=True):
        kept = [manifest.clip_from(clip, target.parent) for clip in manifest.clips if clip.id not in rows]
        write_manifest(target, kept)
        lines = ["\t".join((row, *(" ".join(cell.split()) for cell in why))) for row, why in rows.items()]
        with atomic_write(target.with_suffix(".dropped.tsv")) as handle:
            handle.write(("\n".join(["row\tcheck\treason", *lines]) + "\n").encode("utf-8", "backslashreplace"))
    return [Counter(check for check, _ in rows.values()) for rows in dropped]
