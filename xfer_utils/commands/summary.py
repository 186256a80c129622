"""`xfer report`: executes the summary notebooks of a study and builds its HTML report."""

import json
import subprocess
import time
from pathlib import Path
from statistics import mean

from papermill.exceptions import PapermillExecutionError

from xfer_utils.analysis import answers, findings, results, tables
from xfer_utils.commands import overview, report
from xfer_utils.commands.report import Page
from xfer_utils.runs import engines, records
from xfer_utils.runs.plan import Plan, Run
from xfer_utils.study import paths


def build(plan: Plan) -> tuple[Path, str]:
    """Tables, figures and the report from the finished runs; its front page, and what failed.

    What summaries wrote is recorded and deleted before they run again: one that fails, or that the
    study no longer has, leaves nothing old on the page.
    """
    overview.save_plan(plan)
    results.scores(plan.folder)
    record = plan.folder / "notebooks" / "written.json"
    written = json.loads(record.read_text("utf-8"))["files"] if record.exists() else ()
    for name in written:
        (plan.folder / name).unlink(missing_ok=True)
    pages = [_summary(plan, paths.NOTEBOOKS / f"{name}.ipynb") for name in plan.study.summaries]
    files = [file.relative_to(plan.folder).as_posix() for page in pages for file in page.files]
    records.write_json(record, {"files": files})
    failed = "\n".join(f"{page.title}: {page.error}" for page in pages if page.error)
    pages += [_job(run) for run in plan.runs.values()]
    arms, not_run = plan.arms, results.not_run(plan.folder)
    about = {"arms": arms, "not_run": not_run, "left_out": plan.left_out, "commit": commit()}
    if plan.study.source == "toy":
        about["answers"] = answers.answers(paths.outputs(), paths.SAMPLES)
    return report.build(plan.folder, results.study(plan.folder), pages, **about), failed


def commit() -> str:
    """The commit that the code was at, and whether files differ from it; empty without git."""
    call = ["git", "-C", str(paths.PROJECT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _summary(plan: Plan, notebook: Path) -> Page:
    """Executes a summary notebook; the tables and figures of one that fails are deleted."""
    executed, before, error = plan.folder / "notebooks" / notebook.name, _written(plan.folder), ""
    title = "".join(json.loads(notebook.read_text("utf-8"))["cells"][0]["source"])
    parameters = {"study_dir": str(plan.folder)}
    engines.check_parameters(notebook, parameters)
    try:
        engines.execute_notebook(notebook, executed, parameters, threads=1)
    except PapermillExecutionError as problem:
        error = engines.last_line(str(problem))
    files = [file for file, when in _written(plan.folder).items() if before.get(file) != when]
    for file in files if error else ():
        if file.name == findings.FILE:
            findings.write(plan.folder, notebook.stem, [])  # those of other summaries stay
        else:
            file.unlink()
    return Page(
        title.splitlines()[0].lstrip("# "), "summary", "failed" if error else "done", executed,
        error=error, files=() if error else tuple(files),
    )  # fmt: skip


def _written(folder: Path) -> dict[Path, int]:
    """What summaries write, and when each file was last written."""
    files = [*folder.glob("tables/*"), *folder.glob("figures/*"), *folder.glob("findings.json")]
    return {file: file.stat().st_mtime_ns for file in sorted(files)}


def _job(run: Run) -> Page:
    """What the report says of one run; its score is each task's mean over languages."""
    executed, error = run.folder / engines.EXECUTED, run.folder / engines.ERROR
    path, result = executed if executed.exists() else None, records.read(run.folder)
    known = {"path": path, "id": run.id, "arm": run.labels.get("arm", "")}
    row = [run.labels[name] for name in ("model", "arm") if name in run.labels]
    targets = (*run.labels.get("targets", ()), *tables.MEANS)
    known["cells"] = tuple(".".join([*row, name]) for name in targets)  # they rest on the run
    if result:
        main: dict[str, list[float]] = {}
        for score in result.scores:
            if score.main:
                main.setdefault(score.task, []).append(score.value)
        means = [f"{name} {mean(values):.1f}" for name, values in main.items()]
        known["score"] = ", ".join(means + overview.worthless(result))
        known["files"] = (run.folder / records.RESULT, *sorted(run.folder.glob("predictions/*")))
        made = time.gmtime((run.folder / records.RESULT).stat().st_mtime)
        known["made"] = result.environment | result.timing | {"date": time.strftime("%F", made)}
        known["seconds"] = result.timing["total"]
        return Page(run.slug, run.kind.name, "done", **known)
    if error.exists():
        known["error"] = engines.last_line(error.read_text("utf-8"))
    return Page(run.slug, run.kind.name, "failed" if error.exists() else "not run", **known)
