# ruff: noqa: F401, F811 (fixtures are used by their names)
"""Progress of a training: what a launcher reads, and what a notebook shows."""

import json
import time

import nbformat
import pytest
from conftest import PROJECT
from nbclient import NotebookClient
from tiny_training import rows, sequence, train

from xfer_utils.learning import progress


def test_a_launcher_can_read_how_far_a_training_is(train, sequence, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SHOW_SECONDS", 0.0)
    steps = []

    class Reader(progress.TrainerCallback):
        """A launcher, looking once a step."""

        def on_log(self, args, state, control, **_):
            steps.append(json.loads((tmp_path / "run" / "progress.json").read_text()))

    _, summary = train({"mnli": sequence}, callbacks=[Reader()])
    last = json.loads((tmp_path / "run" / "progress.json").read_text())
    assert set(last) == {"step", "steps", "loss", "seconds_left", "time"}
    assert last["step"] == last["steps"] == summary["steps"] and last["seconds_left"] == 0
    assert abs(time.time() - last["time"]) < 60 and 0 < last["loss"] < 3
    assert steps[0]["seconds_left"] > 0
    assert [row["step"] for row in steps] == sorted(row["step"] for row in steps)


def test_it_is_written_once_a_second_at_most(train, sequence, tmp_path, monkeypatch):
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


CELL = """
import time, pathlib
from types import SimpleNamespace
from xfer_utils.learning.progress import Progress
progress, state = Progress(pathlib.Path(".")), SimpleNamespace(global_step=0, max_steps=2)
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
