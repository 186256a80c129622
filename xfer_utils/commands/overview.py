"""What the command line says about a plan and its progress."""

import os
import re
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from xfer_utils.analysis import results
from xfer_utils.commands import needs
from xfer_utils.runs import cost, engines, records
from xfer_utils.runs.claims import Claims
from xfer_utils.runs.cost import duration
from xfer_utils.runs.engines import Progress
from xfer_utils.runs.kinds import KINDS
from xfer_utils.runs.plan import Plan, Run, differing, runs_folder
from xfer_utils.study import kept, paths

MINUTE, DAY = 60.0, 86400.0


def plan_text(plan: Plan) -> str:
    """The DAG by phase, what is done, what remains, and the expected time with its basis."""
    done, (workers, threads) = plan.done(), lanes(plan)
    expected = cost.expected(plan, [id for id in plan.runs if id not in done], threads)
    text = [f"{plan.study.title} ({plan.file})", plan.study.question, ""]
    for kind in KINDS.values():
        runs = [run for run in plan.runs.values() if run.kind == kind]
        if runs:
            finished = f"{sum(run.id in done for run in runs)} of {len(runs)} done"
            text.append(f"{kind.phase}: {kind.name}, {kind.notebook} - {finished}")
        for run in runs:
            time = "done" if run.id in done else duration(expected.seconds[run.id])
            mark = "x" if run.id in done else " "
            parents = "".join(f"  <- {plan.runs[parent].slug}" for parent in run.parents.values())
            text.append(f"  {mark} {run.id}  {time}{parents}")
    text += [f"  not run: {arm}, {name}: {why}" for (arm, name), why in plan.not_run.items()]
    for arm, parts in plan.left_out.items():
        text += [f"  not in {arm}: {name}: {reason}" for name, reason in parts.items()]
    if modules := sorted(set().union(*changed(plan).values())):
        text.append(f"  code has changed since runs were made: {', '.join(modules)} (--refresh)")
    text += ["", f"{len(done)} of {len(plan.runs)} runs done, {len(expected.seconds)} to do."]
    if expected.seconds:
        wall = duration(cost.wall_seconds(plan, expected.seconds, expected.lanes(workers)))
        text.append(f"Time here: {wall} with {workers} at a time ({expected.basis}).")
    return "\n".join([*text, *needs.lines(plan, expected)])


def lanes(plan: Plan, workers: int = 0) -> tuple[int, int]:
    """Kernels at a time, and threads of each."""
    gpus = plan.study.gpus_per_run
    workers = workers or plan.study.workers or engines.default_workers(gpus)
    share = len(os.sched_getaffinity(0)) // (workers * gpus)  # of the cores
    return workers, plan.study.threads or max(1, share)


def differences(run: Run) -> list[str]:
    """How a run differs from the others on disk with the same readable name."""
    text, new = [], _flat(run.identity)
    for folder in sorted(runs_folder().glob(f"{run.slug}-*")):
        result = records.read(folder)
        if result is None or folder.name == run.id:
            continue
        old = _flat(result.identity)
        for key in sorted({*old, *new}):
            was, now = old.get(key, "absent"), new.get(key, "absent")
            text += [f"{folder.name}: {key}: {was} -> {now}"] if was != now else []
    return text


def _flat(identity: dict) -> dict[str, object]:
    """An identity's parts by name, two levels deep."""
    return pd.json_normalize(identity, sep=": ", max_level=1).to_dict("records")[0]


def save_plan(plan: Plan) -> None:
    """The plan as data in the study's folder; summary notebooks and the report start from it."""
    not_run = plan.not_run.items()
    content = {
        "study": plan.study.model_dump(mode="json"),
        "arms": {name: arm.model_dump(mode="json") for name, arm in plan.arms.items()},
        "runs": [
            {"id": run.id, "kind": run.kind.name, "parents": [*run.parents.values()]}
            | {"labels": run.labels}
            for run in plan.runs.values()
        ],
        "not_run": [{"arm": arm, "target": name, "reason": why} for (arm, name), why in not_run],
        "left_out": plan.left_out,
        "languages_csv": plan.languages_csv,
    }
    records.write_json(plan.folder / "plan.json", content)


