"""The two tidy tables, made from the runs that are done: scores and examples."""

import json
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pandas as pd

from xfer_utils.analysis import stats
from xfer_utils.runs import records
from xfer_utils.runs.kinds import KINDS
from xfer_utils.runs.plan import runs_folder
from xfer_utils.scoring import scores as scoring
from xfer_utils.study import paths
from xfer_utils.study.settings_file import SettingsError
from xfer_utils.study.tasks import task

COMPACT = "scores.csv.gz"  # of a published study: its scores, with what else tables take from items


def plan(study_dir: Path) -> dict:
    """The study's plan as it was last made: settings, runs, and what cannot be run."""
    path = Path(study_dir) / "plan.json"
    if not path.exists():
        command = f"xfer run params/{Path(study_dir).name}.yaml"
        raise FileNotFoundError(f"{path} is missing: `{command}` makes the plan and its runs.")
    return json.loads(path.read_text(encoding="utf-8"))


def study(study_dir: Path) -> dict:
    """What the study asks, its source, and where a made-up world's language table is."""
    content, own = plan(study_dir), Path(study_dir) / "languages.csv"
    languages_csv = str(own) if own.exists() else content["languages_csv"]
    return content["study"] | {"languages_csv": languages_csv}


def scores(study_dir: Path) -> pd.DataFrame:
    """The scores table: one row per run, task, language, split and metric.

    Whatever else a score carries (a layer, the number of shots) is a column too. Where a task's
    metric, or its code, is not the one that the run was scored by, scores are made again. Those of
    a published study are read from its compact table.
    """
    if (compact := Path(study_dir) / COMPACT).exists():
        return pd.read_csv(compact, keep_default_na=False, na_values=[""])  # `no` is a language
    content = plan(study_dir)
    rows, settings = [], content["study"]
    for run, score in _scores_of_today(run for run in content["runs"] if _evaluates(run)):
        # Real data may hold more languages than the benchmark averages.
        languages = settings["languages"] or counted(score["task"], settings)
        whole = settings["source"] == "toy" and not settings["languages"]
        if whole or score["language"] in languages:
            labels, arm = run["labels"], content["arms"][run["labels"]["arm"]]
            head = {key: labels[key] for key in ("model", "train_task", "seed", "same_data", "arm")}
            head |= {"title": arm["title"], "study": settings["name"], "run": run["id"]}
            rows.append(head | score)
    if not rows:
        raise SettingsError(f"{study_dir}: no run of this study is done. `xfer run` makes them.")
    return pd.DataFrame(rows).rename(columns={"task": "target"})


def _evaluates(run: dict) -> bool:
    """Whether a run's scores are of targets, and not of an intermediate task's dev set."""
    return bool(KINDS[run["kind"]].evaluated)


def _scores_of_today(runs: Iterable[dict]) -> Iterator[tuple[dict, dict]]:
    """Each run that is done with each of its scores, by the metrics of today."""
    remaining: Counter[str] = Counter()
    for run in runs:
        scores, left = scoring.rescored(runs_folder() / run["id"], _recorded(run["id"]))
        remaining.update(score["task"] for score in left if score["main"])
        yield from ((run, score) for score in scores)
    if remaining:
        counts = ", ".join(f"{task(name).title} ({n})" for name, n in remaining.items())
        message = f"Scores by an older metric, as their predictions are missing: {counts}."
        warnings.warn(message, stacklevel=2)


def rescore(runs: list[str]) -> str:
    """Makes the scores of finished runs again from their predictions; says what came of it."""
    total, changed, remaining = 0, 0, Counter()
    for run in runs:
        recorded = _recorded(run)
        scores, left = scoring.rescored(runs_folder() / run, recorded, anew=True)
        before = {_name(score): score["value"] for score in recorded}
        values = [(score["value"], before.get(_name(score), math.nan)) for score in scores]
        changed += sum(not math.isclose(*pair, abs_tol=1e-9) for pair in values)
        total += len(scores) - len(left)
        remaining.update(score["task"] for score in left)
    lines = [f"{len(runs)} runs: {total:,} scores from predictions, {changed:,} changed or new."]
    for name, n in remaining.items():
        lines.append(f"{task(name).title}: {n:,} scores stay, as their predictions were not kept.")
    return "\n".join(lines)


def _name(score: dict) -> frozenset:
    """All that names a score, open factors included."""
    values = ("value", "n", "main", "chance", "metric_code")
    return frozenset((key, value) for key, value in score.items() if key not in values)


