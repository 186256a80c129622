"""Which edit of the project changes which run's id: made on a copy of the project, by the copy's own code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT, environment

ASK = """
import json, sys
from xfer_utils.runs import plan as study
from xfer_utils.study import params, tasks
assert study.__file__.startswith(sys.argv[1]), study.__file__
for line in sys.stdin:
    for cached in (tasks._file, tasks.registry, study._row):
        cached.cache_clear()
    plan = study.make_plan(line.strip())
    print(json.dumps({run.slug: run.id for run in plan.runs.values()}), flush=True)
"""


class Copy:
    """A copy of the project, and a process of its own that plans with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("xfer_utils", "notebooks", "params"):
            shutil.copytree(
                PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        own = {**environment(folder / "outputs"), "PYTHONPATH": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ASK, str(folder)],
            env=own,
            cwd="/",
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
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


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    made = Copy(tmp_path_factory.mktemp("copy"))
    yield made
    made.process.stdin.close()
    made.process.wait(30)


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


NOTHING = {
    "a comment": ("xfer_utils/learning/training.py", appended("\n# A comment.\n")),
    "a docstring": (
        "xfer_utils/learning/training.py",
        lambda text: text.replace('"""', '"""Said otherwise. ', 1),
    ),
    "prose": ("notebooks/30_target.ipynb", cell("markdown", "More prose.", [])),
    "a shown cell": (
        "notebooks/30_target.ipynb",
        cell("code", "from xfer_utils import figures", ["show"]),
    ),
    "a default": (
        "notebooks/30_target.ipynb",
        lambda text: text.replace("epochs = 1", "epochs = 9"),
    ),
    "a module of no run": ("xfer_utils/commands/report.py", appended("\nEXTRA = 1\n")),
    "the planner": ("xfer_utils/commands/overview.py", appended("\nEXTRA = 1\n")),
    "a task's title": (
        "xfer_utils/study/tasks.yaml",
        lambda text: text.replace("title: MNLI", "title: Other", 1),
    ),
    "a summary": ("notebooks/50_main_table.ipynb", cell("code", "x = 1", [])),
    "a study's words": (
        "params/smoke.yaml",
        lambda text: text.replace("title: Smoke", "title: Other", 1),
    ),
    "workers": ("params/smoke.yaml", appended("workers: 3\nthreads: 2\n")),
    "another seed": ("params/smoke.yaml", lambda text: text.replace("none: [0]", "none: [0, 1]")),
}


@pytest.mark.parametrize(("file", "edit"), NOTHING.values(), ids=NOTHING)
def test_no_id_changes(copy, file, edit):
    assert copy.changed(file, edit) == set()


def test_a_new_task_changes_no_id(copy):
    import yaml

    rows = yaml.safe_load((PROJECT / "xfer_utils" / "tasks.yaml").read_text(encoding="utf-8"))
    row = json.dumps({**rows["mnli"], "title": "Newcomer"})
    assert copy.changed("xfer_utils/study/tasks.yaml", appended(f"\nnewcomer: {row}\n")) == set()


def test_code_changes_its_runs_and_their_children_only(copy):
    everything = set(copy.before)
    before_training = {"encoder-xlmr-tiny", "retrieval-after-none"}
    line = appended("\nEXTRA = 1\n")
    assert copy.changed("xfer_utils/learning/pretraining.py", line) == everything
    assert copy.changed("xfer_utils/learning/selection.py", line) == everything - before_training
    assert copy.changed("xfer_utils/scoring/retrieval.py", line) == of_kind(copy, "retrieval")
    code = cell("code", "x = 1", [])
    assert copy.changed("notebooks/10_encoder.ipynb", code) == everything
    assert copy.changed("notebooks/20_intermediate.ipynb", code) == {
        slug
        for slug in everything
        if slug.startswith("intermediate") or ("-after-" in slug and "-none" not in slug)
    }
    assert copy.changed("notebooks/30_target.ipynb", code) == of_kind(copy, "target")
    assert copy.changed("notebooks/35_retrieval.ipynb", code) == of_kind(copy, "retrieval")


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
    edit = lambda text: text.replace("metric: squad\n", "metric: mlqa\n")  # noqa: E731
    changed = copy.changed("xfer_utils/study/tasks.yaml", edit)
    assert changed and all("squad" in slug or "multi" in slug for slug in changed)