def changed(plan: Plan) -> dict[str, list[str]]:
    """Finished runs that other code has made, with the modules that differ."""
    done = plan.done().items()
    modules = {id: differing(plan.runs[id].code, result.code) for id, result in done}
    return {id: names for id, names in modules.items() if names}


def start(plan: Plan, wanted: list[str], workers: int, threads: int, progress: Progress) -> None:
    """Prints the first lines, with a warning before long work, and reports from then on."""
    report = Reporter(plan, wanted, workers, cost.expected(plan, wanted, threads))
    head = f"{plan.study.title}: {len(progress.done)} of {progress.total} runs done"
    seconds = report.seconds_left(progress)
    print(f"{head}, {len(wanted)} to run, {workers} at a time, about {duration(seconds)}.")
    if seconds > DAY and not report.expected.cards:
        card = duration(report.expected.card_seconds) or "far less"
        print(f"WARNING: this machine has no GPU. On one card it takes about {card}. Ctrl-C stops.")
    progress.report = report


@dataclass
class Reporter:
    """Says how far a study is: at every event, in a terminal all the time, else once a minute."""

    plan: Plan
    wanted: list[str]
    workers: int
    expected: cost.Expected
    printed: float = field(default_factory=time.time)

    def __call__(self, now: Progress, event: str) -> None:
        line = f"[{len(now.done)}/{now.total}] about {duration(self.seconds_left(now))} left"
        running = f"{line}  running: {', '.join(map(_progress, now.running))}"
        terminal = sys.stdout.isatty()
        clear, due = "\r\033[K" * terminal, time.time() > self.printed + MINUTE
        if event or (due and not terminal):
            print(f"{clear}{line}  {event}" if event else running, flush=True)
            self.printed = time.time()
        if terminal and now.running:
            width = shutil.get_terminal_size().columns - 1
            print(clear + running[:width], end="", flush=True)

    def seconds_left(self, now: Progress) -> float:
        """The expected time, corrected by what finished runs took and trainings say of themselves.

        Runs of one kind correct each other; a kind of which nothing is known, all together. A run
        without work, such as a published encoder's, tells nothing of others.
        """
        known, begun = dict(now.seconds), time.time()
        for run_id, start in now.running.items():
            told = re.search(r"(\d+) min (\d+) s left", _told(run_id))
            left = 60 * int(told[1]) + int(told[2]) if told else 0
            known |= {run_id: begun - start + left} if left > MINUTE / 6 else {}
        taken, foreseen = Counter(), Counter()
        for run_id, seconds in known.items():
            working = self.expected.seconds[run_id] > cost.START_SECONDS
            for kind in (self.plan.runs[run_id].kind.name, "") if working else ():
                taken[kind] += seconds
                foreseen[kind] += self.expected.seconds[run_id]
        remaining = {}
        for run_id in set(self.wanted) - {*now.done, *now.failed, *now.blocked}:
            kind = self.plan.runs[run_id].kind.name
            kind = kind if kind in taken else ""
            pace = taken[kind] / foreseen[kind] if taken else 1.0
            whole = known.get(run_id, pace * self.expected.seconds[run_id])
            remaining[run_id] = max(0.0, whole - begun + now.running.get(run_id, begun))
        return cost.wall_seconds(self.plan, remaining, self.expected.lanes(self.workers))


def _told(run_id: str) -> str:
    """What a training says of its progress."""
    try:
        return (runs_folder() / run_id / paths.PROGRESS).read_text(encoding="utf-8")
    except FileNotFoundError:  # not there yet, or no more: a run that starts again clears it
        return ""


