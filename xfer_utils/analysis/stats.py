"""From scores to gains with honest uncertainty: intervals, tests, correction for multiplicity.

One seed can only say what other test items would have given: a bootstrap over clusters of items.
What another training would have given takes seeds: t intervals, and only those carry p values.
"""

import math
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats as dist
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from xfer_utils.scoring import metrics
from xfer_utils.study.tasks import Task
from xfer_utils.study.tasks import task as task_of

ARM = "arm"  # the column of the scores table that says what phase 2 was
BASELINE = "none"  # the arm that every gain is measured against
MEAN, MEAN_OTHER = "mean", "mean_other"  # over all targets; over those without same data
MEANS = (MEAN, MEAN_OTHER)
ITEMS, SEEDS = "test items", "seeds"  # what an interval covers
FIXED = -1  # the seed of a run in which nothing is random
DRAWS = 1000
Interval = tuple[float, float, float, float]  # estimate, low, high, p
Examples = Callable[[str, str], pd.DataFrame]  # (run, task) -> the run's examples table


def t_interval(
    values: Sequence[float], others: Sequence[float] | None = None, level: float = 0.95
) -> Interval:
    """Mean, its t interval, and p against 0; with `others` Welch's difference of means.

    Fewer than two values have no bounds, and values without any spread no p.
    """
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        if others is None:
            mean, test = np.mean(values), dist.ttest_1samp(values, 0.0)
        else:
            mean = np.mean(values) - np.mean(others)
            test = dist.ttest_ind(values, others, equal_var=False)
        low, high = test.confidence_interval(level)
    p = test.pvalue if np.isfinite(test.statistic) else math.nan
    return float(mean), float(low), float(high), float(p)


def seed_gain(scores: dict[int, float], base: dict[int, float]) -> Interval:
    """Gain, bounds and p from scores by seed. The base may be a single fixed score (seed -1).

    The same seeds on both sides are paired; else Welch's interval for two independent samples.
    """
    if FIXED in base:
        base = dict.fromkeys(scores, base[FIXED])
    if set(scores) == set(base):
        return t_interval([scores[seed] - base[seed] for seed in scores])
    return t_interval(list(scores.values()), list(base.values()))


def min_detectable_gain(sd: float, seeds: int, base_seeds: int, power: float = 0.8) -> float:
    """The smallest true gain that a two-sided t test at 5% finds with this power.

    `sd` is one run's, over seeds. Infinite where a side has fewer than two seeds.
    """
    if min(seeds, base_seeds) < 2:
        return math.inf
    test = TTestIndPower()
    return sd * test.solve_power(nobs1=seeds, ratio=base_seeds / seeds, alpha=0.05, power=power)


def _resampled(
    row: Task, items: pd.DataFrame, shape: tuple[int, ...], draws: int, seed: int
) -> np.ndarray:
    """Draws [draws, *shape] of main scores from counts of items, each of one block of `shape`."""
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
    return np.concatenate(parts)


