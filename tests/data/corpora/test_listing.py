from __future__ import annotations

import pytest

from slt.core.errors import UserError
from slt.data.corpora.listing import read_listing, read_subtitles, split_of
from slt.data.corpora.registry import DAILYMOTH, HOW2SIGN, OPENASL, PHOENIX, YOUTUBE_ASL, own_table

H2S = "VIDEO_ID\tVIDEO_NAME\tSENTENCE_ID\tSENTENCE_NAME\tSTART_REALIGNED\tEND_REALIGNED\tSENTENCE\n"


@pytest.fixture
def listed(tmp_path):
    """Return a function that reads a list of these lines."""

    def read(corpus, content, name="train.csv", **words):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_listing(corpus, path, **words)

    return read


def quirks(listing):
    return {what: n for what, n in listing.quirks.items() if n}


def test_how2sign_as_it_is_downloaded(listed):
    rows = (
        "10om04b2LIw\t10om04b2LIw-8-rgb_front\t10om04b2LIw_26\t10om04b2LIw_26-8-rgb_front\t137.95\t141.01\tAnd that.\n"
        '-fZc293MpJk\t-fZc293MpJk-1-rgb_front\t-fZc293MpJk_0\t-fZc293MpJk_0-1-rgb_front\t0.26\t6.79\t"Hi!" he said.\n'
    )
    listing = listed(HOW2SIGN, H2S + rows)
    first, second = listing.clips
    assert (first.id, first.video, first.start_s, first.end_s) == (
        "10om04b2LIw_26-8-rgb_front", "10om04b2LIw-8-rgb_front", 137.95, 141.01
    )  # fmt: skip
    assert (first.text, first.lang, first.extra["split"]) == ("And that.", "eng_Latn", "train")
    assert second.text == '"Hi!" he said.'
    assert (listing.rows, listing.failures, listing.warnings) == (2, (), ())
    assert quirks(listing) == {"ids that begin with -": 1}


def comma(sentence):
    return f"v,v-1,v_0,v_0-1,0.26,6.79,{sentence}\n"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Hi!", "Hi!"),
        ('"One, two."', "One, two."),
        ('"He said ""no"", twice."', 'He said "no", twice.'),
        ("One, two.", "One, two."),
        ('Say "one, two", please.', 'Say "one, two", please.'),
        ('"One" he said, "two"', '"One" he said, "two"'),
        ('"an open end', '"an open end'),
    ],
)
def test_how2sign_with_commas_however_they_are_quoted(listed, written, meant):
    (clip,) = listed(HOW2SIGN, H2S.replace("\t", ",") + comma(written)).clips
    assert clip.text == meant


def test_quotes_that_a_program_doubled_are_undone(listed):
    row = 'v\tv-1\tv_0\tv_0-1\t0.26\t6.79\t"He said ""no""."\n'
    listing = listed(HOW2SIGN, H2S + row)
    assert listing.clips[0].text == 'He said "no".'
    assert quirks(listing) == {"quotes that were doubled": 1}


def test_the_original_stamps_are_taken_and_warned_of(listed):
    listing = listed(HOW2SIGN, H2S.replace("_REALIGNED", "") + "v\tv-1\tv_0\tv_0-1\t0.26\t6.79\tHi!\n")
    assert listing.clips[0].end_s == 6.79
    assert "better use the realigned file" in listing.warnings[0]


def test_merged_sentences_are_counted_and_video_ids_with_numbers_are_none(listed):
    row = "{0}\t{0}-1\t{0}{1}\t{0}{1}-1-rgb_front\t{2}\t{3}\tHi!\n"
    spans = [("8kAWy2YodzQ", "_16_17_18", 0, 2), ("a_1_2_3bcde", "_7", 1, 2), ("a_1_2_3bcde", "_8", 1.5, 3)]
    listing = listed(HOW2SIGN, H2S + "".join(row.format(*span) for span in spans))
    assert quirks(listing) == {"merged sentences": 1, "overlapping": 1}


