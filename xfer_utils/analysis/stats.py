"""From scores to gains with honest uncertainty: intervals, tests, corrections for multiplicity.

One seed can only say what other test items would have given: a bootstrap over clusters of items. What another
training would have given takes seeds: t intervals, and only those carry p values.
"""

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats as dist
from scipy.optimize import brentq
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from xfer_utils.scoring import metrics
from xfer_utils.study.tasks import Task
from xfer_utils.study.tasks import task as task_of

MEAN, MEAN_OTHER = (
    "mean",
    "mean_other",
)  # targets of the summary rows: all targets; those without same data
ITEMS, SEEDS = "test items", "seeds"
FIXED = -1  # the seed of a run in which nothing is random
DRAWS = 1000
Examples = Callable[[str, str], pd.DataFrame]  # (run, task) -> the run's examples table

# ----- single statistics -----


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean and t interval of independent values; NaN bounds for fewer than two."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float(values.mean()) if len(values) else math.nan, math.nan, math.nan
    return _t(values.mean(), values.std(ddof=1) / math.sqrt(len(values)), len(values) - 1, level)[
        :3
    ]


def _t(
    mean: float, error: float, df: float, level: float = 0.95
) -> tuple[float, float, float, float]:
    """Mean, bounds, two-sided p of a t statistic; without spread the bounds are the mean and p is NaN."""
    if not error > 0:
        return float(mean), float(mean), float(mean), math.nan
    reach = dist.t.ppf((1 + level) / 2, df) * error
    return (
        float(mean),
        float(mean - reach),
        float(mean + reach),
        float(2 * dist.t.sf(abs(mean) / error, df)),
    )


def seed_gain(row: dict[int, float], base: dict[int, float]) -> tuple[float, float, float, float]:
    """Gain, bounds and p from scores by seed. The base may be a single fixed score (seed -1).

    The same seeds on both sides are paired; else Welch's interval for two independent samples.
    """
    if FIXED in base:
        base = dict.fromkeys(row, base[FIXED])
    if set(row) == set(base):
        gaps = np.array([row[seed] - base[seed] for seed in row])
        return _t(gaps.mean(), gaps.std(ddof=1) / math.sqrt(len(gaps)), len(gaps) - 1)
    ours, theirs = np.array(list(row.values())), np.array(list(base.values()))
    a, b = ours.var(ddof=1) / len(ours), theirs.var(ddof=1) / len(theirs)
    df = (a + b) ** 2 / (a**2 / (len(ours) - 1) + b**2 / (len(theirs) - 1)) if a + b > 0 else 1.0
    return _t(ours.mean() - theirs.mean(), math.sqrt(a + b), df)


