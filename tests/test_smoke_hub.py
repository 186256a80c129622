"""The smoke study on source `hub`, as one study: made from a small hub on this machine, then read without it."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import hub_fixtures
import pytest
from conftest import PROJECT, SMOKE, XFER, records_of
from mini_hub import MiniHub

from xfer_utils.runs import plan as study
from xfer_utils.study.tasks import task

pytestmark = pytest.mark.slow
ITEMS = 48  # rows of a table: enough for a few batches


@dataclass
class Made:
    """The study as it was run, the hub's commits by repository, and the environment of commands once it is gone."""

    outputs: Path
    ended: subprocess.CompletedProcess
    commits: dict[str, set[str]]
    offline: dict[str, str]


def xfer(verb: str, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """A real `xfer` command on source hub."""
    command = [str(XFER), verb, str(SMOKE), "--source", "hub"]
    return subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    """One study from a hub and an empty cache; the hub has stopped when the tests look at it."""
    folder = tmp_path_factory.mktemp("study")
    with MiniHub(hub_fixtures.build(folder / "hub", ITEMS)) as hub:
        own = {
            "XFER_OUTPUTS": str(folder / "outputs"),
            "PYTHONPATH": str(PROJECT),
            "COLUMNS": "200",
        }
        environment = hub.env(folder / "home") | own
        ended = xfer("run", environment)
        commits: dict[str, set[str]] = {}
        for name, revision, *_ in hub_fixtures.REPOSITORIES:
            commits.setdefault(name, set()).add(hub.find("datasets", name, unquote(revision)).sha)
    return Made(folder / "outputs", ended, commits, environment | {"HF_HUB_OFFLINE": "1"})


def test_every_planned_run_is_done(made):
    assert made.ended.returncode == 0, made.ended.stdout + made.ended.stderr
    planned = study.make_plan(SMOKE, source="hub")
    assert not planned.not_run and len(planned.runs) == 20
    assert set(records_of(made.outputs)) == set(planned.runs)


def test_scores_name_split_and_languages_of_the_registry(made):
    seen: dict[str, set[str]] = {}
    for record in records_of(made.outputs).values():
        for score in record["scores"]:
            assert score["split"] in task(score["task"]).splits["dev"] and score["n"] > 0
            if record["kind"] in ("target", "retrieval"):
                seen.setdefault(score["task"], set()).add(score["language"])
    source = study.source_of(study.make_plan(SMOKE, source="hub").study)
    assert seen == {
        name: set(source.languages(name)) for name in ("xnli", "udpos", "xquad", "tatoeba")
    }
    assert len(seen["xnli"]) == 15 and {"ro", "zh"} <= seen["xquad"] and "th" not in seen["udpos"]


def test_readings_name_repository_and_commit(made):
    repositories = set()
    for record in records_of(made.outputs).values():
        assert bool(record["data"]) == (record["kind"] != "encoder")
        for reading in record["data"]:
            name = reading["where"].split(" (")[0]
            repositories.add(name)
            assert re.search(r"commit (\w{40})", reading["notes"])[1] in made.commits[name], reading
            assert reading["kept"] > 0 and reading["language"] and reading["split"]
    assert {
        "nyu-mll/glue",
        "rajpurkar/squad",
        "facebook/xnli",
        "google/xquad",
        "google/xtreme",
    } <= repositories


def test_the_encoder_read_text_of_every_language(made):
    (encoder,) = [
        record for record in records_of(made.outputs).values() if record["kind"] == "encoder"
    ]
    lines = encoder["training"]["lines"]
    assert set(lines) == set(hub_fixtures.WIKIPEDIA) and min(lines.values()) == ITEMS


def test_without_the_hub_a_second_run_does_nothing_and_the_report_is_built(made):
    before = {path: path.stat().st_mtime_ns for path in made.outputs.glob("runs/*/*")}
    again = xfer("run", made.offline)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.startswith("Smoke study: 20 of 20 runs done, 0 to run")
    assert {path: path.stat().st_mtime_ns for path in made.outputs.glob("runs/*/*")} == before
    report = xfer("report", made.offline)
    page = made.outputs / "smoke" / "report" / "index.html"
    assert report.returncode == 0 and report.stdout.strip().endswith(str(page)), (
        report.stdout + report.stderr
    )
    assert "Smoke study" in page.read_text(encoding="utf-8")
    assert (made.outputs / "smoke" / "tables" / "main.tidy.csv").exists()
