"""Job notebooks run by plain papermill, as users do: in sequence, in scratch, from any folder."""

import json
import subprocess
import sys

import nbformat
import pytest
from conftest import PROJECT, environment

from xfer_utils.learning import task_model

pytestmark = pytest.mark.slow
JOBS = ["10_encoder", "20_intermediate", "30_target", "35_retrieval"]


def papermill(name, outputs, folder, **parameters):
    """Plain papermill with the ordinary kernel, from a folder of its own."""
    path = PROJECT / "notebooks" / f"{name}.ipynb"
    command = [sys.executable, "-m", "papermill", str(path), f"{name}.out.ipynb", "-k", "python3"]
    command += ["--no-progress-bar", "--log-output", "-y", json.dumps(parameters)]
    return subprocess.run(
        command, env=environment(outputs), cwd=folder, text=True, capture_output=True, timeout=300
    )


def shown(folder, name):
    """All that an executed notebook printed."""
    notebook = nbformat.read(folder / f"{name}.out.ipynb", as_version=4)
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    return "".join(out.text for out in outputs if out.output_type == "stream")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Outputs of the four job notebooks, run one after the other from an empty folder."""
    outputs, folder = (tmp_path_factory.mktemp(name) for name in ("outputs", "elsewhere"))
    missing = papermill("30_target", outputs, folder)
    for name in JOBS:
        ended = papermill(name, outputs, folder)
        assert ended.returncode == 0, ended.stderr[-3000:]
    return outputs, folder, missing


def test_without_an_encoder_it_says_what_to_run(alone):
    *_, missing = alone
    assert missing.returncode != 0 and "There is no encoder in" in missing.stderr
    assert "10_encoder.ipynb" in missing.stderr and "xfer run params/smoke.yaml" in missing.stderr


def test_each_runs_alone_from_any_folder_and_never_counts(alone, smoke):
    outputs, folder, _ = alone
    paths = outputs.glob("scratch/*/result.draft.json")
    drafts = {path.parent.name: json.loads(path.read_text()) for path in paths}
    assert set(drafts) == {"encoder", "intermediate", "target", "retrieval"}
    (run,) = smoke.outputs.glob("runs/target-mnli-after-none-s0-*/result.json")
    assert drafts["target"]["scores"] == json.loads(run.read_text())["scores"], "the same work"
    assert not (outputs / "runs").exists()
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.out.ipynb" for name in JOBS]


def test_each_checks_itself_by_hand_and_ends_in_a_sentence(alone):
    _, folder, _ = alone
    texts = {name: shown(folder, name) for name in JOBS}
    assert all("by hand" in text for text in texts.values())
    ends = (
        "on four of the lines the loss fell", "MNLI: accuracy ", "XNLI (validation): ",
        "Tatoeba (test): ",
    )  # fmt: skip
    for text, end in zip(texts.values(), ends, strict=True):
        assert end in text.splitlines()[-1] + text.splitlines()[-2]


def test_a_mixture_with_choices_chosen_by_english_dev(alone):
    outputs, folder, _ = alone
    own = {"tasks": ["commonsense_qa", "qqp"], "select": "english_dev", "eval_steps": 2}
    ended = papermill("20_intermediate", outputs, folder, **own, run_dir=str(outputs / "mixed"))
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "CommonsenseQA: accuracy" in shown(folder, "20_intermediate")


def test_a_model_is_kept_for_a_later_run(alone):
    outputs, folder, _ = alone
    own = {"keep_model": True, "languages": ["en", "qaa"], "run_dir": str(outputs / "kept")}
    ended = papermill("30_target", outputs, folder, **own)
    assert ended.returncode == 0, ended.stderr[-3000:]
    draft = json.loads((outputs / "kept" / "result.draft.json").read_text())
    assert {row["language"] for row in draft["scores"]} == {"en", "qaa"}
    assert "model/heads.safetensors" in draft["files"]
    model = task_model.load(outputs / "kept")
    assert model.formats == {"mnli": "sequence"}
