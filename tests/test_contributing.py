"""CONTRIBUTING.md, followed to the letter: a task of single sentences, a model, a summary, a metric."""

import json
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from conftest import PROJECT, environment

GUIDE = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
STUDY = """
name: mine
title: My study
question: Does my task work?
estimand: none
source: folder:{data}
models: {{mine: {{load: {encoder}}}}}
targets: [sentiment]
seeds: {{none: [0]}}
summaries: [50_main_table, 51_mine]
target_training: {{default: {{learning_rate: 1.0e-3, max_length: 32, epochs: 1}}}}
"""
SUMMARY = """from pathlib import Path

from xfer_utils.analysis import results

folder = Path(study_dir)
scores = results.scores(folder).query("main")
(folder / "tables").mkdir(exist_ok=True)
(folder / "tables" / "mine.html").write_text(scores[["language", "value"]].to_html())"""
METRIC = """

METRICS["mistakes"] = Metric(
    "mistakes", CLASSES, lambda sums: {"mistakes": 100 - 100 * sums["correct"] / sums["n"]},
    ("correct",),
)
"""


class Checkout:
    """A copy of the project that a contributor works in."""

    def __init__(self, folder, smoke):
        self.folder, self.data, self.outputs = folder / "copy", folder / "data", folder / "outputs"
        for part in ("xfer_utils", "notebooks", "params"):
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / part, self.folder / part, ignore=skipped)
        (encoder,) = smoke.outputs.glob("runs/encoder-*/encoder")
        study = STUDY.format(data=self.data, encoder=encoder)
        (self.folder / "params" / "mine.yaml").write_text(study)

    def edit(self, file, change):
        path = self.folder / file
        before = path.read_text(encoding="utf-8")
        assert change(before) != before
        path.write_text(change(before), encoding="utf-8")

    def xfer(self, command):
        code = "from xfer_utils.commands.cli import main; main()"
        arguments = [sys.executable, "-c", code, command, "params/mine.yaml"]
        env = {**environment(self.outputs), "PYTHONPATH": str(self.folder)}
        ended = subprocess.run(
            arguments, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        return ended.stdout

    def scores(self):
        """Main scores by language, as the tables have them."""
        code = (
            "import json, sys; from xfer_utils.analysis import results;"
            "frame = results.scores(sys.argv[1]).query('main');"
            "print(json.dumps([frame.metric.iloc[0], frame.set_index('language').value.to_dict()]))"
        )
        env = {**environment(self.outputs), "PYTHONPATH": str(self.folder)}
        command = [sys.executable, "-c", code, str(self.outputs / "mine")]
        return json.loads(
            subprocess.run(
                command, cwd=self.folder, env=env, stdout=subprocess.PIPE, check=True
            ).stdout
        )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, smoke):
    """The guide's task, its rows in a folder, a model, and a summary of one's own."""
    made = Checkout(tmp_path_factory.mktemp("contributor"), smoke)
    (task,) = re.findall(r"```yaml\n(sentiment:.*?)```", GUIDE, re.DOTALL)
    made.edit("xfer_utils/study/tasks.yaml", lambda text: f"{text}\n{task}")
    folder = made.data / "sentiment"
    folder.mkdir(parents=True)
    for name, count in (("en.train", 40), ("en.validation", 10), ("de.validation", 10)):
        rows = [
            {
                "text": f"It was {('fine', 'bad')[n % 2]} {n}",
                "label": ("positive", "negative")[n % 2],
            }
            for n in range(count)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines)
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "P"}
    parameters = nbformat.v4.new_code_cell(
        'study_dir = ""  # the study', metadata={"tags": ["parameters"]}
    )
    title = nbformat.v4.new_markdown_cell("# 51 · Mine")
    notebook.cells = [title, parameters, nbformat.v4.new_code_cell(SUMMARY)]
    nbformat.write(notebook, made.folder / "notebooks" / "51_mine.ipynb")
    made.printed = made.xfer("run")
    made.xfer("report")
    return made


def test_a_task_of_single_sentences_runs_from_file_to_report(checkout):
    assert "2 of 2 runs done" in checkout.printed
    page = (checkout.outputs / "mine" / "report" / "index.html").read_text(encoding="utf-8")
    assert "Sentiment" in page and "My study" in page


def test_a_summary_of_ones_own_joins_the_report(checkout):
    assert (checkout.outputs / "mine" / "tables" / "mine.html").exists()
    assert list((checkout.outputs / "mine" / "report").rglob("*51_mine*.html"))


def test_a_metric_of_ones_own_needs_no_training(checkout):
    metric, accuracy = checkout.scores()
    assert metric == "accuracy" and set(accuracy) == {"en", "de"}
    checkout.edit("xfer_utils/scoring/metrics.py", lambda text: text + METRIC)
    checkout.edit("xfer_utils/study/tasks.yaml", lambda t: re.sub(
        r"(train_on: sentiment\n  metric: )accuracy", r"\1mistakes", t))  # fmt: skip
    assert "2 done, 0 running, 0 failed, 0 waiting" in checkout.xfer("status")
    checkout.xfer("rescore")
    metric, mistakes = checkout.scores()
    assert metric == "mistakes"
    assert all(mistakes[code] == pytest.approx(100 - accuracy[code]) for code in accuracy)
