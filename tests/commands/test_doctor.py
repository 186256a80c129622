"""Each check of `xfer doctor`, whole and with something missing."""

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
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
    assert done.output.rstrip().endswith("Everything that this study needs is there.")
    for subject in ("Python", "packages", "outputs", "data", "disk", "memory"):
        assert f"ok      {subject}:" in done.output


def test_something_missing_ends_with_exit_code_1(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(10, 9, 1))
    done = CliRunner().invoke(app, ["doctor", str(SMOKE)])
    assert done.exit_code == 1
    assert "MISSING disk: 1 B free" in done.output and "XFER_OUTPUTS" in done.output
    assert done.output.rstrip().endswith("1 thing is missing.")


def test_packages_and_python_are_held_against_the_project(monkeypatch):
    def version(name: str) -> str:
        if name == "peft":
            raise doctor.metadata.PackageNotFoundError(name)
        return "4.57.1" if name == "transformers" else real(name)

    real = doctor.metadata.version
    monkeypatch.setattr(doctor.metadata, "version", version)
    checks = by_subject(doctor.packages())
    assert checks["peft"].state == MISSING and checks["peft"].found == "not installed"
    assert checks["transformers"].found == "4.57.1 is installed, <6,>=5.20 is needed"
    assert (
        checks["transformers"].advice
        == "pip install -r requirements.txt (`make study` does it in .venv)"
    )
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.1")
    assert doctor.python_version().state == MISSING


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    found = doctor.writable(tmp_path / "file" / "outputs")
    assert found.state == MISSING and "XFER_OUTPUTS" in found.advice
    assert doctor.writable(tmp_path / "new").state == OK


def test_a_local_model_is_looked_into(tmp_path):
    model = make(tmp_path / "model", "bert")
    asked = doctor.params.Model(load=str(model))
    assert doctor.model_access("m", asked).state == OK
    (model / "model.safetensors").unlink()
    assert doctor.model_access("m", asked).found.endswith("has no weights, or not all of them")
    (model / "config.json").unlink()
    found = doctor.model_access("m", asked)
    assert found.state == MISSING and "holds no model" in found.advice


def test_a_cache_is_whole_with_pickled_weights_and_with_every_shard(tmp_path, monkeypatch):
    """Several published models have pytorch_model.bin alone; one shard of several is no model."""
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(
        doctor, "try_to_load_from_cache", lambda *_, **__: str(tmp_path / "config.json")
    )
    monkeypatch.setattr(doctor, "HF_HUB_OFFLINE", True)

    def state() -> str:
        return doctor.model_access("m", doctor.params.Model(load="owner/name")).state

    (tmp_path / "training_args.bin").write_text("")
    assert state() == MISSING
    (tmp_path / "pytorch_model.bin").write_text("")
    assert state() == OK
    (tmp_path / "pytorch_model.bin").unlink()
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {"weight_map": {"a": shards[0], "b": shards[1], "c": shards[0]}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / shards[0]).write_text("")
    assert state() == MISSING
    (tmp_path / shards[1]).write_text("")
    assert state() == OK


def test_a_source_folder_that_is_not_there(tmp_path):
    text = LOADED.replace("source: hub", "source: folder:nowhere")
    file = study_file(tmp_path, str(make(tmp_path / "model", "bert")), text)
    checks = by_subject(doctor.examine(file))
    assert checks["data"].state == MISSING and "no folder " in checks["data"].found
    assert "/nowhere;" in checks["data"].found


def test_licensed_data_is_a_note_with_the_place_to_put_it(tmp_path, outputs):
    plan = make_plan(study_file(tmp_path, str(make(tmp_path / "model", "bert"))))
    (check,) = doctor.licensed(plan)
    assert (
        check.state == NOTE
        and "LDC2005T13" in check.advice
        and str(outputs / "data" / "ccg") in check.advice
    )


def test_a_study_that_reads_a_folder_reads_ccgbank_there(tmp_path):
    (tmp_path / "own").mkdir()
    text = LOADED.replace("source: hub", f"source: folder:{tmp_path / 'own'}")
    plan = make_plan(study_file(tmp_path, str(make(tmp_path / "model", "bert")), text))
    (check,) = doctor.licensed(plan)
    assert check.state == NOTE and check.advice.endswith(f"The folder: {tmp_path / 'own' / 'ccg'}")


def test_the_hubs_cache_may_be_on_another_disk(tmp_path, monkeypatch):
    """One sum where both folders share a disk; each its own where they do not."""
    plan = make_plan(study_file(tmp_path, str(make(tmp_path / "model", "bert"))))
    doctor.paths.outputs().mkdir(parents=True)
    monkeypatch.setattr(doctor, "HF_HUB_CACHE", str(tmp_path / "not" / "yet" / "there"))
    (one,) = doctor.disks(plan)
    assert one.subject == "disk" and one.state == OK
    (tmp_path / "other").mkdir()
    stats = {tmp_path / "other": SimpleNamespace(st_dev=-1)}
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **more: stats.get(path) or real(path, **more))
    monkeypatch.setattr(doctor, "HF_HUB_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(
        doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e15 * (path not in stats))
    )
    own, cache = doctor.disks(plan)
    assert (own.subject, own.state) == ("disk of outputs", OK)
    assert (cache.subject, cache.state) == (
        "disk of the hub's cache",
        MISSING,
    ) and "HF_HOME" in cache.advice


