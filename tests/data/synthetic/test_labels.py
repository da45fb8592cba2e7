import numpy as np
import pytest

from slt.core.errors import UserError
from slt.data.synthetic.grammar import CUES
from slt.data.synthetic.labels import NO_SIGN, SIGN_IDS, LabelledClip, TimedLabel, read_clips

CLIP = LabelledClip(
    name="a",
    video="a.mp4",
    texts={},
    signer="x",
    glosses=(TimedLabel(name="CAR", start_s=0.4, end_s=1.0), TimedLabel(name="LAST-WEEK", start_s=1.2, end_s=1.8)),
    cues=(TimedLabel(name="brows-up", start_s=0.4, end_s=1.8),),
)


def test_signs_and_cues_are_looked_up_by_time():
    times = np.array([0.0, 0.4, 0.99, 1.0, 1.5, 1.8])
    car, week = SIGN_IDS["CAR"], SIGN_IDS["LAST-WEEK"]
    assert CLIP.sign_ids(times).tolist() == [NO_SIGN, car, car, NO_SIGN, week, NO_SIGN]
    assert CLIP.cue_flags(times)[:, CUES.index("brows-up")].tolist() == [0, 1, 1, 1, 1, 0]
    assert CLIP.cue_flags(times)[:, CUES.index("headshake")].sum() == 0


def test_another_table_is_refused(tmp_path):
    (tmp_path / "x.tsv").write_text("id\tvideo\na\tb\n")
    with pytest.raises(UserError, match="no manifest of a drawn corpus: its columns are"):
        read_clips(tmp_path / "x.tsv")


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no manifest .*train\.tsv"):
        read_clips(tmp_path / "train.tsv")
