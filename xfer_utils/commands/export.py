"""Predictions in the form in which XTREME takes submissions: one folder per task, one file per language."""

import json
from pathlib import Path

import pandas as pd

from xfer_utils.runs.plan import Plan, Run
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
    plan: Plan, intermediate: str, folder: Path, model: str = "", dev: bool = False
) -> tuple[list[Path], list[str]]:  # fmt: skip
    """Writes what one model predicted after one intermediate task (or none), first seed; says what it leaves out.

    Only whole test sets are a submission: anything else is refused before a file is written. With `dev`, what was
    evaluated on dev is written too, under `dev-<language>` names. Languages in which the source's rows are not the
    benchmark's are left out.
    """
    done, model = plan.done(), _model(plan, model)
    own = [run for run in plan.runs.values() if run.id in done and "targets" in run.labels]
    own = [run for run in own if (run.labels["model"], run.labels["arm"]) == (model, intermediate)]
    if not own:
        raise SettingsError(f"{plan.file}: no run of {model} after `{intermediate}` is done.")
    first: dict[str, Run] = {}
    for run in sorted(own, key=lambda run: run.labels["seed"]):
        for name in run.labels["targets"]:
            first.setdefault(name, run)
    found = {
        name: _predictions(plan, name, first[name], dev)
        for name in plan.study.targets
        if name in first
    }
    files, left_out = [], []
    for name, (part, frame) in found.items():
        own, sentence = _of_the_benchmark(plan.study.source, name, frame)
        files += write(name, own, part, folder)
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
    """A target's examples table, and whether it covers the benchmark's test set or another split."""
    row, path = task(name), run.folder / "predictions" / f"{name}.parquet"
    if not path.exists():
        raise SettingsError(
            f"{plan.file}: {row.title}: the source has gold pairs only, so nothing was mined: take `{name}` out of "
            "`targets:`, or name a `source:` with whole pools."
        )
    if most := run.parameters.get("max_eval_items"):
        raise SettingsError(
            f"{plan.file}: {row.title} was evaluated on at most {most} items per language: set `max_eval_items: 0` "
            "and run the study again."
        )
    frame, role = pd.read_parquet(path), "test" if "test" in row.splits else "dev"
    split = frame["split"].iloc[0]
    if split == row.splits[role]:
        return "test", frame
    if not dev:
        raise SettingsError(
            f"{plan.file}: {row.title} was evaluated on {split}, the benchmark is {row.splits[role]}: set "
            f"`evaluate: {{{name}: {role}}}` and run the study again, or export with --dev."
        )
    return "dev", frame


def _of_the_benchmark(source: str, name: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The languages in which the source's rows are the benchmark's, and a sentence on the others, if there are any."""
    codes, why = UNLIKE.get(name, ((), "")) if source == "hub" else ((), "")
    unlike = frame["language"].isin(codes)
    if not unlike.any():
        return frame, ""
    absent = ", ".join(sorted(set(frame.loc[unlike, "language"])))
    return frame[
        ~unlike
    ], f"{task(name).title}: left out {absent}, as no valid submission: the hub {why}."


def write(name: str, frame: pd.DataFrame, part: str, folder: Path) -> list[Path]:
    """Writes `<folder>/<task>/<part>-<language>.tsv` (`.json` for answers and ranked lists, `.jsonl` for choices).

    Labels: names for XNLI, numbers for PAWS-X; choices: one object with the label's number a line; tags: one a line,
    an empty line between sentences; answers: an object from question id to text; mining: pairs of ids (`id` is the
    source's, `prediction` the target's); Tatoeba: the number, from 0, of the sentence found for each English query,
    in the order of the sorted queries; ranked lists: an object from query id to the best 20 ids (XTREME-R scores
    Mewsli-X from such a file, LAReQA from vectors alone, so that LAReQA's candidates have ids of ours).
    """
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
    if task.metric == "mining_f1":
        mined = rows[rows["n_pred"] > 0]
        pairs = zip(mined["id"], mined["prediction"], strict=True)
        return "".join(f"{source}\t{target}\n" for source, target in pairs), "tsv"
    if task.metric == "map_at_20":
        ranked = {
            i: json.loads(p)[:20] for i, p in zip(rows["id"], rows["prediction"], strict=True)
        }
        return json.dumps(ranked, ensure_ascii=False, indent=1), "json"
    if task.metric == "retrieval_accuracy":
        place = {gold: i for i, gold in enumerate(rows["gold"])}
        order = rows.sort_values("text", kind="stable")
        return "".join(f"{place[found]}\n" for found in order["prediction"]), "tsv"
    if task.format == "choice":
        return "".join(
            json.dumps({"label": int(_label(task, p))}) + "\n" for p in rows["prediction"]
        ), "jsonl"
    if task.format == "span":
        answers = dict(zip(rows["id"], rows["prediction"], strict=True))
        return json.dumps(answers, ensure_ascii=False, indent=1), "json"
    if task.format == "token":
        return "\n".join(
            "".join(f"{tag}\n" for tag in json.loads(p)) for p in rows["prediction"]
        ), "tsv"
    return "".join(f"{_label(task, label)}\n" for label in rows["prediction"]), "tsv"


def _label(task: Task, label: str) -> str:
    """A label as the benchmark spells it: XNLI by name, all others by number."""
    by_name = task.name == "xnli" or str(label) not in task.labels
    return str(label) if by_name else str(task.labels.index(label))
