"""The answers to the five questions, in one table: what each one's own study declared and found."""

from pathlib import Path

import numpy as np
import pandas as pd

from xfer_utils.analysis import findings, results
from xfer_utils.analysis.findings import Finding
from xfer_utils.analysis.intervals import holm
from xfer_utils.analysis.tables import NOT_RUN, bounds, number
from xfer_utils.runs import records
from xfer_utils.study import paths, settings_file

LANGUAGES, SEEDS = "other languages", "other trainings (seeds)"
COVERS = {  # by study: of what its interval speaks
    "similarity": LANGUAGES, "scaling": SEEDS, "multilingual": SEEDS, "few_shot": SEEDS,
    "typology": LANGUAGES,
}  # fmt: skip


def answers(*roots: Path) -> list[dict[str, str]]:
    """A row of text for each question, from the first of the folders where its study is finished.

    p is corrected by Holm's rule over all five; a question that is not answered counts as p = 1.
    """
    declared = {name: _declared([root / name for root in roots]) for name in COVERS}
    known = [one[0].p if one else None for one in declared.values()]
    p = holm(np.array([1.0 if value is None else value for value in known]))
    rows = []
    for (name, one), corrected in zip(declared.items(), p, strict=True):
        study, _ = settings_file.extended(paths.PARAMS / f"{name}.yaml")
        row = {"study": name, "question": study["question"], "estimand": study["estimand"]}
        row |= dict.fromkeys(("estimate", "covers", "elsewhere", "p", "published"), "")
        row["verdict"] = NOT_RUN
        if one:
            finding, folder = one
            row["estimate"] = _estimate(name, finding.estimate, finding.interval)
            row["elsewhere"] = _elsewhere(name, finding)
            row["covers"] = COVERS[name] if finding.interval else "one run"
            told = finding.p is not None  # else the study itself says why not
            row["p"] = f"{corrected:.3f}" if told else finding.verdict
            row["verdict"] = "holds" if corrected < 0.05 else "not shown" if told else row["p"]
            row["published"] = "published" if folder.parent == paths.SAMPLES else ""
        rows.append(row)
    return rows


def _declared(folders: list[Path]) -> tuple[Finding, Path] | None:
    """The declared finding of the first folder that has one and lacks no run."""
    for folder in folders:
        own = [finding for finding in findings.read(folder) if finding.declared]
        runs = results.plan(folder)["runs"] if own else ()
        if own and all(records.read(paths.outputs() / "runs" / run["id"]) for run in runs):
            return own[0], folder
    return None


def _elsewhere(name: str, finding: Finding) -> str:
    """What docs/worlds.py found for the same declared estimand: the mean and the range."""
    file = paths.SAMPLES / "worlds.csv"
    worlds = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["question", "declared"])
    same = (worlds["question"] == name) & (worlds["declared"] == finding.declared)
    if not same.any():
        return NOT_RUN
    found = worlds.loc[same, "estimate"]
    mean = _estimate(name, found.mean(), (found.min(), found.max()))
    return f"{mean.replace('[', '(').replace(', ', ' to ').replace(']', '')} in {len(found)})"


def _estimate(name: str, estimate: float, interval: tuple[float, float] | None) -> str:
    """The estimate with its interval; a correlation has two decimals."""
    if name != "similarity":
        reach = bounds(*interval) if interval else ""
        return f"{number(estimate, signed=True)} points {reach}".strip()
    r, *reach = [f"{value:.2f}" for value in (estimate, *(interval or ()))]
    return (f"{r} [{', '.join(reach)}]" if reach else r).replace("-", "−")
