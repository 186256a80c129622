"""Executes a plan's runs with papermill: several kernels at a time, each run claimed, checked and made once."""

import ast
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from xfer_utils.runs import codehash, records
from xfer_utils.runs.claims import Claims
from xfer_utils.runs.plan import Plan, Run
from xfer_utils.study import paths
from xfer_utils.study.settings_file import SettingsError, closest

EXECUTED, ERROR = "notebook.ipynb", "error.txt"
POLL_SECONDS = 1.0


@dataclass
class Progress:
    """What a launcher has seen so far; `report` is called at every change."""

    total: int
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    running: dict[str, float] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    report: Callable[["Progress", str], None] = lambda progress, event: None


def parameter_names(notebook: Path) -> set[str]:
    """The names that a notebook's parameters cell assigns."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            body = ast.parse("".join(cell["source"])).body
            return {
                target.id
                for line in body
                if isinstance(line, ast.Assign)
                for target in line.targets
            }
    raise SettingsError(f"{notebook}: no cell is tagged `parameters`.")


def check_parameters(notebook: Path, parameters: dict) -> None:
    """Refuses what papermill would only warn about: a parameter that the notebook does not have."""
    known = parameter_names(notebook)
    for name in parameters:
        if name not in known:
            raise SettingsError(
                f"{notebook.name}: no parameter `{name}`.{closest(name, sorted(known))}"
            )


def default_workers() -> int:
    """Kernels at a time: one per core on a CPU (two trainings use two cores better than one does), two on one GPU."""
    import torch

    return (
        2 * torch.cuda.device_count()
        if torch.cuda.is_available()
        else max(1, len(os.sched_getaffinity(0)))
    )


def default_threads(workers: int) -> int:
    """Threads of one kernel: what is left of the cores."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


def with_parents(plan: Plan, chosen: list[str]) -> list[str]:
    """The chosen runs and everything that they build on, in the plan's order."""
    needed, waiting = set(), list(chosen)
    while waiting:
        run_id = waiting.pop()
        if run_id not in needed and run_id in plan.runs:
            needed.add(run_id)
            waiting += plan.runs[run_id].parents.values()
    return [run_id for run_id in plan.runs if run_id in needed]


def with_children(plan: Plan, chosen: Iterable[str]) -> set[str]:
    """The chosen runs and everything that builds on them."""
    below = set(chosen)
    for run in plan.runs.values():
        if below & set(run.parents.values()):
            below.add(run.id)
    return below


def forget(plan: Plan, chosen: Iterable[str]) -> None:
    """Takes back that runs, and what builds on them, are done: they are made again."""
    for run_id in with_children(plan, chosen):
        (plan.runs[run_id].folder / records.RESULT).unlink(missing_ok=True)


def execute(plan: Plan, wanted: list[str], workers: int, threads: int, progress: Progress) -> None:
    """Runs what is wanted and not done; a failed run stops only what builds on it."""
    for run_id in wanted:
        run = plan.runs[run_id]
        check_parameters(paths.NOTEBOOKS / run.kind.notebook, run.parameters)
    # Imported here: what only plans need not wait for it.
    from xfer_utils.runs import kernels

    kernels.STOPPED.clear()
    progress.report(progress, "")
    with Claims(paths.outputs() / "claims") as claims, ThreadPoolExecutor(workers) as pool:
        launcher = Launcher(plan, wanted, workers, threads, progress, claims, pool)
        try:
            launcher.run_all()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            kernels.kill_all()
            raise


