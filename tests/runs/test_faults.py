"""Kills, breaks and rivals: nothing half-made counts, and the next command ends as an undisturbed study would."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest
from conftest import records_of, scores_of, start, study_file, xfer

pytestmark = pytest.mark.slow
SMALL = "intermediate: [none, mnli]\ntargets: [xnli, tatoeba]\n"
RUNS = 6


@pytest.fixture
def small(tmp_path) -> Path:
    """A part of the smoke study; its runs have the smoke study's ids."""
    return study_file(tmp_path, SMALL)


@pytest.fixture
def outputs(own_outputs):
    """Makes outputs in which these runs of the smoke study, by readable name, are still to be made."""

    def without(*slugs):
        for slug in slugs:
            for folder in (own_outputs / "runs").glob(f"{slug}-*"):
                shutil.rmtree(folder)
        return own_outputs

    return without


def until(condition, seconds=200.0):
    """Waits for a condition; its value."""
    end = time.time() + seconds
    while time.time() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def claimed(outputs, kind):
    """Claims on runs of a kind whose notebook has begun to work."""
    return [path.stem for path in (outputs / "claims").glob(f"{kind}-*.json")]


MNLI = ("intermediate-mnli", "target-mnli-after-mnli", "retrieval-after-mnli")


def kernels(process):
    """The kernels of a launcher: what its fork server has forked."""
    servers = psutil.Process(process.pid).children()
    return [child for server in servers for child in server.children()]


def gone(processes):
    return lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def assert_finishes_as_undisturbed(small, outputs, smoke):
    ended = xfer("run", small, outputs=outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{RUNS} of {RUNS} runs done" in ended.stdout
    found, wanted = scores_of(outputs), scores_of(smoke.outputs)
    assert len(found) >= RUNS and found == {run: wanted[run] for run in found}
    assert not list((outputs / "claims").glob("*.json"))


@pytest.mark.parametrize(
    ("kind", "missing"), [("encoder", ("*",)), ("target", ("target-mnli-after-none", *MNLI))]
)
def test_a_killed_launcher(small, outputs, smoke, kind, missing):
    outputs = outputs(*missing)
    process = start("run", small, outputs=outputs)
    until(lambda: claimed(outputs, kind) and kernels(process))
    time.sleep(0.5)
    running, before = kernels(process), set(records_of(outputs))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    in_flight = claimed(outputs, "*")
    assert in_flight, "killed in the middle"
    until(gone(running), 20)  # no kernel outlives its launcher
    assert set(records_of(outputs)) == before
    assert "0 running" in xfer("status", small, outputs=outputs).stdout, "the dead run nothing"
    assert_finishes_as_undisturbed(small, outputs, smoke)


def test_a_killed_kernel(small, outputs, smoke):
    outputs = outputs("retrieval-after-none", *MNLI)
    process = start("run", small, "--workers", "1", "--only", "*mnli-*", outputs=outputs)
    until(lambda: claimed(outputs, "intermediate"))
    (kernel,) = until(lambda: kernels(process))
    kernel.kill()
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1 and "Traceback" not in err
    (failed,) = re.findall(r"^failed: (\S+):", out, re.MULTILINE)
    assert failed.startswith("intermediate-mnli-s0") and failed not in records_of(outputs)
    assert "2 runs build on failed ones" in out
    assert "1 failed, 3 waiting" in xfer("status", small, outputs=outputs).stdout
    assert_finishes_as_undisturbed(small, outputs, smoke)


def test_two_launchers_at_once(small, outputs, smoke):
    outputs = outputs("*")
    processes = [start("run", small, outputs=outputs) for _ in range(2)]
    printed = [process.communicate(timeout=400) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    made = [
        run
        for out, _ in printed
        for run in re.findall(r"left  done +[\d.]+ s  (\S+)$", out, re.MULTILINE)
    ]
    assert sorted(made) == sorted(records_of(outputs)) and len(made) == RUNS, (
        "each run is made once"
    )
    assert all(f"{RUNS} of {RUNS} runs done" in out for out, _ in printed)
    assert_finishes_as_undisturbed(small, outputs, smoke)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c(small, outputs, smoke, sign):
    outputs = outputs(*MNLI)
    process = start("run", small, outputs=outputs)
    until(lambda: claimed(outputs, "intermediate") and kernels(process))
    running, before = kernels(process), set(records_of(outputs))
    process.send_signal(sign)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 130, out + err
    assert "Interrupted." in out and "the same command continues" in out and "Traceback" not in err
    until(gone(running), 10)
    after = set(
        records_of(outputs)
    )  # on a busy machine a run may have ended before the signal was heard
    assert before <= after and f"{RUNS - 3 + len(after - before)} of {RUNS} runs are done" in out
    assert not list((outputs / "claims").glob("*.json"))
    if sign == signal.SIGINT:
        assert_finishes_as_undisturbed(small, outputs, smoke)


def test_a_long_training_resumes_from_its_checkpoint(own_outputs, tmp_path, smoke):
    text = "intermediate: [none]\ntargets: [xnli]\ntarget_training:\n  mnli: {epochs: 150, checkpoint_minutes: 0.005}\n"
    path = study_file(tmp_path, text, "long")
    process = start("run", path, "--workers", "1", outputs=own_outputs)
    checkpoint = "runs/target-mnli-*/checkpoints/*/checkpoint-*/trainer_state.json"
    until(lambda: list(own_outputs.glob(checkpoint)))
    (kernel,) = kernels(process)
    os.kill(kernel.pid, signal.SIGKILL)
    process.communicate(timeout=200)
    assert process.returncode == 1
    undisturbed = shutil.copytree(smoke.outputs, tmp_path / "undisturbed")
    for outputs in (own_outputs, undisturbed):
        ended = xfer("run", path, "--workers", "1", outputs=outputs)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    new = set(records_of(own_outputs)) - set(records_of(smoke.outputs))
    (run,) = new
    resumed, whole = records_of(own_outputs)[run], records_of(undisturbed)[run]
    assert (
        resumed["training"]["resumed_from"].startswith("checkpoint-")
        and whole["training"]["resumed_from"] == ""
    )
    assert resumed["scores"] == whole["scores"]
    assert resumed["training"]["steps"] == whole["training"]["steps"]
    # The mean loss that is logged next after a checkpoint covers the steps since the checkpoint only; later ones agree.
    assert resumed["training"]["losses"][-1] == whole["training"]["losses"][-1]
    assert not list(own_outputs.rglob("checkpoints"))
