"""Executes a plan's runs with papermill: several kernels at a time, each run made once."""

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from xfer_utils.runs import codehash, records
from xfer_utils.runs.claims import Claims
from xfer_utils.runs.plan import Plan, Run, differing
from xfer_utils.study import kept, paths
from xfer_utils.study.settings_file import SettingsError, closest

EXECUTED, ERROR = "notebook.ipynb", "error.txt"
POLL_SECONDS = 1.0
GRACE_SECONDS = 60.0  # for trainings to be saved once they are told to stop
# Errors of the disk that the next run would only repeat.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}


@dataclass
class Progress:
    """What a launcher has seen so far; `report` is called at every change."""

    total: int
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    running: dict[str, float] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)  # of runs that ended here, well
    told: float = float("inf")  # when this launcher was told to stop, by time.time()
    report: Callable[["Progress", str], None] = lambda progress, event: None


def parameter_names(notebook: Path) -> set[str]:
    """The names that a notebook's parameters cell assigns."""
    import papermill

    return set(papermill.inspect_notebook(str(notebook)))


def check_parameters(notebook: Path, parameters: dict) -> None:
    """Refuses what papermill would only warn about: a parameter that the notebook does not have."""
    known = parameter_names(notebook)
    if unknown := [name for name in parameters if name not in known]:
        near = closest(unknown[0], sorted(known))
        raise SettingsError(f"{notebook.name}: no parameter `{unknown[0]}`.{near}")


