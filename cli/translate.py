"""``slt translate``: translate sign-language videos into text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slt_cli import completion

if TYPE_CHECKING:
    from slt.core.errors import SltError
    from slt.pipeline.translator import Translator
    from slt_cli.output import Report
    from slt_cli.segments import Subtitles


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


class TextEngine(StrEnum):
    """What can compute SONAR's text models."""

    fairseq2 = "fairseq2"
    transformers = "transformers"


TextEngineOption = Annotated[
    TextEngine | None,
    typer.Option(help="What computes SONAR's text models; default: fairseq2 where it can be imported."),
]


def translate(
    videos: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEO",
            help="Video files, or folders of frames; for a model that reads keypoints .pose files too, alone or beside "
            "the videos. -- goes before names that begin with -.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|DIR",
            autocompletion=completion.models,
            help="A model from slt models list, a bundle's folder, or hf:OWNER/NAME.",
        ),
    ] = "demo",
    lang: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LANG",
            autocompletion=completion.languages,
            help="A FLORES-200 code, eng_Latn if none; may be repeated.",
        ),
    ] = None,
    beam: Annotated[int, typer.Option(min=1, help="Beam size.")] = 5,
    nbest: Annotated[int, typer.Option(min=1, help="Texts per language, best first; at most --beam.")] = 1,
    rerank: Annotated[
        bool,
        typer.Option("--rerank", help="Read each video four times, rerank the texts, and estimate their confidence."),
    ] = False,
    segment: Annotated[
        bool, typer.Option("--segment", help="Find the sentences in continuous signing and translate each.")
    ] = False,
    span: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPAN|FILE",
            help="Translate 12.5-17.0 (seconds) or 00:01:02.5-00:01:07 alone; or the spans of an .srt, .vtt or .tsv. "
            "May be repeated.",
        ),
    ] = None,
    min_length: Annotated[
        float | None, typer.Option(metavar="S", help="With --segment: shortest sentence; default 0.6.")
    ] = None,
    max_length: Annotated[
        float | None,
        typer.Option(metavar="S", help="With --segment: longest sentence; longer signing is split; default 20."),
    ] = None,
    min_pause: Annotated[
        float | None, typer.Option(metavar="S", help="With --segment: rest that ends a sentence; default 0.3.")
    ] = None,
    srt: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write SubRip subtitles; a folder for several videos.")
    ] = None,
    vtt: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write WebVTT subtitles; a folder for several videos.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per video, sentence or span, each on a line.")
    ] = False,
    save_features: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write <video>.npy there: its features, (N, D) float32; with two streams <video>.visual.npy too.",
        ),
    ] = None,
    save_embeddings: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write <video>.npy there: its embedding, (D,) float32.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="auto (a GPU when there is one), cpu, cuda or cuda:N.")
    ] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="Precision of the weights.")] = Dtype.float32,
    text_dtype: Annotated[
        TextDtype | None, typer.Option(help="Precision of the text decoder, if different; int8 is fastest on a CPU.")
    ] = None,
    text_engine: TextEngineOption = None,
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
    tabs. Sentences and spans have their start and end, in seconds, before the text, or after the video; each is printed
    as soon as there is one; on a GPU texts are searched in groups that grow from one. With --json: video, model, texts
    (by language, each with text, score and, with --rerank, agreement and confidence), n_frames, fps, start_s, end_s,
    duration_s, signer, windows, feature_shape (of a second stream visual_shape), embedding_dim, timings_s and warnings;
    for what failed: video, error and fix. A published model that is not here yet is fetched and imported first, after
    its size and licence are shown.

    Subtitles in several languages go into one file each: talk.srt becomes talk.eng_Latn.srt and so on. They are
    complete at every moment, with all texts so far.

    Example: slt translate signing.mp4 --lang eng_Latn --lang deu_Latn --json

    Example: slt translate talk.mp4 --segment --srt talk.srt
    """
    from slt.bundle.resolve import check_embeds
    from slt.core import log
    from slt.pipeline.result import Failure, Translation
    from slt.video.detect import check_detector
    from slt_cli.output import VISUAL, Report, print_outcome, save
    from slt_cli.segments import Segments, Subtitles

    limits = {"min_length_s": min_length, "max_length_s": max_length, "min_pause_s": min_pause}
    segments = Segments.of(segment, span or (), limits)
    subtitles = Subtitles({".srt": srt, ".vtt": vtt}, several=len(videos) > 1)
    if save_embeddings:
        check_embeds(model)
    outputs = [save_features, save_embeddings]
    visual = save_features is not None and segments.whole  # the names of segments end in their times
    missing = _check(videos, model, lang, beam=beam, nbest=nbest, outputs=outputs, subtitles=subtitles, visual=visual)
    if detector:
        check_detector(detector)
    several = len(videos) > 1 or len(lang or ()) > 1
    report = Report(len(videos), segments.what)
    try:
        with log.bars() as bars:
            settings = {"beam_size": beam, "nbest": nbest, "rerank": rerank, "progress": bars.update}
            how = {"device": device, "dtype": dtype.value, "text_dtype": text_dtype and text_dtype.value}
            how |= {"detector": detector, "text_engine": text_engine and text_engine.value}
            there = [video for video in videos if video not in missing]
            each = segments.outcomes(_load(model, how, settings, report), there, lang, settings)
            for done, video in enumerate(videos, 1):
                failed = missing.get(video)
                outcomes = iter([Failure(video=str(video), error=failed)]) if failed else next(each)
                before = report.n_translated, len(report.failures)
                for outcome in outcomes:
                    report.add(outcome)
                    print_outcome(outcome, json=json, several=several, whole=segments.whole)
                    if isinstance(outcome, Translation):
                        save(save_features, outcome, outcome.features.numpy(), whole=segments.whole)
                        if outcome.visual is not None:
                            save(save_features, outcome, outcome.visual.numpy(), whole=segments.whole, of=VISUAL)
                        save(save_embeddings, outcome, outcome.embedding.numpy(), whole=segments.whole)
                        subtitles.add(outcome)
                if before == (report.n_translated, len(report.failures)):
                    log.warn(f"{video}: no signing was detected in it")
                subtitles.finish(video, lang, failed=len(report.failures) > before[1])
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
    subtitles: Subtitles,
    visual: bool,
) -> dict[Path, SltError]:
    """Find every mistake that can be found without loading a model.

    Args:
        videos: as named.
        model: likewise.
        lang: likewise.
        beam: likewise.
        nbest: likewise.
        outputs: folders that arrays go into.
        subtitles: which are asked for.
        visual: features of whole videos are saved, of a second stream too if the model has one.

    Returns:
        The videos that do not exist, each with the error that says so; the others can be translated all the same.

    Raises:
        UserError: a mistake that concerns all videos.
    """
    from slt.bundle.resolve import languages_of
    from slt.core.errors import UserError
    from slt.text.languages import check_languages
    from slt.video.oserrors import explain_os_error

    if nbest > beam:
        raise UserError(f"--nbest {nbest} is more than --beam {beam}", fix=f"--beam {nbest}")
    known = languages_of(model)
    if lang:
        check_languages(lang, known)
    folders = [folder for folder in outputs if folder is not None]
    if subtitles.check(_check_folder) or folders:
        _refuse_equal_names(videos, visual=visual and _has_two_streams(model))
    for folder in folders:
        _check_folder(folder)
    missing: dict[Path, SltError] = {}
    for video in videos:
        try:
            video.stat()
        except (OSError, ValueError) as error:
            missing[video] = explain_os_error(video, error)
    return missing


def _refuse_equal_names(videos: Sequence[Path], *, visual: bool) -> None:
    from slt.core.errors import UserError
    from slt_cli.output import saved_names

    first: dict[str, Path] = {}
    for video in videos:
        for name in saved_names(video, visual=visual):
            other = first.setdefault(name, video)
            if other is not video:
                raise UserError(
                    f"{other} and {video} would both be saved as {name}",
                    fix="translate them one after the other, into different folders",
                )


def _has_two_streams(model: str) -> bool:
    """Return whether a model that is here reads two streams of features; no published one does."""
    from slt.assets.store import find_bundle, is_bundle
    from slt.frontend.streams import bundle_streams

    return is_bundle(model) and len(bundle_streams(find_bundle(model).card)) > 1


def _check_folder(folder: Path) -> None:
    from slt.core.files import atomic_write

    probe = folder / ".slt-was-here"
    with atomic_write(probe):
        pass
    probe.unlink()


def _load(model: str, how: Mapping[str, Any], settings: Mapping[str, Any], report: Report) -> Iterator[Translator]:
    """Yield a ``Translator`` of this model, so set up, for ever; it is loaded when it is first asked for."""
    progress = settings["progress"]
    progress("loading the model", 0, 1)
    with report.clock("load"):
        from slt.pipeline.translator import Translator

        translator = Translator(model, **how)
        translator.load(text_encoder=settings["rerank"], progress=progress)
    progress("loading the model", 1, 1)
    while True:
        yield translator
