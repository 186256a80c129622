"""Each check of `xfer doctor`, whole and with something missing."""

import os
import re
import subprocess
import sys
from collections import namedtuple
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from mini_hub import MiniHub
from tiny_models import make
from typer.testing import CliRunner

from xfer_utils.commands import doctor
from xfer_utils.commands.cli import app
from xfer_utils.commands.doctor import MISSING, NOTE, OK
from xfer_utils.runs.plan import make_plan
from xfer_utils.study import paths

SMOKE = paths.PARAMS / "smoke.yaml"
LOADED = """
name: loaded
title: t
question: q
estimand: e
source: hub
models:
  m: {load: LOAD}
intermediate: [none, ccg]
targets: [xnli]
"""


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    """Outputs of its own, with room for the toy world."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs"


def study_file(folder: Path, load: str, text: str = LOADED) -> Path:
    file = folder / "study.yaml"
    file.write_text(text.replace("LOAD", load))
    return file


def by_subject(checks) -> dict[str, doctor.Check]:
    return {check.subject: check for check in checks}


def test_a_machine_that_has_everything():
    done = CliRunner().invoke(app, ["doctor", str(SMOKE)])
    assert done.exit_code == 0, done.output
    assert done.output.rstrip().endswith("Nothing stops this study here.")
    for subject in ("Python and packages", "folder for outputs", "disk at", "RAM"):
        assert f"ok      {subject}" in done.output


def test_something_missing_ends_with_exit_code_1(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(10, 9, 1))
    done = CliRunner().invoke(app, ["doctor", str(SMOKE)])
    assert done.exit_code == 1
    assert "1 B there, about" in done.output and "XFER_OUTPUTS" in done.output
    assert re.search(r"^Missing: disk at .+\.$", done.output.rstrip().splitlines()[-1])


def test_packages_and_python_are_held_against_the_project(monkeypatch):
    installed = [
        SimpleNamespace(name=dist.name, version=dist.version)
        for dist in doctor.metadata.distributions()
        if dist.name != "peft"
    ]
    for dist in installed:
        dist.version = "4.57.1" if dist.name == "transformers" else dist.version
    monkeypatch.setattr(doctor.metadata, "distributions", lambda: installed)
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.1")
    check = doctor._packages()
    assert check.state == MISSING
    assert "transformers 4.57.1 (needed: <6,>=5.20)" in check.finding
    assert "peft absent (needed" in check.finding and "python 3.9.1" in check.finding
    assert check.advice == "pip install -r requirements.txt (`make study` does it in .venv)"


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    assert doctor._outputs().state == OK
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "file" / "outputs"))
    check = doctor._outputs()
    assert check.state == MISSING and "XFER_OUTPUTS" in check.advice


def test_a_local_model_is_looked_into(tmp_path):
    model = make(tmp_path / "model", "bert")
    assert doctor._reachable("model", str(model), "main").state == OK
    (model / "config.json").unlink()
    check = doctor._reachable("model", str(model), "main")
    assert check.state == MISSING and "holds no model" in check.advice


def test_without_a_connection_a_cache_may_be_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(doctor, "HF_HUB_CACHE", str(tmp_path))
    for kind in ("model", "dataset"):
        check = doctor._reachable(kind, "owner/name", "main")
        assert (check.state, check.finding) == (MISSING, "unreachable")
        (tmp_path / f"{kind}s--owner--name").mkdir()
        check = doctor._reachable(kind, "owner/name", "main")
        assert check.state == NOTE and "cache" in check.finding


def test_a_source_folder_that_is_not_there(tmp_path):
    text = LOADED.replace("source: hub", "source: folder:nowhere")
    file = study_file(tmp_path, str(make(tmp_path / "model", "bert")), text)
    checks = by_subject(doctor.examine(file))
    assert checks["data"].state == MISSING and "no folder " in checks["data"].finding
    assert "/nowhere;" in checks["data"].finding


def test_licensed_data_is_a_note_with_the_place_to_put_it(tmp_path, outputs):
    own = tmp_path / "own"
    (own / "xnli").mkdir(parents=True)
    model = str(make(tmp_path / "model", "bert"))
    for source, folder in (("hub", outputs / "data"), (f"folder:{own}", own)):
        text = LOADED.replace("source: hub", f"source: {source}")
        plan = make_plan(study_file(tmp_path, model, text))
        notes = takewhile(lambda check: check.state == NOTE, doctor._data(plan))  # before the hub
        advice = by_subject(notes)["data for ccg"].advice
        assert "LDC2005T13" in advice and advice.endswith(f"The folder: {folder / 'ccg'}")


def test_ones_own_data_that_is_missing_is_nobody_elses(tmp_path):
    """Only licensed data is to be had from someone."""
    (tmp_path / "own").mkdir()
    text = LOADED.replace("source: hub", f"source: folder:{tmp_path / 'own'}")
    plan = make_plan(study_file(tmp_path, str(make(tmp_path / "model", "bert")), text))
    checks = by_subject(doctor._data(plan))
    none = checks["data for none"]
    assert (
        none.finding.startswith("not run: no training data for mnli in folder:") and not none.advice
    )


def test_missing_languages_are_a_note(tmp_path):
    (tmp_path / "own" / "xnli").mkdir(parents=True)
    (tmp_path / "own" / "xnli" / "en.validation.jsonl").write_text("{}\n")
    text = LOADED.replace("source: hub", f"source: folder:{tmp_path / 'own'}")
    plan = make_plan(study_file(tmp_path, str(make(tmp_path / "model", "bert")), text))
    check = by_subject(doctor._data(plan))["languages of XNLI"]
    assert check.state == NOTE and check.finding.startswith("1 of 15 languages, no data for ar")


def test_the_hubs_cache_may_be_on_another_disk(tmp_path, monkeypatch):
    """One sum where both folders share a disk; each its own where they do not."""
    plan = make_plan(study_file(tmp_path, str(make(tmp_path / "model", "bert"))))
    other = tmp_path / "other"
    monkeypatch.setattr(doctor, "HF_HUB_CACHE", str(other / "not" / "yet" / "there"))
    (check,) = doctor._disk(plan)
    assert check.state == OK
    real = Path.is_mount
    monkeypatch.setattr(Path, "is_mount", lambda path: path == other or real(path))
    monkeypatch.setattr(
        doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e15 * (path != other))
    )
    own, cache = doctor._disk(plan)
    assert (own.state, cache.state) == (OK, MISSING) and "HF_HOME" in cache.advice
    assert cache.subject == f"disk at {other}"


def test_memory_by_hand(monkeypatch):
    """XLM-R Large: 560 million parameters of 18 bytes; a batch of 8 x 5 answers x 384 tokens."""
    torch = doctor.torch
    card = namedtuple("card", "name total_memory")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    paper = doctor.params.load(paths.PARAMS / "paper.yaml")
    for gigabytes, workers, state, needed in (
        (40, 1, OK, "36.5"),
        (40, 0, MISSING, "73"),
        (80, 0, OK, "73"),
    ):
        size = card("C", gigabytes * 10**9)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, size=size: size)
        check = doctor._memory(paper.model_copy(update={"workers": workers}))
        assert check.subject == "GPU memory" and check.state == state
        assert f"about {needed} GB needed" in check.finding, "two kernels by default"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    check = doctor._memory(paper.model_copy(update={"workers": 4}))
    assert "about 36.5 GB needed" in check.finding, "one on each"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert doctor._memory(paper).subject == "RAM"


class Hub:
    """Stands in for the client: remembers what was asked, or refuses."""

    def __init__(self, error: type[Exception] | None = None) -> None:
        self.asked, self.error = [], error

    def __call__(self) -> "Hub":
        return self

    def repo_info(self, name, repo_type, revision, timeout):
        self.asked.append((repo_type, name, revision))
        if self.error:
            response = httpx2.Response(404, request=httpx2.Request("GET", "http://hub"))
            raise self.error("404", response=response)
        return SimpleNamespace(gated=False)


def test_repositories_that_xtreme_r_adds_are_asked_for_too(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "HfApi", hub := Hub())
    text = LOADED.replace("[xnli]", "[udpos]\nevaluate: {udpos: test}")
    plan = make_plan(study_file(tmp_path, "owner/name", text))
    checks = [check for check in doctor._data(plan) if check.state == OK]
    names = ["google/xtreme", "izhx/xtreme-r-udpos"]
    assert [check.subject for check in checks] == [f"dataset {name} (main)" for name in names]
    assert hub.asked == [("dataset", name, "main") for name in names]


def test_data_sets_are_asked_for_at_the_revision_that_is_read(tmp_path, monkeypatch):
    """A branch of converted files may be gone; Mewsli-X is read from both branches."""
    monkeypatch.setattr(doctor, "HfApi", hub := Hub())
    text = LOADED.replace("[none, ccg]", "[none, cosmos_qa]").replace(
        "[xnli]", "[mewslix]\nbenchmark: xtreme_r"
    )
    checks = by_subject(doctor._data(make_plan(study_file(tmp_path, "owner/name", text))))
    converted = "refs/convert/parquet"
    assert set(hub.asked) == {
        ("dataset", "allenai/cosmos_qa", converted),
        ("dataset", "izhx/mewsli-x", converted),
        ("dataset", "izhx/mewsli-x", "main"),
    }
    assert f"dataset izhx/mewsli-x ({converted})" in checks


def test_a_repository_that_is_gone_and_one_without_its_branch(monkeypatch):
    monkeypatch.setattr(doctor, "HfApi", Hub(RepositoryNotFoundError))
    gone = doctor._reachable("dataset", "owner/data", "refs/convert/parquet")
    assert gone.finding == "missing" and "owner/data is not on the hub" in gone.advice
    monkeypatch.setattr(doctor, "HfApi", Hub(RevisionNotFoundError))
    branch = doctor._reachable("dataset", "owner/data", "refs/convert/parquet")
    assert branch.state == MISSING and branch.finding == "revision"
    assert "folder:PATH" in branch.advice


def _doctor(file: Path, environment: dict) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-c",
        "from xfer_utils.commands.cli import main; main()",
        "doctor",
        str(file),
    ]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_hub_access(tmp_path):
    root = tmp_path / "hub"
    make(root / "models" / "owner" / "name" / "main", "xlm-roberta")
    for repository in ("facebook/xnli", "nyu-mll/glue"):
        folder = root / "datasets" / repository / "main"
        folder.mkdir(parents=True)
        (folder / "README.md").write_text("x")
    file = study_file(tmp_path, "owner/name")
    with MiniHub(root) as hub:
        env = hub.env(tmp_path / "cache")
        done = _doctor(file, env)
        assert "ok      model owner/name (main): on the hub" in done.stdout
        assert "ok      dataset facebook/xnli (main): on the hub" in done.stdout, done.stderr
    with MiniHub(root, gated=("owner/name", "facebook/xnli")) as hub:
        done = _doctor(file, hub.env(tmp_path / "cache"))
        assert done.returncode == 1 and "MISSING model owner/name (main): gated" in done.stdout
        assert "MISSING dataset facebook/xnli (main): gated" in done.stdout
        assert done.stdout.count("then log in with `hf auth login`") == 2
        assert "ok      dataset nyu-mll/glue (main): on the hub" in done.stdout
    done = _doctor(file, env)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "MISSING model owner/name (main): unreachable" in done.stdout
    assert done.stdout.count("MISSING dataset") == 1, "one such line, not one per data set"
    assert "source: folder:PATH" in done.stdout
