"""Intervals, tests and bootstrap against scipy and statsmodels; test_calibration has their promises."""

import math

import numpy as np
import pandas as pd
import pytest
from conftest import definitions
from scipy import stats as dist
from statsmodels.stats.power import TTestPower

from xfer_utils.analysis import intervals, stats

claims = definitions("59_claims")

# ----- single statistics -----


def test_t_interval():
    mean, low, high, p = stats.t_interval([1.0, 2.0, 3.0])
    reach = 4.302653 / math.sqrt(3)  # the 97.5% point of t with two degrees of freedom
    assert (mean, low, high) == pytest.approx((2, 2 - reach, 2 + reach))
    assert p == pytest.approx(dist.ttest_1samp([1, 2, 3], 0).pvalue)
    narrow = stats.t_interval([1.0, 2.0, 3.0], level=0.90)
    assert narrow[2] - 2 == pytest.approx(2.919986 / math.sqrt(3))


@pytest.mark.filterwarnings("error")
def test_t_interval_of_too_few_and_of_equal_values():
    mean, *rest = stats.t_interval([7.0])
    assert mean == 7 and np.isnan(rest).all()
    assert np.isnan(stats.t_interval([])).all()


@pytest.mark.filterwarnings("error")
def test_equal_gaps_of_all_seeds_have_neither_bounds_nor_p():
    """Equal but for rounding, they would have a width of zero and any significance one likes."""
    for values, others in (
        ([5.0] * 3, None),
        ([71.0 - 70.0, 72.1 - 71.1, 73.3 - 72.3], None),
        ([5.0] * 2, [4.0] * 3),
    ):
        mean, *rest = stats.t_interval(values, others)
        assert mean in (5, pytest.approx(1)) and np.isnan(rest).all()


def test_many_tables_at_once_are_as_one_by_one():
    tables = np.random.default_rng(0).normal(1, 1, (4, 3))
    together = np.transpose(stats.t_interval(tables))
    np.testing.assert_allclose(together, [stats.t_interval(table) for table in tables])


def test_seed_gain_pairs_equal_seeds_and_else_is_welch():
    a, b = {1: 71.0, 2: 74.0, 3: 73.5}, {1: 70.0, 2: 71.0, 3: 72.0}
    gain, low, high, p = stats.seed_gain(a, b)
    paired = dist.ttest_rel(list(a.values()), list(b.values()))
    assert (low, high) == pytest.approx(tuple(paired.confidence_interval()))
    assert p == pytest.approx(paired.pvalue) and gain == pytest.approx(5.5 / 3)
    b[4] = 69.0
    _, low, high, p = stats.seed_gain(a, b)
    welch = dist.ttest_ind(list(a.values()), list(b.values()), equal_var=False)
    assert (low, high, p) == pytest.approx((*welch.confidence_interval(), welch.pvalue))
    single = dist.ttest_1samp(list(a.values()), 70.0)
    fixed = stats.seed_gain(a, {stats.FIXED: 70.0})
    assert fixed[1:] == pytest.approx(
        (*(single.confidence_interval() - np.array(70.0)), single.pvalue)
    )
    ninety = stats.seed_gain(a, {seed: b[seed] for seed in a}, level=0.90)
    assert ninety[1:3] == pytest.approx(tuple(paired.confidence_interval(0.90)))


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_detectable_gain_of_pairs_is_that_of_a_paired_test(n):
    """At 3 pairs 4.6 points of one deviation and not 3.07, at 2 pairs 16.5 and not 5.65."""
    effect = (
        TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8) if n > 2 else 16.5 / math.sqrt(2)
    )
    gain = intervals.min_detectable_gain(1.5, range(n), range(n))
    assert gain == pytest.approx(1.5 * math.sqrt(2) * effect, rel=0.015)
    assert intervals.min_detectable_gain(1.5, [1], range(n)) == math.inf
    other = intervals.min_detectable_gain(1.5, range(n), range(n, 2 * n))
    assert other < gain, "two independent samples have more degrees of freedom"


