"""Runs of other versions and of other studies in one outputs folder: what counts as done, and what is deleted."""

import json
import os
import socket
import threading

import pytest
from conftest import SMOKE

from xfer_utils.commands import overview
from xfer_utils.runs import plan as study
from xfer_utils.runs import records
from xfer_utils.runs.claims import Claims
from xfer_utils.study import paths

SCORE = {
    "task": "xnli",
    "language": "en",
    "split": "dev",
    "metric": "accuracy",
    "value": 50.0,
    "n": 2,
    "main": True,
}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    return study.make_plan(SMOKE)


def finish(run):
    """A done run, as its notebook and its launcher leave it."""
    run.folder.mkdir(parents=True)
    records.write_draft(run.folder, watch=records.Stopwatch(), scores=[SCORE])
    records.accept(
        run.folder, id=run.id, kind=run.kind.name, labels=run.labels, identity=run.identity,
        parameters=run.parameters, parents=[], code=run.code, seconds=1.0,
    )  # fmt: skip


def older(plan, mark):
    """A folder of an older version of the plan's first run."""
    run = next(iter(plan.runs.values()))
    folder = run.folder.with_name(f"{run.slug}-{mark}")
    folder.mkdir(parents=True)
    return folder


def dead_claim(folder):
    """A claim of another machine, without a heartbeat for long."""
    path = records.write_json(folder / "x-0.json", {"host": "elsewhere", "process": 1})
    os.utime(path, (0, 0))
    return path


def test_clean_keeps_what_other_studies_use_and_what_is_running(plan):
    old, others, running = (
        older(plan, mark) for mark in ("0000000001", "0000000002", "0000000003")
    )
    made = {"runs": [{"id": others.name}]}
    records.write_json(paths.outputs() / "other" / "plan.json", made)
    records.write_json(plan.folder / "plan.json", {"runs": [{"id": old.name}]})
    with Claims(paths.outputs() / "claims") as claims:
        assert claims.take(running.name)
        dead = dead_claim(claims.folder)
        gone = {"host": socket.gethostname(), "process": 2**30}
        records.write_json(dead, gone)
        listed = overview.clean(plan, delete=False)
        assert str(old) in listed and "1 runs" in listed and old.exists()
        assert dead.exists(), "only listed"
        deleted = overview.clean(plan, delete=True)
        assert deleted.startswith("Deleted: 1 runs") and not old.exists()
        assert others.exists() and running.exists() and claims.running(running.name)
        assert not dead.exists()


def test_clean_waits_for_who_is_taking_a_dead_claim_over(plan):
    claims = Claims(paths.outputs() / "claims")
    path = dead_claim(claims.folder)
    cleaner = threading.Thread(target=overview.clean, args=(plan, True))
    with claims._lock():
        cleaner.start()
        cleaner.join(0.5)
        assert path.exists()
        path.touch()
    cleaner.join(20)
    assert not cleaner.is_alive() and json.loads(path.read_text())["host"] == "elsewhere"


def test_clean_removes_checkpoints_that_done_runs_left(plan):
    run = next(iter(plan.runs.values()))
    finish(run)
    (run.folder / "checkpoints" / "checkpoint-5").mkdir(parents=True)
    assert (
        "1 folders of checkpoints" in overview.clean(plan, delete=False)
        and (run.folder / "checkpoints").exists()
    )
    overview.clean(plan, delete=True)
    assert not (run.folder / "checkpoints").exists() and records.read(run.folder)