def counted(name: str, settings: dict) -> set[str]:
    """The languages that the benchmark averages a target over."""
    added = task(name).xtreme_r_languages if settings["benchmark"] == "xtreme_r" else ()
    return {*task(name).languages, *added}


def publish(study_dir: Path) -> Path:
    """Puts all that a study's tables are made from into the committed sample; its folder there."""
    folder, content, table = paths.SAMPLES / study_dir.name, plan(study_dir), scores(study_dir)
    place, marks = ["model", stats.ARM, "target"], ["item_bound", "n_items", "degenerate"]
    from_items = stats.gains(table, examples(study_dir))[[*place, *marks]]
    table = table.drop(columns=["study", "metric_code"]).merge(from_items, how="left", on=place)
    folder.mkdir(parents=True, exist_ok=True)
    table.round(6).to_csv(folder / COMPACT, index=False, compression={"method": "gzip", "mtime": 0})
    files = [study_dir / "tables" / "main.md", study_dir / "findings.json"]
    for file in filter(Path.exists, [*files, Path(content["languages_csv"] or "-")]):
        (folder / file.name).write_bytes(file.read_bytes())
    reasons = not_run(study_dir).items()
    empty = [{"arm": arm, "target": name, "reason": why} for (arm, name), why in reasons]
    content |= {"runs": [], "not_run": empty, "languages_csv": None}
    records.write_json(folder / "plan.json", content)
    return folder


def examples(study_dir: Path) -> stats.Examples | None:
    """A function from a run and a task to its examples table, counted by today's metric.

    A published study has none: its compact table says what items gave.
    """
    if (Path(study_dir) / COMPACT).exists():
        return None

    @cache
    def read(run: str, name: str) -> pd.DataFrame:
        own = [score for score in _recorded(run) if score["task"] == name]
        if scoring.is_current(task(name), own):
            return scoring.predictions(runs_folder() / run, name)
        return scoring.counted_anew(runs_folder() / run, task(name))

    return read


def not_run(study_dir: Path) -> dict[tuple[str, str], str]:
    """Why a cell is empty: it cannot be run, its run failed, or it has not been run yet."""
    content, scored = plan(study_dir), set()
    reasons = {(row["arm"], row["target"]): row["reason"] for row in content["not_run"]}
    for run in filter(_evaluates, content["runs"]):
        if scores := _recorded(run["id"]):
            scored |= {score["task"] for score in scores}
            continue
        failed = (runs_folder() / run["id"] / "error.txt").exists()
        reason = "the run failed" if failed else "not run yet"
        reasons |= {(run["labels"]["arm"], name): reason for name in run["labels"]["targets"]}
    column = {name: task(name).gold_only for _, name in reasons if task(name).gold_only in scored}
    return {(arm, column.get(name, name)): reason for (arm, name), reason in reasons.items()}


def readings(study_dir: Path) -> list[dict]:
    """How each run's tables were read."""
    results = (records.read(runs_folder() / run["id"]) for run in plan(study_dir)["runs"])
    return [row for result in results if result for row in result.data]


def intermediate_scores(study_dir: Path) -> pd.DataFrame:
    """How well each intermediate task was learnt, on its own English dev set."""
    runs = [run for run in plan(study_dir)["runs"] if not _evaluates(run)]
    scores = _scores_of_today(run for run in runs if "leads_to" not in run["labels"])
    rows = [{**run["labels"], **score} for run, score in scores if score["main"]]
    frame = pd.DataFrame(rows, columns=["model", "arm", "seed", "task", "value", "chance", "n"])
    frame["task"] = [task(name).title for name in frame["task"]]
    return frame.rename(columns={"arm": "trained on", "value": "score"})


def published(panel: str) -> pd.DataFrame:
    """Published figures that can be traced, from 0 to 100, a row each with its source.

    `kind` is `seen` (read in the named source) or `derived` (computed from such figures; `source`
    says how). They never share a panel with those of a made-up world.
    """
    file = Path(__file__).parent / "published_figures" / f"{panel}.csv"
    return pd.read_csv(file, keep_default_na=False, dtype={"value": float})


def _recorded(run: str) -> list[dict]:
    """The scores of a run's record; none where it is not done."""
    result = records.read(runs_folder() / run)
    return [score.model_dump() for score in result.scores] if result else []
