"""Kills, breaks and rivals: nothing half-made counts, and the next command ends as an undisturbed study would."""

import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from conftest import records_of, scores_of, start, study_file, xfer
from kills import OFTEN, VICTIMS, gone, kernels, survive, until

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


def claimed(outputs, kind):
    """Claims on runs of a kind whose notebook has begun to work."""
    return [path.stem for path in (outputs / "claims").glob(f"{kind}-*.json")]


MNLI = ("intermediate-mnli", "target-mnli-after-mnli", "retrieval-after-mnli")


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
@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
@pytest.mark.slow
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


@pytest.mark.slow
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


def test_random_kills_short(outputs, smoke, tmp_path):
    """`make test-faults` kills thirty times; here each kind of process is killed once, if it lives so long."""
    study = study_file(tmp_path, SMALL + OFTEN, "kills")
    outputs = outputs("target-mnli-after-none", "retrieval-after-none", *MNLI)
    random.seed(7)
    killed, orphans, claims = survive(study, outputs, list(VICTIMS), 2.0)
    assert killed >= 2 and not orphans and not claims
    assert scores_of(outputs) == scores_of(smoke.outputs)


def test_what_was_tampered_with_is_made_again_short(small, outputs, smoke):
    """A replaced encoder, garbled predictions, a foreign result, a changed score, a lost file of the toy world."""
    outputs = outputs()

    def of(slug, name):
        (path,) = (outputs / "runs").glob(f"{slug}-*/{name}")
        return path

    weights = of("intermediate-squad-s0", "encoder/model.safetensors").read_bytes()
    encoder = of("intermediate-mnli-s0", "encoder/model.safetensors")
    assert len(weights) == encoder.stat().st_size and weights != encoder.read_bytes()
    encoder.write_bytes(weights)
    predictions = of("target-mnli-after-none-s0", "predictions/xnli.dev.parquet")
    content = predictions.read_bytes()
    predictions.write_bytes(content[:200] + bytes(9) + content[209:])
    foreign = of("retrieval-after-mnli-s0", "result.json")
    shutil.copy(foreign, of("retrieval-after-none*", "result.json"))
    changed = of("target-mnli-after-mnli-s0", "result.json")
    text = changed.read_text()
    changed.write_text(re.sub(r'"value": [0-9.]+', '"value": 99.5', text, count=1))
    lost = next((outputs / "data").glob("toy-*/xnli/qaa.validation.parquet"))
    lost.unlink()
    status = xfer("status", small, outputs=outputs)
    assert "2 done, 0 running, 0 failed, 4 waiting" in status.stdout
    assert "encoder/model.safetensors is missing or not as the run has left it" in status.stdout
    assert "is that of another run, retrieval-after-mnli" in status.stdout
    assert "was changed after it was written: it will be made again" in status.stdout
    assert (
        "xnli/qaa.validation.parquet; set aside as broken-toy-" in status.stderr and lost.exists()
    )
    ended = xfer("run", small, outputs=outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr.count("set aside as broken-") == 4
    for path in (outputs / "runs").glob("broken-*"):
        assert path.name in ended.stderr
        shutil.rmtree(path)
    assert scores_of(outputs) == scores_of(smoke.outputs)
