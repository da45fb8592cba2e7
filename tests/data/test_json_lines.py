"""Lines of JSON: objects only, numbers as written, no bombs."""

from __future__ import annotations

import pytest

from slt.core.errors import UserError
from slt.data.corpora.listing import read_listing
from slt.data.corpora.registry import own_table
from slt.data.json_lines import read_object

CORPUS = own_table(
    {"id": "id", "video": "file", "text": "sentence", "start": "from", "end": "to"}, lang="eng_Latn", separator=None
)


def test_numbers_stay_as_they_are_written():
    assert read_object('{"a": 1.50, "b": 7, "c": null, "d": "x"}') == {"a": "1.50", "b": "7", "c": None, "d": "x"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "it is not JSON"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": 1, "a": 2}', "a key is there twice"),
        ("[1]", "expected a JSON object"),
        ("[" * 100_000, "it is not JSON"),
        ('{"a":' * 100_000, "it is not JSON"),
    ],
)
def test_what_is_refused(line, said):
    with pytest.raises(UserError, match=said):
        read_object(line)


def test_a_table_of_json_lines(tmp_path):
    lines = [
        '{"id": "a", "file": "v.mp4", "sentence": "we  go\\nhiking", "from": 1.5, "to": 3}',
        '{"id": "b", "file": "v.mp4", "sentence": "it\\u0073 nice", "from": "0:00:04", "other": [1]}',
        '{"id": "c", "file": ["v.mp4"], "sentence": "x"}',
        '{"id": "d", "sentence": "no file"}',
        "nonsense",
        '{"id": "a", "file": "w.mp4", "sentence": "again"}',
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    listing = read_listing(CORPUS, tmp_path / "train.jsonl")
    assert [(clip.id, clip.video, clip.start_s, clip.end_s, clip.text) for clip in listing.clips] == [
        ("a", "v.mp4", 1.5, 3.0, "we go hiking"),
        ("b", "v.mp4", 4.0, None, "its nice"),
    ]
    assert listing.rows == 6
    assert [(row, error.message[:40]) for row, error in listing.failures] == [
        ("train.jsonl line 3", "its file is ['v.mp4'], expected a text o"),
        ("train.jsonl line 4", "its file is empty, expected a video's na"),
        ("train.jsonl line 5", "it is not JSON: Expecting value: line 1 "),
        ("train.jsonl line 6", "its id 'a' is that of line 1"),
    ]
    (tmp_path / "val.jsonl").write_text('{"id": "a", "file": "b"}\n')
    with pytest.raises(UserError, match="expected also sentence"):
        read_listing(CORPUS, tmp_path / "val.jsonl")
