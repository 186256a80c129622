"""Scores from predictions: when a run is evaluated, and again when a metric has changed since."""

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from xfer_utils.scoring import metrics
from xfer_utils.study import paths
from xfer_utils.study.tasks import Task, task

OWN = {"task", "language", "split", "metric", "value", "n", "main", "chance", "metric_code"}


def predictions_path(run_dir: Path, name: str, role: str) -> Path:
    """Where the predictions of a task on one of its splits are kept."""
    return run_dir / "predictions" / f"{name}.{role}.parquet"


def _files(run_dir: Path, name: str) -> list[Path]:
    return sorted((run_dir / "predictions").glob(f"{name}.*.parquet"))


def predictions(run_dir: Path, name: str) -> pd.DataFrame:
    """The examples table of a task, with all splits that the run evaluated."""
    return pd.concat(map(pd.read_parquet, _files(run_dir, name)), ignore_index=True)


def language_scores(row: Task, frame: pd.DataFrame, chance: float, **factors: Any) -> list[dict]:
    """Score rows of one task in one language and split; `factors` are what else sets them apart."""
    first, main = frame.iloc[0], metrics.main_metric(row.metric)
    known = {"task": row.name, "language": first["language"], "split": first["split"]}
    known |= {"n": len(frame), "metric_code": metrics.code(row.metric), **factors}
    scores = []
    for metric, value in metrics.scores(row, frame).items():
        guessed = chance if metric == main and math.isfinite(chance) else None
        score = {"metric": metric, "value": value, "main": metric == main, "chance": guessed}
        scores.append(known | score)
    return scores


def is_current(row: Task, recorded: Iterable[dict]) -> bool:
    """Whether recorded scores of a task were made by its metric and code of today."""
    return all(score.get("metric_code") == metrics.code(row.metric) for score in recorded)


def counted_anew(run_dir: Path, row: Task) -> pd.DataFrame:
    """The examples table with today's counts, kept by the digest of predictions and the metric."""
    table, digest = predictions(run_dir, row.name), hashlib.sha256()
    for file in _files(run_dir, row.name):
        digest.update(file.read_bytes())
    name = f"{digest.hexdigest()[:20]}-{row.metric}-{metrics.code(row.metric)}.parquet"
    cached = paths.outputs() / "cache" / "scores" / name
    try:
        counts = pd.read_parquet(cached)
    except (OSError, ValueError):  # missing, or damaged
        counts = metrics.items(row, table)
        with paths.replacing(cached) as temporary:
            counts.to_parquet(temporary, index=False)
    return table.drop(columns=counts.columns, errors="ignore").join(counts)


def rescored(
    run_dir: Path, recorded: list[dict], anew: bool = False
) -> tuple[list[dict], list[dict]]:
    """A run's scores by today's metrics; and of the recorded ones those that could not be remade.

    Tasks whose metric and code are those of the record keep their scores, unless `anew`. A score
    without predictions stays as it is, but is no main score where that has another name today.
    """
    scores, remaining = [], []
    for name in dict.fromkeys(score["task"] for score in recorded):
        row, own = task(name), [score for score in recorded if score["task"] == name]
        if is_current(row, own) and not anew:
            scores += own
            continue
        new = _from_predictions(run_dir, row, [score for score in own if score["main"]])
        places = [_place(score) for score in new]
        old = [score for score in own if _place(score) not in places]
        main = metrics.main_metric(row.metric)
        scores += new + [{**s, "main": s["main"] and s["metric"] == main} for s in old]
        remaining += old
    return scores, remaining


def _place(score: dict) -> dict:
    """What a score is of: language, split, and open factors such as a layer."""
    return {key: value for key, value in score.items() if key not in OWN - {"language", "split"}}


def _from_predictions(run_dir: Path, row: Task, recorded: list[dict]) -> list[dict]:
    """Scores that take the place of these main ones, as far as there are predictions."""
    if not _files(run_dir, row.name):
        return []
    table, main, scores = counted_anew(run_dir, row), metrics.main_metric(row.metric), []
    for old in recorded:
        frame = table[(table["language"] == old["language"]) & (table["split"] == old["split"])]
        # The chance level of classes is the same for all their metrics.
        known = old["metric"] == main or row.format in ("sequence", "choice")
        chance = old["chance"] if known and old["chance"] is not None else math.nan
        factors = {key: value for key, value in old.items() if key not in OWN}
        scores += language_scores(row, frame, chance, **factors) if len(frame) else []
    return scores
