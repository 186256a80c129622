"""The metrics, one entry each. A metric counts items, and makes scores from sums of those counts.

So scores can be made again from predictions on disk, and one bootstrap, which weighs items, serves
all metrics. A new metric is one entry here, with functions of its own wherever they stand.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from xfer_utils.scoring import answers, formulas, tags
from xfer_utils.study.tasks import Task

Items = Callable[[Task, pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True, eq=False)
class Metric:
    """How tasks are scored."""

    main: str  # the score that tables show
    items: dict[str, Items]  # by format: from gold and prediction to count columns
    scores: Callable[[formulas.Sums], formulas.Scores]
    columns: tuple[str, ...]  # the counts' names, or how they begin: where present, not made again
    also: str = ""  # a metric whose scores are reported as well


CLASSES = dict.fromkeys(("sequence", "choice"), formulas.correct_items)
CELLS = dict.fromkeys(("sequence", "choice"), formulas.class_items)
TAGS = {"token": tags.tag_items}
ANSWERS = {"span": answers.answer_items}
RANKS = dict.fromkeys(("sentence", "pair"), formulas.ranked_items)
SENTENCES = {"sentence": formulas.correct_items}
PAIRS = {"sentence": formulas.pair_items}

METRICS = {
    "accuracy": Metric(
        "accuracy", CLASSES | TAGS, formulas.accuracy, ("correct", *tags.COLUMNS), also="macro_f1"
    ),
    "macro_f1": Metric("macro_f1", CELLS, formulas.macro_f1, formulas.CELLS, also="accuracy"),
    "tag_f1": Metric("f1", TAGS, formulas.tag_scores, tags.COLUMNS),
    "span_f1": Metric("f1", TAGS, formulas.tag_scores, tags.COLUMNS),
    "squad": Metric("qa", ANSWERS, formulas.answer_scores, answers.COLUMNS),
    "mlqa": Metric("qa", ANSWERS, formulas.answer_scores, answers.COLUMNS),
    "mining_f1": Metric("f1", PAIRS, formulas.pair_scores, formulas.PAIRS),
    "retrieval_accuracy": Metric("accuracy", SENTENCES, formulas.accuracy, ("correct",)),
    "map_at_20": Metric("map_at_20", RANKS, formulas.ranked_scores, ("ap",)),
}


def check(row: Task) -> None:
    """Refuses a task whose metric is unknown or does not fit its format."""
    fitting = [name for name, metric in METRICS.items() if _format(row) in metric.items]
    if row.metric not in fitting:
        raise ValueError(
            f"{row.name}: metric `{row.metric}` is none for tasks of format `{row.format}`; "
            f"these are: {', '.join(fitting) or 'none'}."
        )


def _format(row: Task) -> str:
    """The format by which items are counted: one that no metric names has a value per item."""
    named = any(row.format in metric.items for metric in METRICS.values())
    return row.format if named else "sequence"


def main_metric(name: str) -> str:
    """The name of the score that the tables show for a task with this metric."""
    return METRICS[name].main


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
    also = METRICS[row.metric].also
    rows = [row]
    if also and _format(row) in METRICS[also].items and {"gold", "prediction"} <= set(frame):
        rows.append(row.model_copy(update={"metric": also}))
    parts = [METRICS[part.metric].scores(counts(part, frame).sum()) for part in rows]
    return {name: float(value) for part in parts for name, value in part.items()}


def code(name: str) -> str:
    """A hash of the modules that a metric's functions stand in; comments do not count."""
    return _code(name, METRICS[name])


@cache
def _code(name: str, metric: Metric) -> str:
    modules = {inspect.getmodule(part) for part in (*metric.items.values(), metric.scores)}
    sources = sorted(ast.unparse(ast.parse(inspect.getsource(module))) for module in modules)
    return hashlib.sha256("\n".join([name, metric.main, *sources]).encode()).hexdigest()[:12]
