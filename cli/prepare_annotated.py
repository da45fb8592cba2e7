"""``slt prepare elan`` and ``csl-daily``: corpora whose sentences are not in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slt_cli.prepare_run import NoCut, Out, SplitName, Videos, check_lang, prepare_listings


def elan(
    eaf: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="An .eaf file, or a folder tree of them.")],
    out: Out,
    tier: Annotated[
        list[str],
        typer.Option(
            metavar="NAME", help="The tier of sentences, one per signer; * stands for the signer; may be repeated."
        ),
    ],
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=NAME",
            help="Another tier of the same signer into a column, such as gloss or text_eng_Latn; may be repeated.",
        ),
    ] = None,
    media: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Which linked video is a signer's: * stands for anything, {signer} for the signer."
        ),
    ] = None,
    lang: Annotated[str | None, typer.Option(metavar="LANG", help="The sentences' FLORES-200 code: deu_Latn.")] = None,
    videos: Videos = None,
    no_cut: NoCut = False,
    split: SplitName = None,
) -> None:
    """Convert ELAN annotations (.eaf) into manifests: an annotation of the chosen tiers is a clip.

    Tiers are chosen by name. With * in it, each tier that fits is of another signer, and what * stands for names the
    signer (its tier's participant does otherwise). Videos are those that the annotations link, by their file name; of
    several, --media says which is whose. An offset of the video that the annotations state is applied.

    Example: slt prepare elan annotations --tier 'Deutsche_Übersetzung_*' --lang deu_Latn --media '*_1{signer}1'
    --also 'gloss=Lexem_Gebärde_r_*' --also 'text_eng_Latn=Translation_into_English_*' --videos videos --split train
    --out dgs
    """
    from slt.core.errors import UserError
    from slt.data.corpora.elan import Tiers, read_elan

    check_lang(lang)
    columns = {}
    for pair in also or ():
        column, equals, name = pair.partition("=")
        if not (column and equals and name):
            raise UserError(f"--also {pair} is no column and tier", fix="--also 'gloss=Gloss *'")
        columns[column] = name
    tiers = Tiers(sentences=tuple(tier), columns=columns, media=media)
    listings = {eaf: read_elan(eaf, tiers, lang=lang, split=split)}
    chosen = {"tiers": " ".join(tier), "also": " ".join(also or ()) or None, "media": media}
    options = {"split": split, "lang": lang, **chosen}
    prepare_listings("elan", listings, videos, out, cut=not no_cut, options=options)


def csl_daily(
    labels: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="csl2020ct_v2.pkl; or Uni-Sign's label files, one per split; repeatable."),
    ],
    out: Out,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="The list of splits, name|split, such as split_1.txt.")
    ] = None,
    videos: Videos = None,
    split: SplitName = None,
) -> None:
    """Convert CSL-Daily (Chinese Sign Language, Chinese) into manifests, from its labels, list and frame folders.

    Labels are pickles; they are read without running what is in them, and refused when they hold more than data. Its
    clips are folders of frames, or videos, already: the manifests refer to them as they are.

    Example: slt prepare csl-daily --labels csl2020ct_v2.pkl --csv split_1.txt --videos frames_512x512 --out csl-daily

    Example: slt prepare csl-daily --labels labels.train --labels labels.dev --labels labels.test --out csl-daily
    """
    from slt.data.corpora.csl_daily import LANG, read_csl_daily, read_label_files

    if csv is None:
        listings = read_label_files(labels, split=split)
        options = {"split": split}
    else:
        listings, digests = read_csl_daily(labels, csv)
        options = {"split": split, "labels": digests}
    prepare_listings("csl-daily", listings, videos, out, options={**options, "lang": LANG})
