"""Do two studies agree: the same study, made by two machines?

A seed gives both the same encoder and the same batches, so what sets its two scores apart is how
far rounding carried two trainings from each other. These gaps are all that is looked at, and their
own deviation within cells, pooled over a target's arms, is the measure. The deviation between seeds
is not: it holds what both studies share, and intervals made from it would notice too little.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from xfer_utils.analysis.findings import Finding
from xfer_utils.analysis.stats import ARM, BASELINE, FIXED, main_rows
from xfer_utils.analysis.tables import bounds, number
from xfer_utils.study.tasks import task

TESTS = (
    "scores outside", "gains outside", "a target's mean", "an arm's mean", "the mean of all",
)  # fmt: skip
LEVEL = 0.04 / len(TESTS)  # of each: together they find fault with 3 to 5% of pairs that agree
MARGIN = 1.0  # points that the mean score may differ by, in two one-sided tests at 5%
UNTRAINED = 0.5  # points that searching one encoder twice may differ by
CLEAR = {"gain", "loss", "equivalent"}  # verdicts that claim something


@dataclass(frozen=True)
class Pair:
    """One model's scores in two studies [arms, targets, seeds], the baseline first; NaN: none.

    `searched` are the cells of an encoder that was searched as it came, `trained` all others.
    """

    arms: list[str]
    targets: list[str]
    scores: np.ndarray
    gaps: np.ndarray
    searched: np.ndarray

    @property
    def trained(self) -> np.ndarray:
        return ~np.isnan(self.gaps).any(-1) & ~self.searched


def paired(scores: pd.DataFrame, others: pd.DataFrame) -> Pair:
    """The scores of one model in two studies, over the languages and seeds that both have."""
    key = [ARM, "target", "seed"]
    both = main_rows(scores).merge(main_rows(others), on=[*key, "language"])
    seeds = sorted({*both["seed"]} - {FIXED})
    both["seed"] = [seeds if seed == FIXED else seed for seed in both["seed"]]  # the same for all
    both = both.explode("seed").assign(gap=both["value_y"] - both["value_x"])
    arms = sorted(both[ARM].unique(), key=lambda arm: arm != BASELINE)
    targets = list(both["target"].unique())
    seeds = [seed for seed in seeds if both.loc[both["seed"] == seed, ARM].nunique() == len(arms)]
    means = both.groupby(key)[["value_x", "gap"]].mean()
    grid = means.reindex(pd.MultiIndex.from_product([arms, targets, seeds])).to_numpy(float).T
    untrained = [task(name).train_on is None for name in targets]
    searched = np.outer([arm == BASELINE for arm in arms], untrained)
    return Pair(arms, targets, *grid.reshape(2, *searched.shape, len(seeds)), searched)


def errors(gaps: np.ndarray, trained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors of a score's mean gap [.., targets], and the t quantile of 95% intervals."""
    count, seeds = np.maximum(trained.sum(0), 1), gaps.shape[-1]
    within = np.where(trained, gaps.var(-1, ddof=1), 0.0).sum(-2) / count
    error = np.maximum(np.sqrt(within / seeds), 1e-6)  # one machine gives the same twice
    return error, student.ppf(0.975, count * (seeds - 1))


def statistics(gaps: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """What TESTS look at [.., tests]: two numbers of cells, and three gaps in standard errors.

    A gain has the noise of two trainings, unless the baseline was not trained.
    """
    error, limit = errors(gaps, trained)
    z = np.where(trained, gaps.mean(-1), 0.0) / error[..., None, :]
    gained = np.abs(z[..., 1:, :] - z[..., :1, :]) > limit * np.sqrt(1 + trained[0])
    counts = [(np.abs(z) > limit).sum((-2, -1)), (gained & trained[1:]).sum((-2, -1))]
    largest = [np.abs(z.sum(-2)).max(-1), np.abs(z.sum(-1)).max(-1), np.abs(z.sum((-2, -1)))]
    return np.stack([*counts, *largest], -1)


def by_chance(gaps: np.ndarray, trained: np.ndarray, draws: int) -> np.ndarray:
    """The statistics of studies that agree, simulated with targets as correlated as these gaps."""
    rest = np.where(trained[..., None], gaps - gaps.mean(-1, keepdims=True), np.nan)
    flat = pd.DataFrame(rest.swapaxes(1, 2).reshape(-1, rest.shape[1]))
    alike = flat.corr().fillna(0.0).to_numpy(copy=True)
    np.fill_diagonal(alike, 1.0)
    size, rng = (draws, len(gaps), gaps.shape[-1]), np.random.default_rng(0)
    noise = rng.multivariate_normal(np.zeros(len(alike)), alike, size, check_valid="ignore")
    return statistics(noise.swapaxes(2, 3), trained)


def mean_gap(gaps: np.ndarray, trained: np.ndarray) -> tuple[float, float, float]:
    """The mean gap over arms and targets, with its 90% interval: arms are trained apart."""
    known = np.maximum(trained.sum(1), 1)[:, None]
    by_arm = np.where(trained[..., None], gaps, 0.0).sum(1) / known
    error = np.sqrt(by_arm.var(-1, ddof=1).mean() / by_arm.size)
    half = student.ppf(0.95, by_arm.size - len(by_arm)) * error
    return by_arm.mean(), by_arm.mean() - half, by_arm.mean() + half


def claim(one: Finding, other: Finding) -> str:
    """How one study's verdict on what was declared stands to the other's."""
    verdicts = {one.verdict, other.verdict}
    if len(verdicts) == 1:
        return "the same"
    turned = "equivalent" not in verdicts and one.estimate * other.estimate < 0
    turned = "turned" if turned and verdicts & CLEAR else "clear in one only"
    return "contradicted" if verdicts <= CLEAR else turned


def compare(
    pair: Pair, names: str, claims: Sequence[tuple[Finding, Finding]] = (), draws: int = 2000
) -> Finding:
    """Whether two studies agree; `claims` are the findings of both on what was declared."""
    found = statistics(pair.gaps, pair.trained)
    chance = by_chance(pair.gaps, pair.trained, draws)
    p, (gap, low, high) = (chance >= found).mean(0), mean_gap(pair.gaps, pair.trained)
    failed = [name for name, value in zip(TESTS, p, strict=True) if value < LEVEL]
    states = Counter(claim(*both) for both in claims)
    begun = float(np.abs(pair.gaps[pair.searched]).max(initial=0.0))
    verdict = "agree"
    if begun > UNTRAINED or max(-low, high) > MARGIN or states["turned"]:
        verdict = "cannot be told"
    if failed or states["contradicted"]:
        verdict = "do not agree"
    whole = np.array([pair.trained.sum(), pair.trained[1:].sum()])
    inside, enough = whole - found[:2], whole - np.quantile(chance[:, :2], 1 - LEVEL, axis=0)
    parts = [
        f"{inside[0]:.0f} of {whole[0]} scores and {inside[1]:.0f} of {whole[1]} gains lie in "
        f"their 95% prediction intervals ({enough[0]:.0f} and {enough[1]:.0f} suffice)",
        f"the mean differs by {number(gap, signed=True)} points {bounds(low, high)}",
        *([f"more than chance gives: {', '.join(failed)}"] if failed else []),
        *([f"before any training by up to {number(begun)}"] if begun > UNTRAINED else []),
        *[f"primary claims: {count} {state}" for state, count in states.items()],
    ]
    return Finding(
        summary="97_agreement", estimand=f"mean gap: {names}", estimate=gap, interval=(low, high),
        verdict=verdict, sentence=f"{names}: {verdict}. {'; '.join(parts)}.",
    )  # fmt: skip
