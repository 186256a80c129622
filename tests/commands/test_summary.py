"""Summaries that run again, fail or leave the study, and what the page shows then."""

import json
from dataclasses import replace

import nbformat
import pytest
from conftest import SMOKE
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from xfer_utils.commands import summary
from xfer_utils.runs import plan as study
from xfer_utils.runs import records
from xfer_utils.study import paths

SCORE = {"task": "xnli", "language": "en", "split": "dev", "metric": "accuracy"}
WRITES = """
from pathlib import Path
for folder, name in (("tables", "{name}.html"), ("figures", "{name}.svg")):
    (Path(study_dir) / folder).mkdir(exist_ok=True)
    (Path(study_dir) / folder / name).write_text("<table><tr><td>number {name}</td></tr></table>")
"""


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The smoke study with one finished run, and an empty folder of notebooks."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    plan = study.make_plan(SMOKE)
    run = next(run for run in plan.runs.values() if run.kind.name == "target")
    run.folder.mkdir(parents=True)
    scores = [{**SCORE, "value": 50.0, "n": 2, "main": True}]
    records.write_draft(run.folder, watch=records.Stopwatch(), scores=scores)
    facts = {"id": run.id, "kind": run.kind.name, "labels": run.labels, "identity": run.identity}
    facts |= {"parameters": run.parameters, "parents": [], "code": run.code}
    records.accept(run.folder, **facts, seconds=1.0)
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    return with_summaries(plan, "first", "second")


def with_summaries(plan, *names):
    """The plan of the same study with these summaries."""
    return replace(plan, study=plan.study.model_copy(update={"summaries": list(names)}))


def write(name, code):
    cells = [new_markdown_cell(f"# Summary {name}")]
    cells += [new_code_cell('study_dir = ""', metadata={"tags": ["parameters"]})]
    notebook = new_notebook(cells=[*cells, new_code_cell(code)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, paths.NOTEBOOKS / f"{name}.ipynb")


@pytest.mark.slow
def test_a_failed_summary_takes_its_old_tables_with_it(plan):
    for name in ("first", "second"):
        write(name, WRITES.format(name=name))
    page, failed = summary.build(plan)
    text = page.read_text()
    assert not failed and "banner" not in text.partition("<body>")[2]
    assert "number first" in text and "number second" in text and text.count("<figure>") == 2

    own = plan.folder / "tables" / "own.html"
    own.write_text("<table></table>")
    half = WRITES.format(name="half") + "1 / 0"
    write("first", half)
    page, failed = summary.build(plan)
    body = page.read_text().partition("<body>")[2]
    assert "Summary first: ZeroDivisionError: division by zero" in failed
    banner = body.partition('class="banner"')[2].partition("</p>")[0]
    assert "Summary first" in banner and "ZeroDivisionError" in banner
    assert body.index("banner") < body.index("<h1>")
    assert "number first" not in body and "number half" not in body and "number second" in body
    left = {path.name for path in plan.folder.glob("*/*.html")}
    assert left == {"second.html", "own.html", "index.html"}, "what nobody recorded stays"

    write("second", WRITES.format(name="third"))
    text = summary.build(with_summaries(plan, "second"))[0].read_text()
    assert "number third" in text and "number second" not in text and "Summary first" not in text


def test_a_summary_that_is_taken_out_takes_its_files_with_it(plan):
    table = plan.folder / "tables" / "old.html"
    table.parent.mkdir(parents=True)
    table.write_text("<table></table>")
    record = plan.folder / "notebooks" / "written.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"files": ["tables/old.html"]}))
    page, failed = summary.build(with_summaries(plan))
    assert not table.exists() and json.loads(record.read_text()) == {"files": []} and not failed
    assert "There is no table" in page.read_text()
