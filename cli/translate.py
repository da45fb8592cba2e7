"""``slt translate``: videos in, texts out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slt.errors import SltError
    from slt.translation import Failure, Translation
    from slt_cli.failures import ItemsFailed


class Dtype(StrEnum):
    """What the models can compute in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class TextDtype(StrEnum):
    """What the text decoder's weights can be."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    int8 = "int8"


def translate(
    videos: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEO", help="Video files, or folders of frames; -- goes before names that begin with -."
        ),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="A model from slt models list, or a bundle's folder.")
    ] = "demo",
    lang: Annotated[
        list[str] | None, typer.Option(metavar="LANG", help="A FLORES-200 code, eng_Latn if none; may be repeated.")
    ] = None,
    beam: Annotated[int, typer.Option(min=1, help="Hypotheses kept alive while a text is searched.")] = 5,
    nbest: Annotated[int, typer.Option(min=1, help="Texts per language, best first; at most --beam.")] = 1,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Read each video four times, weigh the texts, tell how far to trust them.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per video, each on a line.")] = False,
    save_features: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write <video>.npy there: its features, (N, D) float32.")
    ] = None,
    save_embeddings: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write <video>.npy there: its embedding, (D,) float32.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="auto (a GPU when there is one), cpu, cuda or cuda:N.")
    ] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="What the models' weights are.")] = Dtype.float32,
    text_dtype: Annotated[
        TextDtype | None, typer.Option(help="The same for the text decoder, if other; int8 is fastest on a CPU.")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What finds the signer, if not what the model asks for: dlib-hog, dlib-hog-fast, mediapipe, dlib-cnn,"
            " auto; none for a video that shows just the signer.",
        ),
    ] = None,
) -> None:
    """Translate sign-language videos into text.

    One video and one language: the text alone is printed. Several: lines of video, language and text, separated by
    tabs. With --json: video, model, texts (by language, each with text, score and, with --rerank, agreement and
    confidence), n_frames, fps, start_s, end_s, duration_s, signer, windows, feature_shape, embedding_dim, timings_s
    and warnings; for a video that failed: video, error and fix. A published model that is not here yet is fetched and
    imported first, after its size and its licence were told.

    Example: slt translate signing.mp4 --lang eng_Latn --lang deu_Latn --json
    """
    from slt import log
    from slt.translation import Failure, Translation
    from slt.video.detect import check_detector

    missing = _check(videos, model, lang, beam=beam, nbest=nbest, outputs=[save_features, save_embeddings])
    if detector:
        check_detector(detector)
    several = len(videos) > 1 or len(lang or ()) > 1
    report = _Report(len(videos))
    try:
        with log.bars() as bars:
            found = [video for video in videos if video not in missing]
            settings = {"beam_size": beam, "nbest": nbest, "rerank": rerank, "progress": bars.update}
            how = {"device": device, "dtype": dtype.value, "text_dtype": text_dtype and text_dtype.value}
            translated = _translate(found, lang, model, {**how, "detector": detector}, settings, report)
            for done, video in enumerate(videos, 1):
                failed = missing.get(video)
                outcome = Failure(video=str(video), error=failed) if failed else next(translated)
                report.add(outcome)
                _print(outcome, json=json, several=several)
                if isinstance(outcome, Translation):
                    _save(save_features, outcome.video, outcome.features.numpy())
                    _save(save_embeddings, outcome.video, outcome.embedding.numpy())
                if len(videos) > 1:
                    bars.update("videos", done, len(videos))
    except BaseException:
        report.tell()
        if report.failures:
            log.fail(report.failed())
        raise
    report.tell()
    if report.failures:
        raise report.failed()


def _check(
    videos: Sequence[Path],
    model: str,
    lang: Sequence[str] | None,
    *,
    beam: int,
    nbest: int,
    outputs: Sequence[Path | None],
) -> dict[Path, SltError]:
    """Find every mistake that can be found without loading a model.

    Returns:
        The videos that do not exist, each with the error that says so; the others can be translated all the same.

    Raises:
        UserError: a mistake that concerns all videos.
    """
    from slt.errors import UserError
    from slt.obtain import languages_of
    from slt.text.languages import check_languages
    from slt.video.oserrors import explain_os_error

    if nbest > beam:
        raise UserError(f"--nbest {nbest} is more than the search keeps alive, --beam {beam}", fix=f"--beam {nbest}")
    known = languages_of(model)
    if lang:
        check_languages(lang, known)
    folders = [folder for folder in outputs if folder is not None]
    if folders:
        _refuse_equal_names(videos)
    for folder in folders:
        _check_folder(folder)
    missing: dict[Path, SltError] = {}
    for video in videos:
        try:
            video.stat()
        except (OSError, ValueError) as error:
            missing[video] = explain_os_error(video, error)
    return missing


def _refuse_equal_names(videos: Sequence[Path]) -> None:
    from slt.errors import UserError

    first: dict[str, Path] = {}
    for video in videos:
        other = first.setdefault(_output_name(video), video)
        if other is not video:
            raise UserError(
                f"{other} and {video} would both be saved as {_output_name(video)}",
                fix="translate them one after the other, into different folders",
            )


def _check_folder(folder: Path) -> None:
    from slt.files import atomic_write

    probe = folder / ".slt-was-here"
    with atomic_write(probe):
        pass
    probe.unlink()


def _output_name(video: str | Path) -> str:
    path = Path(video).absolute()
    return f"{path.name if path.is_dir() else path.stem}.npy"


def _translate(
    videos: Sequence[Path],
    lang: Sequence[str] | None,
    model: str,
    how: Mapping[str, Any],
    settings: Mapping[str, Any],
    report: _Report,
) -> Iterator[Translation | Failure]:
    """Translate videos with a ``Translator`` of this model, so set up; it is loaded when the first is asked for."""
    progress = settings["progress"]
    progress("loading the model", 0, 1)
    with report.clock("load"):
        from slt.translate import Translator

        translator = Translator(model, **how)
        translator.load(text_encoder=settings["rerank"], progress=progress)
    progress("loading the model", 1, 1)
    yield from translator.translate_many(videos, lang, **settings)


def _print(outcome: Translation | Failure, *, json: bool, several: bool) -> None:
    """Print one video's result; what failed is told at the end, to people, and here, to programs."""
    from json import dumps

    from slt import log
    from slt.translation import Failure

    if json:
        log.result(dumps(outcome.as_json(), ensure_ascii=False))
    elif not isinstance(outcome, Failure):
        for lang, hypotheses in outcome.texts.items():
            for one in hypotheses:
                log.result(f"{outcome.video}\t{lang}\t{one.text}" if several else one.text)