def default_workers(gpus: int = 1) -> int:
    """Kernels at a time: two on each GPU, or one on so many; on a CPU one per core beats others."""
    import torch

    cards, cores = torch.cuda.device_count(), len(os.sched_getaffinity(0))
    return max(1, (cards or cores) // gpus) if gpus > 1 else 2 * cards or cores


def with_parents(plan: Plan, chosen: list[str]) -> list[str]:
    """The chosen runs and everything that they build on, in the plan's order: parents first."""
    needed = set(chosen)
    for run in reversed(plan.runs.values()):
        if run.id in needed:
            needed |= set(run.parents.values())
    return [run_id for run_id in plan.runs if run_id in needed]


def forget(plan: Plan, chosen: Iterable[str]) -> None:
    """Takes back that runs, and what builds on them, are done: they are made again."""
    forgotten = set(chosen)
    for run in plan.runs.values():
        if run.id in forgotten or forgotten & set(run.parents.values()):
            forgotten.add(run.id)
            (run.folder / records.RESULT).unlink(missing_ok=True)


def make_whole(plan: Plan, chosen: list[str]) -> None:
    """Takes back that runs are done whose weights were left on another machine, but are needed."""
    needed = {run_id for run_id in chosen if not plan.runs[run_id].result()}
    for run in reversed(plan.runs.values()):
        for parent in map(plan.runs.get, run.parents.values() if run.id in needed else ()):
            if (result := parent.result()) and result.left:
                (parent.folder / records.RESULT).unlink()
                needed.add(parent.id)


def execute(
    plan: Plan, wanted: list[str], workers: int, threads: int, progress: Progress,
    drain: bool = False, pool: Executor | None = None,
) -> None:  # fmt: skip
    """Runs what is wanted and not done; a failed run stops only what builds on it.

    With `drain` it does not wait for runs that others have claimed, once it has no more of its own.
    A `pool` of another engine takes the place of threads.
    """
    for run_id in wanted:
        run = plan.runs[run_id]
        check_parameters(paths.NOTEBOOKS / run.kind.notebook, run.parameters)
    # Imported here: what only plans need not wait for it.
    from xfer_utils.runs import kernels

    kernels.STOPPED.clear()
    progress.report(progress, "")
    pool = pool or ThreadPoolExecutor(workers)
    with Claims(paths.outputs() / "claims") as claims, pool:
        launcher = Launcher(plan, wanted, workers, threads, progress, claims, pool)
        try:
            launcher.run_all(drain)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            kernels.kill_all()
            raise


class Launcher:
    """Keeps the kernels busy: starts runs whose parents are done, waits for other launchers."""

    def __init__(
        self, plan: Plan, wanted: list[str], workers: int, threads: int, progress: Progress,
        claims: Claims, pool: Executor,
    ) -> None:  # fmt: skip
        self.plan, self.progress, self.claims, self.pool = plan, progress, claims, pool
        self.threads, self.slots = threads, list(range(workers))
        self.waiting = [id for id in wanted if id not in progress.done]
        self.futures: dict[Future, tuple[str, int]] = {}

    def run_all(self, drain: bool) -> None:
        """Until nothing is left to run, or it is told to stop and what runs has been saved."""
        while self.futures or (self.waiting and not self._told()):
            for run_id in [] if self._told() else list(self.waiting):
                self._consider(self.plan.runs[run_id])
            if drain and not self.futures and self.progress.elsewhere.issuperset(self.waiting):
                return
            finished, _ = wait(self.futures, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            self.progress.report(self.progress, "")  # trainings have gone on
            for future in finished:
                run_id, slot = self.futures.pop(future)
                self.slots.append(slot)
                self._book(run_id, future)
            if not self.futures and self.waiting:
                time.sleep(POLL_SECONDS)

    def _told(self) -> bool:
        """Whether to stop; if so, kernels hear of it, each time those started since."""
        from xfer_utils.runs import kernels

        late = time.time() - self.progress.told
        if late > GRACE_SECONDS:
            kernels.kill_all()
        elif late >= 0:
            kernels.tell_all()
        return late >= 0

    def _consider(self, run: Run) -> None:
        """Starts a run if it can be, drops it if it is done elsewhere or can no longer be run."""
        progress, parents = self.progress, run.parents.values()
        if any(parent in progress.failed or parent in progress.blocked for parent in parents):
            self.waiting.remove(run.id)
            progress.blocked.add(run.id)
        elif run.id in progress.elsewhere and run.result():
            self.waiting.remove(run.id)
            progress.elsewhere.discard(run.id)
            progress.done.add(run.id)
            progress.report(progress, f"done elsewhere  {run.id}")
        elif self.slots and all(self._is_done(parent) for parent in parents):
            self._start(run)

    def _start(self, run: Run) -> None:
        self.progress.elsewhere.add(run.id)
        if not self.claims.take(run.id):
            return
        if run.result():
            _remove(run.folder / "checkpoints")
            self.claims.release(run.id)
            return
        if fault := records.fault(run.folder):
            kept.set_aside(run.folder, fault)
        self.progress.elsewhere.discard(run.id)
        self.waiting.remove(run.id)
        self.progress.running[run.id] = time.time()
        slot = self.slots.pop(0)
        self.futures[self.pool.submit(run_notebook, run, self.threads, slot)] = (run.id, slot)
        self.progress.report(self.progress, "")

    def _is_done(self, run_id: str) -> bool:
        unknown = run_id not in self.progress.done and run_id not in self.progress.running
        if unknown and self.plan.runs[run_id].result():
            self.progress.done.add(run_id)
        return run_id in self.progress.done

    def _book(self, run_id: str, future: Future) -> None:
        self.claims.release(run_id)
        seconds = time.time() - self.progress.running.pop(run_id)
        error = future.exception()
        if error is None:
            self.progress.done.add(run_id)
            self.progress.seconds[run_id] = seconds
            event = f"done   {seconds:6.1f} s  {run_id}"
        elif self._told():
            event = f"given back after {seconds:.1f} s  {run_id}"
        else:
            message = last_line(str(error)) or type(error).__name__
            folder = self.plan.runs[run_id].folder
            told = re.search(r"(?:\[Errno|os error) (\d+)", message)  # as Python and Rust word it
            if told and (number := int(told[1])) in DISK:
                raise OSError(number, os.strerror(number), str(folder))
            (folder / ERROR).write_text(f"{error}\n", encoding="utf-8")
            self.progress.failed[run_id] = message
            event = f"FAILED {seconds:6.1f} s  {run_id}: {message}"
        self.progress.report(self.progress, event)


def run_notebook(run: Run, threads: int, slot: int = 0) -> None:
    """One run through papermill; its result counts once papermill is back and the draft checked."""
    run.folder.mkdir(parents=True, exist_ok=True)
    for leftover in (records.RESULT, records.DRAFT, ERROR, paths.PROGRESS, *run.kind.keeps):
        _remove(run.folder / leftover)
    begun, notebook = time.time(), paths.NOTEBOOKS / run.kind.notebook
    _check_code(run)
    log = run.folder / f"{run.id}.log"
    executed = run.folder / EXECUTED
    execute_notebook(notebook, executed, run.parameters, threads, slot, log, run.gpus)
    _check_code(run)
    records.accept(
        run.folder, id=run.id, kind=run.kind.name, identity=run.identity, code=run.code,
        parameters=run.parameters, parents=list(run.parents.values()), seconds=time.time() - begun,
        labels={**run.labels, "notebook": run.kind.notebook},
    )  # fmt: skip
    _remove(run.folder / "checkpoints")


def _check_code(run: Run) -> None:
    """A record says which code made it: code edited since the plan must not run under it."""
    notebook = paths.NOTEBOOKS / run.kind.notebook
    edited = differing(run.code, codehash.of_notebook(notebook))
    if codehash.of_cells(notebook) != run.identity["cells"]:
        edited.append(f"notebooks/{run.kind.notebook}")
    if edited:
        message = f"{', '.join(edited)} was edited since this `xfer run` began; start it again."
        raise RuntimeError(message)


def execute_notebook(
    notebook: Path, executed: Path, parameters: dict, threads: int, slot: int = 0,
    log: Path | None = None, gpus: int = 1,
) -> None:  # fmt: skip
    """One notebook through papermill, in a warm kernel; what its process prints goes to a log."""
    # Imported here: a command that executes nothing need not wait for them.
    import papermill

    from xfer_utils.runs.kernels import client_options

    executed.parent.mkdir(parents=True, exist_ok=True)
    log = log or executed.with_suffix(".log")
    options = client_options(log, kernel_environment(threads, slot, gpus))
    options |= {"progress_bar": False, "autosave_cell_every": 0}
    papermill.execute_notebook(str(notebook), str(executed), parameters, **options)


def kernel_environment(threads: int, slot: int, gpus: int = 1) -> dict[str, str]:
    """A kernel's threads, and its GPUs: slots go round those that this process may use."""
    import torch

    from xfer_utils.learning import several

    environment = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    environment[several.PROCESSES] = str(gpus)
    count = torch.cuda.device_count()
    if count > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
        cards = [visible.split(",")[(slot * gpus + n) % count].strip() for n in range(gpus)]
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(dict.fromkeys(cards))
    return environment


def last_line(text: str) -> str:
    """The last line of an error that says something, without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip().rpartition("\n")[2].strip()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
