"""How a gain goes with a measure of the languages: one row per language, families held apart.

Languages of a family are alike in more than any measure says. So what is tested is what is left
within families: family means are taken off, and the languages of a family change places at random.
A language that is alone in its family then says nothing, and the numbers of languages say so.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from xfer_utils.analysis.stats import ARM, BASELINE, FIXED, main_rows

LEAST = 20  # languages that a target needs before anything is inferred from it
TOY = {  # distances of a made-up world, as shares of its dials that are not English's
    "order_distance": {"word_order": "SVO", "adjective_order": "before", "adposition": "pre"},
    "morphology_distance": {"determiners": True, "case": False, "number": True},
}


class Relation(NamedTuple):
    """A correlation: estimate, 95% interval, p of the permutation, languages that bear on it."""

    r: float
    low: float
    high: float
    p: float
    languages: int
    condition: float = 1.0


def measures(known: pd.DataFrame) -> pd.DataFrame:
    """The table of languages with all its distances from English; similarities are turned about."""
    table = known.copy()
    for name, english in TOY.items():
        if set(english) <= set(table):
            table[name] = sum(table[dial] != same for dial, same in english.items()) / len(english)
    for name in [name for name in table if name.endswith("_cosine")]:
        table[name.replace("_cosine", "_distance")] = 1 - table[name]
    return table


def language_gains(
    scores: pd.DataFrame, arms: Sequence[str], targets: Sequence[str], minus: str = BASELINE
) -> pd.DataFrame:
    """A row per target, language and seed: `pre`, `post` (mean of the arms), `gain`, `gap`, `n`.

    English is no row of it: `gap` is what a language lacks of the English score, if there is one.
    An encoder that is searched without training counts for every seed.
    """
    rows = main_rows(scores)
    rows = rows[rows["target"].isin(targets)]
    key = ["target", "language", "seed"]
    values = rows.pivot_table(index=key, columns=ARM, values="value")
    post = values.reindex(columns=list(arms)).mean(axis=1, skipna=False)
    fixed = values[minus].unstack("seed").reindex(columns=[FIXED])[FIXED]
    pre = values[minus].fillna(pd.Series(values.index.droplevel("seed").map(fixed), values.index))
    table = pd.DataFrame({"pre": pre, "post": post}).dropna()
    table = table.drop(FIXED, level="seed", errors="ignore")
    table["gain"] = table["post"] - table["pre"]
    items = rows.groupby(key)[["n", "chance"]].first().reindex(table.index)
    table = table.join(items).reset_index()
    english = table[table["language"] == "en"].set_index(["target", "seed"])["post"]
    places = pd.MultiIndex.from_frame(table[["target", "seed"]])
    table["gap"] = english.reindex(places).to_numpy() - table["post"]
    return table[table["language"] != "en"].reset_index(drop=True)


def by_language(gains: pd.DataFrame, column: str = "gain") -> pd.Series:
    """The mean over seeds and targets of each language, each target's own mean taken off first.

    So a language that lacks a target with large gains is not worse for it.
    """
    cells = gains.groupby(["target", "language"])[column].mean().unstack("target")
    return cells.sub(cells.mean()).mean(axis=1) + cells.mean().mean()


def within_families(
    x: pd.Series, y: pd.Series, family: pd.Series, given: pd.DataFrame | None = None,
    ranks: bool = True, draws: int = 4999,
) -> Relation:  # fmt: skip
    """The correlation within families of two columns over languages, `given` others.

    Spearman's (of ranks) or Pearson's. What families and the others explain is taken off both; the
    residuals of y change places within families (Freedman and Lane). The interval is Fisher's, with
    Bonett and Wright's error for ranks; a strong relation's is too wide (it covers 98.6%).
    `condition` is that of x and the others, scaled.
    """
    others = [] if given is None else list(given)
    table = pd.DataFrame({"x": x, "y": y, "family": family})
    table = (table if given is None else table.join(given)).dropna()
    table = table[table.groupby("family")["x"].transform("size") > 1]
    numbers = table[["x", "y", *others]].rank() if ranks else table[["x", "y", *others]]
    dummies = pd.get_dummies(table["family"]).to_numpy(dtype=float)
    left = len(table) - dummies.shape[1] - len(others) - 2
    if left < 1 or table["x"].nunique() < 2 or table["y"].nunique() < 2:
        return Relation(*[math.nan] * 4, len(table))
    design = np.column_stack([dummies, numbers[others]])
    predictors = numbers[["x", *others]]
    scaled = (predictors - predictors.mean()) / predictors.std()
    off = np.eye(len(table)) - design @ np.linalg.pinv(design)
    a, b = off @ numbers["x"].to_numpy(dtype=float), off @ numbers["y"].to_numpy(dtype=float)
    rng, exchanged = np.random.default_rng(0), np.tile(b, (draws, 1))
    for name in sorted(set(table["family"])):  # in one order, whatever the hash seed
        places = np.flatnonzero(table["family"] == name)
        exchanged[:, places] = rng.permuted(exchanged[:, places], axis=1)
    moved = off @ exchanged.T
    r = _cosine(a, b[:, None]).item()
    p = (1 + (np.abs(_cosine(a, moved)) >= abs(r) - 1e-12).sum()) / (draws + 1)
    error = math.sqrt((1 + r**2 / 2 if ranks else 1) / left)
    low, high = np.tanh(np.arctanh(np.clip(r, -0.9999, 0.9999)) + np.array([-1.96, 1.96]) * error)
    condition = float(np.linalg.cond(scaled.to_numpy(dtype=float)))
    return Relation(r, min(low, r), max(high, r), float(p), len(table), condition)


def _cosine(a: np.ndarray, columns: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(a) * np.linalg.norm(columns, axis=0)
    return a @ columns / np.where(norms > 1e-12, norms, np.inf)


def flags(gains: pd.DataFrame) -> pd.DataFrame:
    """By target and language: before phase 2 at chance (within two errors), or at 95 and more."""
    cells = gains.groupby(["target", "language"])[["pre", "chance", "n"]].mean()
    share = cells["chance"].fillna(0) / 100
    seeds = gains["seed"].nunique()
    error = 100 * np.sqrt(share * (1 - share) / (cells["n"] * seeds))
    floor = cells["pre"] < cells["chance"].fillna(0) + 2 * error
    return pd.DataFrame({"floor": floor, "ceiling": cells["pre"] >= 95})