class Launcher:
    """Keeps the kernels busy: starts runs whose parents are done, books what ends, waits for other launchers."""

    def __init__(
        self, plan: Plan, wanted: list[str], workers: int, threads: int, progress: Progress, claims: Claims,
        pool: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        self.plan, self.progress, self.claims, self.pool = plan, progress, claims, pool
        self.workers, self.threads = workers, threads
        self.waiting = [id for id in wanted if id not in progress.done]
        self.slots = list(range(workers))
        self.futures: dict[Future, tuple[str, int]] = {}

    def run_all(self) -> None:
        """Until nothing is left to run."""
        while self.waiting or self.futures:
            for run_id in list(self.waiting):
                self._consider(self.plan.runs[run_id])
            finished, _ = wait(self.futures, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in finished:
                run_id, slot = self.futures.pop(future)
                self.slots.append(slot)
                self._book(run_id, future)
            if not self.futures and self.waiting:
                time.sleep(POLL_SECONDS)

    def _consider(self, run: Run) -> None:
        """Starts a run if it can be, drops it if it is done elsewhere or can no longer be run."""
        if any(
            parent in self.progress.failed or parent in self.progress.blocked
            for parent in run.parents.values()
        ):
            self.waiting.remove(run.id)
            self.progress.blocked.add(run.id)
        elif run.id in self.progress.elsewhere and run.result():
            self.waiting.remove(run.id)
            self.progress.elsewhere.discard(run.id)
            self.progress.done.add(run.id)
            self.progress.report(self.progress, f"done elsewhere  {run.id}")
        elif self.slots and all(self._is_done(parent) for parent in run.parents.values()):
            self._start(run)

    def _start(self, run: Run) -> None:
        self.progress.elsewhere.add(run.id)
        if not self.claims.take(run.id):
            return
        if run.result():
            _remove(run.folder / "checkpoints")
            self.claims.release(run.id)
            return
        self.progress.elsewhere.discard(run.id)
        self.waiting.remove(run.id)
        self.progress.running[run.id] = time.time()
        slot = self.slots.pop(0)
        self.futures[self.pool.submit(run_notebook, run, self.threads, slot)] = (
            run.id,
            slot,
        )
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
            self.progress.report(self.progress, f"done   {seconds:6.1f} s  {run_id}")
            return
        message = last_line(str(error)) or type(error).__name__
        (self.plan.runs[run_id].folder / ERROR).write_text(f"{error}\n", encoding="utf-8")
        self.progress.failed[run_id] = message
        self.progress.report(self.progress, f"FAILED {seconds:6.1f} s  {run_id}: {message}")


def run_notebook(run: Run, threads: int, slot: int = 0) -> None:
    """One run through papermill; its result counts once papermill is back and the draft checked."""
    run.folder.mkdir(parents=True, exist_ok=True)
    for leftover in (records.RESULT, records.DRAFT, ERROR, *run.kind.keeps):
        _remove(run.folder / leftover)
    begun, notebook = time.time(), paths.NOTEBOOKS / run.kind.notebook
    _check_code(run)
    execute_notebook(notebook, run.folder / EXECUTED, run.parameters, threads, slot)
    _check_code(run)
    records.accept(
        run.folder, id=run.id, kind=run.kind.name, identity=run.identity, code=run.code,
        parameters=run.parameters, parents=list(run.parents.values()),
        labels={**run.labels, "notebook": run.kind.notebook}, seconds=time.time() - begun,
    )  # fmt: skip
    _remove(run.folder / "checkpoints")


def _check_code(run: Run) -> None:
    """A record says which code made it: code edited since the plan was made must not run under it."""
    notebook = paths.NOTEBOOKS / run.kind.notebook
    now = codehash.of_notebook(notebook)
    edited = [name for name in sorted({*run.code, *now}) if run.code.get(name) != now.get(name)]
    if codehash.of_cells(notebook) != run.identity["cells"]:
        edited.append(f"notebooks/{run.kind.notebook}")
    if edited:
        message = f"{', '.join(edited)} was edited since this `xfer run` began; start it again."
        raise RuntimeError(message)


def execute_notebook(
    notebook: Path, executed: Path, parameters: dict, threads: int, slot: int = 0
) -> None:
    """One notebook through papermill, in a warm kernel; what the kernel's process prints goes beside it."""
    # Imported here: a command that executes nothing need not wait for them.
    import papermill

    from xfer_utils.runs.kernels import client_options

    executed.parent.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        str(notebook),
        str(executed),
        parameters=parameters,
        progress_bar=False,
        autosave_cell_every=0,
        **client_options(executed.with_suffix(".log"), kernel_environment(threads, slot)),
    )


def kernel_environment(threads: int, slot: int) -> dict[str, str]:
    """Threads of a kernel, and its GPU where there are several: slots go round those that this process may use."""
    import torch

    environment = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    count = torch.cuda.device_count()
    if count > 1:
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = given.split(",") if given else [str(number) for number in range(count)]
        environment["CUDA_VISIBLE_DEVICES"] = names[slot % count].strip()
    return environment


def last_line(text: str) -> str:
    """The last line of an error that says something, without terminal colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
