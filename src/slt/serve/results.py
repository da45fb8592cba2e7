"""Results as files: SubRip, WebVTT, plain text and JSON, with corrections in place of what was corrected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from slt.data.cues import Cue
from slt.serve.jobs import Job
from slt.subtitles.cues import as_srt, as_vtt, lay_out


def best_text(job: Job, sentence: Mapping[str, Any], lang: str) -> str:
    """Return a sentence's corrected text, else its best one."""
    corrected = job.corrections.get(str(sentence["index"]), {}).get(lang)
    return corrected if corrected is not None else sentence["texts"][lang][0]["text"]


def _cues(job: Job, lang: str) -> Iterator[Cue]:
    for sentence in job.sentences:
        yield from lay_out(sentence["start_s"], sentence["end_s"], best_text(job, sentence, lang))


def _txt(job: Job, lang: str) -> str:
    return "".join(f"{best_text(job, sentence, lang)}\n" for sentence in job.sentences)


def _json(job: Job, lang: str) -> str:
    return json.dumps(sentences_of(job), ensure_ascii=False, indent=1) + "\n"


def sentences_of(job: Job, first: int = 0) -> list[dict[str, Any]]:
    """Return what is known of each sentence, from the ``first`` on, with its corrections."""
    return [
        {**sentence, "corrections": job.corrections.get(str(sentence["index"]), {})}
        for sentence in job.sentences[first:]
    ]


FORMATS: Mapping[str, tuple[str, Callable[[Job, str], str]]] = {
    "srt": ("application/x-subrip; charset=utf-8", lambda job, lang: as_srt(_cues(job, lang))),
    "vtt": ("text/vtt; charset=utf-8", lambda job, lang: as_vtt(_cues(job, lang))),
    "txt": ("text/plain; charset=utf-8", _txt),
    "json": ("application/json", _json),
}
"""Format → content type, and what writes a job's texts in one language."""
