"""Intervals, tests and bootstrap against scipy and statsmodels, and what they promise."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as dist
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from xfer_utils.analysis import stats

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
    mean, low, high, p = stats.t_interval([5.0, 5.0, 5.0])
    assert mean == low == high == 5 and math.isnan(p)
    difference, low, high, p = stats.t_interval([5.0, 5.0], [4.0, 4.0, 4.0])
    assert difference == low == high == 1 and math.isnan(p)


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
    assert math.isnan(stats.seed_gain({1: 5.0, 2: 6.0}, {1: 4.0, 2: 5.0})[3])  # no spread, so no p


@pytest.mark.parametrize(("a", "b"), [(3, 3), (5, 3), (2, 2), (10, 10)])
def test_min_detectable_gain(a, b):
    effect = TTestIndPower().solve_power(nobs1=a, ratio=b / a, alpha=0.05, power=0.8)
    assert stats.min_detectable_gain(1.5, a, b) == pytest.approx(1.5 * effect, rel=1e-3)
    assert stats.min_detectable_gain(1.5, 1, b) == math.inf


# ----- bootstrap -----


def ratio(top, bottom, clusters, draws):
    """Draws of sum(top) / sum(bottom) over resampled clusters."""
    items = pd.DataFrame({"item": range(len(clusters)), "cluster": clusters, "block": 0})
    items = items.assign(**{"count n_correct": top, "count n_tokens": bottom})
    return stats._resampled(stats.task_of("ccg"), items, (), draws, 0) / 100


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
    assert stats.joint_clusters(list("121344"), clusters).tolist() == [0, 0, 0, 0, 1, 1]
    assert stats.joint_clusters(list("123456"), clusters).tolist() == [0, 0, 1, 1, 2, 3]


# ----- calibration -----


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "base_seeds", "fixed"), [(3, 3, False), (5, 3, False), (3, 1, True)]
)
def test_seed_intervals_cover_and_a_a_tests_reject_as_promised(seeds, base_seeds, fixed):
    rng = np.random.default_rng(seeds + base_seeds)
    covered = rejected = 0
    for _ in range(1500):
        shared = rng.normal(0, 0.5, 10)  # what the seed does to both sides
        row = {s: 2 + shared[s] + rng.normal() for s in range(seeds)}
        base = (
            {stats.FIXED: 0.0}
            if fixed
            else {s: shared[s] + rng.normal() for s in range(base_seeds)}
        )
        _, low, high, _ = stats.seed_gain(row, base)
        covered += low < 2 < high
        rejected += stats.seed_gain({s: v - 2 for s, v in row.items()}, base)[3] < 0.05
    assert covered / 1500 == pytest.approx(0.95, abs=0.02)
    assert rejected / 1500 == pytest.approx(0.05, abs=0.02)


@pytest.mark.slow
def test_a_a_studies_find_nothing_after_correction():
    """Of eight cells without a gain some corrected p is below 0.05 in 5% of studies, not 30%."""
    rng = np.random.default_rng(7)
    found = uncorrected = 0
    for _ in range(400):
        gaps = rng.normal(60, 1, (8, 2, 3))
        p = [stats.seed_gain(*(dict(enumerate(side)) for side in cell))[3] for cell in gaps]
        found += multipletests(p, method="holm")[1].min() < 0.05
        uncorrected += min(p) < 0.05
    assert found / 400 == pytest.approx(0.05, abs=0.03)
    assert uncorrected / 400 > 0.25