def test_what_is_wrong_with_a_row_costs_only_that_row(listed):
    good = "v\tv-1\tv_0\tv_0-1\t0.26\t6.79\tHi!\n"
    bad = {
        "v\tv-1\tv_1\tv_1-1\tx\t6.79\tHi!\n": "its START_REALIGNED is 'x', expected seconds",
        "v\tv-1\tv_1\tv_1-1\t-1\t6.79\tHi!\n": "its START_REALIGNED is '-1', expected seconds",
        "v\tv-1\tv_1\tv_1-1\t1_0\t16\tHi!\n": "its START_REALIGNED is '1_0'",
        "v\tv-1\tv_1\tv_1-1\t0\tnan\tHi!\n": "its END_REALIGNED is 'nan'",
        "v\tv-1\tv_1\tv_1-1\t7\t6.79\tHi!\n": "it ends at 6.79 s, and begins at 7 s",
        "v\tv-1\tv_1\tv/1\t0\t6.79\tHi!\n": "its id is 'v/1', expected a name without path separators",
        "v\t\tv_1\tv_1-1\t0\t6.79\tHi!\n": "its VIDEO_NAME is empty",
        "v\tv-1\tv_1\tv_1-1\t0\t6.79\tHi!\tthere\n": "found 8 cells, expected 7",
        good: "its id 'v_0-1' is that of line 2",
    }
    listing = listed(HOW2SIGN, H2S.encode() + "".join([good, *bad]).encode() + b"v\tv-1\t\xff\n")
    assert [clip.id for clip in listing.clips] == ["v_0-1"]
    assert listing.rows == 1 + len(bad) + 1
    said = dict(listing.failures)
    for line, reason in enumerate(bad.values(), 3):
        assert reason in said[f"train.csv line {line}"].message
    assert "found the byte 0xff at position 7, expected UTF-8" in said[f"train.csv line {len(bad) + 3}"].message


def test_phoenix_and_its_paths(listed):
    rows = "name|video|start|end|speaker|orth|translation\n" + "".join(
        f"clip-{n}|{video}|-1|-1|Signer08|DRUCK TIEF|tiefer luftdruck über großbritannien\n"
        for n, video in enumerate(("clip-0/1/*.png", "clip-1/*.png", "clip-2"))
    )
    listing = listed(PHOENIX, rows, "PHOENIX-2014-T.dev.corpus.csv")
    assert [clip.video for clip in listing.clips] == ["clip-0", "clip-1", "clip-2"]
    first = listing.clips[0]
    assert (first.start_s, first.end_s, first.lang) == (None, None, "deu_Latn")
    assert first.extra == {"split": "val", "source": "clip-0", "signer": "Signer08", "gloss": "DRUCK TIEF"}


def test_letters_in_two_pieces_are_joined(listed):
    header = "name|video|start|end|speaker|orth|translation\n"
    listing = listed(PHOENIX, header + "a|a/1/*.png|-1|-1|S|X|su\u0308den\n")
    assert listing.clips[0].text == "süden"
    assert quirks(listing) == {"letters in two pieces, joined": 1}


def test_dailymoth_has_no_header(listed):
    listing = listed(DAILYMOTH, "0043626-2023.1.4\t7.24\tA major concern.\n", "manifests_train.tsv")
    (clip,) = listing.clips
    assert (clip.id, clip.video, clip.extra["duration"]) == ("0043626-2023.1.4", "0043626-2023.1.4", "7.24")
    assert clip.duration_s == 7.24
    assert listed(DAILYMOTH, "a\tlong\tHi.\n").failures[0][1].message.startswith("its duration is 'long'")


def test_openasl_counts_hours_and_names_splits(listed):
    rows = "vid\tyid\tstart\tend\traw-text\tsplit\na_0\ta\t00:00:05.333\t00:01:06.5\tHi.\tvalid\n"
    (clip,) = listed(OPENASL, rows, "openasl-v1.0.tsv").clips
    assert (clip.start_s, clip.end_s, clip.extra["split"]) == (5.333, 66.5, "val")


@pytest.mark.parametrize("separator", ["\t", ",", ";", "|"])
def test_a_table_of_ones_own(listed, separator):
    columns = {"video": "file", "text": "sentence"}
    rows = "file\tsentence\nv/a.mp4\thello\nv/a.mp4\tbye\nb\t\n".replace("\t", separator)
    listing = listed(own_table(columns, lang="eng_Latn", separator=None), rows)
    assert [(clip.id, clip.video, clip.text) for clip in listing.clips] == [
        ("a_1", "v/a.mp4", "hello"),
        ("a_2", "v/a.mp4", "bye"),
        ("b_1", "b", None),
    ]
    assert quirks(listing) == {"without a text": 1}


