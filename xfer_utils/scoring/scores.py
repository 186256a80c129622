"""Scores from predictions: when a run is evaluated, and again when a metric has changed since."""

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd

from xfer_utils.scoring import formulas, metrics
from xfer_utils.study import kept, paths
from xfer_utils.study.tasks import Task, task

PLACE = {"task", "language", "split"}  # with open factors, such as a layer: what a score is of
OWN = {"metric", "value", "n", "main", "chance", "metric_code"}


def predictions_path(run_dir: Path, name: str, role: str) -> Path:
    """Where the predictions of a task on one of its splits are kept."""
    return run_dir / "predictions" / f"{name}.{role}.parquet"


def predictions(run_dir: Path, name: str) -> pd.DataFrame:
    """The examples table of a task, with all splits that the run evaluated."""
    path = predictions_path(run_dir, name, "*")
    if not (files := sorted(path.parent.glob(path.name))):
        raise FileNotFoundError(f"{path} is missing")
    return pd.concat(map(pd.read_parquet, files), ignore_index=True)


def language_scores(
    row: Task, frame: pd.DataFrame, chance: float | None, **factors: Any
) -> list[dict]:
    """Score rows of one task in one language and split; `factors` are what else sets them apart."""
    known = {"task": row.name, "language": frame["language"].iloc[0], "n": len(frame)}
    known |= {"split": frame["split"].iloc[0], "metric_code": metrics.code(row.metric), **factors}
    scores = []
    for metric, value in metrics.scores(row, frame).items():
        main = metric == metrics.METRICS[row.metric].main
        score = {"metric": metric, "value": value, "main": main, "chance": chance if main else None}
        scores.append(known | score)
    return scores


def is_current(row: Task, recorded: list[dict]) -> bool:
    """Whether recorded scores of a task were made by its metric and code of today."""
    return all(score.get("metric_code") == metrics.code(row.metric) for score in recorded)


def counted_anew(run_dir: Path, row: Task) -> pd.DataFrame:
    """The examples table with today's counts, kept by the digest of predictions and the metric."""
    table = predictions(run_dir, row.name)
    digest = hashlib.sha256(pd.util.hash_pandas_object(table).to_numpy()).hexdigest()[:20]
    name = f"{digest}-{row.metric}-{metrics.code(row.metric)}.parquet"
    path = paths.outputs() / "cache" / "scores" / name
    kept.cached(path, lambda file: metrics.items(row, table).to_parquet(file, index=False))
    counts = pd.read_parquet(path)
    return table.drop(columns=counts.columns, errors="ignore").join(counts)


def rescored(
    run_dir: Path, recorded: list[dict], anew: bool = False
) -> tuple[list[dict], list[dict]]:
    """A run's scores, made again where the metric has changed (or all), and those that cannot be.

    The latter stay as they are, but are not main where the main score has another name today.
    """
    scores, remaining = [], []
    for name in dict.fromkeys(score["task"] for score in recorded):
        row, own = task(name), [score for score in recorded if score["task"] == name]
        if is_current(row, own) and not anew:
            scores += own
            continue
        new = _from_predictions(run_dir, row, [score for score in own if score["main"]])
        places = list(map(_place, new))
        old = [score for score in own if _place(score) not in places]
        main = metrics.METRICS[row.metric].main
        scores += new + [{**s, "main": s["main"] and s["metric"] == main} for s in old]
        remaining += old
    return scores, remaining


def _place(score: dict) -> dict:
    return {key: value for key, value in score.items() if key not in OWN}


def _from_predictions(run_dir: Path, row: Task, recorded: list[dict]) -> list[dict]:
    """Scores that take the place of these main ones, as far as there are predictions."""
    try:
        table, scores = counted_anew(run_dir, row), []
    except FileNotFoundError:
        return []
    for old in recorded:
        frame = table[(table["language"] == old["language"]) & (table["split"] == old["split"])]
        if frame.empty:
            continue
        main = metrics.METRICS[row.metric].main
        chance = old["chance"] if old["metric"] == main else None
        if row.format in metrics.CLASSES:
            chance = metrics.scores(row, formulas.always_commonest(frame))[main]
        factors = {key: value for key, value in old.items() if key not in OWN | PLACE}
        scores += language_scores(row, frame, chance, **factors)
    return scores
