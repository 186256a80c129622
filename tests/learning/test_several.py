# ruff: noqa: F401, F811 (fixtures are used by their names)
"""One training in two processes (gloo, on the CPU): what one process learns, but for rounding."""

import os
import signal
import threading
import time

import psutil
import pytest
import torch
from conftest import records_of, study_file, xfer
from tiny_training import OFTEN, rows, sequence, train

from xfer_utils.learning import several

pytestmark = pytest.mark.slow
# Two tasks, so that a batch leaves one head without gradients; batches of 19, so that one is of 1.
HOW = {"batch_size": 19, "epochs": 2, "accumulation": 2}


@pytest.fixture
def spread(train, new_model, sequence, tmp_path, monkeypatch):
    """Trains in so many processes: the weights and the summary."""

    def run(processes, folder, **more):
        monkeypatch.setenv(several.PROCESSES, str(processes))
        (tmp_path / folder).mkdir(exist_ok=True)
        tasks = {"mnli": sequence, "other": sequence}
        model = new_model(dict.fromkeys(tasks, "sequence"), dict.fromkeys(tasks, 3), dropout=0.0)
        return train(tasks, folder, model=model, **{**HOW, **more})

    return run


def test_two_processes_have_the_losses_of_one(spread, tmp_path):
    (one, alone), (two, both) = spread(1, "one"), spread(2, "two")
    assert both.pop("processes") == 2 and alone.keys() == both.keys()
    losses = [[loss for _, loss in summary["losses"]] for summary in (alone, both)]
    assert len(losses[0]) > 5 and losses[1] == pytest.approx(losses[0], abs=3e-4)
    assert max(losses[0]) - min(losses[0]) > 0.05, "something was learnt"
    assert both["loss"] == pytest.approx(alone["loss"], abs=3e-4)
    for key in ("steps", "examples", "tokens", "layout", "degenerate"):
        assert both[key] == alone[key]
    assert all(torch.allclose(one[key], two[key], atol=1e-3) for key in one)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "checkpoints",
        "progress.txt",
    ]


def test_told_to_stop_they_save_as_one_and_go_on(spread, tmp_path):
    """The launcher tells the kernel, which hands it on; a save a step leaves time for it."""
    ours = psutil.Process()

    def tell():
        while not list((tmp_path / "told").glob("checkpoints/*/checkpoint-*")):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGUSR1)

    teller = threading.Thread(target=tell)
    teller.start()
    with pytest.raises(
        torch.multiprocessing.ProcessRaisedException, match=r"step \d+ of 120 is saved"
    ):
        spread(2, "told", max_steps=120, **OFTEN)
    teller.join()
    assert not [child for child in ours.children() if "spawn_main" in " ".join(child.cmdline())]
    (checkpoint,) = (tmp_path / "told" / "checkpoints").glob("*/checkpoint-*")
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in checkpoint.iterdir()}
    assert spread(2, "told", max_steps=120, **OFTEN)[1]["resumed_from"] == checkpoint.name


def test_a_study_on_several_gpus_has_the_same_runs(smoke, own_outputs, tmp_path):
    """In real kernels, which are warm ones; without a GPU the processes share the CPU."""
    study = study_file(tmp_path, "intermediate: [none]\ntargets: [xnli]\ngpus_per_run: 2\n", "two")
    (run,) = (name for name in records_of(own_outputs) if name.startswith("target-mnli-after-none"))
    (own_outputs / "runs" / run / "result.json").unlink()
    ended = xfer("run", study, outputs=own_outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 to run" in ended.stdout
    found, before = records_of(own_outputs)[run], records_of(smoke.outputs)[run]
    assert found["training"]["processes"] == 2 and "processes" not in before["training"]
    assert found["training"]["steps"] == before["training"]["steps"]
    counted = [
        [(score["language"], score["n"]) for score in one["scores"]] for one in (found, before)
    ]
    assert counted[0] == counted[1]
