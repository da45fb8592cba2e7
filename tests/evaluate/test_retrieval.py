import numpy as np
import pytest

from slt.core.errors import UserError
from slt.evaluate import retrieval as module
from slt.evaluate.retrieval import retrieval


def by_definition(ours, theirs, k=4):
    """Recall and xsim written out row by row, as the papers define them."""
    ours = ours / np.linalg.norm(ours, axis=1, keepdims=True)
    theirs = theirs / np.linalg.norm(theirs, axis=1, keepdims=True)
    cosines = ours @ theirs.T
    found, missed = [], []
    for row in range(len(ours)):
        order = sorted(range(len(ours)), key=lambda column: -cosines[row, column])
        found.append(order.index(row) + 1)
        margins = {}
        for column in order[:k]:
            forward = np.mean(sorted(cosines[row])[-k:])
            backward = np.mean(sorted(cosines[:, column])[-k:])
            margins[column] = cosines[row, column] / ((forward + backward) / 2)
        missed.append(max(margins, key=margins.get) != row)
    return np.array(found), 100 * np.mean(missed)


def test_it_is_what_the_definitions_say(monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 32)
    rng = np.random.default_rng(0)
    theirs = rng.normal(size=(150, 8))
    ours = theirs + 0.9 * rng.normal(size=theirs.shape)
    ranks, xsim = by_definition(ours, theirs)
    found = retrieval(ours, theirs)
    assert found.recall_at_1 == pytest.approx(100 * (ranks <= 1).mean(), abs=1e-6)
    assert found.recall_at_5 == pytest.approx(100 * (ranks <= 5).mean(), abs=1e-6)
    assert found.recall_at_10 == pytest.approx(100 * (ranks <= 10).mean(), abs=1e-6)
    assert found.median_rank == np.median(ranks)
    assert found.xsim_error == pytest.approx(xsim, abs=1e-6)
    assert 0 < found.xsim_error < 100
    assert found.recall_at_1 < found.recall_at_5 < found.recall_at_10


def test_a_perfect_encoder_finds_everything():
    table = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    found = retrieval(3 * table, table)
    assert (found.n, found.recall_at_1, found.xsim_error) == (20, 100.0, 0.0)
    assert found.cosine == pytest.approx(1)


def test_a_collapsed_encoder_finds_nothing():
    table = np.random.default_rng(0).normal(size=(200, 8))
    found = retrieval(np.ones_like(table), table)
    assert found.recall_at_1 == pytest.approx(0.5)
    assert found.xsim_error > 98


def test_equal_targets_are_not_told_apart():
    table = np.random.default_rng(0).normal(size=(20, 8))
    table[1::2] = table[::2]
    found = retrieval(table, table)
    assert (found.recall_at_1, found.xsim_error) == (100.0, 0.0)


def test_one_clip_finds_itself():
    found = retrieval(np.ones((1, 3)), np.ones((1, 3)))
    assert (found.recall_at_1, found.xsim_error) == (100.0, 0.0)


def test_broken_embeddings_are_named():
    table = np.ones((9, 3))
    broken = table.copy()
    broken[[2, 5], 1] = np.nan, np.inf
    with pytest.raises(UserError, match=r"predicted embeddings: 2 of 9 rows are not finite .*: rows 2, 5$"):
        retrieval(broken, table)
    with pytest.raises(UserError, match="target embeddings: 2 of 9 rows"):
        retrieval(table, broken)


def test_other_shapes_are_refused():
    with pytest.raises(UserError, match=r"found embeddings of shape \(2, 3\), expected \(3, 3\)"):
        retrieval(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(UserError, match=r"expected a table of \(clips, dimensions\), found one of shape \(0, 3\)"):
        retrieval(np.ones((0, 3)), np.ones((0, 3)))


def test_a_row_of_zeros_is_far_from_everything():
    table = np.eye(4)
    ours = table.copy()
    ours[0] = 0
    found = retrieval(ours, table)
    assert (found.cosine, found.recall_at_10, found.xsim_error) == pytest.approx((0.75, 75, 25))
