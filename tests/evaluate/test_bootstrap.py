import numpy as np
import pytest

from slt.evaluate import bootstrap
from slt.evaluate.bleu import bleu_score
from slt.evaluate.bootstrap import Resampling, compare_statistics, interval, resampled_totals
from slt.evaluate.text_metrics import mean_score, per_sentence


def test_a_mean_has_the_interval_that_theory_gives():
    values = np.random.default_rng(0).normal(50, 10, 400)
    low, high = interval(mean_score(resampled_totals(per_sentence(values), Resampling(resamples=4000))))
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.1)
    assert high == pytest.approx(values.mean() + half, abs=0.1)


def test_small_pieces_give_the_same_kind_of_answer(monkeypatch):
    statistics = per_sentence(np.arange(50.0))
    monkeypatch.setattr(bootstrap, "CELLS_AT_ONCE", 1)
    totals = resampled_totals(statistics, Resampling(resamples=30))
    assert totals.shape == (30, 2)
    assert (totals[:, 1] == 50).all()


def test_a_real_difference_is_seen_and_its_interval_holds_it():
    rng = np.random.default_rng(0)
    first = rng.normal(20, 5, 500)
    second = first + 1 + rng.normal(0, 3, 500)
    found = compare_statistics(per_sentence(first), per_sentence(second), mean_score, Resampling())
    assert found.value == pytest.approx((second - first).mean())
    assert found.low < found.value < found.high
    assert found.low > 0
    assert found.p_bootstrap < 0.01
    assert found.p_randomisation < 0.01


def test_the_same_system_twice_does_not_differ():
    values = per_sentence(np.random.default_rng(0).normal(20, 5, 100))
    found = compare_statistics(values, values, mean_score, Resampling(trials=500))
    assert (found.value, found.p_bootstrap, found.p_randomisation) == (0, 1, 1)


def test_p_values_of_a_tiny_case_counted_by_hand():
    # Two clips: of the four ways to swap, two keep |difference| = 3 and two make it 1.
    first, second = per_sentence(np.array([0.0, 0.0])), per_sentence(np.array([4.0, 2.0]))
    found = compare_statistics(first, second, mean_score, Resampling(trials=4000))
    assert found.value == 3
    assert found.p_randomisation == pytest.approx(0.5, abs=0.03)


def simulated_bleu(rng, lengths, hardness, quality=0.6):
    """Statistics as BLEU's, of a system that gets each word right by chance, on clips of these lengths."""
    made = np.maximum(lengths[:, None] - np.arange(4), 0)
    shared = rng.binomial(made, np.clip(quality + hardness, 0, 1)[:, None] ** np.arange(1, 5))
    return np.concatenate([lengths[:, None], lengths[:, None], shared, made], axis=1).astype(float)


def clips(rng, n):
    return rng.integers(4, 20, n), rng.normal(0, 0.1, n)


def significant(quality, n_trials):
    """Return the share of trials with p <= 0.05, by bootstrap and by randomisation, of a system against this one."""
    rng = np.random.default_rng(1)
    found = []
    for trial in range(n_trials):
        test_set = clips(rng, 300)
        pair = simulated_bleu(rng, *test_set), simulated_bleu(rng, *test_set, quality)
        found.append(compare_statistics(*pair, bleu_score, Resampling(resamples=300, trials=300, seed=trial)))
    return (np.array([(one.p_bootstrap, one.p_randomisation) for one in found]) <= 0.05).mean(0)


def test_a_null_difference_is_called_significant_in_five_percent_of_trials():
    assert significant(0.6, 400) == pytest.approx([0.05, 0.05], abs=0.02)


def test_a_true_difference_is_mostly_seen():
    assert (significant(0.64, 50) > 0.8).all()


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(3)
    truth = bleu_score(simulated_bleu(rng, *clips(rng, 200_000)).sum(0))
    covered = 0
    for seed in range(200):
        totals = resampled_totals(simulated_bleu(rng, *clips(rng, 150)), Resampling(resamples=300, seed=seed))
        low, high = interval(bleu_score(totals))
        covered += low <= truth <= high
    assert covered / 200 == pytest.approx(0.95, abs=0.04)
