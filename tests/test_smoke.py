"""The smoke study through the real command: what it makes, what it makes again, and what it says."""

import json
import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from conftest import SMOKE, environment, records_of, scores_of, study_file, xfer

from xfer_utils.analysis import results
from xfer_utils.runs import identity, records
from xfer_utils.runs.plan import make_plan

RUNS = 20


def times(outputs):
    return {
        path.parent.name: path.stat().st_mtime_ns for path in outputs.glob("runs/*/result.json")
    }


def remove(outputs, *slugs):
    """Deletes runs by readable name; their ids."""
    gone = [path for slug in slugs for path in (outputs / "runs").glob(f"{slug}-*")]
    assert len(gone) == len(slugs)
    for path in gone:
        shutil.rmtree(path)
    return [path.name for path in gone]


def test_every_run_is_made_in_time_and_in_silence(smoke):
    others = max(1.0, os.getloadavg()[0] / os.cpu_count())  # what else the machine is busy with
    assert smoke.seconds < 90 * others
    assert smoke.err == "", "no warnings either"
    assert smoke.out.startswith(f"Smoke study: 0 of {RUNS} runs done, {RUNS} to run, ")
    assert re.search(rf"^{RUNS} of {RUNS} runs done", smoke.out, re.MULTILINE)
    assert len(own_records(smoke)) == RUNS
    assert not list((smoke.outputs / "claims").glob("*.json")), "all claims are given back"
    assert not list(smoke.outputs.rglob("*.draft.json")) and not list(
        smoke.outputs.rglob("checkpoints")
    )


def own_records(smoke):
    """Those of the smoke study: other studies of these tests have runs in the same folder."""
    plan = json.loads((smoke.outputs / "smoke" / "plan.json").read_text(encoding="utf-8"))
    records = records_of(smoke.outputs)
    return {run["id"]: records[run["id"]] for run in plan["runs"]}


def test_every_record_says_what_a_score_needs(smoke):
    seen = set()
    for run, record in own_records(smoke).items():
        assert run == record["id"] and run.endswith(identity.digest(record["identity"]))
        assert {"torch", "transformers", "device", "threads", "python"} <= set(
            record["environment"]
        )
        assert record["timing"]["total"] > 0 and record["code"]
        for score in record["scores"]:
            assert (
                0 <= score["value"] <= 100
                and score["n"] > 0
                and score["split"]
                and score["language"]
            )
            seen.add((record["kind"], score["task"]))
        if record["kind"] in ("target", "retrieval"):
            languages = {score["language"] for score in record["scores"]}
            assert len(languages) >= 2 and ("en" in languages) == (record["kind"] == "target")
    targets = {("target", name) for name in ("xnli", "udpos", "xquad")} | {("retrieval", "tatoeba")}
    assert targets | {("intermediate", "mnli"), ("intermediate", "squad")} == seen


def test_weights_are_kept_for_encoders_only(smoke, monkeypatch):
    """Other tests' studies share the folder, and one has the models of targets kept."""
    monkeypatch.setenv("XFER_OUTPUTS", str(smoke.outputs))
    runs = make_plan(SMOKE).runs.values()
    plain = [run for run in runs if not records.read(run.folder).parameters.get("keep_model")]
    kept = {
        (run.kind.name, *path.relative_to(run.folder).parts)
        for run in plain
        for path in run.folder.rglob("*")
        if path.suffix in (".safetensors", ".bin", ".pt")
    }
    assert kept == {(kind, "encoder", "model.safetensors") for kind in ("encoder", "intermediate")}


def test_a_second_run_trains_nothing(smoke):
    before = times(smoke.outputs)
    ended = xfer("run", SMOKE, outputs=smoke.outputs)
    assert ended.returncode == 0 and f"{RUNS} of {RUNS} runs done, 0 to run" in ended.stdout
    assert times(smoke.outputs) == before


def test_plan_and_status_of_a_study_that_is_done(smoke, command):
    code, plan = command("plan", SMOKE, outputs=smoke.outputs)
    assert code == 0 and plan.err == ""
    assert (
        f"{RUNS} of {RUNS} runs done, 0 to do." in plan.out
        and "10_encoder.ipynb - 1 of 1 done" in plan.out
    )
    assert plan.out.count("  x ") == RUNS and "<- intermediate-mnli-s0" in plan.out
    code, status = command("status", SMOKE, outputs=smoke.outputs)
    assert code == 0 and status.out == f"Smoke study: {RUNS} done, 0 running, 0 failed, 0 waiting\n"


def test_plan_and_status_of_a_study_that_is_not_begun(command, tmp_path):
    _, plan = command("plan", SMOKE, outputs=tmp_path)
    assert f"0 of {RUNS} runs done, {RUNS} to do." in plan.out and " x " not in plan.out
    assert f"({RUNS} from FLOPs at " in plan.out and "measured on this machine" in plan.out
    _, status = command("status", SMOKE, outputs=tmp_path)
    assert status.out.startswith(f"Smoke study: 0 done, 0 running, 0 failed, {RUNS} waiting\n")
    assert not list(tmp_path.glob("runs")), "planning makes no run"


def test_planning_does_not_wait_for_what_only_running_needs(tmp_path):
    code = (
        "import sys; from xfer_utils.commands import overview; from xfer_utils.runs import plan;"
        f"overview.status_text(plan.make_plan({str(SMOKE)!r}));"
        "print([name for name in ('papermill', 'jsonschema', 'torch', 'matplotlib') if name in sys.modules])"
    )
    run = [sys.executable, "-c", code]
    ended = subprocess.run(
        run, env=environment(tmp_path), text=True, capture_output=True, check=True, cwd=tmp_path
    )
    assert ended.stdout == "[]\n"


