"""Notebook 63 on simulated tables: nothing where there is nothing, and what was put in."""

import itertools

import numpy as np
import pandas as pd
import pytest
from made_studies import summary, write

from xfer_utils.analysis import findings

KS, WAYS, TARGETS = (0, 1, 10), ("sequential", "together", "english"), {"pawsx": 60.0, "xnli": 50.0}
ESTIMAND = {"estimand": "gain after shots minus before"}


def simulated(
    gain: float, standing_in: float, seeds: int = 3, noise: float = 1.0, seed: int = 0
) -> pd.DataFrame:
    """Scores by arm, target, language, seed, k, bucket and way, with an interaction at k = 10."""
    rng, rows = np.random.default_rng(seed), []
    for arm, target, number in itertools.product(("none", "qqp"), TARGETS, range(seeds)):
        model = rng.normal(0, noise)
        for language, k in itertools.product(("de", "sw"), KS):
            after = (arm != "none") * (gain + standing_in * (k == 10))
            for way, bucket in itertools.product(WAYS if k else ("none",), range(3 if k else 1)):
                value = TARGETS[target] + after + 0.3 * k * (way != "english") + model
                value += rng.normal(0, noise) * (k > 0)
                row = {"run": f"{arm}{target}{number}", "model": "m", "arm": arm, "title": arm}
                row |= {"target": target, "language": language, "seed": number, "k": k}
                row |= {"bucket": bucket, "way": way, "pool": "test", "pool_size": 100, "n": 50}
                rows.append(
                    row | {"value": value, "metric": "accuracy", "main": False, "split": "dev"}
                )
    return pd.DataFrame(rows)


def test_the_interaction_that_was_put_in_is_found(tmp_path):
    folder = write(tmp_path, simulated(5.0, -4.0, seeds=5, noise=0.3), **ESTIMAND)
    names = summary("63_few_shot", folder)
    primary, *others = findings.read(folder)
    assert primary.verdict == "loss" and primary.interval[0] < -4 < primary.interval[1]
    assert "the examples stand in for phase 2" in primary.sentence and primary.declared
    assert [found.verdict for found in others] == ["gain", "not shown"] and not others[0].declared
    table = names["table"].set_index(["target", "way", "k"])
    assert table.loc[("", "sequential", 1), "interaction"] == pytest.approx(0, abs=0.5)
    assert table.loc[("", "sequential", 10), "shots alone"] == pytest.approx(3, abs=0.5)
    assert table.loc[("xnli", "english", 10), "shots alone"] == pytest.approx(0, abs=0.5)
    assert names["primary"].sum() == 1 and table["q"].notna().sum() == len(table) - 1
    assert {file.name for file in (folder / "figures").iterdir()} == {"1_few_shot.svg", "1_few_shot.png", "1_few_shot.txt"}  # fmt: skip
    assert (
        names["pools"][["examples in the pool", "evaluated"]].to_numpy().tolist() == [[100, 50]] * 2
    )


def estimates(names: dict, table: pd.DataFrame) -> np.ndarray:
    """The notebook's own functions on another table."""
    names["main"] = table
    names["cells"] = table.pivot_table(
        index=names["index"], columns=names["columns"], values="value"
    )
    return names["intervals"].t_interval(names["interaction"]("qqp", "sequential", 10).to_numpy())


def coverage(names: dict, times: int, effect: float) -> tuple[float, float, float]:
    """Share of intervals that hold the truth, share that exclude 0, and the mean estimate."""
    tries = [estimates(names, simulated(3.0, effect, seed=n + 1)) for n in range(times)]
    value, low, high, p = np.array(tries).T
    return np.mean((low <= effect) & (effect <= high)), np.mean(p < 0.05), value.mean()


@pytest.fixture
def names(tmp_path):
    return summary("63_few_shot", write(tmp_path, simulated(3.0, 0.0), **ESTIMAND))


@pytest.mark.parametrize("effect", [0.0, -4.0])
def test_coverage_and_the_rate_of_false_alarms(names, effect):
    covered, rejected, mean = coverage(names, 60, effect)
    assert covered > 0.86 and mean == pytest.approx(effect, abs=0.4)
    assert rejected < 0.14 if effect == 0 else rejected > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, -4.0])
def test_coverage_over_2000_tables(names, effect):
    covered, rejected, mean = coverage(names, 2000, effect)
    assert 0.935 < covered < 0.965 and mean == pytest.approx(effect, abs=0.06)
    assert effect or 0.035 < rejected < 0.065


def test_one_seed_claims_nothing_and_without_shots_it_says_so(tmp_path, capsys):
    one = write(tmp_path / "one", simulated(5.0, -4.0, seeds=1), **ESTIMAND)
    summary("63_few_shot", one)
    assert {found.verdict for found in findings.read(one)} == {"one run"}
    alone = simulated(5.0, 0.0)
    alone = write(tmp_path / "alone", alone[alone["arm"] == "none"], **ESTIMAND)
    summary("63_few_shot", alone)
    estimands = [found.estimand for found in findings.read(alone)]
    assert not [name for name in estimands if name.startswith("Gain of")], "no arm to gain"
    plain = (
        simulated(5.0, 0.0)
        .query("k == 0")
        .drop(columns=["k", "bucket", "way", "pool", "pool_size"])
    )
    summary("63_few_shot", write(tmp_path / "plain", plain, **ESTIMAND))
    assert capsys.readouterr().out.splitlines()[-1] == "Few shots: not run."
