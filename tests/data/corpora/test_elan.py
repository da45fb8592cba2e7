"""ELAN's annotations: tiers by name, signers, their videos, times that hold; hostile XML is refused."""

from __future__ import annotations

import pytest

from slt.core.errors import UserError
from slt.data.corpora.elan import Tiers, read_elan
from tests.annotations import write_eaf

TIERS = {
    "Deutsche_Übersetzung_A": [(1.0, 3.0, "Guten Tag."), (4.0, 6.5, "Schönes\nWetter.")],
    "Deutsche_Übersetzung_B": [(2.0, 3.5, "Ja.")],
    "Translation_into_English_A": [(1.0, 3.0, "Good day."), (4.0, 6.5, "Nice weather.")],
    "Lexem_Gebärde_r_A": [(1.0, 1.6, "TAG"), (1.7, 2.4, "GUT"), (4.2, 5.0, "WETTER"), (7.0, 8.0, "AUS")],
}
CHOSEN = Tiers(
    sentences=("Deutsche_Übersetzung_*",),
    columns={"gloss": "Lexem_Gebärde_r_*", "text_eng_Latn": "Translation_into_English_*"},
    media="*_1{signer}1",
)
MEDIA = ("file:///C:/corpus/123_1a1.mp4", "./123_1b1.mp4", "./123_1c.mp4")


def rows(listing):
    return [(clip.id, clip.video, clip.start_s, clip.end_s, clip.text, clip.extra["signer"]) for clip in listing.clips]


def test_a_corpus_like_the_dgs_korpus(tmp_path):
    write_eaf(tmp_path / "train" / "123.eaf", TIERS, media=MEDIA)
    listing = read_elan(tmp_path, CHOSEN, lang="deu_Latn", split=None)
    assert rows(listing) == [
        ("123_A_1", "123_1a1", 1.0, 3.0, "Guten Tag.", "A"),
        ("123_A_2", "123_1a1", 4.0, 6.5, "Schönes Wetter.", "A"),
        ("123_B_1", "123_1b1", 2.0, 3.5, "Ja.", "B"),
    ]
    first, second, third = listing.clips
    assert (first.extra["gloss"], first.extra["text_eng_Latn"]) == ("TAG GUT", "Good day.")
    assert (second.extra["gloss"], second.extra["split"]) == ("WETTER", "train")
    assert "gloss" not in third.extra
    assert (listing.rows, listing.failures, second.lang) == (3, (), "deu_Latn")
    assert {name: n for name, n in listing.quirks.items() if n} == {}


def test_participants_offsets_and_tiers_that_refer(tmp_path):
    tiers = {"gloss": [(1.0, 2.0, "HELLO"), (None, 3.0, "X"), (3.0, 3.0, "Y"), (5.0, 6.0, "")]}
    path = write_eaf(
        tmp_path / "a.eaf",
        tiers,
        media=["video%20one.mp4"],
        participants={"gloss": "Anna"},
        origin_ms=500,
        refers={"translation": [(0, "Hello you"), (1, "lost")]},
    )
    listing = read_elan(path, Tiers(sentences=("translation",)), lang=None, split="test")
    assert rows(listing) == [("a_2", "video one", 1.5, 2.5, "Hello you", "translation")]
    ((row, error),) = listing.failures
    assert (row, error.message, listing.rows) == ("a.eaf translation 1", "it has no time of its own", 2)
    listing = read_elan(path, Tiers(sentences=("gloss",)), lang="eng_Latn", split="test")
    assert [(clip.text, clip.lang, clip.extra["signer"]) for clip in listing.clips] == [
        ("HELLO", "eng_Latn", "Anna"),
        (None, None, "Anna"),
    ]
    assert [error.message for _, error in listing.failures] == [
        "it has no time of its own",
        "it ends at 3000 ms, and begins at 3000 ms",
    ]
    assert listing.quirks["offset of the video applied"] == 2
    assert listing.quirks["without a text"] == 1
    early = write_eaf(tmp_path / "b.eaf", tiers, media=["v.mp4"], origin_ms=-1500)
    failures = read_elan(early, Tiers(sentences=("gloss",)), lang=None, split="test").failures
    assert any("it begins 0.5 s before its video" in error.message for _, error in failures)


