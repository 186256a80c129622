"""The two tidy tables, made from the runs that are done: scores and examples."""

import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pandas as pd

from xfer_utils.runs import records
from xfer_utils.runs.kinds import KINDS
from xfer_utils.scoring import scores as scoring
from xfer_utils.study import paths
from xfer_utils.study.settings_file import SettingsError
from xfer_utils.study.tasks import task


def plan(study_dir: Path) -> dict:
    """The study's plan as it was last made: settings, runs, and what cannot be run."""
    path = Path(study_dir) / "plan.json"
    if not path.exists():
        command = f"xfer run params/{Path(study_dir).name}.yaml"
        raise FileNotFoundError(f"{path} is missing: `{command}` makes the plan and its runs.")
    return json.loads(path.read_text(encoding="utf-8"))


def study(study_dir: Path) -> dict:
    """What the study asks, its source, and where a made-up world's language table is."""
    content = plan(study_dir)
    keys = ("name", "title", "question", "estimand", "source", "note")
    settings = {key: content["study"][key] for key in keys}
    return settings | {"languages_csv": content["languages_csv"]}


def scores(study_dir: Path) -> pd.DataFrame:
    """The scores table: one row per run, task, language, split and metric.

    Whatever else a score carries (a layer, the number of shots) is a column too. Where a task's
    metric, or its code, is not the one that the run was scored by, scores are made again.
    """
    content, rows = plan(study_dir), []
    runs = [run for run in content["runs"] if KINDS[run["kind"]].evaluated]
    for run, score in _scores_of_today(runs):
        if not _belongs(score, content["study"]):
            continue
        labels = {key: run["labels"][key] for key in ("model", "train_task", "seed", "same_data")}
        arm = run["labels"]["arm"]
        labels |= {"arm": arm, "title": content["arms"][arm]["title"]}
        labels |= {"study": content["study"]["name"], "run": run["id"]}
        rows.append({**labels, **score})
    if not rows:
        raise SettingsError(
            f"{study_dir}: no run of this study is done yet. `xfer run` makes them."
        )
    return pd.DataFrame(rows).rename(columns={"task": "target"})


def _scores_of_today(runs: list[dict]) -> Iterator[tuple[dict, dict]]:
    """Each run that is done with each of its scores, by the metrics of today."""
    remaining: Counter[str] = Counter()
    for run in runs:
        made, left = scoring.rescored(_folder(run["id"]), _recorded(run["id"]))
        remaining.update(score["task"] for score in left if score["main"])
        yield from ((run, score) for score in made)
    if remaining:
        counts = ", ".join(f"{task(name).title} ({n})" for name, n in remaining.items())
        message = f"Scores by an older metric, as their predictions are missing: {counts}."
        warnings.warn(message, stacklevel=2)


def rescore(runs: list[str]) -> str:
    """Makes the scores of finished runs again from their predictions; says what came of it."""
    made, changed, new, unmade = 0, 0, 0, Counter()
    for run in runs:
        scores, left = scoring.rescored(_folder(run), _recorded(run), anew=True)
        before = {_name(score): score["value"] for score in _recorded(run)}
        differences = [abs(s["value"] - before.get(_name(s), math.inf)) for s in scores]
        new += differences.count(math.inf)
        changed += sum(1e-9 < difference < math.inf for difference in differences)
        made += len(scores) - len(left)
        unmade.update(score["task"] for score in left)
    lines = [
        f"{len(runs)} runs: {made:,} scores made again from predictions, "
        f"{changed:,} changed, {new:,} new."
    ]
    for name, n in unmade.items():
        lines.append(f"{task(name).title}: {n:,} scores stay, as their predictions were not kept.")
    return "\n".join(lines)


def _name(score: dict) -> str:
    """All that names a score, open factors included."""
    found = ("value", "n", "main", "chance", "metric_code")
    return json.dumps({k: v for k, v in score.items() if k not in found}, sort_keys=True)


def _belongs(score: dict, settings: dict) -> bool:
    """Whether a score's language counts: real data may hold more than the benchmark averages."""
    if settings["languages"]:
        return score["language"] in settings["languages"]
    row = task(score["task"])
    added = row.xtreme_r_languages if settings["benchmark"] == "xtreme_r" else ()
    return settings["source"] == "toy" or score["language"] in {*row.languages, *added}


def examples(study_dir: Path) -> Callable[[str, str], pd.DataFrame]:
    """A function from a run and a task to its examples table, counted by today's metric."""

    @cache
    def read(run: str, name: str) -> pd.DataFrame:
        own = [score for score in _recorded(run) if score["task"] == name]
        if scoring.is_current(task(name), own):
            return scoring.predictions(_folder(run), name)
        return scoring.counted_anew(_folder(run), task(name))

    return read


