"""Predictions in XTREME's submission format: one folder per task, one file per language."""

import json
from pathlib import Path

import pandas as pd

from xfer_utils.runs.plan import Plan, Run
from xfer_utils.scoring.scores import predictions_path
from xfer_utils.study.settings_file import SettingsError, closest
from xfer_utils.study.tasks import Task, task

# Languages in which the hub's rows are not those of the benchmark's own files, and why.
UNLIKE = {
    "udpos": (
        ("ar", "de", "es", "fr", "he", "it", "pt", "tr"),
        "tags syntactic words where the benchmark's files have fused surface forms",
    ),
    "lareqa": (
        task("lareqa").languages,
        "has no sentence breaks, so the sentences to choose from are not the benchmark's",
    ),
}


def export(
    plan: Plan, arm: str, folder: Path, model: str = "", dev: bool = False
) -> tuple[list[Path], list[str]]:
    """Writes what one model predicted in one arm, first seed.

    Only whole test sets are a submission: anything else is refused before a file is written. With
    `dev`, what was evaluated on dev is written too, as `dev-<language>`. Languages in which the
    source's rows are not the benchmark's are left out; the second list says so.
    """
    done, models = plan.done(), list(plan.study.models)
    model = model or models[0] if len(models) == 1 else model
    if model not in models:
        message = f"say which model with --model: {', '.join(models)}.{closest(model, models)}"
        raise SettingsError(f"{plan.file}: {message}")
    row = {"model": model, "arm": arm}
    runs = [plan.runs[id] for id in done if row.items() <= plan.runs[id].labels.items()]
    runs.sort(key=lambda run: run.labels["seed"], reverse=True)
    first = {name: run for run in runs for name in run.labels.get("targets", ())}
    if not first:
        raise SettingsError(f"{plan.file}: no run of {model} after `{arm}` is done.")
    targets = [name for name in plan.study.targets if name in first]
    tables = {name: _predictions(plan, name, first[name], dev) for name in targets}
    files, left_out = [], []
    for name, (part, frame) in tables.items():
        codes, why = UNLIKE.get(name, ((), "")) if plan.study.source == "hub" else ((), "")
        unlike = frame["language"].isin(codes)
        files += write(name, frame[~unlike], part, folder)
        if unlike.any():
            absent = ", ".join(sorted(set(frame.loc[unlike, "language"])))
            sentence = f"left out {absent}, as no valid submission: the hub {why}."
            left_out.append(f"{task(name).title}: {sentence}")
    return files, left_out


def _predictions(plan: Plan, name: str, run: Run, dev: bool) -> tuple[str, pd.DataFrame]:
    """Whether a target's predictions cover the benchmark's test set or its dev set, and they."""
    row, path = task(name), predictions_path(run.folder, name, run.job.evaluate[name][0])
    role = "test" if "test" in row.splits else "dev"
    if not path.exists():
        problem = "the source has gold pairs only; name a `source:` with whole pools"
    elif most := run.parameters.get("max_eval_items"):
        problem = f"evaluated on at most {most} items: set `max_eval_items: 0` and run again"
    else:
        frame = pd.read_parquet(path)
        split = frame["split"].iloc[0]
        if dev or split == row.splits[role]:
            return "test" if split == row.splits[role] else "dev", frame
        setting = f"set `evaluate: {{{name}: {role}}}` and run again, or export with --dev"
        problem = f"evaluated on {split}, the benchmark is {row.splits[role]}: {setting}"
    raise SettingsError(f"{plan.file}: {row.title}: {problem}.")


def write(name: str, frame: pd.DataFrame, part: str, folder: Path) -> list[Path]:
    """Writes `<folder>/<task>/<part>-<language>.tsv`, `.json` or `.jsonl`, as `_file` says."""
    written = []
    for language, own in frame.groupby("language", sort=True):
        text, suffix = _file(task(name), own)
        path = Path(folder) / name / f"{part}-{language}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


def _file(task: Task, rows: pd.DataFrame) -> tuple[str, str]:
    """One file's text and ending."""
    predictions = rows["prediction"]
    if task.metric == "mining_f1":  # pairs of ids, for the predicted pairs only
        mined = rows[rows["n_pred"] > 0]
        return "".join(mined["id"] + "\t" + mined["prediction"] + "\n"), "tsv"
    if task.metric == "retrieval_accuracy":  # numbers from 0, for the sorted English queries
        number = {gold: place for place, gold in enumerate(rows["gold"])}
        ordered = rows.sort_values("text", kind="stable")["prediction"]
        return "".join(f"{number[sentence]}\n" for sentence in ordered), "tsv"
    if task.format == "choice":
        labels = [json.dumps({"label": int(_label(task, p))}) for p in predictions]
        return "".join(f"{label}\n" for label in labels), "jsonl"
    if task.format == "span" or task.metric == "map_at_20":
        answers = dict(zip(rows["id"], predictions, strict=True))
        if task.metric == "map_at_20":  # XTREME-R has no ids for LAReQA: they are ours
            answers = {id: json.loads(ranked)[:20] for id, ranked in answers.items()}
        return json.dumps(answers, ensure_ascii=False, indent=1), "json"
    if task.format == "token":  # an empty line between sentences
        sentences = ["".join(f"{tag}\n" for tag in json.loads(p)) for p in predictions]
        return "\n".join(sentences), "tsv"
    return "".join(f"{_label(task, p)}\n" for p in predictions), "tsv"


def _label(task: Task, label: str) -> str:
    """A label as the benchmark spells it: XNLI by name, all others by number."""
    by_name = task.name == "xnli" or label not in task.labels
    return label if by_name else str(task.labels.index(label))
