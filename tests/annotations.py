"""Annotation files of the true layouts, small: ELAN's, YouTube's rolling captions, CSL-Daily's labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

Row = tuple[float | None, float | None, str]
"""Begin and end in seconds, and text."""


def write_eaf(
    path: Path,
    tiers: Mapping[str, Sequence[Row]],
    *,
    media: Sequence[str] = (),
    participants: Mapping[str, str] | None = None,
    origin_ms: int | None = None,
    refers: Mapping[str, Sequence[tuple[int, str]]] | None = None,
) -> Path:
    """Write an ELAN file.

    Args:
        path: where to.
        tiers: tier → its annotations.
        media: linked videos.
        participants: tier → its participant.
        origin_ms: offset of the videos.
        refers: tier → annotations that refer to the n-th (from 0) of the first tier.
    """
    slots, bodies, number = [], [], 0
    for name, rows in tiers.items():
        body = []
        for start, end, text in rows:
            number += 1
            for side, at in (("a", start), ("b", end)):
                time = "" if at is None else f' TIME_VALUE="{round(at * 1000)}"'
                slots.append(f'<TIME_SLOT TIME_SLOT_ID="ts{number}{side}"{time}/>')
            body.append(
                f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" TIME_SLOT_REF1="ts{number}a" '
                f'TIME_SLOT_REF2="ts{number}b"><ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE>'
                "</ALIGNABLE_ANNOTATION></ANNOTATION>"
            )
        who = f" PARTICIPANT={quoteattr(participants[name])}" if participants and name in participants else ""
        bodies.append(f"<TIER LINGUISTIC_TYPE_REF='default-lt' TIER_ID={quoteattr(name)}{who}>{''.join(body)}</TIER>")
    for name, rows in (refers or {}).items():
        body = [
            f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="r{n}" ANNOTATION_REF="a{at + 1}"><ANNOTATION_VALUE>'
            f"{escape(text)}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
            for n, (at, text) in enumerate(rows, 1)
        ]
        bodies.append(
            f"<TIER LINGUISTIC_TYPE_REF='ref' PARENT_REF={quoteattr(next(iter(tiers)))} TIER_ID={quoteattr(name)}>"
            f"{''.join(body)}</TIER>"
        )
    offset = "" if origin_ms is None else f' TIME_ORIGIN="{origin_ms}"'
    linked = "".join(f'<MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(url)} MIME_TYPE="video/mp4"{offset}/>' for url in media)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-11-28T00:00:00+00:00" '
        'FORMAT="3.0" VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">'
        f'<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">{linked}</HEADER><TIME_ORDER>{"".join(slots)}</TIME_ORDER>'
        f"{''.join(bodies)}<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID='default-lt' TIME_ALIGNABLE='true'/>"
        "</ANNOTATION_DOCUMENT>",
        "utf-8",
    )
    return path


ROLLING = """\
WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.000 align:start position:0%
~
Hello<00:00:00.560><c> everyone.</c><00:00:01.000><c> We</c><00:00:01.400><c> go</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
Hello everyone. We go
~

00:00:02.010 --> 00:00:04.000 align:start position:0%
Hello everyone. We go
hiking<00:00:02.500><c> today,</c><00:00:03.000><c> Mr.</c><00:00:03.500><c> Smith.</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
hiking today, Mr. Smith.
~

00:00:04.010 --> 00:00:05.000 align:start position:0%
hiking today, Mr. Smith.
[Music]

00:00:05.000 --> 00:00:07.000 align:start position:0%
[Music]
The<00:00:05.500><c> weather</c><00:00:06.000><c> is</c><00:00:06.500><c> nice</c>
""".replace("~", " ")  # YouTube's empty lines are of one blank
SENTENCES = [
    (0.16, 1.0, "Hello everyone."),
    (1.0, 4.0, "We go hiking today, Mr. Smith."),
    (5.0, 7.0, "The weather is nice"),
]
"""What ``ROLLING`` says."""
