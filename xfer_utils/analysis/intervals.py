"""Intervals and tests: over seeds, over languages, and over test items.

Each is tried on simulated tables with a known truth (tests/analysis/test_calibration.py).
"""

import math
import warnings
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import stats as dist
from scipy.optimize import brentq
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from xfer_utils.scoring import metrics
from xfer_utils.study.tasks import Task

FIXED = -1  # the seed of a run in which nothing is random
Interval = tuple[float, float, float, float]  # estimate, low, high, p


def t_interval(
    values: np.ndarray | Sequence[float], others: Sequence[float] | None = None, level: float = 0.95
) -> Interval:
    """Mean, its t interval, and p against 0; with `others` Welch's difference of means.

    The last axis is averaged. Fewer than two values, or values without any spread (equal gaps of
    all seeds are an accident), have neither bounds nor p.
    """
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        mean, spread = np.mean(values, axis=-1), np.std(values, axis=-1)
        if others is None:
            test = dist.ttest_1samp(values, 0.0, axis=-1)
        else:
            mean, spread = mean - np.mean(others, axis=-1), spread + np.std(others, axis=-1)
            test = dist.ttest_ind(values, others, axis=-1, equal_var=False)
        bounds = test.confidence_interval(level)
    known = spread > 1e-9  # equal but for rounding is equal
    return mean, *(np.where(known, part, math.nan)[()] for part in (*bounds, test.pvalue))


def seed_gain(scores: dict[int, float], base: dict[int, float], level: float = 0.95) -> Interval:
    """Gain, bounds and p from scores by seed. The base may be a single fixed score (seed -1).

    The same seeds on both sides are paired; else Welch's interval for two independent samples.
    """
    if FIXED in base:
        base = dict.fromkeys(scores, base[FIXED])
    if set(scores) == set(base):
        return t_interval([scores[seed] - base[seed] for seed in scores], level=level)
    return t_interval(list(scores.values()), list(base.values()), level)


def min_detectable_gain(
    sd: float, seeds: Collection[int], base: Collection[int], power: float = 0.8
) -> float:
    """The smallest true gain that the test of seed_gain finds at 5% with this power.

    `sd` is one run's, over seeds. The same seeds are paired, which leaves n - 1 degrees of freedom;
    different seeds have Welch's. Infinite where a side has fewer than two seeds.
    """
    n, m = len(seeds), len(base)
    if min(n, m) < 2:
        return math.inf
    paired = set(seeds) == set(base)
    df = n - 1 if paired else (1 / n + 1 / m) ** 2 / (1 / (n**3 - n**2) + 1 / (m**3 - m**2))
    limit = dist.t.ppf(0.975, df)
    standard_errors = brentq(lambda gain: dist.nct.sf(limit, df, gain) - power, 0, 10 * limit)
    return sd * math.sqrt(1 / n + 1 / m) * standard_errors


def holm(p: np.ndarray) -> np.ndarray:
    """p values adjusted by Holm's rule over all of them; a hundred times as fast as statsmodels."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1.0)[np.argsort(order)]


def language_interval(gaps: pd.DataFrame, level: float = 0.95) -> tuple[float, float]:
    """Bounds of the mean over targets [rows] of their means over languages [columns].

    They say what other languages would have given: a language is drawn with all its targets, and a
    target need not have every language. Of one target this is the plain t interval; where some
    languages weigh more, degrees of freedom are fewer (Satterthwaite's). A target with a single
    language has no spread, so then there are no bounds.
    """
    count, mean = gaps.count(axis=1), gaps.mean(axis=1)
    if not count.gt(1).all():
        return math.nan, math.nan
    off = gaps.sub(mean, axis=0).div(count * np.sqrt(1 - 1 / count), axis=0)
    weight = gaps.notna().div(count, axis=0).sum() / len(gaps)
    df = (weight**2).sum() ** 2 / (weight**4).sum() - 1
    error = math.sqrt(((off.sum() / len(gaps)) ** 2).sum())
    reach = dist.t.ppf((1 + level) / 2, df) * error
    return mean.mean() - reach, mean.mean() + reach


def percentiles(draws: np.ndarray, clusters: int, level: float = 0.95) -> tuple[float, float]:
    """Bounds of the draws, further out where clusters are few: plain percentiles are too narrow.

    They lie where a t interval of as many values would, as in Hesterberg's expanded percentiles.
    """
    if clusters < 2:
        return math.nan, math.nan
    reach = math.sqrt(clusters / (clusters - 1)) * dist.t.ppf((1 + level) / 2, clusters - 1)
    outside = 100 * dist.norm.sf(reach)
    low, high = np.nanpercentile(draws, [outside, 100 - outside])
    return float(low), float(high)


def resampled(
    row: Task, items: pd.DataFrame, shape: tuple[int, ...], draws: int, seed: int
) -> tuple[np.ndarray, int]:
    """Draws [draws, *shape] of main scores from counts of items, each of one block of `shape`.

    Whole clusters are drawn, the same ones for all blocks; their number comes second.
    """
    counts = items.filter(regex="^count ").fillna(0)  # 0 of a class that a run never named
    names = [name.removeprefix("count ") for name in counts]
    cluster, blocks = joint_clusters(items["item"], items["cluster"]), items["block"].to_numpy()
    columns = [blocks * len(names) + n for n in range(len(names))]
    places = (np.tile(cluster, len(names)), np.concatenate(columns))
    size = (cluster.max() + 1, math.prod(shape) * len(names))
    sums = csr_matrix((counts.to_numpy(dtype=float).T.ravel(), places), size)
    parts = []
    for weights in _weights(size[0], draws, seed):
        totals = (sums.T @ weights.T).T.reshape(len(weights), *shape, len(names))
        by_name = {name: totals[..., n] for n, name in enumerate(names)}
        parts.append(metrics.main_score(row, by_name))
    return np.concatenate(parts), size[0]


def _weights(n: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of n clusters is drawn [some draws, n], drawing n with replacement."""
    rng, step = np.random.default_rng(seed), max(1, 2_000_000 // n)
    for at in range(0, draws, step):
        size = min(step, draws - at)
        picked = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(picked.ravel(), minlength=size * n).reshape(size, n).astype(float)


def joint_clusters(item: Sequence, cluster: Sequence) -> np.ndarray:
    """A cluster number per row: rows that share an item (translations) or a cluster go together.

    So clusters reach across languages, and translations are resampled together. A row may have
    an item and no cluster.
    """
    item, cluster = (pd.factorize(np.asarray(part, dtype=object))[0] for part in (item, cluster))
    n, has = item.max(initial=-1) + 1, cluster >= 0
    size = n + cluster.max(initial=-1) + 1
    graph = coo_matrix((np.ones(has.sum()), (item[has], n + cluster[has])), shape=(size, size))
    return pd.factorize(connected_components(graph, directed=False)[1][item])[0]
