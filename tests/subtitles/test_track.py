from __future__ import annotations

import os
from pathlib import Path

import pytest

from slt.data.cues import read_cues
from slt.subtitles.track import SubtitleTracks, track_paths


def test_a_track_is_whole_after_every_sentence(tmp_path):
    paths = {"eng_Latn": tmp_path / "a.eng_Latn.vtt", "deu_Latn": tmp_path / "a.deu_Latn.vtt"}
    tracks = SubtitleTracks(paths, ".vtt")
    for number in range(1, 4):
        tracks.add(number, number + 0.5, {"eng_Latn": f"yes {number}", "deu_Latn": f"ja {number}"})
        assert [cue.text for cue in read_cues(paths["deu_Latn"])] == [f"ja {n}" for n in range(1, number + 1)]
    tracks.finish()
    assert [cue.text for cue in read_cues(paths["eng_Latn"])] == ["yes 1", "yes 2", "yes 3"]
    assert sorted(os.listdir(tmp_path)) == ["a.deu_Latn.vtt", "a.eng_Latn.vtt"]


def test_a_silent_video_has_an_empty_track(tmp_path):
    SubtitleTracks({"eng_Latn": tmp_path / "a.vtt"}, ".vtt").finish()
    assert (tmp_path / "a.vtt").read_text() == "WEBVTT\n\n"


@pytest.mark.parametrize(
    ("target", "langs", "several", "expected"),
    [
        ("out.srt", ["eng_Latn"], False, ["out.srt"]),
        ("out.srt", ["eng_Latn", "deu_Latn"], False, ["out.eng_Latn.srt", "out.deu_Latn.srt"]),
        ("out", ["eng_Latn"], False, ["out"]),
        ("out", ["eng_Latn", "deu_Latn"], False, ["out.eng_Latn.srt", "out.deu_Latn.srt"]),
        ("new", ["eng_Latn"], True, ["new/talk.1.srt"]),
        ("there", ["eng_Latn"], False, ["there/talk.1.srt"]),
        ("there", ["eng_Latn", "deu_Latn"], True, ["there/talk.1.eng_Latn.srt", "there/talk.1.deu_Latn.srt"]),
    ],
)
def test_where_tracks_go(tmp_path, target, langs, several, expected):
    (tmp_path / "there").mkdir()
    paths = track_paths(tmp_path / target, Path("videos/talk.1.mp4"), langs, ".srt", several=several)
    assert list(paths) == langs
    assert [path.relative_to(tmp_path).as_posix() for path in paths.values()] == expected
