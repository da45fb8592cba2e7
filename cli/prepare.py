"""``slt prepare``: convert corpora into manifests for training and evaluation."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_cli.commands import Commands
from slt_cli.prepare_annotated import csl_daily, elan
from slt_cli.prepare_run import Clips, Lists, NoCut, Out, SplitName, Videos, check_lang, prepare_listings

if TYPE_CHECKING:
    from slt.data.corpora.registry import Corpus

app = typer.Typer(
    cls=Commands, no_args_is_help=True, help="Convert a corpus into manifests for training and evaluation."
)


class Joints(StrEnum):
    """The joints that a drawn clip can come with."""

    mediapipe = "mediapipe-75"
    wholebody = "coco-wholebody-133"


class Split(StrEnum):
    """The parts of a corpus; no two share a sentence or a signer."""

    train = "train"
    val = "val"
    test = "test"


@app.command()
def synthetic(
    out: Out,
    clips: Annotated[int, typer.Option(min=1, help="How many clips to draw.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same corpus.")] = 0,
    split: Annotated[
        Split | None, typer.Option(help="Draw this part only; without it, train, val and test at 8 : 1 : 1.")
    ] = None,
    joints: Annotated[
        bool, typer.Option("--joints", help="Write the signers' joints too: a .pose file beside each video.")
    ] = False,
    skeleton: Annotated[
        Joints, typer.Option(help="Which joints: MediaPipe's of body and hands, or COCO-WholeBody's, face included.")
    ] = Joints.mediapipe,
    no_videos: Annotated[
        bool, typer.Option("--no-videos", help="Write joints alone; ten times as fast, for systems on joints.")
    ] = False,
) -> None:
    """Draw a corpus of the synthetic signed language: videos, English and German text.

    Prints the manifest of every split. With --joints its column pose names the files that systems on landmarks read:
    slt extract-features --extractor keypoints takes them as they are, and --extractor wholebody --skeleton
    coco-wholebody-133 those that include the face.

    Example: slt prepare synthetic --out corpus --clips 100 --seed 1

    Example: slt prepare synthetic --out signed --clips 100 --joints --skeleton coco-wholebody-133 --no-videos
    """
    from slt.core import log
    from slt.data.synthetic.corpus import share_out, write_corpus

    n_clips = {split.value: clips} if split else share_out(clips)
    with log.bars() as bars:
        manifests = write_corpus(
            out,
            n_clips,
            seed,
            with_joints=joints,
            skeleton=skeleton.value,
            with_videos=not no_videos,
            progress=lambda done, total: bars.update("clips", done, total),
        )
    for manifest in manifests.values():
        log.result(str(manifest))


@app.command()
def fingerspelling(
    out: Out,
    clips: Annotated[int, typer.Option(min=1, help="How many words to spell.")],
    poses: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of recorded letters and index.csv; default: the installed package's."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same corpus.")] = 0,
    split: Annotated[
        Split | None, typer.Option(help="Spell this part only; without it, train, val and test at 8 : 1 : 1.")
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option(metavar="SIGNER", help="Signer who spells the test part and nothing else, such as ase."),
    ] = None,
) -> None:
    """Spell words with recorded letters of the American manual alphabet: .pose files of real hands, and their text.

    The recordings are those of the package spoken-to-signed (MIT), one signer for each of 9 signed languages:
    uv pip install --no-deps spoken-to-signed==0.4.0. Half of the clips are random strings of letters. Prints the
    manifest of every split.

    Example: slt prepare fingerspelling --out spelled --clips 100 --held-out ase
    """
    from slt.core import log
    from slt.data.fingerspelling.corpus import write_spelled_corpus
    from slt.data.synthetic.corpus import share_out

    n_clips = {split.value: clips} if split else share_out(clips)
    with log.bars() as bars:
        manifests = write_spelled_corpus(
            out,
            n_clips,
            seed,
            poses=poses,
            held_out=held_out,
            progress=lambda done, total: bars.update("words", done, total),
        )
    for manifest in manifests.values():
        log.result(str(manifest))


@app.command()
def how2sign(
    csv: Lists, out: Out, videos: Videos = None, clips: Clips = None, no_cut: NoCut = False, split: SplitName = None
) -> None:
    """Convert How2Sign (American Sign Language, English) into manifests, from its CSV files and its videos or clips.

    Takes the realigned files, as they are downloaded, separated by tabs, or by commas as in some copies. With --videos
    (the full videos) each sentence becomes a clip: an H.264 file without sound, of exactly the frames from its start
    to before its end; with --no-cut, a segment of the long video that is decoded when it is needed. With --clips the
    manifests name the ready-made clips SENTENCE_NAME.mp4, front or side view; these are cut with the original stamps,
    which lie beside the signing.

    Prints the manifest of every split. prepare.json in the folder has all counts, and every row that is in no
    manifest, with the reason.

    Example: slt prepare how2sign --csv how2sign_realigned_val.csv --videos raw_videos --out how2sign

    Example: slt prepare how2sign --csv how2sign_realigned_val.csv --clips val_rgb_front_clips --out how2sign
    """
    from slt.data.corpora.registry import HOW2SIGN

    _prepare_cuttable(HOW2SIGN, csv, out, videos=videos, clips=clips, cut=not no_cut, split=split)


@app.command()
def phoenix(csv: Lists, out: Out, videos: Videos = None, split: SplitName = None) -> None:
    """Convert PHOENIX-2014-T (German Sign Language, German) into manifests, from its lists and its folders of frames.

    Its clips are folders of frames already: the manifests refer to them as they are.

    Example: slt prepare phoenix --csv PHOENIX-2014-T.dev.corpus.csv --videos PHOENIX-2014-T/features --out phoenix
    """
    from slt.data.corpora.listing import read_listing
    from slt.data.corpora.registry import PHOENIX

    listings = {path: read_listing(PHOENIX, path, split=split) for path in csv}
    prepare_listings(PHOENIX.name, listings, videos, out, options={"split": split})


@app.command()
def dailymoth(csv: Lists, out: Out, videos: Videos = None, split: SplitName = None) -> None:
    """Convert DailyMoth-70h (American Sign Language, English) into manifests, from its lists.

    Its clips are files of their own already: the manifests refer to them as they are. Other corpora in that layout
    (lists without a header, videos sorted by their first five letters) are taken too.

    Example: slt prepare dailymoth --csv manifests/train.tsv --videos videos --out dailymoth
    """
    from slt.data.corpora.listing import read_listing
    from slt.data.corpora.registry import DAILYMOTH

    listings = {path: read_listing(DAILYMOTH, path, split=split) for path in csv}
    prepare_listings(DAILYMOTH.name, listings, videos, out, options={"split": split})


@app.command()
def openasl(csv: Lists, out: Out, videos: Videos = None, clips: Clips = None, no_cut: NoCut = False) -> None:
    """Convert OpenASL (American Sign Language, English) into manifests, from its TSV file and its videos or clips.

    Videos are named by their YouTube ids, clips by the column vid. With --videos, clips become files, or segments, as
    for How2Sign.

    Example: slt prepare openasl --csv openasl-v1.0.tsv --videos raw --no-cut --out openasl
    """
    from slt.data.corpora.registry import OPENASL

    _prepare_cuttable(OPENASL, csv, out, videos=videos, clips=clips, cut=not no_cut)


@app.command("youtube-asl")
def youtube_asl(
    csv: Lists, out: Out, videos: Videos = None, clips: Clips = None, no_cut: NoCut = False, split: SplitName = None
) -> None:
    """Convert YouTube-ASL (American Sign Language, English) into manifests, from a list of its clips.

    The corpus itself is a list of video ids; two lists of clips made of it are in use. One has the columns vid_id,
    start_frame, end_frame, fps and annotation, with clips named ID.START-END.mp4 by their frames; the other has
    How2Sign's columns, with clips named by SENTENCE_NAME. For captions beside videos: slt prepare table --subtitles.

    Example: slt prepare youtube-asl --csv metadata.csv --split train --clips clips --out youtube-asl
    """
    from slt.data.corpora.registry import YOUTUBE_ASL

    _prepare_cuttable(YOUTUBE_ASL, csv, out, videos=videos, clips=clips, cut=not no_cut, split=split)


app.command()(elan)
app.command("csl-daily")(csl_daily)


@app.command()
def table(
    out: Out,
    csv: Annotated[
        list[Path] | None,
        typer.Option("--csv", metavar="FILE", help="A table with a header, or JSON Lines; may be repeated."),
    ] = None,
    subtitles: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Instead of a table: NAME.srt or NAME.vtt for each video NAME.")
    ] = None,
    lang: Annotated[str | None, typer.Option(metavar="LANG", help="The texts' FLORES-200 code: eng_Latn.")] = None,
    video: Annotated[str, typer.Option(metavar="COLUMN", help="The column of videos' names or paths.")] = "video",
    text: Annotated[str, typer.Option(metavar="COLUMN", help="The column of sentences.")] = "text",
    id_column: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="That of ids; without it, clips are numbered.")
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="COLUMN", help="That of beginnings: 12.5 or 0:00:12.5.")] = None,
    end: Annotated[str | None, typer.Option(metavar="COLUMN", help="That of ends.")] = None,
    split_column: Annotated[str | None, typer.Option(metavar="COLUMN", help="That of splits.")] = None,
    separator: Annotated[
        str | None, typer.Option(metavar="CHAR", help="Between cells; without it, whichever fits the header.")
    ] = None,
    videos: Videos = None,
    no_cut: NoCut = False,
    split: SplitName = None,
) -> None:
    """Convert your own corpus into manifests, from a table whose columns you name, or from subtitles beside videos.

    Clips become files, or segments, as for How2Sign; one without times is its whole video. A file .jsonl holds an
    object per line, whose keys are the columns. YouTube's rolling captions become sentences.

    Example: slt prepare table --csv train.csv --video file --text sentence --lang eng_Latn --videos clips --out mine

    Example: slt prepare table --subtitles talks --videos talks --lang eng_Latn --split train --no-cut --out talks-train
    """
    from slt.core.errors import UserError
    from slt.data.corpora.listing import read_listing, read_subtitles
    from slt.data.corpora.registry import own_table

    if bool(csv) == bool(subtitles):
        raise UserError("give either a table or subtitles", fix="--csv FILE, or --subtitles DIR")
    check_lang(lang)
    if subtitles:
        listings = {subtitles: read_subtitles(subtitles, lang=lang, split=split)}
        prepare_listings("subtitles", listings, videos, out, cut=not no_cut, options={"split": split, "lang": lang})
        return
    named = {"id": id_column, "video": video, "text": text, "start": start, "end": end, "split": split_column}
    columns = {what: name for what, name in named.items() if name is not None}
    corpus = own_table(columns, lang=lang, separator=separator)
    listings = {path: read_listing(corpus, path, split=split) for path in csv or ()}
    options = {"split": split, "lang": lang, **columns}
    prepare_listings(corpus.name, listings, videos, out, cut=not no_cut, options=options)


def _prepare_cuttable(
    corpus: Corpus,
    lists: list[Path],
    out: Path,
    *,
    videos: Path | None,
    clips: Path | None,
    cut: bool,
    split: str | None = None,
) -> None:
    """Prepare a corpus of long videos, or of clips already cut from them."""
    from slt.core import log
    from slt.core.errors import UserError
    from slt.data.corpora.listing import read_listing
    from slt.data.corpora.ready_made import as_ready_made, holds_ready_made

    if clips and videos:
        raise UserError("both --clips and --videos are given", fix="give the full videos, or the ready-made clips")
    listings = {path: read_listing(corpus, path, split=split) for path in lists}
    if videos and holds_ready_made(listings, corpus, videos):
        log.say(f"{videos} holds ready-made clips and none of the full videos: they are taken as with --clips")
        clips = videos
    if not clips:
        prepare_listings(corpus.name, listings, videos, out, cut=cut, options={"split": split})
        return
    listings = {path: as_ready_made(listing, corpus, clips) for path, listing in listings.items()}
    options = {"split": split, "clips": "ready-made"}
    prepare_listings(corpus.name, listings, clips, out, cut=False, options=options, clips_of=corpus)
