"""The shipped words are read, and drawn beside their letters."""

from __future__ import annotations

import numpy as np
import pytest

from slt.core.errors import SltError
from slt.data.fingerspelling.recordings import read_recordings
from slt.data.fingerspelling.spell import Letters
from slt.data.fingerspelling.words import words
from slt.data.manifest import read_manifest
from slt.demo import spelled
from slt.demo.spelled import COLUMNS, LINES, WORDS, draw_hand, hand_at, show_word, show_words, write_words
from slt.pipeline.translator import Translator
from slt.text.decoder import Letter
from tests.spelled import hand, make_recordings


def test_the_shipped_words_are_shown_with_a_hand_for_each_letter(capsys):
    show_words()
    out = capsys.readouterr().out
    clips = read_manifest(WORDS).clips
    assert len(clips) == 3
    for clip in clips:
        assert clip.text in words("test"), "no training had it"
        assert f"spelled {clip.text}, read " in out
    assert "without them it reads" in out
    n_hands = [line for line in out.splitlines() if "%" in line and "of the letters" not in line]
    assert len(n_hands) == 3


def test_two_of_three_shipped_words_at_least_are_read_right():
    translator, manifest = Translator("fingerspelling"), read_manifest(WORDS)
    found = [show_word(translator.translate(manifest.video_path(clip)), clip.text) for clip in manifest.clips]
    assert sum(one.read == one.spelled for one in found) >= 2
    assert all(len(one.lines) == LINES + 1 for one in found)


def test_the_licence_of_the_recordings_lies_beside_them():
    (licence,) = WORDS.parent.glob("LICENSE*")
    assert licence.read_text().startswith("MIT License\n\nCopyright (c) 2026 ZurichNLP")


def test_a_drawn_hand_fills_its_place():
    lines = draw_hand(hand("W").astype(np.float32))
    assert len(lines) == LINES
    assert {len(line) for line in lines} == {COLUMNS}
    assert all(0x2800 <= ord(one) < 0x2900 for line in lines for one in line)
    assert any(ord(one) > 0x2800 for one in lines[0])
    assert any(ord(one) > 0x2800 for one in lines[-1])


def test_of_a_lost_frame_the_nearest_hand_is_drawn():
    hands = np.full((10, 21, 3), np.nan, np.float32)
    hands[2], hands[7] = 2, 7
    assert hand_at(hands, Letter(letter="A", confidence=1, at=0.6))[0, 0] == 7
    assert hand_at(hands, Letter(letter="A", confidence=1, at=0.1))[0, 0] == 2


def test_words_are_written_as_the_package_ships_them(tmp_path):
    letters = Letters(read_recordings(make_recordings(tmp_path / "lexicon", ("ase",))))
    (tmp_path / "LICENSE").write_text("MIT")
    write_words(tmp_path / "words", letters, "ase", n_words=2, licence=tmp_path / "LICENSE")
    manifest = read_manifest(tmp_path / "words" / "words.tsv")
    assert [manifest.video_path(clip).is_file() for clip in manifest.clips] == [True, True]
    assert (tmp_path / "words" / "LICENSE.spoken-to-signed.txt").read_text() == "MIT"


def test_a_damaged_installation_says_so(tmp_path, monkeypatch):
    (tmp_path / "words.tsv").write_text("id\ttext\tpose\tlang\nword\tA\ta.pose\teng_Latn\n")
    monkeypatch.setattr(spelled, "WORDS", tmp_path / "words.tsv")
    with pytest.raises(SltError, match=r"is damaged: word lacks its file or its word"):
        show_words()
