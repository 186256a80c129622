"""`xfer report`: executes the summary notebooks of a study and builds its HTML report."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import mean

from papermill.exceptions import PapermillExecutionError

from xfer_utils.analysis import results
from xfer_utils.commands import overview, report
from xfer_utils.commands.report import Page
from xfer_utils.runs import engines, records
from xfer_utils.runs.plan import Plan
from xfer_utils.study import paths


def build(plan: Plan) -> tuple[Path, str]:
    """Tables, figures and the report from the finished runs; its front page, and what failed."""
    overview.save_plan(plan)
    results.scores(plan.folder)
    names = plan.study.summaries
    for record in (plan.folder / "notebooks").glob("*.json"):
        if record.stem not in names:
            _discard(record)
    pages = [_summary(plan, paths.NOTEBOOKS / f"{name}.ipynb") for name in names]
    failed = "\n".join(f"{page.title}: {page.error}" for page in pages if page.error)
    pages += [_job(plan, run_id) for run_id in plan.runs]
    return report.build(plan.folder, results.study(plan.folder), pages), failed


def _summary(plan: Plan, notebook: Path) -> Page:
    """Executes a summary notebook, unless nothing that it reads has changed since it last ran.

    What it wrote is recorded, so that a summary that fails leaves nothing old on the page.
    """
    executed = plan.folder / "notebooks" / notebook.name
    record, mark = executed.with_suffix(".json"), _mark(plan, notebook)
    title = "".join(json.loads(notebook.read_text("utf-8"))["cells"][0]["source"])
    page = {"title": title.splitlines()[0].lstrip("# "), "path": executed, "kind": "summary"}
    last = _read(record)
    if not executed.exists() or last.get("mark") != mark:
        _discard(record)
        before = _written(plan.folder)
        parameters = {"study_dir": str(plan.folder)}
        engines.check_parameters(notebook, parameters)
        error = ""
        try:
            engines.execute_notebook(notebook, executed, parameters, threads=1)
        except PapermillExecutionError as problem:
            error = engines.last_line(str(problem))
        files = [path for path, when in _written(plan.folder).items() if before.get(path) != when]
        if error:
            _delete(plan.folder, files)
            return Page(**page, status="failed", error=error)
        last = {"mark": mark, "files": files}
        records.write_json(record, last)
    return Page(**page, status="done", files=tuple(plan.folder / name for name in last["files"]))


def _written(folder: Path) -> dict[str, int]:
    """What summaries write, and when each file was last written."""
    files = [*folder.glob("tables/*"), *folder.glob("figures/*"), *folder.glob("findings.json")]
    return {file.relative_to(folder).as_posix(): file.stat().st_mtime_ns for file in sorted(files)}


def _read(record: Path) -> dict:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _discard(record: Path) -> None:
    """Deletes what a summary wrote, and the record of it."""
    _delete(record.parent.parent, _read(record).get("files", ()))
    record.unlink(missing_ok=True)


def _delete(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _mark(plan: Plan, notebook: Path) -> str:
    """A hash of what a summary is made from: the plan, finished runs, the notebook, the package."""
    package = sorted((paths.PROJECT / "xfer_utils").rglob("*"))
    files = [path for path in package if path.suffix in (".py", ".yaml", ".csv")]
    mark = hashlib.sha256(json.dumps(sorted(plan.done())).encode())
    for file in (plan.folder / "plan.json", notebook, *files):
        mark.update(file.read_bytes())
    return mark.hexdigest()


def _job(plan: Plan, run_id: str) -> Page:
    """What the report says of one run."""
    run = plan.runs[run_id]
    result, executed = records.read(run.folder), run.folder / engines.EXECUTED
    page = {"title": run.slug, "kind": run.kind.name, "id": run_id}
    page["path"] = executed if executed.exists() else None
    if result:
        scores = ", ".join(f"{name} {x:.1f}" for name, x in _main_scores(result).items())
        return Page(**page, status="done", score=scores, seconds=result.timing["total"])
    error = run.folder / engines.ERROR
    if error.exists():
        return Page(**page, status="failed", error=engines.last_line(error.read_text("utf-8")))
    return Page(**page, status="not run")


def _main_scores(result: records.Result) -> dict[str, float]:
    """A run's main score of each task, as the mean over its languages."""
    values = defaultdict(list)
    for score in result.scores:
        if score.main:
            values[score.task].append(score.value)
    return {name: mean(scores) for name, scores in values.items()}
