from __future__ import annotations

import pytest

from slt.core.errors import UserError
from slt.subtitles.spans import parse_spans, read_spans


def test_spans_are_seconds_or_clock_times():
    found = parse_spans(["12.5-17", "00:01:02.5-00:01:07", "1:02 - 1:03,25", "0-3600.125"])
    assert found == [(12.5, 17.0), (62.5, 67.0), (62.0, 63.25), (0.0, 3600.125)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spans.srt", "1\n00:00:12,500 --> 00:00:17,000\nHi\n\n2\n00:00:16,000 --> 00:00:20,000\n\n"),
        ("spans.vtt", "WEBVTT\n\n00:12.500 --> 00:17.000\nHi\n\n00:16.000 --> 00:20.000\nthere\n"),
        ("spans.tsv", "12.5\t17.0\n\n# a remark\n0:16\t00:00:20.0\tand more\n"),
        ("manifest.tsv", "id\tend_s\tstart_s\n1\t17\t12.5\n2\t20\t16\n"),
    ],
)
def test_files_of_spans(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    assert read_spans(path) == [(12.5, 17.0), (16.0, 20.0)]
    assert parse_spans(["1-2", str(path)]) == [(1.0, 2.0), (12.5, 17.0), (16.0, 20.0)]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("17-12.5", "--span 17-12.5: it ends at 12.5 s, not after its beginning at 17 s"),
        ("3-3", "it ends at 3 s"),
        ("soon", "--span soon is neither a span nor a file"),
        ("1-2-3", "neither a span nor a file"),
        ("-1-2", "neither a span nor a file"),
    ],
)
def test_words_that_are_no_spans(word, said):
    with pytest.raises(UserError, match=said):
        parse_spans([word])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no spans"),
        ("start\tend\n1\t2\n", "line 1: 'start' is no time"),
        ("1\t2\n3\n", "line 2: '' is no time"),
        ("1\tnan\n", "line 1: 'nan' is no time"),
        ("2\t1\n", "line 1: it ends at 1 s"),
    ],
)
def test_tables_that_are_no_spans(tmp_path, text, said):
    path = tmp_path / "spans.tsv"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_spans(path)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_spans(tmp_path / "none.tsv")
