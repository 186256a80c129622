"""Which edit of the project changes which run's id: made on a copy, by the copy's own code."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PROJECT, environment

TASKS = "xfer_utils/study/tasks.yaml"
ASK = """
import json, sys
from xfer_utils.runs import identity
from xfer_utils.runs import plan as study
from xfer_utils.study import params, tasks
assert study.__file__.startswith(sys.argv[1]), study.__file__
for line in sys.stdin:
    for cached in (tasks._file, tasks.registry, identity._row_fields):
        cached.cache_clear()
    plan = study.make_plan(line.strip())
    print(json.dumps({run.slug: run.id for run in plan.runs.values()}), flush=True)
"""


class Copy:
    """A copy of the project, and a process of its own that plans with it."""

    def __init__(self, folder: Path, edits: dict[str, Callable[[str], str]] | None = None) -> None:
        self.folder = folder
        skipped = shutil.ignore_patterns("__pycache__")
        for part in ("xfer_utils", "notebooks", "params"):
            shutil.copytree(PROJECT / part, folder / part, ignore=skipped)
        for file, edit in (edits or {}).items():
            path = folder / file
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            assert edit(before) != before, f"the edit of {file} changes nothing"
            path.write_text(edit(before), encoding="utf-8")
        own = {**environment(folder / "outputs"), "PYTHONPATH": str(folder)}
        command, pipe = [sys.executable, "-c", ASK, str(folder)], subprocess.PIPE
        self.process = subprocess.Popen(
            command, env=own, cwd="/", text=True, stdin=pipe, stdout=pipe
        )
        self.before = self.ids()

    def ids(self, file: str = "smoke.yaml") -> dict[str, str]:
        """Run ids by readable name."""
        self.process.stdin.write(f"{self.folder / 'params' / file}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the planning process died"
        return json.loads(line)

    def changed(self, file: str, edit) -> set[str]:
        """Readable names of the runs whose ids change with an edit; the edit is taken back."""
        path = self.folder / file
        kept = path.read_text(encoding="utf-8")
        new = edit(kept)
        assert new != kept, "the edit changes nothing"
        path.write_text(new, encoding="utf-8")
        try:
            after = self.ids()
        finally:
            path.write_text(kept, encoding="utf-8")
        assert set(after) >= set(self.before)
        return {slug for slug in self.before if after[slug] != self.before[slug]}

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    made = Copy(tmp_path_factory.mktemp("copy"))
    yield made
    made.close()


def of_kind(copy, *kinds):
    return {slug for slug in copy.before if slug.split("-")[0] in kinds}


def cell(kind, source, tags):
    """An edit that adds a cell to a notebook."""

    def edit(text):
        made = json.loads(text)
        new = {"cell_type": kind, "id": "added", "metadata": {"tags": tags}, "source": source}
        made["cells"].insert(
            3, new if kind == "markdown" else {**new, "outputs": [], "execution_count": None}
        )
        return json.dumps(made)

    return edit


def appended(text):
    return lambda old: old + text


def test_the_plan_is_the_same_when_nothing_changed(copy):
    assert copy.ids() == copy.before and len(copy.before) == 20


def swapped(old: str, new: str):
    """An edit that replaces a text that must be there."""
    return lambda text: text.replace(old, new, 1)


NOTHING = {
    "prose": ("notebooks/30_target.ipynb", cell("markdown", "More prose.", [])),
    "a shown cell": ("notebooks/30_target.ipynb", cell("code", "import xfer_utils", ["show"])),
    "a default": ("notebooks/30_target.ipynb", swapped("epochs = 1", "epochs = 9")),
    "a task's title": (TASKS, swapped("title: MNLI", "title: Other")),
    "a summary's code": ("notebooks/50_main_table.ipynb", cell("code", "x = 1", [])),
    "a study's words": ("params/smoke.yaml", swapped("title: Smoke", "title: Other")),
    "workers": ("params/smoke.yaml", appended("workers: 3\nthreads: 2\ngpus_per_run: 2\n")),
    "another seed": ("params/smoke.yaml", swapped("none: [0]", "none: [0, 1]")),
    "another arm": ("params/smoke.yaml", appended("arms: {half: {tasks: [mnli], steps: 9}}\n")),
    "a kept model": ("params/smoke.yaml", appended("keep_model: true\n")),
}
ROW = """
{name}:
  title: Newcomer
  role: {role}
  format: sequence
  {more}
  columns: {{text_a: premise, text_b: hypothesis, label: label}}
  labels: [entailment, neutral, contradiction]
  splits: {{train: train, dev: validation}}
  metric: accuracy
