"""From scores to gains with honest uncertainty: intervals, tests, correction for multiplicity.

One seed can only say what other test items would have given: a bootstrap over clusters of items.
What another training would have given takes seeds: t intervals, and only those carry p values.
What other languages would have given is a third question, with an interval of its own.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xfer_utils.analysis import intervals
from xfer_utils.analysis.intervals import FIXED, seed_gain, t_interval
from xfer_utils.scoring import metrics
from xfer_utils.study.tasks import task as task_of

ARM = "arm"  # the column of the scores table that says what phase 2 was
BASELINE = "none"  # the arm that every gain is measured against
MEAN, MEAN_OTHER = "mean", "mean_other"  # over all targets; over those without same data
MEANS = (MEAN, MEAN_OTHER)
ITEMS, SEEDS = "test items", "seeds"  # what an interval covers
MARGIN = 1.0  # points within which a gain counts as none
DRAWS = 1000
Examples = Callable[[str, str], pd.DataFrame]  # (run, task) -> the run's examples table


@dataclass(frozen=True)
class Cell:
    """One arm on one target (or mean of targets); `draws` are bootstrap draws of its score.

    `by_language` has the scores of each target [rows] in each language, means over seeds.
    """

    by_seed: dict[int, float]
    by_language: pd.DataFrame
    draws: np.ndarray
    clusters: int  # of items, by which they were drawn
    chance: float
    n_items: int
    split: str = ""
    same_data: bool = False
    degenerate: bool = False

    @property
    def score(self) -> float:
        """The mean over seeds."""
        return float(np.mean(list(self.by_seed.values())))


def gains(
    scores: pd.DataFrame, examples: Examples | None, draws: int = DRAWS, seed: int = 0,
    base: str = BASELINE,
) -> pd.DataFrame:  # fmt: skip
    """One row per model, arm and target with the gain over a base arm; and rows for the means.

    A task's score is the mean over its languages, the base the mean over the base arm's seeds. A
    pair without a score or without a base has no row, a mean only where no target is missing.
    `interval` says what low and high cover. `test items`: one seed on a side, a paired bootstrap
    over clusters that all languages share. `seeds`: several on both sides, or a base without
    randomness, a t interval with p. Bounds over items and over languages have columns of their own.
    Rows of the base arm bound its own score. Holm's rule adjusts p within a model, for single
    targets and for either mean apart. `equivalent`: the 90% interval over seeds lies within MARGIN,
    the test that there is no gain worth the name. `above_chance`: the one-sided 95% bound of the
    score, over test items, is above chance (an unknown chance counts as 0). Without `examples` the
    scores table must say what items gave: `item_bound`, `n_items` and `degenerate`.
    """
    lines = []
    for model, own in main_rows(scores).groupby("model", sort=False):
        cells: dict[str, dict[str, Cell]] = {}
        for target, part in own.groupby("target", sort=False):
            if base in set(part[ARM]):
                cells[target] = _cells(part, examples, draws, seed + zlib.crc32(target.encode()))
        arms = dict.fromkeys(arm for by_arm in cells.values() for arm in by_arm)
        for arm in sorted(arms, key=lambda arm: arm != base):
            for target, pair in _pairs(cells, arm, base).items():
                head = {"model": model, ARM: arm, "target": target}
                lines.append(head | _compare(*pair, own=arm == base))
    if not lines:
        raise ValueError(f"scores: no target has a score of the base arm {base!r}: no gains.")
    table = pd.DataFrame(lines)
    tested = table[table["p"].notna()]
    family = tested["target"].where(tested["target"].isin(MEANS), "")
    by_family = tested.groupby([tested["model"], family])["p"]
    table["p_adjusted"] = by_family.transform(intervals.holm)
    return table


def main_rows(scores: pd.DataFrame) -> pd.DataFrame:
    """One main score per run, target and language: of several splits the one that tables show."""
    rows = scores[scores["main"].astype(bool)]
    alone = rows.groupby("target")["split"].transform("nunique") == 1
    tasks = map(task_of, rows["target"])  # a split bears our name or the data set's
    names = [(row.evaluate, row.splits.get(row.evaluate)) for row in tasks]
    shown = [split in known for split, known in zip(rows["split"], names, strict=True)]
    rows = rows[alone | np.array(shown, dtype=bool)]
    key = ["model", ARM, "target", "seed", "language"]
    if (twice := rows.duplicated(key)).any():
        where = ", ".join(map(str, rows.loc[twice, key].iloc[0]))
        raise ValueError(f"scores: two main scores of {where}. Keep one layer and pooling of each.")
    return rows


def _cells(rows: pd.DataFrame, examples: Examples | None, draws: int, seed: int) -> dict[str, Cell]:
    """All cells of one model's target, resampled together so that differences are paired."""
    runs, languages = list(rows["run"].unique()), sorted(rows["language"].unique())
    for run, own in rows.groupby("run"):
        if lacks := ", ".join(sorted(set(languages) - set(own["language"]))):
            target = rows["target"].iloc[0]
            raise ValueError(f"{target}: run {run} lacks {lacks}, which other runs have.")
    if examples:
        drawn, clusters, n_items, constant = _draw(rows, runs, languages, examples, draws, seed)
    else:
        drawn = rows.groupby("run")["item_bound"].first()[runs].to_numpy()[None]
        clusters, n_items = 0, int(rows["n_items"].iloc[0])
        constant = rows.groupby("run")["degenerate"].first()[runs].tolist()
    cells = {}
    for arm, own in rows.groupby(ARM, sort=False):
        places = [runs.index(run) for run in own["run"].unique()]
        cells[arm] = Cell(
            by_seed=own.groupby("seed")["value"].mean().to_dict(),
            by_language=own.pivot_table(index="target", columns="language", values="value"),
            draws=drawn[:, places].mean(axis=1),
            clusters=clusters,
            chance=float(pd.to_numeric(own["chance"]).mean()),
            n_items=n_items,
            split="/".join(own["split"].unique()),
            same_data=bool(own["same_data"].any()),
            degenerate=any(constant[place] for place in places),
        )
    return cells


