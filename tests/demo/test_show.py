from slt.data.synthetic.labels import read_clips
from slt.demo.show import CLIPS, show_demo


def test_the_demo_prints_what_was_signed_beside_what_was_read(capsys):
    show_demo()
    captured = capsys.readouterr()
    clips = read_clips(CLIPS)
    assert len(clips) >= 4
    for clip in clips:
        assert clip.name in captured.out
    for lang in ("eng_Latn", "deu_Latn"):
        assert f"{lang}: " in captured.out
    assert f"of {len(clips)} to the letter" in captured.out
    assert "of video in" in captured.out
    assert "slt models fetch sonar-asl" in captured.err


def test_the_shipped_clips_are_of_the_held_out_set():
    assert all(clip.signer.startswith("test-signer-") for clip in read_clips(CLIPS))
