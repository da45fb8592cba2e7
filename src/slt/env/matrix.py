"""Compatible versions of fairseq2 and torch, as data for `slt doctor` and the docs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One combination that was installed and run: both packages imported, a tiny model built, text decoded.

    Attributes:
        fairseq2: its version.
        fairseq2n: the version of its compiled half.
        torch: the version that half is compiled against, without the build's label.
        cuda: the CUDA of torch's Linux wheel in the public registry; it runs on a CPU as well.
        torchaudio: its version.
        sonar_space: its version.
        python: the Pythons it was run on.
        note: anything else the user should know.
    """

    fairseq2: str
    fairseq2n: str
    torch: str
    cuda: str
    torchaudio: str
    sonar_space: str
    python: str
    note: str = ""


PINNED = Row(
    fairseq2="0.8.1",
    fairseq2n="0.8.1",
    torch="2.9.1",
    cuda="12.8",
    torchaudio="2.9.1",
    sonar_space="0.5.0",
    python="3.11, 3.12",
    note="what `make env` installs",
)
ROWS = (
    Row(
        fairseq2="0.4.6",
        fairseq2n="0.4.6",
        torch="2.6.0",
        cuda="12.4",
        torchaudio="2.6.0",
        sonar_space="0.4.0",
        python="3.11",
        note="the generation of the public sign pipeline (`fairseq2.nn.padding`)",
    ),
    Row(
        fairseq2="0.5.2",
        fairseq2n="0.5.2",
        torch="2.8.0",
        cuda="12.8",
        torchaudio="2.8.0",
        sonar_space="0.5.0",
        python="3.11",
        note="refuses any other torch version or CUDA build",
    ),
    Row(
        fairseq2="0.6",
        fairseq2n="0.6",
        torch="2.8.0",
        cuda="12.8",
        torchaudio="2.8.0",
        sonar_space="0.5.0",
        python="3.11",
    ),
    Row(
        fairseq2="0.7.0",
        fairseq2n="0.7.0",
        torch="2.9.0",
        cuda="12.8",
        torchaudio="2.9.0",
        sonar_space="0.5.0",
        python="3.11",
    ),
    PINNED,
)


def row_of(fairseq2: str) -> Row | None:
    """Return the row of a fairseq2 version, or None when that version was never run."""
    return next((row for row in ROWS if same_version(row.fairseq2, fairseq2)), None)


def rows_with(torch: str) -> list[Row]:
    """Return the rows of a torch version, newest fairseq2 first; empty when nothing was run with it."""
    return [row for row in reversed(ROWS) if same_version(row.torch, torch)]


def same_version(left: str, right: str) -> bool:
    """Return whether two versions are one: build labels (``+cu128``) and closing zeros do not count."""
    return _release(left) == _release(right)


def _release(version: str) -> str:
    release = version.partition("+")[0]
    while release.endswith(".0"):
        release = release.removesuffix(".0")
    return release


def table() -> str:
    """Return the rows as a Markdown table, newest first, the pinned one in bold."""
    lines = [
        "| fairseq2 | fairseq2n | torch (CUDA) | torchaudio | sonar-space | Python | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in reversed(ROWS):
        torch = f"{row.torch} ({row.cuda})"
        cells = [row.fairseq2, row.fairseq2n, torch, row.torchaudio, row.sonar_space, row.python]
        if row is PINNED:
            cells = [f"**{cell}**" for cell in cells]
        lines.append(f"| {' | '.join([*cells, row.note])} |")
    return "\n".join(lines)
