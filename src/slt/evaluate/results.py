"""``results.json``: everything an evaluation found, and the texts beside it."""

from __future__ import annotations

import csv
import hashlib
import inspect
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from slt.core.config import parse
from slt.core.errors import UserError
from slt.core.files import atomic_write
from slt.evaluate.bootstrap import Resampling
from slt.evaluate.text_metrics import Score

FORMAT = 1
RESULTS, TRANSLATIONS_TSV, TRANSLATIONS_JSON = "results.json", "translations.tsv", "translations.json"
COLUMNS = ("id", "reference", "hypothesis", "bleu", "chrf", "cosine", "confidence", "failure")

Counting = Literal["empty", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One clip: what was signed, what the system made of it.

    Attributes:
        id: the clip's, or its line in a file.
        reference: what was signed.
        hypothesis: what the system says; empty where it failed.
        bleu, chrf: of this sentence, 0 to 100.
        failure: why there is no hypothesis.
        cosine: of the clip's embedding to the reference's.
        confidence: mean log-probability of the hypothesis's tokens.
        seconds: the translation took.
        duration_s: the clip's length.
        seen: its text is in the training set; None: nobody gave one.
        signer: who signs.
        video: the file.
        start_s, end_s: where the clip lies in it, in seconds, when it is a part.
    """

    id: str
    reference: str
    hypothesis: str
    bleu: float = 0.0
    chrf: float = 0.0
    failure: str | None = None
    cosine: float | None = None
    confidence: float | None = None
    seconds: float | None = None
    duration_s: float | None = None
    seen: bool | None = None
    signer: str | None = None
    video: str | None = None
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Which clips a score is of.

    Attributes:
        n: how many were scored.
        sha256: of their ids and references, in the order of ids.
        failed: id → reason, of clips without a hypothesis.
        counting: those clips count as empty hypotheses, or were left out.
        without_reference: ids of the manifest's clips that have no text in the language, and so no score.
    """

    n: int
    sha256: str
    failed: Mapping[str, str] = field(default_factory=dict)
    counting: Counting = "empty"
    without_reference: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """The score of some of the clips.

    Attributes:
        by: what they were told apart by: "length", "training" or "signer".
        label: which of these.
        n: how many clips.
        scores: a few of the metrics.
    """

    by: str
    label: str
    n: int
    scores: tuple[Score, ...]


@dataclass(frozen=True, kw_only=True)
class Control:
    """What the system scores without the signing.

    Attributes:
        name: "blank" or "shuffled".
        about: what was done.
        scores: a few of the metrics.
    """

    name: str
    about: str
    scores: tuple[Score, ...]


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """How generic the hypotheses are.

    Attributes:
        distinct: percent of the hypotheses that are different texts.
        distinct_references: the same of the references, for comparison.
        generic: percent of clips whose hypothesis another clip got as well, though another text was signed there.
        most: the commonest hypotheses that several clips got, with how many.
    """

    distinct: float
    distinct_references: float
    generic: float
    most: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long translating took, of clips that did not fail.

    Attributes:
        n: clips.
        median_s, p95_s: seconds per clip.
        real_time_factor: seconds of work per second of video.
        device: what it ran on.
    """

    n: int
    median_s: float
    p95_s: float
    real_time_factor: float
    device: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything about one system on one set of clips.

    Attributes:
        format: of the file.
        slt: the version that wrote it.
        system: what to call the system.
        lang: FLORES-200 code of the texts.
        source: where the hypotheses come from: files, or a model with its fingerprint and settings.
        clips: which were scored.
        scores: of all of them.
        groups: of some of them.
        controls: without the signing.
        repeats: how generic the hypotheses are.
        timing: how long it took.
        norms: mean length of the embeddings, and how much they all point one way; absent without a text encoder.
        notes: what a reader of the scores should know.
        resampling: how the intervals were made.
        environment: machine, versions, revision of the code, and the command.
        sentences: one by one, in the order of the manifest.
    """

    format: int = FORMAT
    slt: str
    system: str
    lang: str
    source: Mapping[str, Any]
    clips: Clips
    scores: tuple[Score, ...]
    groups: tuple[Group, ...] = ()
    controls: tuple[Control, ...] = ()
    repeats: Repeats
    timing: Timing | None = None
    norms: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    resampling: Resampling
    environment: Mapping[str, Any] = field(default_factory=dict)
    sentences: tuple[Sentence, ...]

    def score(self, name: str) -> Score | None:
        """Return the score of a metric, None where it was not computed."""
        return next((score for score in self.scores if score.name == name), None)


def identity_of(sentences: Iterable[Sentence]) -> str:
    """Return the hash that two evaluations share when they are of the same clips with the same references."""
    rows = sorted(json.dumps([one.id, one.reference], ensure_ascii=False) for one in sentences)
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()


def write_results(folder: Path, results: Results) -> None:
    """Write ``results.json`` and both files of translations, each whole or not at all.

    Raises:
        UserError: this user cannot write there.
    """
    write_translations(folder, translation_rows(results.sentences), COLUMNS)
    write_json(folder / RESULTS, asdict(results))


def translation_rows(sentences: Sequence[Sentence]) -> list[dict[str, Any]]:
    """Return what ``translations.json`` says of each sentence."""
    return [{name: getattr(one, name) for name in COLUMNS} for one in sentences]


def write_translations(folder: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write ``translations.tsv``, without tabs or line ends in its cells, and ``translations.json``."""
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
    table.writerow(columns)
    table.writerows([_cell(row[name]) for name in columns] for row in rows)
    with atomic_write(folder / TRANSLATIONS_TSV) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))
    write_json(folder / TRANSLATIONS_JSON, list(rows))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic_write(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace") + b"\n")


def read_results(path: Path) -> Results:
    """Read a ``results.json``, or the one in a folder.

    Raises:
        UserError: there is none, it is broken, or of a format that this version does not read.
    """
    file = path / RESULTS if path.is_dir() else path
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise UserError(f"there are no results in {file}", fix="make one with `slt evaluate … --out DIR`") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as results: {error}") from error
    number = found.get("format") if isinstance(found, dict) else None
    if number != FORMAT:
        raise UserError(
            f"{file} is no results.json of format {FORMAT}: its format is {number!r}",
            fix="make it again with this version's `slt evaluate`",
        )
    return parse(Results, found, where=str(file))


def schema() -> str:
    """Return what ``results.json`` holds, key by key, as Markdown: types from the code, words from its docstrings."""
    lines = []
    for cls in (Results, Clips, Score, Group, Control, Repeats, Timing, Resampling, Sentence):
        lines += [f"**{cls.__name__}**", "", "| key | type | what |", "|---|---|---|"]
        words = _words(cls)
        lines += [f"| `{one.name}` | `{str(one.type).replace('|', 'or')}` | {words[one.name]} |" for one in fields(cls)]
        lines.append("")
    return "\n".join(lines).strip()


def _words(cls: type) -> dict[str, str]:
    """Return what a docstring says of each attribute."""
    about = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \w)", about):
        names, _, text = entry.strip().partition(": ")
        found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else " ".join(str(value).split())