@pytest.mark.slow
def test_only_draws_in_parents_limit_stops_and_made_again_is_the_same(smoke, own_outputs):
    names = ["intermediate-mnli-s0", "target-mnli-after-mnli-s0", "retrieval-after-mnli-s0"]
    parent, target, retrieval = remove(own_outputs, *names)
    before = times(own_outputs)
    limited = xfer("run", SMOKE, "--limit", "1", outputs=own_outputs)
    assert limited.returncode == 0 and f"{RUNS - 2} of {RUNS} runs done" in limited.stdout
    assert set(times(own_outputs)) - set(before) == {parent}
    shutil.rmtree(own_outputs / "runs" / parent)
    only = xfer("run", SMOKE, "--only", "retrieval-after-mnli*", outputs=own_outputs)
    assert only.returncode == 0 and set(times(own_outputs)) - set(before) == {parent, retrieval}
    assert {run: times(own_outputs)[run] for run in before} == before
    again, once = scores_of(own_outputs), scores_of(smoke.outputs)
    assert again == {run: scores for run, scores in once.items() if run != target}


@pytest.mark.slow
def test_a_failing_run_stops_only_what_builds_on_it(own_outputs, tmp_path, command):
    """The encoder has fewer positions, which only the notebook can find out."""
    text = "intermediate: [none, squad]\ntargets: [xquad, tatoeba]\nintermediate_training: {squad: {max_length: 256}}\n"
    path = study_file(tmp_path, text)
    remove(own_outputs, "retrieval-after-none")
    ended = xfer("run", path, outputs=own_outputs)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "3 of 6 runs done" in ended.stdout and "2 runs build on failed ones" in ended.stdout
    (failed,) = re.findall(r"^failed: (\S+): (.+)$", ended.stdout, re.MULTILINE)
    assert failed[0].startswith("intermediate-squad-s0-") and len(failed[1]) > 10
    notebook = own_outputs / "runs" / failed[0] / "notebook.ipynb"
    assert notebook.exists() and str(notebook) in ended.stdout
    assert list((own_outputs / "runs").glob("retrieval-after-none-*/result.json")), (
        "the independent run is made"
    )
    code, status = command("status", path, outputs=own_outputs)
    assert code == 0 and "3 done, 0 running, 1 failed, 2 waiting" in status.out
    assert failed[1] in status.out and str(notebook) in status.out
    reasons = results.not_run(own_outputs / "small")
    assert set(reasons) == {("squad", "xquad"), ("squad", "tatoeba")}


def age(outputs, slug):
    """Makes a run on disk look as if other code had made it; its id and its parent's stay."""
    (folder,) = (outputs / "runs").glob(f"{slug}-*")
    record = json.loads((folder / "result.json").read_text())
    record["code"]["xfer_utils.learning.training"] = "older"
    record["seal"] = records._seal(record)
    (folder / "result.json").write_text(json.dumps(record))
    return record["id"]


def test_runs_of_other_code_stay_done_until_they_are_asked_for_again(own_outputs, command):
    parent = age(own_outputs, "intermediate-mnli-s0")
    _, status = command("status", SMOKE, outputs=own_outputs)
    assert f"{RUNS} done, 0 running, 0 failed, 0 waiting" in status.out
    _, plan = command("plan", SMOKE, outputs=own_outputs)
    assert "xfer_utils.learning.training" in plan.out and "--refresh" in plan.out
    before = times(own_outputs)
    refreshed = xfer("run", SMOKE, "--refresh", outputs=own_outputs)
    assert refreshed.returncode == 0
    after = times(own_outputs)
    changed = {id for id in before if before[id] != after[id]}
    assert parent in changed and len(changed) == 5, "and what builds on it"
    assert all(id == parent or "-after-mnli-s0" in id for id in changed)
    _, plan = command("plan", SMOKE, outputs=own_outputs)
    assert "--refresh" not in plan.out


@pytest.mark.slow
def test_two_outputs_folders_get_the_same_scores(smoke, tmp_path):
    ended = xfer("run", SMOKE, "--workers", "1", outputs=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    theirs = scores_of(smoke.outputs)  # and of other tests' studies, in the same folder
    assert len(scores_of(tmp_path)) == RUNS
    assert scores_of(tmp_path) == {run: theirs.get(run) for run in scores_of(tmp_path)}
    for path in tmp_path.glob("runs/*/predictions/*.parquet"):
        other = smoke.outputs / path.relative_to(tmp_path)
        pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(other))


@pytest.mark.slow
def test_the_report_is_there_and_asks_nobody_for_anything(own_outputs):
    ended = xfer("report", SMOKE, outputs=own_outputs)
    page = own_outputs / "smoke" / "report" / "index.html"
    assert ended.returncode == 0 and ended.stdout.strip().endswith(str(page)), (
        ended.stdout + ended.stderr
    )
    pages = sorted(page.parent.rglob("*.html"))
    assert len(pages) >= RUNS + 2
    outside = re.compile(
        r"""(?:src|srcset|data|action|poster)\s*=\s*["']?\s*(?:https?:)?//|@import|url\(\s*["']?(?:https?:)?//"""
    )
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert not outside.search(text), path
        assert not re.search(
            r"<(?:script[^>]*\bsrc|iframe|object|embed|base)\b|<link\b(?![^>]*href=.data:)", text
        ), path
        for link in re.findall(r'href="([^"#][^"]*)"', text):
            if not link.startswith(("http:", "https:", "data:")):
                assert (path.parent / link.split("#")[0]).exists(), (path, link)
    front = page.read_text(encoding="utf-8")
    assert "mean nothing" in front and "Smoke study" in front
    assert (own_outputs / "smoke" / "tables" / "main.tidy.csv").exists()
