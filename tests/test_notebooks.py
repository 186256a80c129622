"""Notebooks: their form, their parameters, and that exploring works on two runs."""

import ast
import io
import json
import tokenize

import nbformat
import pytest
from conftest import PROJECT, SMOKE
from pydantic import ValidationError

from xfer_utils.runs import engines
from xfer_utils.runs import plan as study
from xfer_utils.runs.kinds import KINDS
from xfer_utils.study.jobs import EncoderJob, FewShotJob, IntermediateJob, RetrievalJob, TargetJob
from xfer_utils.study.settings_file import SettingsError

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
JOBS = ["10_encoder", "20_intermediate", "30_target", "35_retrieval", "40_few_shot"]


def cells(path, kind="code"):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def tags(cell):
    return cell.metadata.get("tags", [])


def parameters_cell(path):
    (found,) = [cell for cell in cells(path) if "parameters" in tags(cell)]
    return found


def defaults(path):
    """Parameters of a notebook and their default values."""
    body = ast.parse(parameters_cell(path).source).body
    return {line.targets[0].id: ast.literal_eval(line.value) for line in body}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


def test_there_are_the_job_notebooks():
    kinds = {kind.notebook for kind in KINDS.values()}
    assert {f"{name}.ipynb" for name in JOBS} == kinds <= {path.name for path in NOTEBOOKS}


def test_form(notebook):
    nbformat.validate(nbformat.read(notebook, as_version=4))
    raw = json.loads(notebook.read_text(encoding="utf-8"))
    assert raw["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in raw["cells"]]
    assert len(set(ids)) == len(ids)
    first = raw["cells"][0]
    assert first["cell_type"] == "markdown" and "".join(first["source"]).startswith("# ")


def test_no_outputs(notebook):
    for cell in cells(notebook):
        assert cell.outputs == [] and cell.execution_count is None
        assert not {"papermill", "execution"} & set(cell.metadata)


def test_code_cells_are_short(notebook):
    for cell in cells(notebook):
        lines = [line for line in cell.source.splitlines() if line]
        assert "parameters" in tags(cell) or len(lines) <= 15, cell.source
        assert max(map(len, lines)) <= 100, cell.source


@pytest.mark.parametrize("name", JOBS)
def test_job_notebooks_are_short_and_explained(name):
    path = PROJECT / "notebooks" / f"{name}.ipynb"
    code = [line for cell in cells(path) for line in cell.source.splitlines() if line]
    words = " ".join(cell.source for cell in cells(path, "markdown")).split()
    assert len(code) <= 120 and len(words) >= 250
    assert any("$$" in word for word in words), "its loss or score as a formula"


def test_only_known_tags(notebook):
    assert {tag for cell in cells(notebook) for tag in tags(cell)} <= {"parameters", "show"}


def test_the_parameters_cell(notebook):
    lines = parameters_cell(notebook).source.splitlines()
    for line in lines:
        (statement,) = ast.parse(line).body
        assert isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name), (
            line
        )
        ast.literal_eval(statement.value)
        marks = list(tokenize.generate_tokens(io.StringIO(line).readline))
        comments = [mark.string for mark in marks if mark.type == tokenize.COMMENT]
        assert len(comments) == 1 and len(comments[0]) > 5, line
    assert engines.parameter_names(notebook) == set(defaults(notebook)) and len(lines) == len(
        defaults(notebook)
    )


def names(cell, context):
    """Names that a cell stores or loads."""
    nodes = ast.walk(ast.parse(cell.source))
    return {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


def test_no_counted_cell_uses_what_a_shown_cell_made(notebook):
    """`show` cells are no part of a run's identity, so what they make must not reach its result."""
    shown = set()
    for cell in cells(notebook):
        if "show" in tags(cell):
            shown |= names(cell, ast.Store)
        else:
            assert not (names(cell, ast.Load) - names(cell, ast.Store)) & shown, cell.source
            shown -= names(cell, ast.Store)


# ----- parameters -----

KINDS_OF_JOB = (EncoderJob, IntermediateJob, TargetJob, RetrievalJob, FewShotJob)
CLASSES = dict(zip(JOBS, KINDS_OF_JOB, strict=True))


@pytest.mark.parametrize("name", JOBS)
def test_parameters_are_the_fields_of_the_job(name):
    path = PROJECT / "notebooks" / f"{name}.ipynb"
    own, job = defaults(path), CLASSES[name]
    assert set(own) == set(job.model_fields)
    assert job.of({**own, "another": 1}) == job(**own), "and their defaults are valid"
    assert own["run_dir"].startswith("outputs/scratch/")
    after = cells(path)[1].source
    assert f"job = {job.__name__}.of(globals())" in after.splitlines()


def test_a_mistyped_parameter_is_refused_before_anything_is_read():
    own = defaults(PROJECT / "notebooks" / "30_target.ipynb")
    for wrong in ({"learning_rate": "1e-5"}, {"select": "best"}, {"evaluate": {"xnli": "dev"}}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            TargetJob.of({**own, **wrong})


@pytest.fixture
def smoke_plan(smoke, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(smoke.outputs))
    return study.make_plan(SMOKE)


def test_every_parameter_of_every_run_is_known(smoke_plan):
    for run in smoke_plan.runs.values():
        notebook = PROJECT / "notebooks" / run.kind.notebook
        engines.check_parameters(notebook, run.parameters)
        assert set(run.parameters) == engines.parameter_names(notebook), (
            "none is left to its default"
        )


def test_unknown_parameters_are_refused_before_a_kernel_starts():
    notebook = PROJECT / "notebooks" / "30_target.ipynb"
    told = r"30_target.ipynb: no parameter `learning_rat`.*`learning_rate`"
    with pytest.raises(SettingsError, match=told):
        engines.check_parameters(notebook, {"epochs": 1, "learning_rat": 1.0})


SLUGS = [
    "encoder-xlmr-tiny-s0", "intermediate-mnli-s0", "target-mnli-after-none-s0", "retrieval-after-none-s0"
]  # fmt: skip


def test_defaults_are_the_smoke_studys(smoke_plan):
    for name, slug in zip(
        JOBS[:-1], SLUGS, strict=True
    ):  # few shots are no part of the smoke study
        (run,) = [run for run in smoke_plan.runs.values() if run.slug == slug]
        own = defaults(PROJECT / "notebooks" / f"{name}.ipynb")
        own = CLASSES[name](**own).model_dump(mode="json")
        places = {"run_dir", "encoder_dir"}
        assert {k: v for k, v in own.items() if k not in places} == {
            k: v for k, v in run.parameters.items() if k not in places
        }
        assert own.get("encoder_dir", "outputs/scratch/encoder") == "outputs/scratch/encoder"