def test_languages_of_one_target_are_a_plain_t_interval():
    gaps = pd.DataFrame([[1.0, 2.0, 4.0]], columns=list("abc"))
    assert intervals.language_interval(gaps) == pytest.approx(stats.t_interval([1, 2, 4])[1:3])
    assert np.isnan(intervals.language_interval(gaps[["a"]])).all()


def test_languages_of_two_targets_are_drawn_with_both():
    """Two equal targets are no more evidence than one; what they have apart is."""
    one = pd.DataFrame([[1.0, 2.0, 4.0]], columns=list("abc"))
    same = pd.concat([one, one])
    assert intervals.language_interval(same) == pytest.approx(intervals.language_interval(one))
    apart = pd.concat([one, one.rename(columns=str.upper)])
    low, high = intervals.language_interval(apart)
    assert high - low < np.diff(intervals.language_interval(one))


def test_ranks_by_hand():
    """a is told apart from c alone; b may stand anywhere, so it shares every rank."""
    scores = pd.DataFrame(
        [[1.0, 2.0, 3.0], [9.0, 1.0, 20.0], [11.0, 12.1, 13.0]], index=["c", "b", "a"]
    )
    ranks = claims.ranks(scores)
    assert ranks.index.tolist() == ["a", "b", "c"]
    assert ranks[["best", "worst"]].to_numpy().tolist() == [[1, 2], [1, 3], [2, 3]]
    alone = claims.ranks(scores.loc[["b"]])
    assert alone[["best", "worst"]].to_numpy().tolist() == [[1, 1]]
    once = claims.ranks(scores[[0]])
    assert once[["best", "worst"]].to_numpy().tolist() == [[1, 3]] * 3, "one seed tells nothing"


# ----- bootstrap -----


def ratio(top, bottom, clusters, draws):
    """Draws of sum(top) / sum(bottom) over resampled clusters."""
    items = pd.DataFrame({"item": range(len(clusters)), "cluster": clusters, "block": 0})
    items = items.assign(**{"count n_correct": top, "count n_tokens": bottom})
    return intervals.resampled(stats.task_of("ccg"), items, (), draws, 0)[0] / 100


def test_bootstrap_resamples_whole_clusters():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(100), 10)
    values = np.repeat(rng.random(100) < 0.6, 10).astype(float)  # items of a cluster agree fully
    ones = np.ones(1000)
    by_cluster = ratio(values, ones, clusters, 2000)
    by_item = ratio(values, ones, np.arange(1000), 2000)
    assert by_cluster.std() == pytest.approx(values[::10].std() / 10, rel=0.08)
    assert by_item.std() == pytest.approx(values.std() / math.sqrt(1000), rel=0.08)
    assert by_cluster.mean() == pytest.approx(values.mean(), abs=0.005)


def test_bootstrap_of_f1_against_a_plain_loop():
    rng = np.random.default_rng(1)
    top, bottom, clusters = rng.integers(0, 5, 60), rng.integers(5, 9, 60), rng.integers(0, 15, 60)
    found = ratio(top, bottom, clusters, 3000)
    plain = []
    for _ in range(3000):
        picked = rng.integers(0, 15, 15)
        chosen = np.concatenate([np.flatnonzero(clusters == c) for c in picked])
        plain.append(top[chosen].sum() / bottom[chosen].sum())
    np.testing.assert_allclose(
        np.quantile(found, [0.025, 0.5, 0.975]), np.quantile(plain, [0.025, 0.5, 0.975]), atol=0.01
    )


def test_clusters_join_translations_and_paragraphs():
    clusters = ["en-p", "en-p", "de-p", "de-p", None, None]
    assert intervals.joint_clusters(list("121344"), clusters).tolist() == [0, 0, 0, 0, 1, 1]
    assert intervals.joint_clusters(list("123456"), clusters).tolist() == [0, 0, 1, 1, 2, 3]