"""
NEW_ROWS = ROW.format(name="new_target", role="target", more="train_on: mnli")
NEW_ROWS += ROW.format(name="new_task", role="intermediate", more="mean_tokens: 9")
# One of each thing that later work adds; none of it concerns a run that is finished.
ADDED = {
    TASKS: appended(NEW_ROWS),
    "xfer_utils/formats/newcomer.py": lambda _: '"""A format that nothing uses yet."""\n',
    "xfer_utils/study/params.py": swapped(
        "    keep_model: bool", "    new_key: bool = False\n    keep_model: bool"
    ),
    "xfer_utils/study/sections.py": lambda text: text.replace(
        "    max_length:", "    new_setting: bool = False\n    max_length:"
    ),
    "xfer_utils/sources/toy/world.py": swapped(
        "    romanised: float", "    new_dial: float = 0.0\n    romanised: float"
    ),
    "xfer_utils/scoring/search.py": appended("\n\ndef new():\n    return 1\n"),
    "xfer_utils/scoring/metrics.py": appended("\n\ndef new():\n    return 1\n"),
    "xfer_utils/sources/client_errors.py": swapped("the disk is full", "there is no room left"),
    "notebooks/51_new_summary.ipynb": lambda _: '{"cells": [], "metadata": {}, "nbformat": 4}',
}


def test_what_is_added_leaves_every_finished_run_alone(copy, tmp_path):
    grown = Copy(tmp_path, ADDED)
    grown.close()
    survivors = {slug for slug in copy.before if grown.before.get(slug) == copy.before[slug]}
    assert survivors == set(copy.before) and len(survivors) == 20


@pytest.mark.parametrize(("file", "edit"), NOTHING.values(), ids=NOTHING)
def test_no_id_changes(copy, file, edit):
    assert copy.changed(file, edit) == set()


def after_encoder(copy):
    """Runs behind an intermediate training."""
    return {slug for slug in copy.before if "intermediate" in slug or "-none" not in slug}


def test_counted_cells_change_their_runs_and_what_builds_on_them(copy):
    code = cell("code", "x = 1", [])
    assert copy.changed("notebooks/10_encoder.ipynb", code) == set(copy.before)
    later = after_encoder(copy) - of_kind(copy, "encoder")
    assert copy.changed("notebooks/20_intermediate.ipynb", code) == later
    assert copy.changed("notebooks/30_target.ipynb", code) == of_kind(copy, "target")
    assert copy.changed("notebooks/35_retrieval.ipynb", code) == of_kind(copy, "retrieval")


RAISED = {
    "a kind": ("xfer_utils/runs/kinds.py", 'version=2, notebook="30', 'version=3, notebook="30'),
}


@pytest.mark.parametrize(("file", "old", "new"), RAISED.values(), ids=RAISED)
def test_a_raised_version_changes_the_runs_concerned(copy, tmp_path, file, old, new):
    raised = Copy(tmp_path, {file: swapped(old, new)})
    raised.close()
    changed = {slug for slug in copy.before if raised.before[slug] != copy.before[slug]}
    assert changed == of_kind(copy, "target")


def test_settings_change_the_runs_that_use_them(copy):
    def setting(old, new):
        return copy.changed("params/smoke.yaml", lambda text: text.replace(old, new))

    mnli = setting("target_training:", "target_training:\n  mnli: {epochs: 3}")
    assert mnli == {slug for slug in copy.before if slug.startswith("target-mnli")}
    squad = setting("intermediate_training:", "intermediate_training:\n  squad: {epochs: 3}")
    assert squad == {
        slug for slug in copy.before if slug == "intermediate-squad-s0" or "-after-squad" in slug
    }
    assert setting("steps: 40", "steps: 41") == set(copy.before)
    assert setting("family: tiny", "family: tiny, seed: 1") == set(copy.before)


def test_a_row_that_counts_changes_the_runs_of_its_task(copy):
    changed = copy.changed(TASKS, swapped("title: SQuAD v1.1", "title: SQuAD\n  local: squad"))
    assert not changed
    columns = "columns: {id: id, question: question, context: context, answers: answers}"
    changed = copy.changed(TASKS, lambda text: text.replace(", cluster: title}", "}"))
    assert changed, columns
    assert all("squad" in slug or "multi" in slug for slug in changed)
