"""Statistics against scipy and statsmodels, and their promises on simulated studies."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as dist
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from xfer_utils.analysis import stats
from xfer_utils.analysis.tables import main_table


class Study:
    """A scores table and its examples, grown run by run."""

    def __init__(self):
        self.rows, self.tables = [], {}

    def add(
        self,
        intermediate,
        target,
        seed,
        correct,
        value=None,
        same_data=False,
        cluster=None,
        chance=0.0,
    ):
        """`correct`: 0 or 1 [languages, items] of parallel items; `value` stands in for the scores."""
        run = f"{intermediate}-{target}-{seed}"
        frames = []
        for language, right in zip("abcdef", correct, strict=False):
            n = len(right)
            columns = {
                "language": language,
                "split": "validation",
                "id": [f"{language}{i}" for i in range(n)],
            }
            columns |= {"item": [f"i{i}" for i in range(n)], "correct": right}
            frames.append(
                pd.DataFrame(columns | {"cluster": cluster if cluster is not None else None})
            )
            score = 100 * float(np.mean(right)) if value is None else value
            row = {
                "run": run,
                "model": "m",
                "intermediate": intermediate,
                "target": target,
                "seed": seed,
            }
            row |= {"language": language, "split": "validation", "metric": "accuracy", "main": True}
            self.rows.append(
                row | {"value": score, "n": n, "chance": chance, "same_data": same_data}
            )
        self.tables[run, target] = pd.concat(frames, ignore_index=True)
        return self

    def gains(self, **settings):
        table = stats.gains(
            pd.DataFrame(self.rows), lambda run, task: self.tables[run, task], **settings
        )
        return table.set_index(["intermediate", "target"])


ONES = np.ones((2, 4), dtype=int)

# ----- single statistics -----


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8).filter(lambda v: np.std(v) > 1e-3))
def test_t_interval(values):
    mean, low, high = stats.t_interval(values)
    error = dist.sem(values)
    assert (low, high) == pytest.approx(
        dist.t.interval(0.95, len(values) - 1, np.mean(values), error)
    )
    assert mean == pytest.approx(np.mean(values))


def test_t_interval_of_too_few():
    assert stats.t_interval([7.0])[0] == 7 and math.isnan(stats.t_interval([7.0])[1])
    assert math.isnan(stats.t_interval([])[0])


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


def test_holms_correction():
    rng = np.random.default_rng(3)
    for n in (1, 2, 5, 12):
        p = rng.random(n) ** 3
        p[n // 2] = p[0]  # ties
        holes = np.insert(p, [0, n], math.nan)  # NaN stays where it is and does not count
        expected = np.insert(multipletests(p, method="holm")[1], [0, n], math.nan)
        np.testing.assert_allclose(stats.holm(holes), expected)
    assert np.isnan(stats.holm([math.nan])).all()


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


# ----- gains -----


def draw(rng, chance, languages=2, items=40):
    return (rng.random((languages, items)) < chance).astype(int)


def test_gains_by_hand():
    study = Study()
    for seed, right in enumerate([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]]):  # 50, 75, 25
        study.add("none", "xnli", seed, np.array([right, right]), chance=100 / 3)
    study.add(
        "mnli", "xnli", 0, np.array([[1, 1, 1, 1], [1, 1, 1, 0]]), same_data=True, chance=100 / 3
    )
    table = study.gains()
    row = table.loc["mnli", "xnli"]
    assert (row.score, row.base, row.gain) == pytest.approx((87.5, 50, 37.5))
    assert row.interval == "test items" and row.low <= 37.5 <= row.high
    assert math.isnan(row.p) and math.isnan(row.p_adjusted)
    assert (row.n_seeds, row.n_base_seeds, row.n_items, row.split) == (1, 3, 8, "validation")
    assert row.same_data and row.above_chance and row.chance == pytest.approx(100 / 3)
    base = table.loc["none", "xnli"]
    assert base.gain == 0 and base.interval == "seeds" and math.isnan(base.p)
    assert (base.low, base.high) == pytest.approx(stats.t_interval([50, 75, 25])[1:])
    assert not base.above_chance
    assert ("mnli", "mean") in table.index and ("mnli", "mean_other") not in table.index


def test_gains_over_seeds_and_holm():
    rng = np.random.default_rng(0)
    study = Study()
    offsets = {"none": 0.0, "squad": 3.0, "hellaswag": 0.1}
    values = {}
    for (name, offset), target, seed in itertools.product(
        offsets.items(), ["xnli", "pawsx"], range(4)
    ):
        values[name, target, seed] = 60 + offset + rng.normal(0, 0.3)
        study.add(name, target, seed, ONES, values[name, target, seed])
    table = study.gains(draws=20)
    for name, target in itertools.product(["squad", "hellaswag"], ["xnli", "pawsx"]):
        ours, base = ([values[who, target, seed] for seed in range(4)] for who in (name, "none"))
        row = table.loc[name, target]
        assert row.interval == "seeds" and row.p == pytest.approx(dist.ttest_rel(ours, base).pvalue)
    cells = table[table.index.get_level_values(1).isin(["xnli", "pawsx"]) & table.p.notna()]
    assert len(cells) == 4
    np.testing.assert_allclose(cells.p_adjusted, multipletests(cells.p, method="holm")[1])
    ours, base = (
        [np.mean([values[w, t, s] for t in ("xnli", "pawsx")]) for s in range(4)]
        for w in ("squad", "none")
    )
    assert table.loc["squad", "mean"].p == pytest.approx(dist.ttest_rel(ours, base).pvalue)
    means = table[table.index.get_level_values(1) == "mean"].dropna(subset="p")
    np.testing.assert_allclose(means.p_adjusted, multipletests(means.p, method="holm")[1])


def test_a_baseline_without_randomness_is_fixed_for_every_seed():
    study = Study()
    study.add("none", "tatoeba", stats.FIXED, ONES, 30.0)
    for seed, value in enumerate([40.0, 42.0, 44.0]):
        study.add("mnli", "tatoeba", seed, ONES, value)
        study.add("mnli", "xnli", seed, ONES, 70.0 + value / 10)
        study.add("none", "xnli", seed, ONES, 70.0)
    table = study.gains(draws=20)
    row = table.loc["mnli", "tatoeba"]
    assert (row.interval, row.n_seeds, row.n_base_seeds) == ("seeds", 3, 1)
    assert row.p == pytest.approx(dist.ttest_1samp([40, 42, 44], 30).pvalue)
    mean = table.loc["mnli", "mean"]
    gaps = [(10 + 4.0) / 2, (12 + 4.2) / 2, (14 + 4.4) / 2]
    assert mean.gain == pytest.approx(np.mean(gaps)) and mean.interval == "seeds"
    assert (mean.low, mean.high) == pytest.approx(stats.t_interval(gaps)[1:])


def test_missing_cells_stay_out_and_take_their_mean_with_them():
    study = Study().add("none", "xnli", 0, ONES).add("none", "pawsx", 0, ONES)
    study.add("mnli", "xnli", 0, ONES, same_data=True).add("mnli", "pawsx", 0, ONES).add(
        "qqp", "xnli", 0, ONES
    )
    study.add("qqp", "udpos", 0, ONES)  # no baseline
    table = study.gains(draws=20)
    assert set(table.loc["qqp"].index) == {"xnli"}
    assert set(table.loc["mnli"].index) == {"xnli", "pawsx", "mean", "mean_other"}
    assert "udpos" not in table.index.get_level_values(1)
    shown = main_table(table.reset_index(), {("qqp", "pawsx"): "time"})
    assert set(shown.heads.target) == {"xnli", "pawsx", "mean", "mean_other"}


def test_mean_other_leaves_same_data_out_on_both_sides():
    study = Study().add("none", "xnli", 0, ONES, 50.0).add("none", "pawsx", 0, ONES, 60.0)
    study.add("mnli", "xnli", 0, ONES, 80.0, same_data=True).add("mnli", "pawsx", 0, ONES, 61.0)
    table = study.gains(draws=20)
    mean, other = table.loc["mnli", "mean"], table.loc["mnli", "mean_other"]
    assert (mean.score, mean.base, mean.gain) == pytest.approx((70.5, 55, 15.5))
    assert (other.score, other.base, other.gain) == pytest.approx((61, 60, 1))


def test_mining_runs_may_predict_different_pairs():
    rows, tables = [], {}
    gold = pd.DataFrame({"id": [f"g{i}" for i in range(30)], "n_gold": 1})
    for name, hits in (("none", 10), ("mnli", 20)):
        right = (gold.index < hits).astype(int)
        wrong = pd.DataFrame(
            {"id": [f"{name}{i}" for i in range(5)], "n_gold": 0, "n_pred": 1, "tp": 0}
        )
        frame = pd.concat([gold.assign(n_pred=right, tp=right), wrong], ignore_index=True)
        tables[name] = frame.assign(language="de", split="dev", item=frame.id, cluster=None)
        row = {
            "run": name,
            "model": "m",
            "intermediate": name,
            "target": "bucc2018",
            "seed": 0,
            "language": "de",
        }
        row |= {"split": "dev", "metric": "f1", "main": True, "chance": 0.1, "same_data": False}
        rows.append(row | {"value": 100 * 2 * hits / (hits + 5 + 30)})
    table = stats.gains(pd.DataFrame(rows), lambda run, task: tables[run]).set_index(
        ["intermediate", "target"]
    )
    row = table.loc["mnli", "bucc2018"]
    assert row.n_items == 30 and row.gain == pytest.approx(100 * (40 / 55 - 20 / 45))
    assert 0 < row.low < row.gain < row.high


def test_unknown_chance_counts_as_zero():
    zeros = np.zeros((2, 4), dtype=int)
    table = (
        Study()
        .add("none", "xquad", 0, zeros, chance=None)
        .add("mnli", "xquad", 0, ONES, chance=None)
    )
    for frame in table.tables.values():
        frame["em"] = frame["f1"] = frame["correct"]
    found = table.gains(draws=20)
    assert found.chance.isna().all()
    assert found.loc["mnli", "xquad"].above_chance and not found.loc["none", "xquad"].above_chance


def test_what_is_refused():
    study = Study().add("none", "xnli", 0, ONES).add("mnli", "xnli", 0, ONES[:, :3])
    with pytest.raises(
        ValueError, match="xnli: runs none-xnli-0 and mnli-xnli-0 were not evaluated on the same"
    ):
        study.gains()
    with pytest.raises(ValueError, match="run mnli-xnli-0 lacks b"):
        Study().add("none", "xnli", 0, ONES).add("mnli", "xnli", 0, ONES[:1]).gains()
    with pytest.raises(
        ValueError, match="two main scores for model m, intermediate none, target xnli, seed 0"
    ):
        Study().add("none", "xnli", 0, ONES).add("none", "xnli", 0, ONES).gains()
    with pytest.raises(ValueError, match="no target has a score of the baseline 'none'"):
        Study().add("mnli", "xnli", 0, ONES).gains()


# ----- calibration on simulated studies -----


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


def test_item_intervals_cover_with_clusters_and_translations():
    """Items of a paragraph, and translations of an item, are alike; both systems find the same items hard."""
    rng = np.random.default_rng(5)
    paragraphs, each, languages, trials = 60, 4, 3, 150
    cluster = np.repeat([f"p{i}" for i in range(paragraphs)], each)
    truth = 100 * (dist.norm.cdf(0.8 / math.sqrt(3)) - dist.norm.cdf(0.2 / math.sqrt(3)))
    covered = 0
    for _ in range(trials):
        hard = np.repeat(rng.normal(size=paragraphs), each) + rng.normal(size=paragraphs * each)
        systems = [
            (hard + rng.normal(size=(languages, len(hard))) < skill).astype(int)
            for skill in (0.2, 0.2, 0.8)
        ]
        study = Study()
        for seed, right in enumerate(systems[:2]):
            study.add("none", "xnli", seed, right, cluster=cluster)
        row = (
            study.add("mnli", "xnli", 0, systems[2], cluster=cluster)
            .gains(draws=300)
            .loc["mnli", "xnli"]
        )
        covered += row.low < truth < row.high
    assert covered / trials == pytest.approx(0.95, abs=0.045)


def test_a_a_studies_find_nothing_after_correction():
    """Eight cells without a true gain: some corrected p is below 0.05 in about 5% of the studies, not in 30%."""
    rng = np.random.default_rng(7)
    found = uncorrected = 0
    for _ in range(400):
        gaps = rng.normal(60, 1, (8, 2, 3))
        p = [stats.seed_gain(*(dict(enumerate(side)) for side in cell))[3] for cell in gaps]
        found += stats.holm(p).min() < 0.05
        uncorrected += min(p) < 0.05
    assert found / 400 == pytest.approx(0.05, abs=0.03)
    assert uncorrected / 400 > 0.25
