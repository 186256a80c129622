"""Workers of a job array share a study: each takes runs while there are any, and gives back when told to stop."""

import re
import shutil
import signal
import subprocess

import pytest
from conftest import PROJECT, records_of, scores_of, start, study_file, xfer
from kills import gone, kernels, training, until

AGAIN = 75
OFTEN = "target_training: {default: {checkpoint_minutes: 1.0e-4}}\n"
LONG = "intermediate: [none]\ntargets: [xnli]\ntarget_training:\n  mnli: {epochs: 150, checkpoint_minutes: 60.0}\n"


def script() -> str:
    """The job array of docs/cluster.md."""
    text = (PROJECT / "docs" / "cluster.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"^```slurm\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return found


def test_the_sample_job_array_is_a_script_whose_worker_drains():
    text = script()
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(\S*)", text, re.MULTILINE))
    assert {"array", "requeue", "signal", "open-mode"} <= set(options)
    assert options["signal"].startswith("USR1@"), "to the worker itself, not to the script (B:)"
    (worker,) = [line for line in text.splitlines() if "xfer run" in line]
    assert "--drain" in worker and "srun" in worker
    assert str(AGAIN) in text and "scontrol requeue" in text


def test_the_script_requeues_a_worker_that_was_told_to_stop_and_no_other(tmp_path):
    """Run for real, with commands in srun's and scontrol's places."""
    for name, body in {
        "srun": 'echo "$@" > worker; exit $CODE',
        "scontrol": 'echo "$@" > again',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    for code in (AGAIN, 0, 1):
        for left in ("worker", "again"):
            (tmp_path / left).unlink(missing_ok=True)
        own = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CODE": str(code), "SLURM_JOB_ID": "7"}
        ended = subprocess.run(["bash"], input=script(), text=True, cwd=tmp_path, env=own)
        assert "--drain" in (tmp_path / "worker").read_text()
        assert (tmp_path / "again").exists() == (code == AGAIN)
        assert ended.returncode == (0 if code == AGAIN else code)


@pytest.mark.faults
def test_three_workers_one_told_to_stop_and_one_killed_make_the_same_study(smoke, tmp_path):
    outputs, study = tmp_path / "outputs", study_file(tmp_path, OFTEN)
    shutil.copytree(smoke.outputs / "data", outputs / "data")
    workers = [start("run", study, "--drain", "--workers", "1", outputs=outputs) for _ in range(3)]
    until(lambda: len(records_of(outputs)) >= 3)
    until(lambda: kernels(workers[0]) or workers[0].poll() is not None)
    children = kernels(workers[1])
    workers[0].send_signal(signal.SIGUSR1)
    workers[1].kill()
    workers[1].wait()
    until(gone(children), 30)
    out, err = workers[0].communicate(timeout=120)
    assert workers[0].returncode == AGAIN and "Traceback" not in err, out + err
    claims = [path.read_text() for path in (outputs / "claims").glob("*.json")]
    assert not any(f'"process": {workers[0].pid}' in text for text in claims), "given back at once"
    again = start("run", study, "--drain", "--workers", "1", outputs=outputs)
    for worker in (workers[2], again):
        out, err = worker.communicate(timeout=300)
        assert worker.returncode == 0, out + err
    if scores_of(outputs).keys() != scores_of(smoke.outputs).keys():  # left to the killed one
        assert xfer("run", study, "--drain", outputs=outputs).returncode == 0
    assert scores_of(outputs) == scores_of(smoke.outputs)
    logs = {path.stem for path in outputs.glob("runs/*/*.log")}
    assert logs == set(records_of(outputs)), "a log for each run, named after it"


@pytest.mark.faults
@pytest.mark.parametrize("sign", [signal.SIGUSR1, signal.SIGTERM])
def test_a_worker_that_is_told_to_stop_saves_what_it_trains(own_outputs, tmp_path, sign):
    study = study_file(tmp_path, LONG, "long")
    process = start("run", study, "--drain", "--workers", "1", outputs=own_outputs)
    until(lambda: list((own_outputs / "claims").glob("target-mnli-*.json")))
    (claim,) = (own_outputs / "claims").glob("target-mnli-*.json")
    until((own_outputs / "runs" / claim.stem / "progress.txt").exists)
    (kernel,) = kernels(process)
    process.send_signal(sign)
    out, err = process.communicate(timeout=100)
    assert process.returncode == AGAIN and "given back after" in out, out + err
    assert "Traceback" not in err and not list((own_outputs / "claims").glob("*.json"))
    assert gone([kernel])() and not training(kernel)
    assert list(own_outputs.glob("runs/target-mnli-*/checkpoints/*/checkpoint-*/digests.json"))
    assert "0 failed" in xfer("status", study, outputs=own_outputs).stdout
    ended = xfer("run", study, "--drain", outputs=own_outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    resumed = [
        record["training"].get("resumed_from", "") for record in records_of(own_outputs).values()
    ]
    assert sum(name.startswith("checkpoint-") for name in resumed) == 1


@pytest.mark.faults
def test_a_worker_with_nothing_left_to_take_does_not_wait(own_outputs, tmp_path):
    study = study_file(tmp_path, LONG, "long")
    first = start("run", study, outputs=own_outputs)
    until(lambda: list((own_outputs / "claims").glob("target-*.json")))
    second = xfer("run", study, "--drain", outputs=own_outputs)
    assert second.returncode == 0 and "1 of 2 runs done" in second.stdout
    first.terminate()
    first.communicate(timeout=60)
