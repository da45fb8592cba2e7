import numpy as np
import pytest

from slt.core.errors import UserError
from slt.evaluate.bootstrap import Resampling
from slt.evaluate.embeddings import EncoderEmbeddings, common_clips, describe, draw, projection
from slt.evaluate.evaluation import EvaluationData
from slt.evaluate.results import Sentence
from slt.evaluate.sonar_space import anisotropy

FEW = Resampling(resamples=20)


def side(name, noise, width=8, n=30):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(n, width)).astype(np.float32)
    return EncoderEmbeddings(
        name=name, predicted=targets + noise * rng.normal(size=targets.shape).astype(np.float32), targets=targets
    )


def test_the_better_encoder_is_seen_to_be_better():
    found = describe([side("good", 0.1), side("bad", 3.0)], ["lost"], "0" * 64, FEW)
    good, bad = ({score.name: score.value for score in found.scores[name]} for name in ("good", "bad"))
    assert good["cosine"] > bad["cosine"]
    assert good["recall@1"] == 100 > bad["recall@1"]
    assert good["xsim_error"] == 0 < bad["xsim_error"]
    assert (found.n, found.left_out) == (30, ("lost",))
    assert set(found.agreement) == {"bad"}
    assert found.norms["bad"]["norm_predicted"] > found.norms["bad"]["norm_reference"]


def test_encoders_of_other_widths_have_no_agreement():
    assert describe([side("a", 0.1), side("b", 0.1, width=4)], [], "0" * 64, FEW).agreement == {"b": {}}


def test_the_projection_keeps_what_lies_in_a_plane():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 6))
    points, share = projection(plane)
    assert share == pytest.approx(1)
    apart = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
    assert np.linalg.norm(points[:, None] - points[None], axis=-1) == pytest.approx(apart)
    assert projection(np.ones((5, 3)))[1] == 1


def test_anisotropy_is_the_mean_cosine_of_two_rows():
    assert anisotropy(np.ones((5, 3))) == pytest.approx(1)
    assert anisotropy(np.eye(4)) == pytest.approx(0)
    assert anisotropy(np.array([[1.0, 0], [1, 0], [0, 1]])) == pytest.approx(1 / 3)
    assert anisotropy(np.ones((1, 3))) == 0


def test_pictures_are_written_in_both_forms(tmp_path):
    written = draw([side("a", 0.1), side("b", 1.0)], tmp_path)
    assert sorted(path.name for path in written) == ["cosines.png", "cosines.svg", "projection.png", "projection.svg"]
    assert (tmp_path / "projection.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "cosines.svg").read_text("utf-8")


def material(*failures, embedded=True):
    sentences = [Sentence(id=str(n), reference=str(n), hypothesis="", failure=why) for n, why in enumerate(failures)]
    table = np.eye(len(failures), 4, dtype=np.float32) if embedded else None
    return EvaluationData(sentences=sentences, predicted=table, targets=table)


def test_only_clips_that_all_could_read_are_compared():
    sides, left_out, _ = common_clips(["a", "b"], [material(None, "broken", None), material(None, None, "broken")])
    assert left_out == ["1", "2"]
    assert [one.predicted.shape for one in sides] == [(1, 4), (1, 4)]
    with pytest.raises(UserError, match="no clip could be read by all of the models"):
        common_clips(["a", "b"], [material("broken"), material(None)])
    with pytest.raises(UserError, match="found no SONAR text encoder in the model b"):
        common_clips(["a", "b"], [material(None), material(None, embedded=False)])