def not_run(study_dir: Path) -> dict[tuple[str, str], str]:
    """Why a cell is empty: it cannot be run, its run failed, or it has not been run yet."""
    content, scored = plan(study_dir), set()
    reasons = {(row["arm"], row["target"]): row["reason"] for row in content["not_run"]}
    for run in content["runs"]:
        targets = run["labels"].get("targets", ())
        if scores := _recorded(run["id"]) if targets else ():
            scored |= {score["task"] for score in scores}
            continue
        failed = (_folder(run["id"]) / "error.txt").exists()
        reason = "the run failed" if failed else "not run yet"
        reasons |= {(run["labels"]["arm"], name): reason for name in targets}
    column = {name: task(name).gold_only for _, name in reasons if task(name).gold_only in scored}
    return {(arm, column.get(name, name)): reason for (arm, name), reason in reasons.items()}


def readings(study_dir: Path) -> pd.DataFrame:
    """What was read, by data set and split: rows, where the release has other numbers, oddities."""
    content, tables = plan(study_dir), {}
    for run in content["runs"]:
        result = records.read(_folder(run["id"]))
        for row in result.data if result else ():
            same = tables.setdefault((row["task"], row["split"]), {})
            before = same.get(row["language"], {}).get("dropped_as_evaluated", 0)
            dropped = max(row.get("dropped_as_evaluated", 0), before)
            same[row["language"]] = {**row, "dropped_as_evaluated": dropped}
    from_hub = content["study"]["source"] == "hub"
    return pd.DataFrame(
        [_reading(*key, [*same.values()], from_hub) for key, same in tables.items()]
    )


def _reading(name: str, split: str, tables: list[dict], from_hub: bool) -> dict[str, str | int]:
    other = [
        f"{row['language']} {row['rows']:,} of {row['expected']:,}"
        for row in tables
        if row["as_expected"] is False
    ]
    return {
        "data set": task(name).title,
        "split": split,
        "languages": len(tables),
        "rows": sum(row["rows"] for row in tables),
        "dropped, being evaluated": sum(row["dropped_as_evaluated"] for row in tables),
        "not as released": ", ".join(other),
        "remarks": "; ".join(_remarks(tables, from_hub)),
    }


def _remarks(tables: list[dict], from_hub: bool) -> list[str]:
    """What is odd about one data set and split: rows left out, odd rows, registry notes."""
    counts = Counter()
    for table in tables:
        counts.update({**table["dropped"], **table["odd"]})
    remarks = [f"{what}: {count:,}" for what, count in counts.items() if count]
    remarks += [table["notes"] for table in tables]
    if from_hub:
        entries = [task(table["task"]).hub_for(table["language"]) for table in tables]
        remarks += [entry.note for entry in entries if entry]
    return [remark for remark in dict.fromkeys(remarks) if remark]


def mixture_notes(study_dir: Path) -> list[str]:
    """What each mixture was trained on, in words."""
    content, notes = plan(study_dir), []
    for name, arm in content["arms"].items():
        if len(arm["tasks"]) < 2:
            continue
        reasons = content["left_out"].get(name, {})
        titles = ", ".join(task(part).title for part in arm["tasks"] if part not in reasons)
        left_out = [f"{task(part).title} is left out: {why}." for part, why in reasons.items()]
        notes.append(" ".join([f"{arm['title']}: {titles}, all at once.", *left_out]))
    return notes


def intermediate_scores(study_dir: Path) -> pd.DataFrame:
    """How well each intermediate task was learnt, on its own English dev set."""
    runs = [run for run in plan(study_dir)["runs"] if not KINDS[run["kind"]].evaluated]
    runs = [run for run in runs if "leads_to" not in run["labels"]]
    rows = [
        {
            "model": run["labels"]["model"],
            "trained on": run["labels"]["arm"],
            "seed": run["labels"]["seed"],
            "task": task(score["task"]).title,
            "score": score["value"],
            "chance": score["chance"],
            "n": score["n"],
        }
        for run, score in _scores_of_today(runs)
        if score["main"]
    ]
    return pd.DataFrame(rows)


def _recorded(run: str) -> list[dict]:
    """The scores of a run's record; none where it is not done."""
    result = records.read(_folder(run))
    return [score.model_dump() for score in result.scores] if result else []


def _folder(run: str) -> Path:
    return paths.outputs() / "runs" / run
