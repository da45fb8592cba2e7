"""``slt demo``: print reference and translation of each shipped clip."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from slt.core import log
from slt.core.errors import SltError
from slt.data.synthetic.grammar import LANGUAGES
from slt.data.synthetic.labels import LabelledClip, read_clips
from slt.demo.score import score_texts
from slt.demo.spelled import show_words
from slt.pipeline.result import Failure, Translation
from slt.pipeline.translator import Translator

CLIPS = Path(__file__).parent / "clips" / "test.tsv"

NEXT = """\
Next:
  slt prepare synthetic --out DIR --clips 100   more drawn videos, for `slt translate VIDEO`
  slt serve                                     a page in the browser: spell your name into the camera
  slt models fetch sonar-asl                    the published model of real signing (CC-BY-NC 4.0, about 7 GB), then
  slt models import --name sonar-asl            made ready once, for `slt translate VIDEO --model sonar-asl`"""


def show_demo() -> None:
    """Translate the shipped clips, print each text beside what was signed, then scores and timings; then spelled words.

    Raises:
        SltError: a shipped clip could not be translated.
    """
    clips = read_clips(CLIPS)
    translator = Translator("demo")
    with log.bars() as bars:
        done = []
        for item in translator.translate_many([clip.video for clip in clips], LANGUAGES):
            if isinstance(item, Failure):
                raise SltError(f"{item.video}, which is shipped with slt, fails: {item.error.message}")
            done.append(item)
            bars.update("clips", len(done), len(clips))
    _show_table(clips, done)
    for line in _summary(clips, done):
        log.result(line)
    show_words()
    log.say(NEXT)


def _show_table(clips: Sequence[LabelledClip], translations: Sequence[Translation]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title="drawn clips of the held-out set: no sentence and no signer the model was trained on")
    for column in ("clip", "", "signed", "read", "score"):
        table.add_column(column, overflow="fold")
    for clip, translation in zip(clips, translations, strict=True):
        for lang in LANGUAGES:
            read = translation.texts[lang][0]
            text = Text(read.text, style="green" if read.text == clip.texts[lang] else "red")
            name = clip.name if lang == LANGUAGES[0] else ""
            table.add_row(name, lang, clip.texts[lang], text, f"{read.score:.2f}")
        table.add_section()
    width = None if sys.stdout.isatty() else 140
    Console(width=width, highlight=False).print(table)


def _summary(clips: Sequence[LabelledClip], translations: Sequence[Translation]) -> list[str]:
    lines = []
    for lang in LANGUAGES:
        score = score_texts([item.text(lang) for item in translations], [clip.texts[lang] for clip in clips])
        right = round(score.exact * score.n_clips)
        lines.append(f"{lang}: {right} of {score.n_clips} to the letter, BLEU {score.bleu:.1f}")
    seconds: dict[str, float] = {}
    for item in translations:
        for stage, value in item.timings.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    spent = ", ".join(f"{stage} {log.seconds(value)}" for stage, value in seconds.items())
    signed = sum(item.duration_s for item in translations)
    return [*lines, f"{log.seconds(signed)} of video in {log.seconds(sum(seconds.values()))}: {spent}"]
