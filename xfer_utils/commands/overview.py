"""What the command line says about a plan and its progress."""

import shutil
import sys
from collections import Counter
from pathlib import Path

from xfer_utils.analysis import results
from xfer_utils.commands import needs
from xfer_utils.runs import cost, engines, records
from xfer_utils.runs.claims import Claims
from xfer_utils.runs.engines import Progress
from xfer_utils.runs.kinds import KINDS
from xfer_utils.runs.plan import Plan, Run, runs_folder
from xfer_utils.study import paths


def plan_text(plan: Plan) -> str:
    """The DAG by phase, what is done, what remains, and the expected time with its basis."""
    done = plan.done()
    todo = [id for id in plan.runs if id not in done]
    expected = cost.expected(plan, todo)
    lines = [f"{plan.study.title} ({plan.file})", plan.study.question, ""]
    for kind in KINDS.values():
        runs = [run for run in plan.runs.values() if run.kind == kind]
        if runs:
            finished = sum(run.id in done for run in runs)
            lines.append(
                f"{kind.phase}: {kind.name}, {kind.notebook} - {finished} of {len(runs)} done"
            )
        for run in runs:
            time_text = "done" if run.id in done else duration(expected.seconds[run.id])
            parent = (
                f"  <- {next(iter(run.parents.values())).rpartition('-')[0]}" if run.parents else ""
            )
            lines.append(f"  {'x' if run.id in done else ' '} {run.id}  {time_text}{parent}")
    for (arm, target), reason in plan.not_run.items():
        lines.append(f"  not run: {arm}, {target}: {reason}")
    for arm, reasons in plan.left_out.items():
        lines += [f"  not in {arm}: {name}: {reason}" for name, reason in reasons.items()]
    changed = sorted(
        {
            name
            for run in plan.runs.values()
            if run.id in done
            for name in run.changed_code(done[run.id])
        }
    )
    if changed:
        lines.append(
            f"Code has changed since some runs were made ({', '.join(changed)}); `xfer run --refresh` makes those again."
        )
    workers = plan.study.workers or engines.default_workers()
    wall = cost.wall_seconds(plan, expected.seconds, expected.lanes(workers))
    lines += ["", f"{len(done)} of {len(plan.runs)} runs done, {len(todo)} to do."]
    if todo:
        kernels = "one kernel" if workers == 1 else f"{workers} kernels"
        lines.append(
            f"Expected time: {duration(wall)} with {kernels} at a time ({expected.basis})."
        )
    lines += needs.lines(plan, done, expected)
    return "\n".join(lines)


def differences(run: Run) -> list[str]:
    """What sets a run apart from the other runs on disk with the same readable name, in words."""
    lines = []
    for folder in sorted(runs_folder().glob(f"{run.slug}-*")):
        result = records.read(folder)
        if result is None or folder.name == run.id:
            continue
        for section, new in run.identity.items():
            old = result.identity.get(section)
            if old == new:
                continue
            pairs = _flat(old, new) if isinstance(new, dict) else [(section, old, new)]
            lines += [f"{folder.name}: {section}: {key}: {was} -> {now}" for key, was, now in pairs]
    return lines


def _flat(old: dict, new: dict) -> list[tuple]:
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [(key, old.get(key, "absent"), new.get(key, "absent")) for key in keys]


def save_plan(plan: Plan) -> None:
    """The plan as data in the study's folder: the summary notebooks and the report start from it."""
    runs = [
        {
            "id": run.id,
            "kind": run.kind.name,
            "parents": list(run.parents.values()),
            "labels": run.labels,
        }
        for run in plan.runs.values()
    ]
    not_run = [
        {"arm": arm, "target": target, "reason": reason}
        for (arm, target), reason in plan.not_run.items()
    ]
    content = {
        "study": plan.study.model_dump(mode="json"),
        "arms": {name: arm.model_dump(mode="json") for name, arm in plan.arms.items()},
        "runs": runs,
        "not_run": not_run,
        "left_out": plan.left_out,
        "languages_csv": plan.languages_csv,
    }
    records.write_json(plan.folder / "plan.json", content)


