"""``results.json``: all results of an evaluation, and the translations beside it."""

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
    """Reference and hypothesis of one clip.

    Attributes:
        id: clip id, or line number in a file.
        reference: reference translation.
        hypothesis: output of the system; empty on failure.
        bleu, chrf: sentence scores, 0 to 100.
        failure: why there is no hypothesis.
        cosine: cosine between the embeddings of clip and reference.
        confidence: mean log-probability of the hypothesis's tokens.
        seconds: translation time.
        duration_s: clip duration in seconds.
        seen: whether the reference occurs in the training set; None: unknown.
        signer: signer of the clip.
        video: path of the video.
        start_s, end_s: segment of the video in seconds, if the clip is a part of it.
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
    """The scored clips.

    Attributes:
        n: number of scored clips.
        sha256: hash of their ids and references, sorted by id.
        failed: id → reason, of clips without a hypothesis.
        counting: failed clips count as empty hypotheses, or were skipped.
        without_reference: ids of clips without a text in the language, which are not scored.
    """

    n: int
    sha256: str
    failed: Mapping[str, str] = field(default_factory=dict)
    counting: Counting = "empty"
    without_reference: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """Scores of a group of clips.

    Attributes:
        by: grouping criterion: "length", "training" or "signer".
        label: name of the group.
        n: number of clips.
        scores: scores by a few metrics.
    """

    by: str
    label: str
    n: int
    scores: tuple[Score, ...]


@dataclass(frozen=True, kw_only=True)
class Control:
    """Scores of a control experiment without the signing.

    Attributes:
        name: "blank" or "shuffled".
        about: description of the experiment.
        scores: scores by a few metrics.
    """

    name: str
    about: str
    scores: tuple[Score, ...]


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Repetition of hypotheses between clips.

    Attributes:
        distinct: distinct hypotheses, in percent of all.
        distinct_references: distinct references, in percent of all.
        generic: percent of clips that share their hypothesis with a clip of another reference.
        most: most frequent hypotheses of several clips, with counts.
    """

    distinct: float
    distinct_references: float
    generic: float
    most: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Translation times of the successful clips.

    Attributes:
        n: number of clips.
        median_s, p95_s: seconds per clip, median and 95th percentile.
        real_time_factor: seconds of computation per second of video.
        device: device of the model.
    """

    n: int
    median_s: float
    p95_s: float
    real_time_factor: float
    device: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of one system on one set of clips.

    Attributes:
        format: version of the file format.
        slt: version of slt that wrote it.
        system: name of the system.
        lang: FLORES-200 code of the texts.
        source: origin of the hypotheses: files, or a model with its fingerprint and settings.
        clips: the scored clips.
        scores: scores of all clips.
        groups: scores of groups of clips.
        controls: scores of control experiments.
        repeats: repetition of hypotheses between clips.
        timing: translation times.
        norms: mean norm and anisotropy of the embeddings; absent without a text encoder.
        notes: remarks for readers of the scores.
        resampling: settings of the confidence intervals.
        environment: machine, versions, code revision and command.
        sentences: the sentences, in the order of the manifest.
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
        """Return the score of a metric, or None if it was not computed."""
        return next((score for score in self.scores if score.name == name), None)


def identity_of(sentences: Iterable[Sentence]) -> str:
    """Return a hash of clip ids and references, independent of their order."""
    rows = sorted(json.dumps([one.id, one.reference], ensure_ascii=False) for one in sentences)
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()


def write_results(folder: Path, results: Results) -> None:
    """Write ``results.json`` and both translation files atomically.

    Raises:
        UserError: no permission to write there.
    """
    write_translations(folder, translation_rows(results.sentences), COLUMNS)
    write_json(folder / RESULTS, asdict(results))


def translation_rows(sentences: Sequence[Sentence]) -> list[dict[str, Any]]:
    """Return the rows of ``translations.json``."""
    return [{name: getattr(one, name) for name in COLUMNS} for one in sentences]


def write_translations(folder: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write ``translations.tsv``, with whitespace in cells normalised, and ``translations.json``."""
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
    table.writerow(columns)
    table.writerows([_cell(row[name]) for name in columns] for row in rows)
    with atomic_write(folder / TRANSLATIONS_TSV) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))
    write_json(folder / TRANSLATIONS_JSON, list(rows))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    with atomic_write(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace") + b"\n")


def read_results(path: Path) -> Results:
    """Read a ``results.json`` file or the one in a folder.

    Raises:
        UserError: the file is missing, damaged, or of another format version.
    """
    file = path / RESULTS if path.is_dir() else path
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise UserError(f"there are no results in {file}", fix="run `slt evaluate … --out DIR`") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as results: {error}") from error
    number = found.get("format") if isinstance(found, dict) else None
    if number != FORMAT:
        raise UserError(
            f"{file}: found results of format {number!r}, expected {FORMAT}",
            fix="run this version's `slt evaluate` again",
        )
    return parse(Results, found, where=str(file))


def schema() -> str:
    """Return a Markdown description of ``results.json``, with types from the code and text from its docstrings."""
    lines = []
    for cls in (Results, Clips, Score, Group, Control, Repeats, Timing, Resampling, Sentence):
        lines += [f"**{cls.__name__}**", "", "| key | type | what |", "|---|---|---|"]
        words = _words(cls)
        lines += [f"| `{one.name}` | `{str(one.type).replace('|', 'or')}` | {words[one.name]} |" for one in fields(cls)]
        lines.append("")
    return "\n".join(lines).strip()


def _words(cls: type) -> dict[str, str]:
    """Return the description of each attribute in a docstring."""
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
