# ruff: noqa: F401, F811 (fixtures are used by their names)
"""Progress of a training: what a notebook and its log show."""

import nbformat
import pytest
from conftest import PROJECT
from nbclient import NotebookClient
from tiny_training import rows, sequence, train

from xfer_utils.learning import progress
from xfer_utils.study import paths


def test_it_is_shown_once_a_second_at_most(train, sequence, tmp_path, monkeypatch):
    shown = []
    show = progress.Progress._show
    monkeypatch.setattr(
        progress.Progress, "_show", lambda self, state: shown.append(1) or show(self, state)
    )
    monkeypatch.setattr(progress, "SHOW_SECONDS", 3600.0)
    train({"mnli": sequence})
    assert shown == [1], "only at the end"


def test_long_trainings_print_a_line_now_and_then(train, sequence, capsys, monkeypatch):
    train({"mnli": sequence}, "short")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(progress, "PRINT_SECONDS", 0.0)
    train({"mnli": sequence}, "long")
    lines = capsys.readouterr().out.splitlines()
    assert 10 <= len(lines) <= 21
    assert lines[3].startswith("step 4/18  loss ") and lines[3].endswith(" s left")


def test_the_launcher_reads_the_step(train, sequence, tmp_path):
    train({"mnli": sequence}, "told")
    (file,) = tmp_path.rglob(paths.PROGRESS)
    assert file.read_text().startswith("step 18/18  loss ")


CELL = """
import time
from pathlib import Path
from types import SimpleNamespace
from xfer_utils.learning.progress import Progress
progress, state = Progress(Path(".")), SimpleNamespace(global_step=0, max_steps=2)
progress.on_train_begin(None, state, None)
for state.global_step in (1, 2):
    time.sleep(1.1)
    progress.on_step_end(None, state, None)
progress.on_train_end(None, state, None)
"""


@pytest.mark.slow
def test_a_notebook_shows_one_line_that_changes(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    client = NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env={"PYTHONPATH": str(PROJECT)})
    displays = [out for out in notebook.cells[0].outputs if out.output_type == "display_data"]
    (line,) = displays
    assert line.data["text/plain"].startswith("step 2/2  loss nan")