def _progress(run_id: str) -> str:
    """A run's readable name, the step that its training has reached, and its time left."""
    step, _, left = _told(run_id).rpartition("  ")
    return " ".join(filter(None, [run_id.rpartition("-")[0], step.partition("  ")[0], left]))


def finished_text(plan: Plan, progress: Progress, seconds: float) -> str:
    """The closing lines of `xfer run`."""
    text = [f"{len(progress.done)} of {progress.total} runs done ({duration(seconds)})."]
    for run_id, message in progress.failed.items():
        notebook = plan.runs[run_id].folder / engines.EXECUTED
        text.append(f"failed: {run_id}: {message}\n  {notebook}")
    if progress.blocked:
        text.append(f"{len(progress.blocked)} runs build on failed ones and were left out.")
    done = plan.done().items()
    text += [f"{run_id}: {why}" for run_id, result in done for why in worthless(result)]
    return "\n".join(text)


def worthless(result: records.Result) -> list[str]:
    """What a training itself found to make its result worthless, in words."""
    return [f"degenerate: {why}" for why in result.training.get("degenerate", ())]


def status_text(plan: Plan) -> str:
    """One line per run that is not done, with the last line of its error where it failed."""
    done, claims = plan.done(), Claims(paths.outputs() / "claims")
    states = {run.id: _state(run, claims) for run in plan.runs.values() if run.id not in done}
    counts = Counter(state for state, _ in states.values()) + Counter(done=len(done))
    head = ", ".join(f"{counts[name]} {name}" for name in ("done", "running", "failed", "waiting"))
    lines = [f"{state:8} {id}{more}" for id, (state, more) in states.items()]
    return "\n".join([f"{plan.study.title}: {head}", *lines])


def _state(run: Run, claims: Claims) -> tuple[str, str]:
    """The state of a run that is not done, and what there is to say about it."""
    if claims.running(run.id):
        holder = claims.holder(run.id)
        return "running", f"  ({holder['host']}, process {holder['process']})"
    if fault := records.fault(run.folder):
        return "waiting", f"\n         {fault}: it will be made again"
    error = run.folder / engines.ERROR
    if error.exists():
        message = engines.last_line(error.read_text(encoding="utf-8"))
        return "failed", f"\n         {message}\n         {run.folder / engines.EXECUTED}"
    return "waiting", ""


def clean(plan: Plan, delete: bool) -> str:
    """Runs of this study's readable names that no study uses, and checkpoints of finished runs."""
    claims, slugs = Claims(paths.outputs() / "claims"), {run.slug for run in plan.runs.values()}
    others = [path for path in paths.outputs().glob("*/plan.json") if path.parent != plan.folder]
    used = {run["id"] for path in others for run in results.plan(path.parent)["runs"]}
    used |= set(plan.runs)
    old = {
        folder: folder.name
        for folder in sorted(runs_folder().glob("*"))
        if folder.name.removeprefix(kept.ASIDE).rpartition("-")[0] in slugs
        and folder.name not in used
    }
    left = {plan.runs[run_id].folder / "checkpoints": run_id for run_id in plan.done()}
    unused = old | {folder: run_id for folder, run_id in left.items() if folder.exists()}
    unused = {path: id for path, id in unused.items() if not claims.running(id)}
    if delete:
        with claims:
            # What a living process holds stays; nobody begins on the others meanwhile.
            unused = {path: id for path, id in unused.items() if claims.take(id)}
            for path, id in unused.items():
                shutil.rmtree(path)
                claims.release(id)
            for claim in list(claims.folder.glob("*.json")):
                if claims.take(claim.stem):
                    claims.release(claim.stem)
    verb = "Deleted" if delete else "Used by no study (add --yes to delete)"
    runs = len(old.keys() & set(unused))
    head = f"{verb}: {runs} runs, {len(unused) - runs} folders of checkpoints"
    return "\n".join([head, *(f"  {folder}" for folder in unused)])
