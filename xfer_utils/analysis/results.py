"""The two tidy tables, made from the runs that are done: scores and examples."""

import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd

from xfer_utils.runs import records
from xfer_utils.study import paths
from xfer_utils.study.settings_file import SettingsError
from xfer_utils.study.tasks import task

SCORE_COLUMNS = (
    "task",
    "language",
    "split",
    "metric",
    "value",
    "n",
    "main",
    "chance",
    "layer",
    "pooling",
)


def plan(study_dir: Path) -> dict:
    """The study's plan as it was last made: settings, runs, and what cannot be run."""
    path = Path(study_dir) / "plan.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: `xfer run params/{Path(study_dir).name}.yaml` makes the plan and its runs."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def study(study_dir: Path) -> dict:
    """Name, title, question, estimand, source, note, and where a made-up world's language table is."""
    settings = plan(study_dir)["study"]
    keys = ("name", "title", "question", "estimand", "source", "note")
    return {
        **{key: settings[key] for key in keys},
        "languages_csv": plan(study_dir)["languages_csv"],
    }


def scores(study_dir: Path) -> pd.DataFrame:
    """The scores table: one row per run, task, language, split and metric."""
    made = plan(study_dir)
    rows = []
    for run in made["runs"]:
        result = records.read(_folder(run["id"]))
        if result is None or run["kind"] not in ("target", "retrieval"):
            continue
        labels = run["labels"]
        for score in result.scores:
            if not _counts(score, made["study"]):
                continue
            values = {
                name: value for name, value in score.model_dump().items() if name in SCORE_COLUMNS
            }
            rows.append(
                {
                    "study": made["study"]["name"],
                    "run": run["id"],
                    "intermediate": labels["arm"],
                    **{key: labels[key] for key in ("model", "train_task", "seed", "same_data")},
                    "stale": False,
                    **values,
                }
            )
    if not rows:
        raise SettingsError(
            f"{study_dir}: no run of this study is done yet. `xfer run` makes them."
        )
    return pd.DataFrame(rows).rename(columns={"task": "target"})


def _counts(score: records.Score, settings: dict) -> bool:
    """Whether a score's language is one of the study's; real data sets may hold more than the benchmark averages."""
    if settings["languages"]:
        return score.language in settings["languages"]
    row = task(score.task)
    added = row.xtreme_r_languages if settings["benchmark"] == "xtreme_r" else ()
    return settings["source"] == "toy" or score.language in {*row.languages, *added}


def examples(study_dir: Path) -> Callable[[str, str], pd.DataFrame]:
    """A function from a run and a task to its examples table, read once."""

    @cache
    def read(run: str, name: str) -> pd.DataFrame:
        return pd.read_parquet(_folder(run) / "predictions" / f"{name}.parquet")

    return read


def not_run(study_dir: Path) -> dict[tuple[str, str], str]:
    """Why a cell of the table is empty: what cannot be run, what failed, and what has not been run yet."""
    made, scored = plan(study_dir), set()
    reasons = {(row["arm"], row["target"]): row["reason"] for row in made["not_run"]}
    for run in made["runs"]:
        labels = run["labels"]
        result = records.read(_folder(run["id"])) if "targets" in labels else None
        if result or "targets" not in labels:
            scored |= {score.task for score in result.scores} if result else set()
            continue
        failed = (_folder(run["id"]) / "error.txt").exists()
        for name in labels["targets"]:
            reasons[labels["arm"], name] = "the run failed" if failed else "not run yet"
    column = {name: task(name).gold_only for _, name in reasons if task(name).gold_only in scored}
    return {
        (intermediate, column.get(name, name)): reason
        for (intermediate, name), reason in reasons.items()
    }


def readings(study_dir: Path) -> pd.DataFrame:
    """What was read, by data set and split: rows found, where the official release has other numbers, and oddities."""
    from_hub = plan(study_dir)["study"]["source"] == "hub"
    unique: dict[tuple, dict] = {}
    for run in plan(study_dir)["runs"]:
        result = records.read(_folder(run["id"]))
        for row in result.data if result else ():
            key = (row["task"], row["split"], row["language"])
            dropped = max(
                row.get("dropped_as_evaluated", 0),
                unique.get(key, {}).get("dropped_as_evaluated", 0),
            )
            unique[key] = {**row, "dropped_as_evaluated": dropped}
    rows = []
    for name, split in dict.fromkeys(key[:2] for key in unique):
        tables = [row for key, row in unique.items() if key[:2] == (name, split)]
        other = [
            f"{row['language']} {row['rows']:,} of {row['expected']:,}"
            for row in tables
            if row["as_expected"] is False
        ]
        rows.append(
            {
                "data set": task(name).title,
                "split": split,
                "languages": len(tables),
                "rows": sum(row["rows"] for row in tables),
                "dropped, being evaluated": sum(row["dropped_as_evaluated"] for row in tables),
                "not as released": ", ".join(other) or "",
                "remarks": "; ".join(_remarks(tables, from_hub)),
            }
        )
    return pd.DataFrame(rows)


def _remarks(tables: list[dict], from_hub: bool) -> list[str]:
    """What is odd about the tables of one data set and split: rows left out, odd rows, and what is known of the set."""
    counts = Counter()
    for table in tables:
        counts.update({**table["dropped"], **table["odd"]})
    found = [f"{what}: {count:,}" for what, count in counts.items() if count]
    entries = (
        [task(table["task"]).hub_for(table["language"]) for table in tables] if from_hub else []
    )
    known = [entry.note for entry in entries if entry]
    said = [*found, *(table["notes"] for table in tables), *known]
    return [remark for remark in dict.fromkeys(said) if remark]


def mixture_notes(study_dir: Path) -> list[str]:
    """What each mixture was trained on, in words."""
    content, notes = plan(study_dir), []
    for name, arm in content["arms"].items():
        if len(arm["tasks"]) < 2:
            continue
        reasons = content["left_out"].get(name, {})
        titles = ", ".join(task(part).title for part in arm["tasks"] if part not in reasons)
        left_out = [
            f"{task(part).title} is left out: {reason}." for part, reason in reasons.items()
        ]
        notes.append(" ".join([f"{arm['title']}: {titles}, all at once.", *left_out]))
    return notes


def intermediate_scores(study_dir: Path) -> pd.DataFrame:
    """How well each intermediate task was learnt, on its own English dev set."""
    rows = []
    for run in plan(study_dir)["runs"]:
        own = run["kind"] == "intermediate" and "leads_to" not in run["labels"]
        result = records.read(_folder(run["id"])) if own else None
        for score in result.scores if result else ():
            if score.main:
                rows.append(
                    {
                        "model": run["labels"]["model"],
                        "trained on": run["labels"]["arm"],
                        "seed": run["labels"]["seed"],
                        "task": task(score.task).title,
                        "score": score.value,
                        "chance": score.chance,
                        "n": score.n,
                    }
                )
    return pd.DataFrame(rows)


def _folder(run_id: str) -> Path:
    return paths.outputs() / "runs" / run_id
