"""The paper's study and XTREME-R's, every row and every target, from a small hub to the report.

What stands for XLM-R Large has its 24 layers and its id, is 16 wide and knows nothing; each training takes two steps,
in four languages with one seed. All else is as in the files.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import hub_fixtures
import pandas as pd
import pytest
import yaml
from conftest import PROJECT, XFER, records_of
from mini_hub import MiniHub
from tiny_models import SHAPES, TEXT

from xfer_utils.runs import plan as study
from xfer_utils.study import paths, settings_file
from xfer_utils.study.tasks import task

pytestmark = pytest.mark.slow
ITEMS = 16
FEW = {"max_steps": 2, "eval_steps": 2, "dev_examples": 8}
Command = Callable[[str, Path], subprocess.CompletedProcess]


def miniature_large(folder: Path) -> None:
    """A random model of XLM-R Large's depth, with a tokenizer of its kind."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from xfer_utils.learning import pretraining

    words = pretraining.train_tokenizer(TEXT, 100, 512)
    shape = SHAPES["xlm-roberta"] | {"num_hidden_layers": 24, "max_position_embeddings": 514}
    XLMRobertaModel(XLMRobertaConfig(vocab_size=len(words), **shape)).save_pretrained(folder)
    words.save_pretrained(folder)


def short(name: str, folder: Path) -> Path:
    """A study of params/ as a file of its own, with two steps a training, four languages and one seed."""
    content, _ = settings_file.extended(paths.PARAMS / f"{name}.yaml")
    for part in ("intermediate_training", "target_training"):
        content[part]["default"] |= FEW
    content |= {"languages": ["en", "de", "sw", "zh"], "seeds": {"none": [0], "other": [0]}}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def xfer(tmp_path_factory) -> Command:
    """Real `xfer` commands on the small hub; both studies share runs and what was fetched."""
    folder = tmp_path_factory.mktemp("paper")
    root = hub_fixtures.build(folder / "hub", ITEMS)
    miniature_large(root / "models" / "FacebookAI" / "xlm-roberta-large" / "main")
    with MiniHub(root) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XFER_OUTPUTS", str(folder / "outputs"))
        environment = hub.env(folder / "home") | {"PYTHONPATH": str(PROJECT)}

        def call(verb: str, file: Path) -> subprocess.CompletedProcess:
            command = [str(XFER), verb, str(file), *["--workers", "2"][: 2 * (verb == "run")]]
            return subprocess.run(
                command, env=environment, cwd=PROJECT, capture_output=True, text=True
            )

        yield call


@pytest.mark.parametrize(("name", "rows", "lacking"), [("paper", 11, 1), ("xtreme_r", 4, 0)])
def test_every_row_and_every_target_from_the_hub_to_the_report(xfer, tmp_path, name, rows, lacking):
    file = short(name, tmp_path)
    ended = xfer("run", file)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    plan = study.make_plan(file)
    assert len(plan.arms) == rows and {arm for arm, _ in plan.not_run} == {"ccg"} & set(plan.arms)
    records = records_of(paths.outputs())
    assert set(plan.runs) <= set(records)
    scored = {
        (run.labels["arm"], score["task"])
        for run in plan.runs.values()
        for score in records[run.id]["scores"]
        if run.kind.name in ("target", "retrieval")
    }
    counted = {task(target).gold_only or target for target in plan.study.targets}
    assert len(scored) == (rows - lacking) * len(counted)
    assert {target for _, target in scored} == counted
    report = xfer("report", file)
    assert report.returncode == 0, report.stdout + report.stderr
    cells = pd.read_csv(plan.folder / "tables" / "main.tidy.csv")
    assert set(cells["arm"]) == set(plan.arms) and counted <= set(cells["target"])
    assert (plan.folder / "report" / "index.html").exists()
