"""Every study file in params/ is valid, plans without a network, and says what it needs."""

import os
import re
import socket
import subprocess
import sys

import pytest

from xfer_utils.commands import needs, overview
from xfer_utils.runs import plan as study
from xfer_utils.sources.raw import MissingData
from xfer_utils.study import params, paths, settings_file
from xfer_utils.study.tasks import task

FILES = sorted(paths.PARAMS.glob("*.yaml"))
HUB = ["paper", "base", "mmbert", "xtreme_r"]
DATA = paths.PROJECT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Outputs of its own, and no network at all."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("planning used the network")

    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_valid_and_named_after_itself(file):
    made = params.load(file)
    assert made.name == file.stem
    assert len(made.seeds.none) >= 3 or made.name in ("smoke", "real-cpu")
    # Nothing stands in the file that no run would read.
    used = {name for name in made.intermediate if name != "none"} | {"default", "multi"}
    assert set(made.intermediate_training) <= used | set(
        params.load(paths.PARAMS / "paper.yaml").intermediate
    )
    trained = {
        part
        for name in made.targets
        for part in (task(name).train_first, task(name).train_on or name)
    }
    base = settings_file.load(file).get("extends")
    inherited = set(params.load(file.parent / base).target_training) if base else set()
    assert set(made.target_training) <= trained | {"default"} | inherited


@pytest.mark.parametrize("name", HUB)
def test_a_real_study_plans_without_a_network_and_says_what_it_needs(name):
    plan = study.make_plan(paths.PARAMS / f"{name}.yaml")
    text = overview.plan_text(plan)
    for line in (
        r"Training: \d+ runs, about [\d.]+ [MG] tokens",
        r"Download: about [\d.]+ GB of models, at most [12]\.\d+ GB of data",
        r"Disk: about [\d.]+ GB",
        r"GPU: about \d+ hours of one card",
        r"Not for commercial use: .*XNLI \(cc-by-nc-4.0\)",
        r"Seeds: 3 of none",
    ):
        assert re.search(line, text), f"{line}\n{text[-1500:]}"
    assert set(plan.study.targets) == {
        t for run in plan.runs.values() for t in run.labels.get("targets", [])
    }


def test_the_papers_hyper_parameters_reach_the_runs():
    plan = study.make_plan(paths.PARAMS / "paper.yaml")
    by_slug = {run.slug: run.parameters for run in plan.runs.values()}
    cosmos = by_slug["intermediate-cosmos_qa-s0"]
    assert (cosmos["batch_size"], cosmos["epochs"], cosmos["learning_rate"]) == (4, 15, 1e-5)
    for name, size in (
        ("mnli", 24),
        ("hellaswag", 24),
        ("squad", 8),
        ("cosmos_qa", 4),
        ("multi", 8),
    ):
        given = by_slug[f"intermediate-{name}-s0"]
        assert given["batch_size"] * given["accumulation"] == size
    assert (
        by_slug["intermediate-multi-s0"]["max_length"]
        == by_slug["intermediate-squad-s0"]["max_length"]
        == 384
    )
    squad = by_slug["target-squad-after-none-s2"]
    assert (squad["batch_size"], squad["epochs"], squad["max_length"], squad["select"]) == (
        16,
        2,
        384,
        "english_dev",
    )
    assert (squad["eval_steps"], squad["patience"], squad["dev_examples"]) == (1000, 30, 500)
    assert by_slug["target-udpos-after-mnli-s0"]["epochs"] == 10
    assert by_slug["retrieval-after-none"]["layer"] == 14
    assert plan.not_run["ccg", "xnli"] == "licensed data"
    assert len([run for run in plan.runs.values() if run.kind.name == "target"]) == 6 * (3 + 9)


def test_xtreme_r_is_trained_as_its_authors_train_it():
    plan = study.make_plan(paths.PARAMS / "xtreme_r.yaml")
    by_slug = {run.slug: run.parameters for run in plan.runs.values()}
    for slug, epochs, batch, rate, length in (
        ("intermediate-social_i_qa-after-mnli-s0", 5, 32, 3e-5, 128),
        ("target-copa-after-mnli-s0", 5, 32, 3e-5, 128),
        ("target-squad_answers-after-none-s2", 3, 16, 2e-5, 352),
        ("target-mewslix_pairs-after-none-s2", 2, 32, 1e-5, 64),
    ):
        given = by_slug[slug]
        assert given["batch_size"] * given["accumulation"] == batch
        assert (given["epochs"], given["learning_rate"], given["max_length"]) == (
            epochs,
            rate,
            length,
        )
    assert by_slug["target-mnli-after-squad-s0"]["learning_rate"] == 1e-5, (
        "what both benchmarks share is the paper's"
    )
    assert (len(plan.study.targets), plan.not_run) == (10, {})


def test_base_takes_the_papers_batches_in_smaller_parts():
    plan = study.make_plan(paths.PARAMS / "base.yaml")
    (given, *_) = [
        run.parameters
        for run in plan.runs.values()
        if run.slug.startswith("intermediate-hellaswag")
    ]
    assert given["batch_size"] * given["accumulation"] == 24


@pytest.mark.parametrize(
    ("name", "gigabytes"), [("base", 24), ("mmbert", 24), ("paper", 40), ("xtreme_r", 40)]
)
def test_its_kernels_fit_the_card_that_it_is_for(name, gigabytes):
    made = params.load(paths.PARAMS / f"{name}.yaml")
    assert made.workers * needs.largest_training(made, "bf16") < gigabytes * 1e9


def test_base_fits_a_night_on_one_card():
    text = overview.plan_text(study.make_plan(paths.PARAMS / "base.yaml"))
    assert float(re.search(r"GPU: about (\d+) hours", text)[1]) <= 12


def test_real_says_where_its_folder_should_be():
    with pytest.raises(MissingData, match=r"there is no folder .*data"):
        study.make_plan(paths.PARAMS / "real.yaml")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs a folder with real data beside the project")
@pytest.mark.parametrize(("name", "added"), [("real", 0), ("real-cpu", 3)])
def test_real_covers_all_nine_targets(tmp_path, name, added):
    text = (paths.PARAMS / "real.yaml").read_text()
    text = text.replace("source: folder:data", f"source: folder:{DATA}")
    (tmp_path / "real.yaml").write_text(text)
    if added:
        (tmp_path / f"{name}.yaml").write_text((paths.PARAMS / f"{name}.yaml").read_text())
    plan = study.make_plan(tmp_path / f"{name}.yaml")
    assert not plan.not_run
    assert {t for run in plan.runs.values() for t in run.labels.get("targets", [])} == set(
        plan.study.targets
    )
    assert len(plan.study.targets) == 9 + added


@pytest.mark.parametrize("name", ["real", "real-cpu"])
def test_real_needs_no_change_for_the_hub(name):
    plan = study.make_plan(paths.PARAMS / f"{name}.yaml", source="hub")
    assert plan.runs and not plan.not_run


@pytest.mark.slow
def test_a_real_study_plans_with_the_hub_shut_off(tmp_path):
    env = {
        **os.environ,
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HOME": str(tmp_path),
        "XFER_OUTPUTS": str(tmp_path),
    }
    command = [
        sys.executable,
        "-c",
        "from xfer_utils.commands.cli import main; main()",
        "plan",
        str(paths.PARAMS / "paper.yaml"),
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Training:" in done.stdout
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
