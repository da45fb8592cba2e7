from __future__ import annotations

import codecs
import random

import pytest

from slt.core.errors import UserError
from slt.data.manifest import Clip, Manifest, read_manifest, scan_manifest, write_manifest
from slt.data.synthetic.corpus import COLUMNS as DRAWN

OURS = "id\tvideo\tstart_s\tend_s\ttext\tlang\tsigner\n"


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a file and tells its path."""

    def write(content: str | bytes, name: str = "train.tsv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_our_own_layout(table):
    path = table(OURS + 'a\tv/a.mp4\t0.26\t6.79\tHi "there"!\teng_Latn\tAnn\n-b_1\t/far/b.mp4\t\t\t\t\t\n')
    manifest = read_manifest(path)
    first, second = manifest.clips
    assert first == Clip(
        id="a",
        video="v/a.mp4",
        start_s=0.26,
        end_s=6.79,
        text='Hi "there"!',
        lang="eng_Latn",
        extra={"signer": "Ann"},
    )
    assert second == Clip(id="-b_1", video="/far/b.mp4")
    assert manifest.columns == tuple(OURS.split())
    assert manifest.video_path(first) == path.parent / "v" / "a.mp4"
    assert str(manifest.video_path(second)) == "/far/b.mp4"
    assert manifest.video_path(Clip(id="c", video=None)) is None
    assert manifest.lang == "eng_Latn"


def test_columns_may_stand_in_any_order_and_most_may_be_absent(table):
    (clip,) = read_manifest(table("text\tid\nhello\ta\n"), lang="eng_Latn").clips
    assert clip == Clip(id="a", video=None, text="hello", lang="eng_Latn")


def test_the_texts_of_all_languages(table):
    rows = "id\ttext\tlang\ttext_deu_Latn\ttext_old\na\thello\teng_Latn\thallo\tolleh\nb\thello\t\t\t\n"
    known, unknown = read_manifest(table(rows)).clips
    assert known.texts() == {"eng_Latn": "hello", "deu_Latn": "hallo"}
    assert unknown.texts() == {}
    assert read_manifest(table(rows), lang="eng_Latn").clips[1].texts() == {"eng_Latn": "hello"}


def test_the_language_of_a_manifest_is_that_of_all_its_texts(table):
    mixed = read_manifest(table("id\ttext\tlang\na\thello\teng_Latn\nb\thallo\tdeu_Latn\n"))
    assert mixed.lang is None
    assert Manifest(path=mixed.path, clips=(), columns=()).lang is None


def test_ids_paths_frame_counts_and_translations(table):
    rows = "id\tvideo_path\tn_frames\ttranslation\na\tv/a.mp4\t120\thello\nb\tv/b.mp4\t\tbye\n"
    manifest = read_manifest(table(rows), lang="eng_Latn")
    assert manifest.clips == (
        Clip(id="a", video="v/a.mp4", text="hello", lang="eng_Latn", extra={"n_frames": "120"}),
        Clip(id="b", video="v/b.mp4", text="bye", lang="eng_Latn"),
    )


@pytest.mark.parametrize(("name", "up"), [("train.tsv", ""), ("manifests/train.tsv", "../")])
def test_names_durations_and_captions_without_a_header(table, name, up):
    manifest = read_manifest(table("0043626-2023.1.4\t7.24\tA major concern.\nab\t5\tHi.\n", name))
    assert manifest.clips == (
        Clip(
            id="0043626-2023.1.4",
            video=f"{up}videos/00436/0043626-2023.1.4.mp4",
            text="A major concern.",
            extra={"duration": "7.24"},
        ),
        Clip(id="ab", video=f"{up}videos/ab/ab.mp4", text="Hi.", extra={"duration": "5"}),
    )


def test_videos_of_a_layout_are_found_one_folder_up(table):
    path = table("0043626\t7.24\tHi.\n", "lists/train.tsv")
    (path.parent.parent / "videos").mkdir()
    assert read_manifest(path).clips[0].video == "../videos/00436/0043626.mp4"


def test_names_lengths_and_labels_without_a_header(table):
    rows = "0043626-2023.1.4\t48\tA major concern.\nab\t5\tHi.\n"
    clips = read_manifest(table(rows, "train_features.tsv")).clips
    assert [clip.extra for clip in clips] == [{"length": "48"}, {"length": "5"}]
    for epoch in ("10", "9"):
        (table(rows).parent / "features" / epoch).mkdir(parents=True)
    clips = read_manifest(table(rows, "train_features.tsv")).clips
    assert clips[0].extra["features"] == "features/9/00436/0043626-2023.1.4.pt"
    assert clips[1].text == "Hi."
    assert clips[1].video is None


def test_a_folder_of_features(tmp_path):
    for name in ("b.npy", "a.pt", "-c.npy", "notes.txt", ".d.part.npy"):
        (tmp_path / name).touch()
    manifest = read_manifest(tmp_path)
    assert [(clip.id, clip.extra["features"]) for clip in manifest.clips] == [
        ("-c", "-c.npy"),
        ("a", "a.pt"),
        ("b", "b.npy"),
    ]
    assert manifest.folder == tmp_path
    (tmp_path / "a.npy").touch()
    with pytest.raises(UserError, match=r"found a\.npy and a\.pt, expected one file per clip"):
        read_manifest(tmp_path)


def test_a_folder_without_features_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds no \.npy and no \.pt file"):
        read_manifest(tmp_path)


def test_a_drawn_corpus(table):
    row = "test-1\tvideos/test/test-1.mp4\t0.00\t3.48\tHi.\teng_Latn\tHallo.\ttest-signer-1\tA@0.1-0.2\t"
    (clip,) = read_manifest(table("\t".join(DRAWN) + "\n" + row + "\n")).clips
    assert clip.texts() == {"eng_Latn": "Hi.", "deu_Latn": "Hallo."}
    assert (clip.start_s, clip.end_s, clip.extra["glosses"]) == (0.0, 3.48, "A@0.1-0.2")


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_byte_order_marks_and_windows_line_ends_are_not_noticed(table, mark, end):
    lines = [b"id\ttext", "a\tGrüße".encode(), b"", b"b\thello", b""]
    clips = read_manifest(table(mark + end.join(lines))).clips
    assert [(clip.id, clip.text) for clip in clips] == [("a", "Grüße"), ("b", "hello")]


def test_only_a_newline_ends_a_line(table):
    (clip,) = read_manifest(table("id\ttext\na\tone\u2028two\x85three\x0cfour\n")).clips
    assert clip.text == "one\u2028two\x85three\x0cfour"


MISTAKES = {
    "a\tv\tx\t2\t\t\t": r"line 2, column start_s: found 'x', expected seconds from the video's beginning",
    "a\tv\tnan\t2\t\t\t": r"column start_s: found 'nan'",
    "a\tv\t1_0\t20\t\t\t": r"column start_s: found '1_0'",
    "a\tv\t-1\t2\t\t\t": r"column start_s: found '-1'",
    "a\tv\t0\t1e999\t\t\t": r"column end_s: found '1e999'",
    f"a\tv\t0\t{'9' * 400}\t\t\t": r"column end_s: found '999",
    "a\tv\t2\t2\t\t\t": r"column end_s: found '2', expected more than start_s, 2",
    "a\tv\t\t0\t\t\t": r"column end_s: found '0', expected more than start_s, 0",
    "a\tv\t\t\thi\tenglish\t": r"column lang: found 'english', expected a FLORES-200 code such as eng_Latn",
    "\tv\t\t\t\t\t": r"column id: found '', expected a name, without blanks",
    "a/b\tv\t\t\t\t\t": r"column id: found 'a/b', expected a name without path separators",
    "a\\b\tv\t\t\t\t\t": r"without path separators",
    "..\tv\t\t\t\t\t": r"without path separators",
    "a\x07\tv\t\t\t\t\t": r"characters that can be seen",
    f"{'ä' * 101}\tv\t\t\t\t\t": r"a name of at most 200 bytes",
    "a\tv\t\t\thi\tthere\teng_Latn\t": r"line 2: found 8 cells, perhaps a tab within a text, expected 7",
    "a\tv": r"line 2: found 2 cells, expected 7",
    "a\tv\t\t\th\0i\t\t": r"line 2: found a NUL byte at position 8, expected plain text",
    "a\tv\t\t\th\ri\t\t": r"line 2: found a carriage return within the line at position 8",
    "a\tv\t\t\t\t\t\na\tw\t\t\t\t\t": r"line 3, column id: found 'a', expected another id than on line 2",
}


@pytest.mark.parametrize("row", MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_names_line_column_value_and_what_was_expected(table, row):
    with pytest.raises(UserError, match=MISTAKES[row]):
        read_manifest(table(OURS + row + "\n"))


def test_frame_counts_must_be_numbers(table):
    with pytest.raises(UserError, match="line 2, column n_frames: found 'many', expected a number, or nothing"):
        read_manifest(table("id\tvideo_path\tn_frames\ttranslation\na\tv\tmany\thi\n"))


def test_all_mistakes_come_in_one_report_and_thousands_are_counted(table):
    path = table(OURS + "".join(f"clip{n}\tv\t{n}x\t\t\t\t\n" for n in range(3000)))
    with pytest.raises(UserError, match="3000 mistakes in ") as caught:
        read_manifest(path)
    lines = caught.value.message.splitlines()
    assert lines[1].startswith("  line 2, column start_s: found '0x'")
    assert len(lines) == 1 + 20 + 1
    assert lines[-1] == "  and 2980 more"


def test_good_rows_are_kept_beside_bad_ones(table):
    path = table(OURS.encode() + b"a\tv\t\t\t\xff\t\t\nb\tv\t\t\t\t\t\nb\tw\t\t\t\t\t\nc\tv\t3\t1\t\t\t\n")
    manifest, mistakes = scan_manifest(path)
    assert [(clip.id, clip.video) for clip in manifest.clips] == [("b", "v")]
    assert [(mistake.line, mistake.column) for mistake in mistakes] == [(2, ""), (4, "id"), (5, "end_s")]
    assert "found the byte 0xff at position 7, expected UTF-8" in str(mistakes[0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"train.tsv is empty"),
        (codecs.BOM_UTF8 + b"\r\n\r\n", r"train.tsv is empty"),
        ("id\ttext\n".encode("utf-16"), r"is text in UTF-16, expected UTF-8"),
        (codecs.BOM_UTF32_LE + "id\n".encode("utf-32-le"), r"is text in UTF-32, expected UTF-8"),
        (b"VIDEO_ID\tSENTENCE\nx\thi\n", r"no manifest of a known layout: its first line is 'VIDEO_ID', 'SENTENCE'"),
        (b"id,text\na,hi\n", r"no manifest of a known layout: its first line is 'id,text'; expected a header"),
        (b"\xff\xfa\n", r"no manifest of a known layout"),
        (b"id\tvideo\tvideo\n", r"line 1: the column 'video' twice"),
        (b"id\t\ttext\n", r"line 1: a column without a name"),
        (b"id\tvideo\tstart\tend\n", r"there is a column 'start' and no 'start_s'"),
        (b"id\tVideo\n", r"there is a column 'Video' and no 'video'"),
    ],
)
def test_files_that_are_no_manifest_are_told_from_those_that_are(table, content, said):
    with pytest.raises(UserError, match=said):
        read_manifest(table(content))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"nothing.tsv does not exist"):
        read_manifest(tmp_path / "nothing.tsv")


def test_what_is_written_is_read_back_equal(tmp_path):
    draw = random.Random(5)
    clips = []
    for number in range(200):
        start = draw.choice([None, 0.0, draw.uniform(0, 1e4), draw.uniform(0, 1e-6)])
        clips.append(
            Clip(
                id=draw.choice(["-", "_", ""]) + f"clip{number}",
                video=draw.choice([None, "videos/ä b.mp4", "/x/y.mp4"]),
                start_s=start,
                end_s=draw.choice([None, (start or 0.0) + draw.uniform(1e-3, 60)]),
                text=draw.choice([None, '"quoted', "a'b", "schön, wirklich", "雨"]),
                lang=draw.choice([None, "eng_Latn"]),
                extra=draw.choice([{}, {"split": "train"}, {"signer": "S, 1", "text_deu_Latn": "hallo"}]),
            )
        )
    write_manifest(tmp_path / "deep" / "out.tsv", clips)
    assert read_manifest(tmp_path / "deep" / "out.tsv").clips == tuple(clips)


@pytest.mark.parametrize(
    ("clips", "said"),
    [
        ([Clip(id="a", video=None, text="one\ttwo")], r"line 2, column text: found 'one\\ttwo', expected one line"),
        ([Clip(id="a", video="v\n")], r"column video: found 'v\\n'"),
        ([Clip(id="a", video=None, extra={"x": "\ud800"})], r"column x: found '\\ud800'"),
        ([Clip(id="a/b", video=None)], r"column id: found 'a/b'"),
        ([Clip(id="a", video=None, start_s=3.0, end_s=2.0)], r"column end_s: found '2.0'"),
        ([Clip(id="a", video=None), Clip(id="a", video=None)], r"line 3, column id: found 'a', expected another"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, clips, said):
    with pytest.raises(UserError, match=said):
        write_manifest(tmp_path / "out.tsv", clips)
    assert not (tmp_path / "out.tsv").exists()