def _draw(
    rows: pd.DataFrame, runs: list[str], languages: list[str], examples: Examples, draws: int,
    seed: int,
) -> tuple[np.ndarray, int, int, list[bool]]:  # fmt: skip
    """Bootstrap draws [draws, runs] of the task score (0..100), and how many clusters they drew.

    Then the items of one run, and of each run whether it is degenerate.
    """
    target, split = rows["target"].iloc[0], rows["split"].iloc[0]
    row, known, parts, constant = task_of(target), None, [], []
    for place, run in enumerate(runs):
        frame = examples(run, target)
        frame = frame[(frame["split"] == split) & frame["language"].isin(languages)]
        own = frame[frame["n_gold"] > 0] if row.metric == "mining_f1" else frame
        keys = sorted(zip(own["language"], own["id"], strict=True))
        if known not in (None, keys):
            message = f"runs {runs[0]} and {run} were not evaluated on the same items."
            raise ValueError(f"{target}: {message}")
        known = keys
        constant.append(False)
        if row.format in metrics.CLASSES and "prediction" in frame:
            named = frame.groupby("language")["prediction"].nunique()
            constant[-1] = bool(named.eq(1).any())  # all items of some language are of one class
        language = np.searchsorted(languages, frame["language"].to_numpy(dtype=str))
        counts = metrics.counts(row, frame).add_prefix("count ")
        block = place * len(languages) + language
        parts.append(frame[["item", "cluster"]].assign(block=block).join(counts))
    shape = (len(runs), len(languages))
    items = pd.concat(parts, ignore_index=True)
    drawn, clusters = intervals.resampled(row, items, shape, draws, seed)
    return np.nanmean(drawn, axis=2), clusters, len(known), constant


def _pairs(cells: dict[str, dict[str, Cell]], arm: str, base: str) -> dict[str, tuple[Cell, Cell]]:
    """By target, an arm's cell and the base arm's; and their means if no target is missing."""
    pairs = {name: (row[arm], row[base]) for name, row in cells.items() if arm in row}
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
        by_language=pd.concat([cell.by_language for cell in cells]),
        clusters=min(cell.clusters for cell in cells),
        draws=np.mean([cell.draws for cell in cells], axis=0),
        chance=sum(chances) / len(cells) if chances else math.nan,
        n_items=sum(cell.n_items for cell in cells),
    )


def _compare(cell: Cell, base: Cell, own: bool) -> dict:
    """The columns of one row; in the base arm's `own` row the intervals are those of its score."""
    n, n_base, p, within = len(cell.by_seed), len(base.by_seed), math.nan, False
    over_seeds = n > 1 and (own or n_base > 1 or FIXED in base.by_seed)
    by_items = intervals.percentiles(cell.draws - (0 if own else base.draws), cell.clusters)
    by_language = intervals.language_interval(cell.by_language - (0 if own else base.by_language))
    low, high = by_items
    if over_seeds and own:
        _, low, high, _ = t_interval(list(cell.by_seed.values()))
    elif over_seeds:
        _, low, high, p = seed_gain(cell.by_seed, base.by_seed)
        _, least, most, _ = seed_gain(cell.by_seed, base.by_seed, level=0.90)
        within = bool(least > -MARGIN and most < MARGIN)
    chance = 0.0 if math.isnan(cell.chance) else cell.chance
    bound = cell.draws.min()
    if cell.clusters:
        bound = intervals.percentiles(cell.draws, cell.clusters, 0.90)[0]
    return {
        "score": cell.score, "base": base.score, "gain": cell.score - base.score,
        "low": low, "high": high, "interval": SEEDS if over_seeds else ITEMS, "p": p,
        "low_items": by_items[0], "high_items": by_items[1],
        "low_languages": by_language[0], "high_languages": by_language[1],
        "equivalent": within, "n_seeds": n, "n_base_seeds": n_base, "n_items": cell.n_items,
        "languages": ",".join(cell.by_language.columns), "split": cell.split,
        "same_data": cell.same_data, "degenerate": cell.degenerate, "chance": cell.chance,
        "above_chance": bool(bound > chance), "item_bound": bound,
    }  # fmt: skip