def min_detectable_gain(
    sd: float, n_seeds_a: int, n_seeds_b: int, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The smallest true gain that a two-sided t test finds with this power; `sd` is one run's, over seeds.

    Infinite where a side has fewer than two seeds: one run says nothing about others.
    """
    if min(n_seeds_a, n_seeds_b) < 2:
        return math.inf
    df, scale = n_seeds_a + n_seeds_b - 2, math.sqrt(1 / n_seeds_a + 1 / n_seeds_b)
    critical = dist.t.ppf(1 - alpha / 2, df)
    reach = brentq(lambda shift: dist.nct.sf(critical, df, shift) - power, 0, 4 * critical + 4)
    return sd * scale * reach


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p values (family-wise error); NaN stays NaN and does not count."""
    p = np.asarray(p, dtype=float)
    adjusted, known = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    adjusted[order] = np.minimum(
        np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0
    )
    return adjusted


# ----- bootstrap over clusters -----


def percentiles(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The bounds between which `level` of the draws lie."""
    return tuple(np.nanpercentile(values, [50 * (1 - level), 50 * (1 + level)]).tolist())


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
    """A cluster number per row: rows that share an item (translations) or a cluster belong together.

    Clusters so reach across languages, as resampling must. A row without a cluster has only its item.
    """
    item, cluster = (pd.factorize(np.asarray(part, dtype=object))[0] for part in (item, cluster))
    n, has = item.max(initial=-1) + 1, cluster >= 0
    size = n + cluster.max(initial=-1) + 1
    graph = coo_matrix((np.ones(has.sum()), (item[has], n + cluster[has])), shape=(size, size))
    return pd.factorize(connected_components(graph, directed=False)[1][item])[0]


# ----- gains -----


@dataclass(frozen=True)
class Cell:
    """One intermediate task on one target (or mean of targets); `draws` are bootstrap draws of its score."""

    by_seed: dict[int, float]
    draws: np.ndarray
    chance: float
    n_items: int
    split: str = ""
    same_data: bool = False
    stale: bool = False

    @property
    def score(self) -> float:
        """The mean over seeds."""
        return float(np.mean(list(self.by_seed.values())))


def gains(
    scores: pd.DataFrame,
    examples: Examples,
    baseline: str = "none",
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per model, intermediate task and target with the gain over `baseline`; and rows for the means.

    `scores` is the scores table (its main rows count); `examples(run, task)` gives a run's examples table. A
    task's score is the mean over its languages; the base is the mean over the baseline's seeds. `interval`
    says what low and high cover: `test items` (one seed on a side: paired bootstrap over clusters shared by
    all languages), or `seeds` (two or more on both sides, or a baseline without randomness: t interval, with
    p). Rows of the baseline bound its own score. p is adjusted by Holm's rule within a model, for single
    targets and for either mean apart. A pair without a score, or whose target has no baseline, has no row; a
    mean has one only where none of the baseline's targets is missing. `above_chance` is False where the
    one-sided 95% bound of the score, over test items, is not above chance (an unknown chance counts as 0).
    """
    lines = []
    for model, own in _main_rows(scores).groupby("model", sort=False):
        cells: dict[str, dict[str, Cell]] = {}
        for target, part in own.groupby("target", sort=False):
            if baseline in set(part["intermediate"]):
                cells[target] = _cells(part, examples, draws, seed + zlib.crc32(target.encode()))
        names = dict.fromkeys(name for found in cells.values() for name in found)
        for name in sorted(names, key=lambda name: name != baseline):
            for target, pair in _pairs(cells, name, baseline).items():
                head = {"model": model, "intermediate": name, "target": target}
                lines.append(head | _compare(*pair, own=name == baseline))
    if not lines:
        raise ValueError(
            f"scores: no target has a score of the baseline {baseline!r}, so there are no gains."
        )
    table = pd.DataFrame(lines)
    family = table["target"].where(table["target"].isin([MEAN, MEAN_OTHER]), "")
    for places in table.groupby([table["model"], family]).indices.values():
        table.loc[places, "p_adjusted"] = holm(table["p"].iloc[places])
    return table


def _main_rows(scores: pd.DataFrame) -> pd.DataFrame:
    """The main scores, one per run, target and language."""
    rows = scores[scores["main"]] if "main" in scores else scores
    key = ["model", "intermediate", "target", "seed", "language"]
    twice = rows[rows.duplicated(key)]
    if len(twice):
        where = ", ".join(f"{name} {value}" for name, value in twice.iloc[0][key].items())
        raise ValueError(
            f"scores: two main scores for {where}. Keep one run, layer and pooling of each."
        )
    return rows


def _cells(rows: pd.DataFrame, examples: Examples, draws: int, seed: int) -> dict[str, Cell]:
    """All cells of one model's target, resampled together so that differences are paired."""
    runs, languages = list(dict.fromkeys(rows["run"])), sorted(set(rows["language"]))
    for run, own in rows.groupby("run"):
        if lacks := ", ".join(sorted(set(languages) - set(own["language"]))):
            raise ValueError(
                f"{rows['target'].iloc[0]}: run {run} lacks {lacks}, which other runs have."
            )
    drawn, n_items = _draw(rows, runs, languages, examples, draws, seed)
    found = {}
    for name, own in rows.groupby("intermediate", sort=False):
        found[name] = Cell(
            by_seed=own.groupby("seed")["value"].mean().to_dict(),
            draws=drawn[:, [runs.index(run) for run in dict.fromkeys(own["run"])]].mean(axis=1),
            chance=float(pd.to_numeric(own["chance"]).mean()),
            n_items=n_items,
            split="/".join(dict.fromkeys(own["split"])),
            same_data=bool(own["same_data"].any()),
            stale=bool(own["stale"].any()) if "stale" in own else False,
        )
    return found


def _draw(
    rows: pd.DataFrame,
    runs: list[str],
    languages: list[str],
    examples: Examples,
    draws: int,
    seed: int,
) -> tuple[np.ndarray, int]:
    """Bootstrap draws [draws, runs] of the task score (0..100), and the number of items of one run."""
    target, split = rows["target"].iloc[0], rows["split"].iloc[0]
    row, known, parts = task_of(target), None, []
    for place, run in enumerate(runs):
        frame = examples(run, target)
        frame = frame[(frame["split"] == split) & frame["language"].isin(languages)]
        own = frame[frame["n_gold"] > 0] if row.metric == "mining_f1" else frame
        keys = sorted(zip(own["language"], own["id"], strict=True))
        if known not in (None, keys):
            raise ValueError(
                f"{target}: runs {runs[0]} and {run} were not evaluated on the same items."
            )
        known = keys
        block = place * len(languages) + np.searchsorted(
            languages, frame["language"].to_numpy(dtype=str)
        )
        counts = metrics.counts(row, frame).add_prefix("count ")
        parts.append(frame[["item", "cluster"]].assign(block=block).join(counts))
    shape = (len(runs), len(languages))
    drawn = _resampled(row, pd.concat(parts, ignore_index=True), shape, draws, seed)
    return np.nanmean(drawn, axis=2), len(known)


def _pairs(
    cells: dict[str, dict[str, Cell]], name: str, baseline: str
) -> dict[str, tuple[Cell, Cell]]:
    """By target, the cell of one intermediate task and its baseline; and the means if no target is missing."""
    pairs = {
        target: (found[name], found[baseline]) for target, found in cells.items() if name in found
    }
    other = {target: pair for target, pair in pairs.items() if not pair[0].same_data}
    means = {MEAN: pairs, MEAN_OTHER: other} if len(pairs) == len(cells) else {}
    return pairs | {
        k: tuple(map(_mean_cell, zip(*v.values(), strict=True))) for k, v in means.items() if v
    }


def _mean_cell(cells: Sequence[Cell]) -> Cell:
    """The mean over targets, for the seeds that all have (a target without randomness has them all)."""
    seeds = [set(cell.by_seed) for cell in cells if FIXED not in cell.by_seed]
    common = sorted(set.intersection(*seeds)) if seeds else [FIXED]
    by_seed = {
        s: float(np.mean([cell.by_seed.get(s, cell.score) for cell in cells])) for s in common
    }
    chances = [cell.chance for cell in cells if not math.isnan(cell.chance)]
    return Cell(
        by_seed=by_seed or {0: float(np.mean([cell.score for cell in cells]))},
        draws=np.mean([cell.draws for cell in cells], axis=0),
        chance=sum(chances) / len(cells) if chances else math.nan,
        n_items=sum(cell.n_items for cell in cells),
        stale=any(cell.stale for cell in cells),
    )


def _compare(cell: Cell, base: Cell, own: bool) -> dict:
    """The columns of one row; `own` is the baseline's own row, whose interval is that of its score."""
    n, n_base, p = len(cell.by_seed), len(base.by_seed), math.nan
    by_seeds = n > 1 and (own or n_base > 1 or FIXED in base.by_seed)
    if by_seeds and own:
        low, high = t_interval(list(cell.by_seed.values()))[1:]
    elif by_seeds:
        _, low, high, p = seed_gain(cell.by_seed, base.by_seed)
    else:
        low, high = percentiles(cell.draws if own else cell.draws - base.draws)
    above = np.nanpercentile(cell.draws, 5) > (0 if math.isnan(cell.chance) else cell.chance)
    line = {
        "score": cell.score,
        "base": base.score,
        "gain": cell.score - base.score,
        "low": low,
        "high": high,
    }
    line |= {
        "interval": SEEDS if by_seeds else ITEMS,
        "n_seeds": n,
        "n_base_seeds": n_base,
        "n_items": cell.n_items,
    }
    line |= {
        "p": p,
        "p_adjusted": math.nan,
        "same_data": cell.same_data,
        "above_chance": bool(above),
    }
    return line | {"chance": cell.chance, "split": cell.split, "stale": cell.stale}
