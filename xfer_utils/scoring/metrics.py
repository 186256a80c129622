"""The metrics: each counts items, and makes scores of sums of counts: one bootstrap serves all.

A new metric is one entry of METRICS, with functions of its own wherever they stand.
"""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from xfer_utils.scoring import formulas
from xfer_utils.study.tasks import Task


@dataclass(frozen=True, eq=False)
class Metric:
    """How tasks are scored."""

    main: str  # the score that tables show
    items: dict[str, Callable]  # by format: from task, and gold and prediction, to count columns
    scores: Callable[[formulas.Sums], formulas.Scores]
    columns: tuple[str, ...]  # the counts' names, or how they begin: where present, not made again
    also: str = ""  # a metric whose scores are reported as well


CLASSES = dict.fromkeys(("sequence", "choice"), formulas.correct_items)
CELLS = dict.fromkeys(("sequence", "choice"), formulas.class_items)
TAGS = {"token": formulas.tag_items}
TAG_F1 = Metric("f1", TAGS, formulas.tag_scores, formulas.TAGS)
ANSWERS = Metric("qa", {"span": formulas.answer_items}, formulas.answer_scores, formulas.ANSWERS)
SENTENCES = {"sentence": formulas.correct_items}
PAIRS = {"sentence": formulas.pair_items}
RANKS = dict.fromkeys(("sentence", "pair"), formulas.ranked_items)
RIGHT = ("correct", *formulas.TAGS)

METRICS = {
    "accuracy": Metric("accuracy", CLASSES | TAGS, formulas.accuracy, RIGHT, also="macro_f1"),
    "macro_f1": Metric("macro_f1", CELLS, formulas.macro_f1, formulas.CELLS, also="accuracy"),
    "tag_f1": TAG_F1,
    "span_f1": TAG_F1,
    "squad": ANSWERS,
    "mlqa": ANSWERS,
    "mining_f1": Metric("f1", PAIRS, formulas.pair_scores, formulas.PAIRS),
    "retrieval_accuracy": Metric("accuracy", SENTENCES, formulas.accuracy, ("correct",)),
    "map_at_20": Metric("map_at_20", RANKS, formulas.ranked_scores, ("ap",)),
}


def check(row: Task) -> None:
    """Refuses a task whose metric is unknown or does not fit its format."""
    fitting = [name for name, metric in METRICS.items() if _format(row) in metric.items]
    if row.metric not in fitting:
        problem = f"{row.name}: metric `{row.metric}` is none for tasks of format `{row.format}`"
        raise ValueError(f"{problem}; these are: {', '.join(fitting)}.")


def _format(row: Task) -> str:
    """The format by which items are counted: one that no metric names has a value per item."""
    named = any(row.format in metric.items for metric in METRICS.values())
    return row.format if named else "sequence"


def items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """The counts of each item, made from gold and prediction."""
    return METRICS[row.metric].items[_format(row)](row, frame)


def counts(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """The counts of each item, as the examples table has them or else made; and n, which is 1."""
    present = [name for name in frame if name.startswith(METRICS[row.metric].columns)]
    return (frame[present] if present else items(row, frame)).assign(n=1)


def main_score(row: Task, sums: formulas.Sums) -> np.ndarray:
    """The main score (0..100) from sums of counts: of each draw, or of each item from `counts`."""
    metric = METRICS[row.metric]
    return metric.scores(sums)[metric.main]


def scores(row: Task, frame: pd.DataFrame) -> dict[str, float]:
    """All scores (0..100) of one language from its rows of the examples table; no rows give NaN."""
    metric, parts = METRICS[row.metric], [row]
    if metric.also and _format(row) in METRICS[metric.also].items:
        parts.append(row.model_copy(update={"metric": metric.also}))
    values = [METRICS[part.metric].scores(counts(part, frame).sum()) for part in parts]
    return {name: float(value) for part in values for name, value in part.items()}


def code(name: str) -> str:
    """A hash of the modules that a metric's functions stand in."""
    metric = METRICS[name]
    modules = {inspect.getmodule(part) for part in (*metric.items.values(), metric.scores)}
    sources = sorted(map(_source, modules))
    return hashlib.sha256("\n".join([name, metric.main, *sources]).encode()).hexdigest()[:12]


_source = cache(inspect.getsource)