def test_activations_are_those_that_were_counted():
    """1.75 MB a token with XLM-R Large and 0.65 MB with base, in bf16."""
    for load, measured in (
        ("FacebookAI/xlm-roberta-large", 1.75e6),
        ("FacebookAI/xlm-roberta-base", 0.65e6),
    ):
        size = doctor.cost.size(doctor.params.Model(load=load))
        assert doctor.ACTIVATION_BYTES["bf16"] * size.layers * size.width == pytest.approx(
            measured, rel=0.03
        )


def test_memory_by_hand(monkeypatch):
    """XLM-R Large: 560 million parameters of 18 bytes, and the multi-task batch, 8 x 5 answers x 384 tokens."""
    torch = pytest.importorskip("torch")
    card = namedtuple("card", "name total_memory")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    made = doctor.params.load(paths.PARAMS / "paper.yaml")
    for gigabytes, workers, state, needed in (
        (40, 1, OK, "36.5"),
        (40, 0, MISSING, "73"),
        (80, 0, OK, "73"),
    ):
        size = card("C", gigabytes * 10**9)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, size=size: size)
        checks = list(doctor.memory(made.model_copy(update={"workers": workers})))
        assert checks[0].state == state and f"about {needed} GB needed" in checks[0].found, (
            "two kernels by default"
        )
        assert checks[1].found == "no bf16"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert (
        "about 36.5 GB needed" in next(doctor.memory(made.model_copy(update={"workers": 4}))).found
    ), "one on each"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert by_subject(doctor.memory(made))["GPU"].state == MISSING


def test_repositories_that_xtreme_r_adds_are_asked_for_too(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(doctor, "_ask_hub", lambda *question: asked.append(question))
    text = LOADED.replace("[xnli]", "[udpos]\nevaluate: {udpos: test}")
    plan = make_plan(study_file(tmp_path, "owner/name", text))
    checks = by_subject(doctor.data_access(plan))
    assert list(checks) == ["data google/xtreme", "data izhx/xtreme-r-udpos"]
    assert asked == [(name, "dataset", "main") for name in ("google/xtreme", "izhx/xtreme-r-udpos")]


def test_data_sets_are_asked_for_at_the_revision_that_is_read(tmp_path, monkeypatch):
    """A branch of converted files may be gone while the repository stands; Mewsli-X is read from both branches."""
    asked = []
    monkeypatch.setattr(doctor, "_ask_hub", lambda *question: asked.append(question))
    text = LOADED.replace("[none, ccg]", "[none, cosmos_qa]").replace(
        "[xnli]", "[mewslix]\nbenchmark: xtreme_r"
    )
    checks = by_subject(doctor.data_access(make_plan(study_file(tmp_path, "owner/name", text))))
    converted = "refs/convert/parquet"
    assert set(asked) == {
        ("allenai/cosmos_qa", "dataset", converted),
        ("izhx/mewsli-x", "dataset", converted),
        ("izhx/mewsli-x", "dataset", "main"),
    }
    assert f"data izhx/mewsli-x ({converted})" in checks and "data izhx/mewsli-x" in checks


def test_a_repository_that_is_gone_and_one_without_its_branch(monkeypatch):
    def refuse(error: type[Exception]):
        def ask(*_):
            raise error(
                "404", response=httpx2.Response(404, request=httpx2.Request("GET", "http://hub"))
            )

        monkeypatch.setattr(doctor, "_ask_hub", ask)
        return doctor._data_set("owner/data", "refs/convert/parquet", "cosmos_qa")

    assert (
        refuse(RepositoryNotFoundError).found == "not on the hub (any more), or you may not read it"
    )
    branch = refuse(RevisionNotFoundError)
    assert branch.found == "on the hub, but without the revision refs/convert/parquet"
    assert branch.state == MISSING and "with cosmos_qa/ in it" in branch.advice


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
        assert "ok      model owner/name: on the hub" in done.stdout
        assert "ok      data facebook/xnli: on the hub" in done.stdout, done.stdout + done.stderr
    with MiniHub(root, gated=("owner/name", "facebook/xnli")) as hub:
        done = _doctor(file, hub.env(tmp_path / "cache"))
        assert done.returncode == 1 and "MISSING model owner/name: gated" in done.stdout
        assert "MISSING data facebook/xnli: gated" in done.stdout, (
            "what they are is told to everyone"
        )
        assert (
            done.stdout.count(
                "accept its terms on its page at the hub, then log in with `hf auth login`"
            )
            == 2
        )
        assert "ok      data nyu-mll/glue: on the hub" in done.stdout
    done = _doctor(file, env)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "MISSING model owner/name: cannot be had" in done.stdout
    assert done.stdout.count("the hub cannot be reached") == 1, "one sentence, not one per data set"
    assert "source: folder:PATH" in done.stdout
