"""Gains by hand, and what their intervals promise on simulated studies."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as dist
from statsmodels.stats.multitest import multipletests

from xfer_utils.analysis import stats
from xfer_utils.analysis.tables import headline, main_table


class Study:
    """A scores table and its examples, grown run by run."""

    def __init__(self):
        self.rows, self.tables = [], {}

    def add(
        self, intermediate, target, seed, correct, value=None, same_data=False, cluster=None,
        chance=0.0,
    ):  # fmt: skip
        """`correct`: 0 or 1 [languages, items] of parallel items; `value` stands in for scores."""
        run = f"{intermediate}-{target}-{seed}"
        frames = []
        for language, right in zip("abcdef", correct, strict=False):
            n = len(right)
            ids, items = [f"{language}{i}" for i in range(n)], [f"i{i}" for i in range(n)]
            columns = {"language": language, "split": "validation", "id": ids, "item": items}
            frames.append(pd.DataFrame(columns | {"correct": right, "cluster": cluster}))
            score = 100 * float(np.mean(right)) if value is None else value
            row = {"run": run, "model": "m", "arm": intermediate, "target": target}
            row |= {"seed": seed, "language": language, "split": "validation", "metric": "accuracy"}
            row |= {"main": True, "value": score, "n": n, "chance": chance}
            self.rows.append(row | {"same_data": same_data})
        self.tables[run, target] = pd.concat(frames, ignore_index=True)
        return self

    def gains(self, **settings):
        table = stats.gains(
            pd.DataFrame(self.rows), lambda run, task: self.tables[run, task], **settings
        )
        return table.set_index(["arm", "target"])


ONES = np.ones((2, 4), dtype=int)


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
    assert (base.low, base.high) == pytest.approx(stats.t_interval([50, 75, 25])[1:3])
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
    assert (mean.low, mean.high) == pytest.approx(stats.t_interval(gaps)[1:3])


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
    arms = {"none": "none", "mnli": "MNLI", "qqp": "QQP"}
    shown = main_table(table.reset_index(), arms, {("qqp", "pawsx"): "time"}, "Gains")
    assert set(shown.heads.target) == {"xnli", "pawsx", "mean"}


def test_mean_other_leaves_same_data_out_on_both_sides():
    study = Study().add("none", "xnli", 0, ONES, 50.0).add("none", "pawsx", 0, ONES, 60.0)
    study.add("mnli", "xnli", 0, ONES, 80.0, same_data=True).add("mnli", "pawsx", 0, ONES, 61.0)
    table = study.gains(draws=20)
    mean, other = table.loc["mnli", "mean"], table.loc["mnli", "mean_other"]
    assert (mean.score, mean.base, mean.gain) == pytest.approx((70.5, 55, 15.5))
    assert (other.score, other.base, other.gain) == pytest.approx((61, 60, 1))


def test_the_headline_tells_english_from_the_other_languages():
    """Gains of MNLI: English +10 and German +2 on XNLI (same data), +6 and -2 on PAWS-X."""
    rows, gained = (
        [],
        {("xnli", "en"): 10, ("xnli", "de"): 2, ("pawsx", "en"): 6, ("pawsx", "de"): -2},
    )
    for (target, language), arm, seed in itertools.product(gained, ["none", "mnli"], range(3)):
        row = {"run": f"{arm}-{target}-{seed}", "model": "m", "arm": arm, "target": target}
        row |= {"seed": seed, "language": language, "split": "validation", "main": True}
        value = 50 + seed + (gained[target, language] + seed if arm == "mnli" else 0)
        row |= {"value": value, "chance": 33.3, "same_data": (arm, target) == ("mnli", "xnli")}
        rows.append(row | {"item_bound": 40.0, "n_items": 20, "degenerate": False})
    table = headline(pd.DataFrame(rows), None).set_index(["arm", "target"])
    found = table.loc["mnli"]["gain"]
    wanted = {"xnli": 7, "pawsx": 3, "mean": 5, "english": 9, "others": 1, "primary": -1}
    assert found.to_dict() == pytest.approx(wanted), "a seed more adds 1 on average"
    assert table.loc["mnli"]["n_items"].to_dict() == {
        **dict.fromkeys(["xnli", "pawsx"], 20), "mean": 2, "english": 2, "others": 2, "primary": 1,
    }  # fmt: skip
    gaps = dist.ttest_1samp([-2, -1, 0], 0)
    assert table.loc[("mnli", "primary"), "p"] == pytest.approx(gaps.pvalue)
    assert table.loc[("none", "xnli"), "above_chance"]


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
            "arm": name,
            "target": "bucc2018",
            "seed": 0,
            "language": "de",
        }
        row |= {"split": "dev", "metric": "f1", "main": True, "chance": 0.1, "same_data": False}
        rows.append(row | {"value": 100 * 2 * hits / (hits + 5 + 30)})
    table = stats.gains(pd.DataFrame(rows), lambda run, task: tables[run]).set_index(
        ["arm", "target"]
    )
    row = table.loc["mnli", "bucc2018"]
    assert row.n_items == 30 and row.gain == pytest.approx(100 * (40 / 55 - 20 / 45))
    assert 0 < row.low < row.gain < row.high


def test_any_arm_can_be_the_base():
    """Better than another arm is a paired test against that arm."""
    rng, study = np.random.default_rng(3), Study()
    values = {name: 60 + rng.normal(0, 1, 3) for name in ("none", "mnli", "squad")}
    for (name, own), seed in itertools.product(values.items(), range(3)):
        study.add(name, "xnli", seed, ONES, own[seed])
    row = study.gains(draws=20, base="squad").loc["mnli", "xnli"]
    assert row.p == pytest.approx(dist.ttest_rel(values["mnli"], values["squad"]).pvalue)
    assert row.base == pytest.approx(values["squad"].mean())


def test_each_source_of_uncertainty_has_an_interval_of_its_own():
    study, rng = Study(), np.random.default_rng(0)
    for name, seed in itertools.product(("none", "mnli"), range(3)):
        study.add(name, "xnli", seed, draw(rng, 0.5 + 0.2 * (name == "mnli"), languages=4))
    row = study.gains().loc["mnli", "xnli"]
    frame = pd.DataFrame(study.rows)
    means = frame.groupby(["arm", "language"])["value"].mean()
    gaps = (means["mnli"] - means["none"]).tolist()
    assert (row.low_languages, row.high_languages) == pytest.approx(stats.t_interval(gaps)[1:3])
    assert row.interval == "seeds" and (row.low_items, row.high_items) != (row.low, row.high)
    assert row.low_items < row.gain < row.high_items
    assert row.languages == "a,b,c,d"


def test_equivalence_takes_an_interval_within_a_point():
    study = Study()
    for seed, gap in enumerate([0.1, -0.1, 0.2, 0.0, 0.1]):
        study.add("none", "xnli", seed, ONES, 60.0).add("mnli", "xnli", seed, ONES, 60.0 + gap)
        study.add("qqp", "xnli", seed, ONES, 60.0 + 20 * gap)
    table = study.gains(draws=20)
    assert table.loc["mnli", "xnli"].equivalent and not table.loc["qqp", "xnli"].equivalent
    assert not table.loc["none", "xnli"].equivalent


def test_a_constant_prediction_is_degenerate():
    study = Study()
    for name, predictions in (("none", ["x", "y", "x", "x"]), ("mnli", ["x", "x", "x", "x"])):
        study.add(name, "xnli", 0, ONES)
        study.tables[f"{name}-xnli-0", "xnli"]["prediction"] = ["x", "y", "x", "y", *predictions]
    table = study.gains(draws=20)
    assert table.loc["mnli", "xnli"].degenerate and not table.loc["none", "xnli"].degenerate


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
    with pytest.raises(ValueError, match="two main scores of m, none, xnli, 0"):
        Study().add("none", "xnli", 0, ONES).add("none", "xnli", 0, ONES).gains()
    with pytest.raises(ValueError, match="no target has a score of the base arm 'none'"):
        Study().add("mnli", "xnli", 0, ONES).gains()


def test_item_intervals_cover_with_clusters_and_translations():
    """Items of a paragraph and translations are alike; both systems find the same items hard."""
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
