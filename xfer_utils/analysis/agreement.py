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

LEVEL = 0.01  # of each of four tests: scores outside, gains outside, a cell's gap, a mean's
MARGIN = 1.0  # points that the mean score may differ by, in two one-sided tests at 5%
UNTRAINED = 0.5  # points that searching one encoder twice may differ by
CLEAR = {"gain", "loss", "equivalent"}  # verdicts that claim something


@dataclass(frozen=True)
class Pair:
    """One model's scores in two studies [arms, targets, seeds], the baseline first; NaN: none."""

    arms: list[str]
    targets: list[str]
    scores: np.ndarray
    others: np.ndarray

    @property
    def gaps(self) -> np.ndarray:
        """By how much the other study's scores differ."""
        return self.others - self.scores

    @property
    def searched(self) -> np.ndarray:
        """Cells of an encoder that was searched as it came: nothing was trained."""
        retrieval = [task(name).train_on is None for name in self.targets]
        return np.outer([arm == BASELINE for arm in self.arms], retrieval)

    @property
    def trained(self) -> np.ndarray:
        """Cells that both studies have and that training moves."""
        return ~np.isnan(self.gaps).any(-1) & ~self.searched


def paired(scores: pd.DataFrame, others: pd.DataFrame) -> Pair:
    """The scores of one model in two studies, over the languages and seeds that both have."""
    key = [ARM, "target", "seed"]
    both = main_rows(scores).merge(main_rows(others), on=[*key, "language"])
    known = [seed for seed in both["seed"].unique() if seed != FIXED]
    both["seed"] = [known if seed == FIXED else seed for seed in both["seed"]]  # the same for all
    means = both.explode("seed").groupby(key, sort=False)[["value_x", "value_y"]].mean()
    arms = sorted(both[ARM].unique(), key=lambda arm: arm != BASELINE)
    targets = list(both["target"].unique())
    seeds = [seed for seed in known if set(means.xs(seed, level=2).reset_index()[ARM]) == {*arms}]
    grid = means.reindex(pd.MultiIndex.from_product([arms, targets, seeds])).to_numpy().T
    return Pair(arms, targets, *grid.reshape(2, len(arms), len(targets), len(seeds)))