def _save(folder: Path | None, video: str, array: NDArray[Any]) -> None:
    if folder is None:
        return
    import numpy as np

    from slt.files import atomic_write

    with atomic_write(folder / _output_name(video)) as file:
        np.save(file, array)


class _Report:
    """What a person wants to know at the end: how long what took, what to beware of, and what failed.

    Attributes:
        clock: seconds per stage, of all videos together.
        failures: (video, why it failed), so far.
    """

    def __init__(self, n_videos: int) -> None:
        from slt.stopwatch import Stopwatch

        self.clock = Stopwatch()
        self.failures: list[tuple[str, SltError]] = []
        self._n_videos = n_videos
        self._translated_s: list[float] = []
        self._warned: dict[str, int] = {}

    def add(self, outcome: Translation | Failure) -> None:
        """Count a video in; tell the warnings about it that no earlier one had."""
        from slt import log
        from slt.translation import Failure

        if isinstance(outcome, Failure):
            self.failures.append((outcome.video, outcome.error))
            return
        self._translated_s.append(outcome.duration_s)
        for stage, seconds in outcome.timings.items():
            self.clock.seconds[stage] = self.clock.seconds.get(stage, 0.0) + seconds
        for warning in outcome.warnings:
            self._warned[warning] = self._warned.get(warning, 0) + 1
            if self._warned[warning] == 1:
                log.warn(f"{outcome.video}: {warning}")

    def tell(self) -> None:
        """Write how many more videos a warning is true of, and the times of all stages."""
        from slt import log

        for warning, count in self._warned.items():
            if count > 1:
                log.warn(f"{count - 1} more of these videos: {warning}")
        if self._translated_s:
            videos = "1 video" if len(self._translated_s) == 1 else f"{len(self._translated_s)} videos"
            stages = ", ".join(f"{stage} {log.seconds(value)}" for stage, value in self.clock.seconds.items())
            took = log.seconds(sum(self.clock.seconds.values()))
            log.say(f"{videos} of {log.seconds(sum(self._translated_s))} in {took}: {stages}")

    def failed(self) -> ItemsFailed:
        """Return the error that lists the failures."""
        from slt_cli.failures import ItemsFailed

        error = ItemsFailed(self.failures, total=self._n_videos, what="videos")
        error.__cause__ = self.failures[0][1]
        return error
