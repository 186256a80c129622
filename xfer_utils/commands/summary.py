"""`xfer report`: executes the summary notebooks of a study and builds its HTML report."""

import json
from pathlib import Path
from statistics import mean

from papermill.exceptions import PapermillExecutionError

from xfer_utils.analysis import results
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
    return report.build(plan.folder, results.study(plan.folder), pages), failed


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
    if error:
        for file in files:
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
    if result:
        main: dict[str, list[float]] = {}
        for score in result.scores:
            if score.main:
                main.setdefault(score.task, []).append(score.value)
        means = ", ".join(f"{name} {mean(values):.1f}" for name, values in main.items())
        seconds = result.timing["total"]
        return Page(run.slug, run.kind.name, "done", path, run.id, means, seconds)
    if error.exists():
        problem = engines.last_line(error.read_text("utf-8"))
        return Page(run.slug, run.kind.name, "failed", path, run.id, error=problem)
    return Page(run.slug, run.kind.name, "not run", path, run.id)
