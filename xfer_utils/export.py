"""Predictions in the form in which XTREME takes submissions: one folder per task, one file per language."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from xfer_utils.tasks import Task
from xfer_utils.tasks import task as task_of


def export(predictions: Mapping[str, pd.DataFrame], folder: str | Path, split: str = "test") -> list[Path]:
    """Writes `<folder>/<task>/test-<language>.tsv` (`.json` for answers and ranked lists).

    `predictions` holds each task's examples table, of which the rows of `split` are used, in their order.
    Labels: names for XNLI, numbers for PAWS-X and multiple choice; tags: one a line, an empty line between
    sentences; answers: an object from question id to text; mining: pairs of ids (`id` is the source's,
    `prediction` the target's); Tatoeba: the number, from 0, of the sentence found for each English query.
    XTREME sorts its English sentences, so where a column `text` holds the queries, rows are written in that
    order.
    """
    written = []
    for name, frame in predictions.items():
        rows = frame[frame["split"] == split]
        if rows.empty:
            have = ", ".join(sorted(frame["split"].unique())) or "none"
            raise ValueError(f"{name}: no predictions of split {split!r} to export; there are: {have}.")
        for language, own in rows.groupby("language", sort=True):
            text, suffix = _file(task_of(name), own)
            path = Path(folder) / name / f"test-{language}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
    return written


def _file(task: Task, rows: pd.DataFrame) -> tuple[str, str]:
    """One file's text and ending."""
    if task.metric == "mining_f1":
        mined = rows[rows["n_pred"] > 0]
        pairs = zip(mined["id"], mined["prediction"], strict=True)
        return "".join(f"{source}\t{target}\n" for source, target in pairs), "tsv"
    if task.metric == "map_at_20":
        ranked = {i: json.loads(p)[:20] for i, p in zip(rows["id"], rows["prediction"], strict=True)}
        return json.dumps(ranked, ensure_ascii=False, indent=1), "json"
    if task.metric == "retrieval_accuracy":
        place = {gold: i for i, gold in enumerate(rows["gold"])}
        order = rows.sort_values("text", kind="stable") if "text" in rows else rows
        return "".join(f"{place[found]}\n" for found in order["prediction"]), "tsv"
    if task.format == "span":
        answers = dict(zip(rows["id"], rows["prediction"], strict=True))
        return json.dumps(answers, ensure_ascii=False, indent=1), "json"
    if task.format == "token":
        return "\n".join("".join(f"{tag}\n" for tag in json.loads(p)) for p in rows["prediction"]), "tsv"
    return "".join(f"{_label(task, label)}\n" for label in rows["prediction"]), "tsv"


def _label(task: Task, label: str) -> str:
    """A label as the benchmark spells it: XNLI by name, all others by number."""
    by_name = task.name == "xnli" or str(label) not in task.labels
    return str(label) if by_name else str(task.labels.index(label))
