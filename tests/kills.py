"""Kills by SIGKILL at random moments: `python tests/kills.py 30` starts smoke studies and keeps killing.

Each study is started again until it is done, and its scores are compared with an undisturbed one's.
"""

import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from conftest import scores_of, start, study_file, xfer

VICTIMS = ("launcher", "kernel", "server", "training")
# Every training leaves checkpoints, however short; that is no part of a run's identity.
OFTEN = "{default: {checkpoint_minutes: 1.0e-4}}"
OFTEN = f"intermediate_training: {OFTEN}\ntarget_training: {OFTEN}\n"


def until(condition: Callable[[], object], seconds: float = 200.0) -> object:
    """Waits for a condition; its value."""
    end = time.time() + seconds
    while time.time() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def kernels(process) -> list[psutil.Process]:
    """The kernels of a launcher: what its fork server has forked."""
    return [child for server in servers(process) for child in server.children()]


def servers(process) -> list[psutil.Process]:
    """The fork server of a launcher, beside multiprocessing's tracker, which has no children."""
    try:
        return psutil.Process(process.pid).children()
    except psutil.NoSuchProcess:
        return []


def gone(processes: list[psutil.Process]) -> Callable[[], bool]:
    """A condition: that all of these have ended."""
    return lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def training(kernel: psutil.Process) -> bool:
    """Whether a kernel's run has left a checkpoint: its log lies in the run's folder."""
    try:
        folders = [Path(file.path).parent for file in kernel.open_files()]
    except psutil.Error:
        return False
    return any(list(folder.glob("checkpoints/*/checkpoint-*")) for folder in folders)


def victims(process, kind: str) -> list[psutil.Process]:
    """The processes of one kind that could be killed now."""
    if kind == "launcher":
        return [psutil.Process(process.pid)]
    if kind == "server":
        return [server for server in servers(process) if server.children()]
    return [kernel for kernel in kernels(process) if kind == "kernel" or training(kernel)]


def kill_one(process, kind: str, seconds: float, seen: set[psutil.Process]) -> bool:
    """Kills a process of one kind after some seconds; False where the launcher ended before.

    The processes of the launcher that is disturbed are added to those seen.
    """
    time.sleep(seconds)
    while process.poll() is None:
        try:
            if found := victims(process, kind):
                seen.update(kernels(process), servers(process))
                random.choice(found).kill()
                break
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.02)
    else:
        return False
    if kind == "launcher":
        process.communicate()
    return True


def survive(study: Path, outputs: Path, kinds: list[str], longest: float) -> tuple[int, int, int]:
    """Runs a study to its end, killing one process after the other.

    How many were killed, how many of the launchers' processes outlived them, and how many claims.
    """
    killed, process, seen = 0, start("run", study, outputs=outputs), set()
    while killed < len(kinds):
        if not kill_one(process, kinds[killed], random.uniform(0, longest), seen):
            out, err = process.communicate()
            assert process.returncode in (0, 1), out + err
            if process.returncode == 0:
                break
        else:
            killed += 1
            print(f"  killed: {kinds[killed - 1]}", flush=True)
        if process.poll() is not None:
            process = start("run", study, outputs=outputs)
    out, err = process.communicate(timeout=600)
    if process.returncode:  # what was killed counts as failed; the same command makes it
        ended = xfer("run", study, outputs=outputs)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    with contextlib.suppress(AssertionError):
        until(gone(list(seen)), 30)
    orphans = sum(not gone([process])() for process in seen)
    return killed, orphans, len(list((outputs / "claims").glob("*.json")))


def main(kills: int, seed: int) -> int:
    """Kills so many processes over as many smoke studies as it takes; its last line says the result."""
    random.seed(seed)
    with tempfile.TemporaryDirectory() as place:
        folder, outputs = Path(place), Path(place) / "outputs"
        study = study_file(folder, OFTEN, "kills")
        ended = xfer("run", study, outputs=outputs)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        wanted, survived, tried, kinds = scores_of(outputs), 0, 0, list(VICTIMS)
        left = [0, 0]
        while tried < kills:
            shutil.rmtree(outputs / "runs")
            random.shuffle(kinds)
            kinds_now = (kinds * 3)[: min(10, kills - tried)]
            killed, *more = survive(study, outputs, kinds_now, 4.0)
            left = [a + b for a, b in zip(left, more, strict=True)]
            same = scores_of(outputs) == wanted
            tried += killed
            survived += killed * same
            print(f"{tried} kills, scores {'identical' if same else 'DIFFERENT'}", flush=True)
    remains = f"{left[0]} orphaned processes, {left[1]} stale claims"
    print(f"{survived} of {kills} kills survived with identical scores; {remains}")
    return survived < kills or any(left)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
