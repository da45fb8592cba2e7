import codecs
import json

import pytest

from slt.core.errors import UserError
from slt.evaluate.texts import pair_files


@pytest.fixture
def file(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_plain_lines_go_by_number(file):
    found, unused = pair_files(file("said.txt", "a b\n\nc\r\n"), file("signed.txt", "\ufeffa b c\nd\ne"))
    assert [(one.id, one.reference, one.hypothesis, one.failure) for one in found] == [
        ("1", "a b c", "a b", None),
        ("2", "d", "", None),
        ("3", "e", "c", None),
    ]
    assert unused == []


def test_only_line_feeds_end_lines(file):
    found, _ = pair_files(file("said.txt", "a\u2028b\x0cc\u0085d\n"), file("signed.txt", "a\n"))
    assert [one.hypothesis for one in found] == ["a\u2028b\x0cc\u0085d"]


def test_tables_go_by_id_whatever_the_order(file):
    said = file("said.tsv", "c\tthree\na\tone\nx\tunknown\n")
    signed = file("signed.tsv", "video\ttext\tid\n1.mp4\tEins\ta\n2.mp4\tZwei\tb\n3.mp4\tDrei\tc\n")
    found, unused = pair_files(said, signed)
    assert [(one.id, one.hypothesis, one.failure) for one in found] == [
        ("a", "one", None),
        ("b", "", "no hypothesis"),
        ("c", "three", None),
    ]
    assert unused == ["x"]


def test_one_table_may_hold_both(file):
    found, _ = pair_files(file("both.tsv", "id\treference\thypothesis\n1\ta\tb\n"), None)
    assert (found[0].reference, found[0].hypothesis) == ("a", "b")


def test_marked_utf_16_is_read(file):
    wide = file("said.txt", codecs.BOM_UTF16_LE + "schön\n".encode("utf-16-le"))
    assert pair_files(wide, file("signed.txt", "schön\n"))[0][0].hypothesis == "schön"


REFUSED = [
    ("a.txt", b"x\n", "b.txt", b"", r"b\.txt is empty"),
    ("a.txt", b"x\n", "b.txt", b"x\ny\n", r"a\.txt has 1 lines and .*b\.txt 2"),
    ("a.txt", b"x\nsch\xf6n\n", "b.txt", b"x\ny\n", r"a\.txt is not in UTF-8: line 2 contains the byte 0xf6"),
    ("a.txt", b"x\n", "b.tsv", b"1\tx\n", r"a\.txt is paired by line and the other file by id"),
    ("a.tsv", b"1\tx\n1\ty\n", "b.tsv", b"1\tx\n", r"a\.tsv has 1 duplicate ids: 1"),
    ("a.tsv", b"1\tx\ty\n", "b.tsv", b"1\tx\n", r"a\.tsv, line 1: 3 cells, expected 2"),
    (
        "a.tsv",
        b"id\tvideo\n1\tx\n",
        "b.tsv",
        b"1\tx\n",
        r"a\.tsv has the columns id, video, expected one of",
    ),
    ("a.tsv", b"1\tx\n", "b.tsv", b"2\tx\n", r"a\.tsv has the ids 1, expected those of .*b\.tsv: 2"),
    ("a.json", b"{}", "b.tsv", b"2\tx\n", r"a\.json: found results of format None, expected 1"),
    ("a.json", b"{", "b.tsv", b"2\tx\n", r"a\.json cannot be read as results"),
]


@pytest.mark.parametrize(("said", "bytes_said", "signed", "bytes_signed", "message"), REFUSED)
def test_what_cannot_be_paired_is_refused(file, said, bytes_said, signed, bytes_signed, message):
    with pytest.raises(UserError, match=message):
        pair_files(file(said, bytes_said), file(signed, bytes_signed))


def test_files_that_are_not_there(file, tmp_path):
    with pytest.raises(UserError, match="contains no references"):
        pair_files(file("a.txt", "x\n"), None)
    with pytest.raises(UserError, match=r"there are no results in .*no\.json"):
        pair_files(tmp_path / "no.json", None)
    with pytest.raises(UserError, match=r"no\.txt"):
        pair_files(tmp_path / "no.txt", file("b.txt", "x"))


def test_broken_results_tell_where(file):
    with pytest.raises(UserError, match=r"mistakes in .*a\.json: .*clips: absent"):
        pair_files(file("a.json", json.dumps({"format": 1})), None)
