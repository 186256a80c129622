"""Warm kernels: started for a run, ended with it."""

import multiprocessing
import threading
import time

import nbformat
import pytest
from nbclient.exceptions import DeadKernelError

from xfer_utils.runs import codehash, engines, kernels, records
from xfer_utils.runs import plan as study
from xfer_utils.runs.kinds import KINDS
from xfer_utils.study import paths
from xfer_utils.study.jobs import EncoderJob


@pytest.fixture
def execute(tmp_path):
    """Executes one cell in a warm kernel; what it prints."""

    def printed(code: str, threads: int = 1) -> str:
        spec = {"name": "python3", "language": "python", "display_name": "Python 3"}
        cells = [nbformat.v4.new_code_cell(code)]
        notebook = nbformat.v4.new_notebook(metadata={"kernelspec": spec}, cells=cells)
        nbformat.write(notebook, tmp_path / "a.ipynb")
        executed = tmp_path / "executed.ipynb"
        engines.execute_notebook(tmp_path / "a.ipynb", executed, {}, threads=threads)
        return nbformat.read(executed, as_version=4).cells[-1].outputs[0].text

    return printed


def test_a_kernel_ends_with_its_notebook(execute):
    for _ in range(2):
        assert execute("import os; print(os.environ['OMP_NUM_THREADS'])") == "1\n"
        assert not kernels.LIVE
        assert all(child.exitcode is not None for child in multiprocessing.active_children())


def test_a_kernel_that_is_started_after_the_stop_ends_at_once(execute, monkeypatch):
    """Ctrl-C may come between a run's submission to its thread and the start of its kernel."""
    monkeypatch.setattr(kernels, "STOPPED", threading.Event())
    kernels.kill_all()
    begun = time.monotonic()
    with pytest.raises((RuntimeError, DeadKernelError)):
        execute("import time; time.sleep(30)")
    assert time.monotonic() - begun < 20
    assert not kernels.LIVE
    engines.execute(None, [], 1, 1, engines.Progress(0))
    assert not kernels.STOPPED.is_set(), "the next study starts kernels again"


@pytest.mark.parametrize(
    ("given", "count", "wanted"),
    [
        (None, 2, ["0", "1", "0"]),
        ("2,3", 2, ["2", "3", "2"]),
        ("GPU-5f, MIG-7a", 2, ["GPU-5f", "MIG-7a", "GPU-5f"]),
        ("3", 1, [None, None, None]),
        (None, 0, [None, None, None]),
    ],
)
def test_kernels_go_round_the_gpus_that_the_launcher_may_use(monkeypatch, given, count, wanted):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    got = [engines.kernel_environment(1, slot).get("CUDA_VISIBLE_DEVICES") for slot in range(3)]
    assert got == wanted


@pytest.mark.parametrize(
    ("count", "gpus", "workers", "wanted"),
    [
        (8, 4, 2, ["0,1,2,3", "4,5,6,7", "0,1,2,3"]),
        (8, 3, 2, ["0,1,2", "3,4,5", "6,7,0"]),
        (2, 8, 1, ["0,1", "0,1", "0,1"]),  # too few: the training says so
    ],
)
def test_runs_on_several_gpus_have_groups_of_them(monkeypatch, count, gpus, workers, wanted):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    found = [engines.kernel_environment(1, slot, gpus) for slot in range(3)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in found] == wanted
    assert {one["XFER_PROCESSES"] for one in found} == {str(gpus)}
    assert engines.default_workers(gpus) == workers


def encoder_run(**changes):
    """A run that is only looked at, never trained."""
    notebook = paths.NOTEBOOKS / "10_encoder.ipynb"
    content = {
        "id": "encoder-x-0123456789", "kind": KINDS["encoder"], "parents": {}, "labels": {},
        "job": EncoderJob(run_dir="outputs/runs/encoder-x-0123456789", source="toy"),
        "identity": {"cells": codehash.of_cells(notebook)},
        "code": codehash.of_notebook(notebook), **changes,
    }  # fmt: skip
    return study.Run(**content)


@pytest.mark.parametrize(
    ("changes", "edited"),
    [
        ({"code": {"xfer_utils.formats.features": "0123456789abcdef"}}, r"xfer_utils\.formats"),
        ({"identity": {"cells": "0123456789abcdef"}}, r"notebooks/10_encoder\.ipynb"),
    ],
)
def test_code_edited_since_the_plan_does_not_run(tmp_path, monkeypatch, changes, edited):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    run = encoder_run(**changes)
    with pytest.raises(RuntimeError, match=rf"{edited}.* was edited .* start it again"):
        engines.run_notebook(run, 1)
    assert records.read(run.folder) is None and not (run.folder / engines.EXECUTED).exists()


def test_a_kernel_has_the_threads_it_is_told_and_waits_without_spinning(execute):
    code = """import os, torch; torch.set_num_threads(torch.get_num_threads())
print(torch.get_num_threads(), os.environ["OMP_WAIT_POLICY"])"""
    for threads in (1, 2):
        assert execute(code, threads).split() == [str(threads), "PASSIVE"]


def test_a_run_that_another_launcher_finished_leaves_no_checkpoints(tmp_path, monkeypatch):
    """Its launcher died between the result and the removal of the checkpoints."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    run = encoder_run()
    (run.folder / "checkpoints" / "checkpoint-5").mkdir(parents=True)
    records.write_draft(run.folder, watch=records.Stopwatch())
    records.accept(
        run.folder, id=run.id, kind=run.kind.name, labels={}, identity=run.identity,
        parameters=run.parameters, parents=[], code=run.code, seconds=1.0,
    )  # fmt: skip
    progress = engines.Progress(1)
    plan = study.Plan(None, tmp_path / "x.yaml", {}, {run.id: run})
    engines.execute(plan, [run.id], 1, 1, progress)
    assert progress.done == {run.id} and not (run.folder / "checkpoints").exists()