def _weights(n: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of n clusters is drawn [some draws, n], drawing n with replacement."""
    rng, step = np.random.default_rng(seed), max(1, 2_000_000 // n)
    for at in range(0, draws, step):
        size = min(step, draws - at)
        picked = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(picked.ravel(), minlength=size * n).reshape(size, n).astype(float)


def joint_clusters(item: Sequence, cluster: Sequence) -> np.ndarray:
    """A cluster number per row: rows that share an item (translations) or a cluster go together.

    Clusters so reach across languages, as resampling must. A row may have an item only.
    """
    item, cluster = (pd.factorize(np.asarray(part, dtype=object))[0] for part in (item, cluster))
    n, has = item.max(initial=-1) + 1, cluster >= 0
    size = n + cluster.max(initial=-1) + 1
    graph = coo_matrix((np.ones(has.sum()), (item[has], n + cluster[has])), shape=(size, size))
    return pd.factorize(connected_components(graph, directed=False)[1][item])[0]


@dataclass(frozen=True)
class Cell:
    """One arm on one target (or mean of targets); `draws` are bootstrap draws of its score."""

    by_seed: dict[int, float]
    draws: np.ndarray
    chance: float
    n_items: int
    split: str = ""
    same_data: bool = False

    @property
    def score(self) -> float:
        """The mean over seeds."""
        return float(np.mean(list(self.by_seed.values())))


def gains(
    scores: pd.DataFrame, examples: Examples | None, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """One row per model, arm and target with the gain over the baseline; and rows for the means.

    A task's score is the mean over its languages, the base the mean over the baseline's seeds. A
    pair without a score or without a baseline has no row, a mean only where no target is missing.
    `interval` says what low and high cover. `test items`: one seed on a side, a paired bootstrap
    over clusters that all languages share. `seeds`: several on both sides, or a baseline without
    randomness, a t interval with p. Rows of the baseline bound its own score. Holm's rule adjusts p
    within a model, for single targets and for either mean apart. `above_chance`: the one-sided 95%
    bound of the score, over test items, is above chance (an unknown chance counts as 0). Without
    `examples` the scores table must say what items gave: `item_bound` and `n_items`.
    """
    lines = []
    for model, own in main_rows(scores).groupby("model", sort=False):
        cells: dict[str, dict[str, Cell]] = {}
        for target, part in own.groupby("target", sort=False):
            if BASELINE in set(part[ARM]):
                cells[target] = _cells(part, examples, draws, seed + zlib.crc32(target.encode()))
        arms = dict.fromkeys(arm for by_arm in cells.values() for arm in by_arm)
        for arm in sorted(arms, key=lambda arm: arm != BASELINE):
            for target, (cell, base) in _pairs(cells, arm).items():
                head = {"model": model, ARM: arm, "target": target}
                lines.append(head | _compare(cell, base, own=arm == BASELINE))
    if not lines:
        raise ValueError(f"scores: no target has a score of the baseline {BASELINE!r}: no gains.")
    table = pd.DataFrame(lines)
    tested = table[table["p"].notna()]
    family = tested["target"].where(tested["target"].isin(MEANS), "")
    by_family = tested.groupby([tested["model"], family])["p"]
    table["p_adjusted"] = by_family.transform(lambda p: multipletests(p, method="holm")[1])
    return table


def main_rows(scores: pd.DataFrame) -> pd.DataFrame:
    """One main score per run, target and language: of several splits the one that tables show."""
    rows = scores[scores["main"].astype(bool)]
    alone = rows.groupby("target")["split"].transform("nunique") == 1
    shown = [_is_shown(*pair) for pair in zip(rows["target"], rows["split"], strict=True)]
    rows = rows[alone | np.array(shown, dtype=bool)]
    key = ["model", ARM, "target", "seed", "language"]
    if (twice := rows.duplicated(key)).any():
        where = ", ".join(map(str, rows.loc[twice, key].iloc[0]))
        raise ValueError(f"scores: two main scores of {where}. Keep one layer and pooling of each.")
    return rows


def _is_shown(target: str, split: str) -> bool:
    """Whether tables show this split of the target; a split bears our name or the data set's."""
    row = task_of(target)
    return split in (row.evaluate, row.splits.get(row.evaluate))


def _cells(rows: pd.DataFrame, examples: Examples | None, draws: int, seed: int) -> dict[str, Cell]:
    """All cells of one model's target, resampled together so that differences are paired."""
    runs, languages = list(rows["run"].unique()), sorted(rows["language"].unique())
    for run, own in rows.groupby("run"):
        if lacks := ", ".join(sorted(set(languages) - set(own["language"]))):
            target = rows["target"].iloc[0]
            raise ValueError(f"{target}: run {run} lacks {lacks}, which other runs have.")
    if examples:
        drawn, n_items = _draw(rows, runs, languages, examples, draws, seed)
    else:
        drawn = rows.groupby("run")["item_bound"].first()[runs].to_numpy()[None]
        n_items = int(rows["n_items"].iloc[0])
    cells = {}
    for arm, own in rows.groupby(ARM, sort=False):
        cells[arm] = Cell(
            by_seed=own.groupby("seed")["value"].mean().to_dict(),
            draws=drawn[:, [runs.index(run) for run in own["run"].unique()]].mean(axis=1),
            chance=float(pd.to_numeric(own["chance"]).mean()),
            n_items=n_items,
            split="/".join(own["split"].unique()),
            same_data=bool(own["same_data"].any()),
        )
    return cells


def _draw(
    rows: pd.DataFrame, runs: list[str], languages: list[str], examples: Examples, draws: int,
    seed: int,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Bootstrap draws [draws, runs] of the task score (0..100), and the items of one run."""
    target, split = rows["target"].iloc[0], rows["split"].iloc[0]
    row, known, parts = task_of(target), None, []
    for place, run in enumerate(runs):
        frame = examples(run, target)
        frame = frame[(frame["split"] == split) & frame["language"].isin(languages)]
        own = frame[frame["n_gold"] > 0] if row.metric == "mining_f1" else frame
        keys = sorted(zip(own["language"], own["id"], strict=True))
        if known not in (None, keys):
            message = f"runs {runs[0]} and {run} were not evaluated on the same items."
            raise ValueError(f"{target}: {message}")
        known = keys
        language = np.searchsorted(languages, frame["language"].to_numpy(dtype=str))
        counts = metrics.counts(row, frame).add_prefix("count ")
        block = place * len(languages) + language
        parts.append(frame[["item", "cluster"]].assign(block=block).join(counts))
    shape = (len(runs), len(languages))
    drawn = _resampled(row, pd.concat(parts, ignore_index=True), shape, draws, seed)
    return np.nanmean(drawn, axis=2), len(known)


def _pairs(cells: dict[str, dict[str, Cell]], arm: str) -> dict[str, tuple[Cell, Cell]]:
    """By target, an arm's cell and the baseline's; and their means if no target is missing."""
    pairs = {name: (row[arm], row[BASELINE]) for name, row in cells.items() if arm in row}
    other = {name: pair for name, pair in pairs.items() if not pair[0].same_data}
    means = {}
    for name, parts in ((MEAN, pairs), (MEAN_OTHER, other)):
        if parts and len(pairs) == len(cells):
            ours, theirs = zip(*parts.values(), strict=True)
            means[name] = (_mean_cell(ours), _mean_cell(theirs))
    return pairs | means


def _mean_cell(cells: Sequence[Cell]) -> Cell:
    """The mean over targets, for the seeds that all have (one without randomness has them all)."""
    seeds = [set(cell.by_seed) for cell in cells if FIXED not in cell.by_seed]
    common = sorted(set.intersection(*seeds)) if seeds else [FIXED]
    chances = [cell.chance for cell in cells if not math.isnan(cell.chance)]
    by_seed = {seed: [cell.by_seed.get(seed, cell.score) for cell in cells] for seed in common}
    by_seed = by_seed or {0: [cell.score for cell in cells]}
    return Cell(
        by_seed={seed: float(np.mean(scores)) for seed, scores in by_seed.items()},
        draws=np.mean([cell.draws for cell in cells], axis=0),
        chance=sum(chances) / len(cells) if chances else math.nan,
        n_items=sum(cell.n_items for cell in cells),
    )


def _compare(cell: Cell, base: Cell, own: bool) -> dict:
    """The columns of one row; in the baseline's `own` row the interval is that of its score."""
    n, n_base, p = len(cell.by_seed), len(base.by_seed), math.nan
    over_seeds = n > 1 and (own or n_base > 1 or FIXED in base.by_seed)
    if not over_seeds:
        low, high = np.nanpercentile(cell.draws if own else cell.draws - base.draws, [2.5, 97.5])
    elif own:
        _, low, high, _ = t_interval(list(cell.by_seed.values()))
    else:
        _, low, high, p = seed_gain(cell.by_seed, base.by_seed)
    chance = 0.0 if math.isnan(cell.chance) else cell.chance
    bound = np.nanpercentile(cell.draws, 5)
    return {
        "score": cell.score, "base": base.score, "gain": cell.score - base.score,
        "low": low, "high": high, "interval": SEEDS if over_seeds else ITEMS, "p": p,
        "n_seeds": n, "n_base_seeds": n_base, "n_items": cell.n_items, "split": cell.split,
        "same_data": cell.same_data, "chance": cell.chance,
        "above_chance": bool(bound > chance), "item_bound": bound,
    }  # fmt: skip
