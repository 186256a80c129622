"""From gold and prediction to counts of items, and from their sums to scores (0..100).

Sums are numbers, or arrays with one entry per draw of a bootstrap; `n` is the number of items.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from xfer_utils.study.tasks import Task

Sums = Mapping[str, ArrayLike]
Scores = dict[str, np.ndarray]
CELLS = ("gold class ", "predicted class ", "right class ")  # how columns begin, one per class
PAIRS = ("tp", "n_pred", "n_gold")
TOP = 20  # ranks that count


def percent(part: ArrayLike, whole: ArrayLike) -> np.ndarray:
    """100 * part / whole; NaN where both are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * np.asarray(part, dtype=float) / np.asarray(whole, dtype=float)


def share(part: ArrayLike, whole: ArrayLike, n: ArrayLike) -> np.ndarray:
    """As percent, but nothing in nothing is 0 where n > 0 items were scored, as F1 has it."""
    nothing = (np.asarray(whole) == 0) & (np.asarray(n) > 0)
    return np.where(nothing, 0.0, percent(part, whole))


# ----- one gold and one predicted value: a class, or the sentence that was retrieved -----


def correct_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """Whether gold and prediction are the same."""
    return pd.DataFrame({"correct": (frame["gold"] == frame["prediction"]).astype(int)})


def accuracy(sums: Sums) -> Scores:
    """Share of right items; of right tokens where items are tagged sentences."""
    if "n_tokens" in sums:
        return {"accuracy": percent(sums["n_correct"], sums["n_tokens"])}
    return {"accuracy": percent(sums["correct"], sums["n"])}


def class_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """For each class, whether an item is of it, was taken for it, and both."""
    columns: dict[str, pd.Series] = {}
    for name in sorted({*frame["gold"], *frame["prediction"]}):
        gold, predicted = frame["gold"] == name, frame["prediction"] == name
        for start, cell in zip(CELLS, (gold, predicted, gold & predicted), strict=True):
            columns[f"{start}{name}"] = cell.astype(int)
    return pd.DataFrame(columns, index=frame.index)


def macro_f1(sums: Sums) -> Scores:
    """Mean F1 over the classes that occur in gold or prediction."""
    gold, predicted, right = (
        np.array([sums[name] for name in sorted(sums.keys()) if name.startswith(start)])
        for start in CELLS
    )
    f1 = share(2 * right, gold + predicted, np.ones(right.shape)).sum(axis=0)
    return {"macro_f1": percent(f1 / 100, (gold + predicted > 0).sum(axis=0))}


# ----- tags and answers (items: see tags.py and answers.py) -----


def tag_scores(sums: Sums) -> Scores:
    """F1 of chunks, and accuracy of tokens."""
    f1 = share(2 * sums["tp"], sums["n_pred"] + sums["n_gold"], sums["n"])
    return {"f1": f1, **accuracy(sums)}


def answer_scores(sums: Sums) -> Scores:
    """F1, exact match, and `qa`, the mean of the two."""
    f1, em = (percent(sums[name], sums["n"]) for name in ("f1", "em"))
    return {"f1": f1, "em": em, "qa": (f1 + em) / 2}


# ----- mined pairs and ranked candidates -----


def mining_counts(
    pairs: Iterable[tuple[str, str]], gold: Iterable[tuple[str, str]]
) -> pd.DataFrame:
    """One row per pair, gold or predicted: source_id, target_id, tp, n_pred, n_gold (0 or 1)."""
    ours, theirs = set(pairs), set(gold)
    both = ours & theirs
    rows = [(*p, int(p in both), int(p in ours), int(p in theirs)) for p in sorted(ours | theirs)]
    return pd.DataFrame(rows, columns=["source_id", "target_id", *PAIRS])


def pair_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """The counts as they stand: that a gold pair was not mined is written nowhere else."""
    return frame[[*PAIRS]]


def pair_scores(sums: Sums) -> Scores:
    """F1, precision and recall of the mined pairs."""
    right, mined, gold, n = (sums[name] for name in (*PAIRS, "n"))
    precision, recall = share(right, mined, n), share(right, gold, n)
    return {"f1": share(2 * right, mined + gold, n), "precision": precision, "recall": recall}


def average_precision(ranked: Sequence[str], gold: Iterable[str], k: int = TOP) -> float:
    """Average precision of the first k (0..1), divided by the number of gold items, at most k.

    An item ranked twice counts the first time.
    """
    gold, hits, total = set(gold), 0, 0.0
    for rank, item in enumerate(list(ranked)[:k], start=1):
        if item in gold and item not in ranked[: rank - 1]:
            hits += 1
            total += hits / rank
    return total / min(len(gold), k)


def random_precision(n_gold: int, n_pool: int, k: int = TOP) -> float:
    """Expected average precision (0..100) of a pool in random order with n_gold right items."""
    ranks = np.arange(1, min(k, n_pool) + 1)
    right_before = (ranks - 1) * (n_gold - 1) / max(1, n_pool - 1)
    return 100 * n_gold / n_pool * float(((1 + right_before) / ranks).sum()) / min(n_gold, k)


def ranked_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """Average precision of each query; gold and prediction are lists of ids as JSON."""
    pairs = zip(frame["prediction"].map(json.loads), frame["gold"].map(json.loads), strict=True)
    return pd.DataFrame({"ap": [average_precision(*pair) for pair in pairs]}, index=frame.index)


def ranked_scores(sums: Sums) -> Scores:
    """Mean average precision of the first 20."""
    return {"map_at_20": percent(sums["ap"], sums["n"])}
