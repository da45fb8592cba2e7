"""CSL-Daily's labels and list of splits: every row a clip or a reason."""

from __future__ import annotations

import gzip
import os
import pickle

import pytest

from slt.core.errors import UserError
from slt.data.corpora.csl_daily import read_csl_daily, read_label_files


def label(name, text, **more):
    return {
        "name": name, "length": 55, "label_gloss": ["他", "谁"], "label_char": list(text), "label_word": [text],
        "label_postag": ["r"], "signer": 3, "time": 0, **more,
    }  # fmt: skip


INFO = [label("S000007_P0003_T00", "他是谁？"), label("S000020_P0000_T00", "你好。"), label("S000030_P0000_T00", "")]


@pytest.fixture
def write(tmp_path):
    def written(info=INFO, splits="name|split\nS000007_P0003_T00|train\nS000020_P0000_T00|dev\n"):
        labels = tmp_path / "csl2020ct_v2.pkl"
        labels.write_bytes(pickle.dumps({"info": info, "gloss_map": [], "char_map": []}))
        (tmp_path / "split_1.txt").write_text(splits, "utf-8")
        return [labels], tmp_path / "split_1.txt"

    return written


def test_rows_have_their_labels(write):
    listings, digest = read_csl_daily(*write())
    ((place, listing),) = listings.items()
    assert (place.name, len(digest), listing.rows, listing.failures) == ("split_1.txt", 64, 2, ())
    first, second = listing.clips
    assert (first.id, first.video) == ("S000007_P0003_T00", "S000007_P0003_T00")
    assert (first.text, first.lang) == ("他是谁？", "zho_Hans")
    assert first.extra == {
        "split": "train", "source": "S000007_P0003_T00", "gloss": "他 谁", "signer": "3", "n_frames": "55",
    }  # fmt: skip
    assert (second.extra["split"], second.start_s, second.end_s) == ("val", None, None)
    assert listing.quirks == {"labels of no split": 1, "without a text": 0}
    assert "filmed at 30 frames per second" in listing.warnings[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("S999999_P0000_T00|train", "the labels have no clip 'S999999_P0000_T00'"),
        ("S000007_P0003_T00", "expected name|split, and train, dev or test"),
        ("S000007_P0003_T00|some", "expected name|split, and train, dev or test"),
        ("S000020_P0000_T00|train", "S000020_P0000_T00 is there twice"),
        ("../../etc|train", "expected a name without path separators"),
        ("odd|train", "its label_char is 5, expected a text"),
    ],
)
def test_rows_that_make_no_clip(write, row, said):
    odd = [*INFO, label("../../etc", "a"), label("odd", "a", label_char=5)]
    listings, _ = read_csl_daily(*write(odd, f"S000020_P0000_T00|dev\n{row}\n"))
    (listing,) = listings.values()
    ((where, error),) = listing.failures
    assert (where, listing.rows, len(listing.clips)) == ("split_1.txt line 2", 2, 1)
    assert said in error.message


@pytest.mark.parametrize("content", [[], {}, {"info": [1]}, {"info": [{"length": 5}]}, {"a": "b"}, {1: {}}])
def test_pickles_of_something_else(write, tmp_path, content):
    labels, splits = write()
    labels[0].write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"csl2020ct_v2\.pkl holds .*, expected CSL-Daily's labels"):
        read_csl_daily(labels, splits)


def test_a_hostile_pickle_is_not_run(write, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    labels, splits = write()
    labels[0].write_bytes(pickle.dumps({"info": Evil()}))
    with pytest.raises(UserError, match=r"is refused: it is a pickle that imports posix\.mkdir"):
        read_csl_daily(labels, splits)
    assert not (tmp_path / "ran").exists()


def test_uni_signs_label_files(tmp_path):
    entries = {
        "S1": {"name": "S1", "gloss": ["他", "谁"], "text": "他是谁？", "video_path": "sentence/S1.mp4"},
        "S2": {"name": "S2", "gloss": "你 好", "text": "你好。", "video_path": "S2.mp4"},
        "S/3": {"name": "S/3", "text": "x"},
    }
    for name in ("labels.train", "labels.dev"):
        (tmp_path / name).write_bytes(gzip.compress(pickle.dumps(entries)))
    listings = read_label_files([tmp_path / "labels.train", tmp_path / "labels.dev"], split=None)
    train, dev = listings.values()
    assert [(clip.id, clip.video, clip.text, clip.extra["gloss"]) for clip in train.clips] == [
        ("S1", "S1", "他是谁？", "他 谁"),
        ("S2", "S2", "你好。", "你 好"),
    ]
    assert (train.rows, [row for row, _ in train.failures]) == (3, ["S/3"])
    assert {clip.extra["split"] for clip in dev.clips} == {"val"}
    (tmp_path / "labels").write_bytes(pickle.dumps(entries))
    with pytest.raises(UserError, match="does not say which part of the corpus it is"):
        read_label_files([tmp_path / "labels"], split=None)