def start(plan: Plan, wanted: list[str], workers: int, progress: Progress) -> None:
    """Prints the first line and makes the progress report itself from then on."""
    expected = cost.expected(plan, wanted)
    remaining, spent, foreseen = dict(expected.seconds), 0.0, 0.0
    terminal = sys.stdout.isatty()
    print(
        f"{plan.study.title}: {len(progress.done)} of {progress.total} runs done, {len(wanted)} to run, "
        f"{workers} at a time."
    )

    def report(now: Progress, event: str) -> None:
        nonlocal spent, foreseen
        for run_id in remaining.keys() & {*now.done, *now.failed, *now.blocked}:
            seconds = remaining.pop(run_id)
            if result := records.read(plan.runs[run_id].folder):
                spent, foreseen = spent + result.timing["total"], foreseen + seconds
        pace = spent / foreseen if foreseen else 1.0
        left = duration(pace * cost.wall_seconds(plan, remaining, expected.lanes(workers)))
        line = f"[{len(now.done)}/{now.total}] about {left} left"
        if event:
            print(f"\r\033[K{line}  {event}" if terminal else f"{line}  {event}", flush=True)
        if terminal and now.running:
            names = ", ".join(run_id.rpartition("-")[0] for run_id in now.running)
            print(
                f"\r\033[K{line}  running: {names}"[: shutil.get_terminal_size().columns + 3],
                end="",
                flush=True,
            )

    progress.report = report


def finished_text(plan: Plan, progress: Progress, seconds: float) -> str:
    """The closing lines of `xfer run`."""
    lines = [f"{len(progress.done)} of {progress.total} runs done ({duration(seconds)})."]
    for run_id, message in progress.failed.items():
        lines.append(
            f"failed: {run_id}: {message}\n  {plan.runs[run_id].folder / engines.EXECUTED}"
        )
    if progress.blocked:
        lines.append(f"{len(progress.blocked)} runs build on failed ones and were left out.")
    return "\n".join(lines)


def status_text(plan: Plan) -> str:
    """One line per run that is not done, with the last line of its error where it failed."""
    done, claims = plan.done(), Claims(runs_folder().parent / "claims")
    counts, lines = Counter(), []
    for run in plan.runs.values():
        state, more = _state(run, done, claims)
        counts[state] += 1
        if state != "done":
            lines.append(f"{state:8} {run.id}{more}")
    head = ", ".join(
        f"{counts[state]} {state}" for state in ("done", "running", "failed", "waiting")
    )
    return "\n".join([f"{plan.study.title}: {head}", *lines])


def _state(run: object, done: dict, claims: Claims) -> tuple[str, str]:
    if run.id in done:
        return "done", ""
    if claims.running(run.id):
        holder = claims.holder(run.id)
        return "running", f"  ({holder['host']}, process {holder['process']})"
    error = run.folder / engines.ERROR
    if error.exists():
        return (
            "failed",
            f"\n         {engines.last_line(error.read_text())}\n         {run.folder / engines.EXECUTED}",
        )
    return "waiting", ""


def clean(plan: Plan, delete: bool) -> str:
    """Runs on disk of a readable name of this study that no study uses, and checkpoints that done runs left behind."""
    slugs, kept = {run.slug for run in plan.runs.values()}, {*plan.runs, *_used_by_others(plan)}
    old = [
        f
        for f in sorted(runs_folder().glob("*"))
        if f.name.rpartition("-")[0] in slugs and f.name not in kept
    ]
    left = [
        folder for id in plan.done() if (folder := plan.runs[id].folder / "checkpoints").exists()
    ]
    claims = Claims(runs_folder().parent / "claims")
    old = [folder for folder in old if not claims.running(folder.name)]
    if delete:
        with claims:
            old = [folder for folder in old if _delete(folder, folder.name, claims)]
            left = [folder for folder in left if _delete(folder, folder.parent.name, claims)]
            for claim in list(claims.folder.glob("*.json")):
                if claims.take(claim.stem):
                    claims.release(claim.stem)
    verb = (
        "Deleted"
        if delete
        else "Not used by this version of the study or by another one (add --yes to delete)"
    )
    lines = [f"{verb}: {len(old)} runs, {len(left)} folders of checkpoints"]
    return "\n".join([*lines, *(f"  {folder}" for folder in [*old, *left])])


def _used_by_others(plan: Plan) -> set[str]:
    """Runs that the plans of other studies in the same outputs folder name."""
    plans = [path for path in paths.outputs().glob("*/plan.json") if path.parent != plan.folder]
    return {run["id"] for path in plans for run in results.plan(path.parent)["runs"]}


def _delete(folder: Path, run_id: str, claims: Claims) -> bool:
    """Deletes a folder while holding its run's claim; False where a living process holds it."""
    if not claims.take(run_id):
        return False
    shutil.rmtree(folder)
    claims.release(run_id)
    return True


def duration(seconds: float) -> str:
    """Seconds in words that fit the size."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