def test_a_split_must_be_a_name(listed):
    corpus = own_table({"video": "v", "text": "t", "split": "s"}, lang=None, separator=None)
    listing = listed(corpus, "v\tt\ts\na\thi\tdev\nb\thi\t../x\nc\thi\t\n", "all.csv")
    assert [clip.extra["split"] for clip in listing.clips] == ["val"]
    assert [error.message for _, error in listing.failures] == [
        "its split is '../x', expected one of train, val and test",
        "its split is '', expected one of train, val and test",
    ]


def test_a_list_of_something_else_is_refused(listed):
    with pytest.raises(
        UserError, match=r"is no list of how2sign: it has the columns id, text; expected also SENTENCE_N"
    ):
        listed(HOW2SIGN, "id\ttext\na\thi\n")


@pytest.mark.parametrize(
    ("names", "expected", "fix"),
    [
        ({}, "video, text", "--video COLUMN --text COLUMN"),
        ({"video": "file"}, "text", "--text COLUMN"),
        ({"video": "file", "text": "sentnce"}, "sentnce", "did you mean sentence"),
    ],
)
def test_a_table_without_the_columns_names_those_it_has_and_the_options(listed, names, expected, fix):
    table = own_table({"video": "video", "text": "text", **names}, lang=None, separator=None)
    with pytest.raises(UserError, match=f"has the columns file, sentence; expected also {expected}$") as raised:
        listed(table, "file,sentence\na.mp4,hi\n", "val.csv")
    assert fix in raised.value.fix


def test_a_list_must_say_which_part_it_is(listed):
    with pytest.raises(UserError, match="does not say which part of the corpus it is"):
        listed(HOW2SIGN, H2S, "all.csv")
    assert listed(HOW2SIGN, H2S, "all.csv", split="test").rows == 0


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("how2sign_realigned_val.csv", "val"),
        ("PHOENIX-2014-T.dev.corpus.csv", "val"),
        ("train.tsv", "train"),
        ("my-Test-2.csv", "test"),
        ("latest.csv", None),
    ],
)
def test_parts_are_told_by_a_lists_name(tmp_path, name, split):
    assert split_of(tmp_path / name) == split


def test_subtitles_become_clips(tmp_path):
    (tmp_path / "talk.en.srt").write_text(
        "1\n00:00:01,000 --> 00:00:02,500\nHi!\n\n2\n00:00:02,000 --> 00:00:04,000\nBye.\n"
    )
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "other.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nYes.\n")
    (tmp_path / "broken.srt").write_text("nothing\n")
    listing = read_subtitles(tmp_path, lang="eng_Latn", split="train")
    assert [(clip.id, clip.video, clip.start_s, clip.end_s, clip.text) for clip in listing.clips] == [
        ("other_1", "other", 1.0, 2.0, "Yes."),
        ("talk_1", "talk", 1.0, 2.5, "Hi!"),
        ("talk_2", "talk", 2.0, 4.0, "Bye."),
    ]
    assert listing.quirks["overlapping"] == 1
    ((name, error),) = listing.failures
    assert name.endswith("broken.srt")
    assert "found no cue" in error.message


def test_a_folder_without_subtitles_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"there are no \.srt and no \.vtt files in"):
        read_subtitles(tmp_path, lang=None, split=None)


def test_youtube_asl_counts_frames(listed):
    header = "vid_id,start_frame,end_frame,annotation,nframes,fps,w,h,duration"
    good = '-a1_b2c3d4E,150,270,"Well, hi.",120,25.0,1280,720,4.8'
    listing = listed(YOUTUBE_ASL, "\n".join([header, good, "b,1,x,Hi.,1,25.0,1,1,1", "b,1,2,Hi.,1,0,1,1,1", ""]))
    (clip,) = listing.clips
    assert (clip.id, clip.video, clip.text) == ("-a1_b2c3d4E.000150-000270", "-a1_b2c3d4E", "Well, hi.")
    assert (clip.start_s, clip.end_s) == (6.0, 10.8)
    said = [error.message for _, error in listing.failures]
    assert [one.startswith("its frame numbers or rate are none: ") for one in said] == [True, True]