def errors(gaps: np.ndarray, trained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors of a score's mean gap [.., targets], and the t quantile of 95% intervals."""
    count, seeds = np.maximum(trained.sum(0), 1), gaps.shape[-1]
    within = np.where(trained, gaps.var(-1, ddof=1), 0.0).sum(-2) / count
    error = np.maximum(np.sqrt(within / seeds), 1e-9)  # two runs on one machine are equal
    return error, student.ppf(0.975, count * (seeds - 1))


def of_arms(gaps: np.ndarray, trained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each arm's mean gap over targets [.., arms], and the standard error that all have."""
    by_arm = np.where(trained[..., None], gaps, 0.0).sum(-2) / trained.sum(1)[:, None]
    error = np.sqrt(by_arm.var(-1, ddof=1).mean(-1) / by_arm.shape[-1])
    return by_arm.mean(-1), np.maximum(error, 1e-9)


def statistics(gaps: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """Scores outside, gains outside, largest gap of a cell and of a mean in standard errors.

    The means [.., 4] are those of targets, of arms and of all. A gain has the noise of two
    trainings, unless the baseline was not trained.
    """
    error, limit = errors(gaps, trained)
    z = np.where(trained, gaps.mean(-1), 0.0) / error[..., None, :]
    gained = np.abs(z[..., 1:, :] - z[..., :1, :]) > limit * np.sqrt(1 + trained[0])
    mean, error = of_arms(gaps, trained)
    means = [
        np.abs(z.sum(-2) / np.sqrt(np.maximum(trained.sum(0), 1))).max(-1),
        np.abs(mean).max(-1) / error,
        np.abs(mean.mean(-1)) / error * np.sqrt(len(trained)),
    ]
    parts = [np.abs(z) > limit, gained & trained[1:], np.abs(z)]
    counts = [part.sum((-2, -1)) for part in parts[:2]]
    return np.stack([*counts, parts[2].max((-2, -1)), np.max(means, axis=0)], -1)


def by_chance(gaps: np.ndarray, trained: np.ndarray, draws: int) -> np.ndarray:
    """The statistics of studies that agree, simulated with targets as correlated as these gaps."""
    rest = np.where(trained[..., None], gaps - gaps.mean(-1, keepdims=True), np.nan)
    flat = pd.DataFrame(rest.swapaxes(1, 2).reshape(-1, rest.shape[1]))
    alike = flat.corr().fillna(0.0).to_numpy(copy=True)
    np.fill_diagonal(alike, 1.0)
    size, rng = (draws, len(gaps), gaps.shape[-1]), np.random.default_rng(0)
    noise = rng.multivariate_normal(np.zeros(len(alike)), alike, size, check_valid="ignore")
    return statistics(noise.swapaxes(2, 3), trained)


def _claim(one: Finding, other: Finding) -> str:
    """How one study's verdict on what was declared stands to the other's."""
    verdicts = {one.verdict, other.verdict}
    if len(verdicts) == 1:
        return "the same"
    if verdicts <= CLEAR:
        return "contradicted"
    turned = "equivalent" not in verdicts and one.estimate * other.estimate < 0
    return "turned" if turned and verdicts & CLEAR else "clear in one only"


def compare(
    pair: Pair, names: str = "The two studies", claims: Sequence[tuple[Finding, Finding]] = (),
    draws: int = 2000,
) -> Finding:  # fmt: skip
    """Whether two studies agree; `claims` are the findings of both on what was declared."""
    gaps, trained = pair.gaps, pair.trained
    mean, error = of_arms(gaps, trained)
    half = student.ppf(0.95, gaps[:, 0].size - len(gaps)) * error / np.sqrt(len(gaps))
    gap, low, high = mean.mean(), mean.mean() - half, mean.mean() + half
    parts = [f"the mean differs by {number(gap, signed=True)} points"]
    about = {"summary": "97_agreement", "estimand": f"mean gap: {names}", "estimate": gap}
    if gaps.shape[-1] < 2:
        why = "cannot be told, as one run has no deviation"
        return Finding(
            **about, interval=None, verdict="one run", sentence=f"{names}: {why}; {parts[0]}."
        )
    chance, found = by_chance(gaps, trained, draws), statistics(gaps, trained)
    p = (chance >= found).mean(0)
    states = Counter(_claim(*claim) for claim in claims)
    begun = float(np.abs(gaps[pair.searched]).max(initial=0.0))
    verdict = "agree"
    if begun > UNTRAINED or max(-low, high) > MARGIN or states["turned"]:
        verdict = "cannot be told"
    if p.min() < LEVEL or states["contradicted"]:
        verdict = "do not agree"
    totals = np.array([trained.sum(), trained[1:].sum()])
    inside, needed = totals - found[:2], totals - np.quantile(chance[:, :2], 1 - LEVEL, axis=0)
    parts = [
        f"{inside[0]:.0f} of {totals[0]} scores and {inside[1]:.0f} of {totals[1]} gains lie in "
        f"their 95% prediction intervals ({needed[0]:.0f} and {needed[1]:.0f} suffice)",
        f"the largest gaps of a cell and of a mean have p = {p[2]:.2f} and {p[3]:.2f}",
        f"{parts[0]} {bounds(low, high)}",
        *[f"before any training scores differ by up to {number(begun)}"] * (begun > UNTRAINED),
        *[f"primary claims: {n} {state}" for state, n in states.items()],
    ]
    sentence = f"{names}: {verdict}. {'; '.join(parts)}."
    return Finding(**about, interval=(low, high), verdict=verdict, sentence=sentence)
