"""`xfer report`: executes the summary notebooks of a study and builds its HTML report."""

import hashlib
import json
from pathlib import Path

from papermill.exceptions import PapermillExecutionError

from xfer_utils.analysis import results
from xfer_utils.commands import overview, report
from xfer_utils.runs import engines, records
from xfer_utils.runs.plan import Plan
from xfer_utils.study import paths

SUMMARIES = ("50_main_table.ipynb",)


def build(plan: Plan) -> tuple[Path, str]:
    """Tables, figures and the report from the runs that are done; its front page, and what failed in making it."""
    overview.save_plan(plan)
    results.scores(plan.folder)
    pages = [_summary(plan, name) for name in SUMMARIES]
    pages += [_job(plan, run_id) for run_id in plan.runs]
    failed = [
        f"{page['title']}: {page['error']}"
        for page in pages
        if page["kind"] == "summary" and page.get("error")
    ]
    return report.build(plan.folder, results.study(plan.folder), pages), "\n".join(failed)


def _summary(plan: Plan, name: str) -> dict:
    """Executes a summary notebook, unless nothing that it reads has changed since it last ran."""
    notebook, executed = paths.NOTEBOOKS / name, plan.folder / "notebooks" / name
    mark, stamp = _mark(plan, notebook), executed.with_suffix(".stamp")
    page = {"title": _title(notebook), "path": executed, "kind": "summary", "status": "done"}
    if executed.exists() and stamp.exists() and stamp.read_text() == mark:
        return page
    parameters = {"study_dir": str(plan.folder)}
    engines.check_parameters(notebook, parameters)
    try:
        engines.execute_notebook(notebook, executed, parameters, threads=1)
    except PapermillExecutionError as error:
        return {**page, "status": "failed", "error": engines.last_line(str(error))}
    stamp.write_text(mark)
    return page


def _mark(plan: Plan, notebook: Path) -> str:
    """A hash of what a summary is made from: the plan, which runs are done, the notebook, the package."""
    done = sorted(plan.done())
    package = sorted((paths.PROJECT / "xfer_utils").rglob("*"))
    code = b"".join(
        path.read_bytes() for path in package if path.suffix in (".py", ".yaml", ".csv")
    )
    parts = [json.dumps(done), (plan.folder / "plan.json").read_text(), notebook.read_text()]
    return hashlib.sha256("\n".join(parts).encode() + code).hexdigest()


def _job(plan: Plan, run_id: str) -> dict:
    """What the report says of one run."""
    run = plan.runs[run_id]
    result, executed = records.read(run.folder), run.folder / engines.EXECUTED
    error = run.folder / engines.ERROR
    page = {
        "id": run_id,
        "title": run.slug,
        "kind": run.kind.name,
        "path": executed if executed.exists() else None,
    }
    if result is None:
        failed = (
            {"status": "failed", "error": engines.last_line(error.read_text())}
            if error.exists()
            else {}
        )
        return {**page, "status": "not run", **failed}
    means: dict[str, list[float]] = {}
    for score in result.scores:
        if score.main:
            means.setdefault(score.task, []).append(score.value)
    shown = ", ".join(f"{name} {sum(values) / len(values):.1f}" for name, values in means.items())
    return {
        **page,
        "status": "done",
        "score": shown,
        "seconds": result.timing["total"],
    }


def _title(notebook: Path) -> str:
    first = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).splitlines()[0].lstrip("# ")