def test_several_videos_and_none(tmp_path):
    write_eaf(tmp_path / "a.eaf", TIERS, media=MEDIA)
    write_eaf(tmp_path / "b.eaf", TIERS)
    listing = read_elan(tmp_path, Tiers(sentences=("Deutsche_Übersetzung_A",)), lang=None, split=None)
    assert [clip.video for clip in listing.clips] == ["123_1a1", "123_1a1", "b", "b"]
    assert listing.quirks["several linked videos, the first taken"] == 1
    assert listing.quirks["videos by the annotations' own name"] == 1
    assert [clip.extra["split"] for clip in listing.clips] == ["all"] * 4
    wrong = Tiers(sentences=("Deutsche_Übersetzung_*",), media="*_9{signer}")
    listing = read_elan(tmp_path / "a.eaf", wrong, lang=None, split=None)
    assert (len(listing.clips), listing.rows) == (0, 2)
    assert "links no video *_9a for the signer A; it links 123_1a1, 123_1b1, 123_1c" in listing.failures[0][1].message


def test_files_of_one_name_and_tiers_that_are_not_there(tmp_path):
    write_eaf(tmp_path / "x" / "a.eaf", TIERS)
    write_eaf(tmp_path / "y" / "a.eaf", TIERS)
    listing = read_elan(tmp_path, Tiers(sentences=("Deutsche_Übersetzung_B",)), lang=None, split=None)
    assert (len(listing.clips), listing.rows) == (1, 2)
    assert "its id a_1 is that of another file's annotation" in listing.failures[0][1].message
    listing = read_elan(tmp_path / "x", Tiers(sentences=("Gloss",)), lang=None, split=None)
    assert "has no tier Gloss; its tiers: Deutsche_Übersetzung_A" in listing.failures[0][1].message
    (tmp_path / "z").mkdir()
    with pytest.raises(UserError, match=r"there are no \.eaf files in"):
        read_elan(tmp_path / "z", Tiers(sentences=("Gloss",)), lang=None, split=None)
    for column in ("text", "no column"):
        with pytest.raises(UserError, match="cannot be a column for another tier"):
            Tiers(sentences=("Gloss",), columns={column: "x"})
    long = write_eaf(tmp_path / f"{'x' * 199}.eaf", {"t": [(0.0, 1.0, "a")]})
    assert "its id would be" in read_elan(long, Tiers(sentences=("t",)), lang=None, split=None).failures[0][1].message


BOMB = "<!DOCTYPE a [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;&b;&b;'>]>"
FILE = "<!DOCTYPE a [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{BOMB}<ANNOTATION_DOCUMENT>&c;</ANNOTATION_DOCUMENT>", "is refused: it defines entities or a document type"),
        (f"{FILE}<ANNOTATION_DOCUMENT>&a;</ANNOTATION_DOCUMENT>", "is refused: it defines entities or a document type"),
        ("<!DOCTYPE a SYSTEM 'http://localhost/a.dtd'><a/>", "is refused: it defines entities or a document type"),
        ("<ANNOTATION_DOCUMENT>", "is not XML"),
        ("", "is not XML"),
        ("<html/>", "holds a html, expected ELAN's ANNOTATION_DOCUMENT"),
        ("<ANNOTATION_DOCUMENT/>", "cannot be read as ELAN's: KeyError"),
    ],
)
def test_xml_of_something_else(tmp_path, content, said):
    (tmp_path / "a.eaf").write_text(content)
    listing = read_elan(tmp_path, CHOSEN, lang=None, split=None)
    ((row, error),) = listing.failures
    assert (row, listing.rows) == ("a.eaf", 1)
    assert said in error.message
