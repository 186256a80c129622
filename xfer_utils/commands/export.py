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
    done, model = plan.done(), _model(plan, model)
    first: dict[str, Run] = {}
    for run in sorted(plan.runs.values(), key=lambda run: run.labels.get("seed", 0)):
        row = (run.labels["model"], run.labels.get("arm"))
        if run.id in done and row == (model, arm):
            for name in run.labels.get("targets", ()):
                first.setdefault(name, run)
    if not first:
        raise SettingsError(f"{plan.file}: no run of {model} after `{arm}` is done.")
    targets = [name for name in plan.study.targets if name in first]
    tables = {name: _predictions(plan, name, first[name], dev) for name in targets}
    files, left_out = [], []
    for name, (part, frame) in tables.items():
        valid, sentence = _of_the_benchmark(plan.study.source, name, frame)
        files += write(name, valid, part, folder)
        left_out += [sentence] if sentence else []
    return files, left_out


def _model(plan: Plan, name: str) -> str:
    """The model that is meant; it has to be named where the study has several."""
    known = list(plan.study.models)
    if not name and len(known) > 1:
        raise SettingsError(f"{plan.file}: say which model with --model: {', '.join(known)}.")
    if name and name not in known:
        raise SettingsError(f"{plan.file}: no model `{name}`.{closest(name, known)}")
    return name or known[0]


def _predictions(plan: Plan, name: str, run: Run, dev: bool) -> tuple[str, pd.DataFrame]:
    """A target's examples table, and whether it covers the benchmark's test set or its dev set."""
    row = task(name)
    path = predictions_path(run.folder, name, run.job.evaluate[name][0])
    role = "test" if "test" in row.splits else "dev"
    again = "and run the study again"
    problem = ""
    if not path.exists():
        problem = "the source has gold pairs only; name a `source:` with whole pools"
    elif most := run.parameters.get("max_eval_items"):
        problem = f"evaluated on at most {most} items: set `max_eval_items: 0` {again}"
    else:
        frame = pd.read_parquet(path)
        split = frame["split"].iloc[0]
        if split == row.splits[role]:
            return "test", frame
        if dev:
            return "dev", frame
        setting = f"set `evaluate: {{{name}: {role}}}` {again}, or export with --dev"
        problem = f"evaluated on {split}, the benchmark is {row.splits[role]}: {setting}"
    raise SettingsError(f"{plan.file}: {row.title}: {problem}.")


def _of_the_benchmark(source: str, name: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The languages whose rows are the benchmark's own, and a sentence on the others."""
    codes, why = UNLIKE.get(name, ((), "")) if source == "hub" else ((), "")
    unlike = frame["language"].isin(codes)
    if not unlike.any():
        return frame, ""
    absent = ", ".join(sorted(set(frame.loc[unlike, "language"])))
    sentence = f"left out {absent}, as no valid submission: the hub {why}."
    return frame[~unlike], f"{task(name).title}: {sentence}"


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
        pairs = zip(mined["id"], mined["prediction"], strict=True)
        return "".join(f"{source}\t{target}\n" for source, target in pairs), "tsv"
    if task.metric == "map_at_20":  # XTREME-R has no ids for LAReQA: they are ours
        ranked = {id: json.loads(p)[:20] for id, p in zip(rows["id"], predictions, strict=True)}
        return json.dumps(ranked, ensure_ascii=False, indent=1), "json"
    if task.metric == "retrieval_accuracy":  # numbers from 0, for the sorted English queries
        number = {gold: place for place, gold in enumerate(rows["gold"])}
        ordered = rows.sort_values("text", kind="stable")["prediction"]
        return "".join(f"{number[sentence]}\n" for sentence in ordered), "tsv"
    if task.format == "choice":
        labels = [json.dumps({"label": int(_label(task, p))}) for p in predictions]
        return "".join(f"{label}\n" for label in labels), "jsonl"
    if task.format == "span":
        answers = dict(zip(rows["id"], predictions, strict=True))
        return json.dumps(answers, ensure_ascii=False, indent=1), "json"
    if task.format == "token":  # an empty line between sentences
        sentences = ["".join(f"{tag}\n" for tag in json.loads(p)) for p in predictions]
        return "\n".join(sentences), "tsv"
    return "".join(f"{_label(task, p)}\n" for p in predictions), "tsv"


def _label(task: Task, label: str) -> str:
    """A label as the benchmark spells it: XNLI by name, all others by number."""
    by_name = task.name == "xnli" or str(label) not in task.labels
    return str(label) if by_name else str(task.labels.index(label))
