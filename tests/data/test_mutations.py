"""Damaged manifests and lists: never a traceback, and every row is a clip or is named."""

from __future__ import annotations

import random

import pytest

from slt.core.errors import SltError
from slt.data.corpora.listing import read_listing
from slt.data.corpora.registry import HOW2SIGN
from slt.data.lines import read_lines
from slt.data.manifest import read_manifest, scan_manifest, write_manifest

LAYOUTS = (
    "id\tvideo\tstart_s\tend_s\ttext\tlang\tsigner\n"
    + "".join(f"clip-{n}\tv/{n}.mp4\t{n}.5\t{n + 3}.25\tGrüße, number {n}!\teng_Latn\tAnn\n" for n in range(9)),
    "id\tvideo_path\tn_frames\ttranslation\n" + "".join(f"-c{n}\tv/{n}.mp4\t{40 + n}\tHi {n}\n" for n in range(9)),
    "".join(f"0043-{n}\t{n}.25\tA caption {n}.\n" for n in range(9)),
    "".join(f"0043-{n}\t{n}\tA label {n}.\n" for n in range(9)),
)
LIST = "VIDEO_ID\tVIDEO_NAME\tSENTENCE_ID\tSENTENCE_NAME\tSTART_REALIGNED\tEND_REALIGNED\tSENTENCE\n" + "".join(
    f'v\tv-1\tv_{n}\tv_{n}-1-rgb_front\t{n}.5\t{n + 2}.5\tSentence "{n}".\n' for n in range(9)
)
SPLINTERS = (
    b"\t",
    b"\n",
    b"\r",
    b"\0",
    b"\xff\xfe",
    b'"',
    b"/",
    b"-",
    b"1e999",
    b"nan",
    b"\xef\xbb\xbf",
    b"..",
    b"\xcc\x88",
)


def mutated(text: str, draw: random.Random) -> bytes:
    """Damage a file in one to four places."""
    data = bytearray(text.encode())
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) or 1)
        length = draw.choice([1, 1, 3, 40])
        match draw.randrange(6):
            case 0:
                data[at : at + length] = b""
            case 1:
                data[at:at] = draw.choice(SPLINTERS)
            case 2:
                data[at : at + length] = draw.randbytes(length)
            case 3:
                data[at:at] = data[at : at + length * 10]
            case 4:
                del data[at:]
            case 5:
                lines = data.split(b"\n")
                draw.shuffle(lines)
                data = bytearray(b"\n".join(lines))
    return bytes(data)


@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_five_hundred_damaged_manifests(tmp_path, layout):
    draw = random.Random(layout)
    path = tmp_path / "train.tsv"
    for _ in range(500 // len(LAYOUTS)):
        path.write_bytes(mutated(LAYOUTS[layout], draw))
        try:
            manifest, mistakes = scan_manifest(path)
        except SltError:  # no layout that anybody knows
            continue
        bad_bytes = []
        rows = {number for number, _ in read_lines(path, bad_bytes)} | {one.line for one in bad_bytes}
        named = {mistake.line for mistake in mistakes}
        header = 0 if manifest.columns[0] == "video_name" else 1
        assert named <= rows
        assert len(manifest.clips) + len(named) == len(rows) - header
        if mistakes:
            with pytest.raises(SltError, match="found"):
                read_manifest(path)
        write_manifest(tmp_path / "again.tsv", manifest.clips)
        assert [one.id for one in read_manifest(tmp_path / "again.tsv").clips] == [one.id for one in manifest.clips]


def test_a_hundred_damaged_lists(tmp_path):
    draw = random.Random(9)
    path = tmp_path / "train.csv"
    for _ in range(100):
        path.write_bytes(mutated(LIST, draw))
        try:
            listing = read_listing(HOW2SIGN, path)
        except SltError:  # its header is gone
            continue
        assert len(listing.clips) + len(listing.failures) == listing.rows
        write_manifest(tmp_path / "again.tsv", listing.clips)
        assert len(read_manifest(tmp_path / "again.tsv").clips) == len(listing.clips)
