"""What the command line says about a plan and its progress."""

import shutil
import sys
from collections import Counter
from pathlib import Path

from xfer_utils.analysis import results
from xfer_utils.commands import needs
from xfer_utils.runs import cost, engines, records
from xfer_utils.runs.claims import Claims
from xfer_utils.runs.cost import duration
from xfer_utils.runs.engines import Progress
from xfer_utils.runs.kinds import KINDS
from xfer_utils.runs.plan import Plan, Run, runs_folder
from xfer_utils.study import paths

A_DAY = 86400


def plan_text(plan: Plan) -> str:
    """The DAG by phase, what is done, what remains, and the expected time with its basis."""
    done = plan.done()
    workers, expected = _expected(plan, [id for id in plan.runs if id not in done])
    lines = [f"{plan.study.title} ({plan.file})", plan.study.question, ""]
    for kind in KINDS.values():
        runs = [run for run in plan.runs.values() if run.kind == kind]
        if runs:
            finished = sum(run.id in done for run in runs)
            lines.append(
                f"{kind.phase}: {kind.name}, {kind.notebook} - {finished} of {len(runs)} done"
            )
        for run in runs:
            mark, time = ("x", "done") if run.id in done else (" ", expected.seconds[run.id])
            time = time if time == "done" else duration(time)
            parents = "".join(
                f"  <- {parent.rpartition('-')[0]}" for parent in run.parents.values()
            )
            lines.append(f"  {mark} {run.id}  {time}{parents}")
    for (arm, target), reason in plan.not_run.items():
        lines.append(f"  not run: {arm}, {target}: {reason}")
    for arm, parts in plan.left_out.items():
        lines += [f"  not in {arm}: {name}: {reason}" for name, reason in parts.items()]
    if modules := sorted({name for names in changed(plan).values() for name in names}):
        lines.append(f"  code has changed since runs were made: {', '.join(modules)} (--refresh)")
    lines += ["", f"{len(done)} of {len(plan.runs)} runs done, {len(expected.seconds)} to do."]
    if expected.seconds:
        wall = duration(cost.wall_seconds(plan, expected.seconds, expected.lanes(workers)))
        lines.append(f"Time here: {wall} with {workers} at a time ({expected.basis}).")
    return "\n".join([*lines, *needs.lines(plan, expected)])


def _expected(plan: Plan, todo: list[str], workers: int = 0) -> tuple[int, cost.Expected]:
    """Kernels at a time, and what the runs to do will cost with so many."""
    workers = workers or plan.study.workers or engines.default_workers()
    threads = plan.study.threads or engines.default_threads(workers)
    return workers, cost.expected(plan, todo, threads)


def differences(run: Run) -> list[str]:
    """How a run differs from the others on disk with the same readable name."""
    lines = []
    for folder in sorted(runs_folder().glob(f"{run.slug}-*")):
        result = records.read(folder)
        if result is None or folder.name == run.id:
            continue
        old, new = _flat(result.identity), _flat(run.identity)
        for key in sorted({*old, *new}):
            was, now = old.get(key, "absent"), new.get(key, "absent")
            lines += [f"{folder.name}: {key}: {was} -> {now}"] if was != now else []
    return lines


def _flat(identity: dict) -> dict[str, object]:
    """An identity's parts by name, two levels deep."""
    return {
        f"{section}: {key}" if key else section: value
        for section, part in identity.items()
        for key, value in (part.items() if isinstance(part, dict) else [("", part)])
    }


def save_plan(plan: Plan) -> None:
    """The plan as data in the study's folder; summary notebooks and the report start from it."""
    runs = [
        {
            "id": run.id,
            "kind": run.kind.name,
            "parents": list(run.parents.values()),
            "labels": run.labels,
        }
        for run in plan.runs.values()
    ]
    content = {
        "study": plan.study.model_dump(mode="json"),
        "arms": {name: arm.model_dump(mode="json") for name, arm in plan.arms.items()},
        "runs": runs,
        "not_run": [
            {"arm": arm, "target": target, "reason": reason}
            for (arm, target), reason in plan.not_run.items()
        ],
        "left_out": plan.left_out,
        "languages_csv": plan.languages_csv,
    }
    records.write_json(plan.folder / "plan.json", content)


def changed(plan: Plan) -> dict[str, list[str]]:
    """Finished runs that other code has made, with the modules that differ."""
    differences = {id: plan.runs[id].changed_code(result) for id, result in plan.done().items()}
    return {id: modules for id, modules in differences.items() if modules}


def start(plan: Plan, wanted: list[str], workers: int, progress: Progress) -> None:
    """Prints the first lines and makes the progress report itself from then on."""
    _, expected = _expected(plan, wanted, workers)
    lanes, remaining, spent, foreseen = expected.lanes(workers), dict(expected.seconds), 0.0, 0.0
    terminal, wall = sys.stdout.isatty(), cost.wall_seconds(plan, remaining, lanes)
    print(
        f"{plan.study.title}: {len(progress.done)} of {progress.total} runs done, {len(wanted)} "
        f"to run, {workers} at a time."
    )
    if wall > A_DAY and not expected.cards:
        card = duration(expected.card_seconds)
        print(f"This takes about {duration(wall)} here; on a GPU about {card}.", flush=True)

    def report(now: Progress, event: str) -> None:
        nonlocal spent, foreseen
        for run_id in remaining.keys() & {*now.done, *now.failed, *now.blocked}:
            seconds = remaining.pop(run_id)
            if result := records.read(plan.runs[run_id].folder):
                spent, foreseen = spent + result.timing["total"], foreseen + seconds
        pace = spent / foreseen if foreseen else 1.0
        left = duration(pace * cost.wall_seconds(plan, remaining, lanes))
        line = f"[{len(now.done)}/{now.total}] about {left} left"
        clear = "\r\033[K" if terminal else ""
        if event:
            print(f"{clear}{line}  {event}", flush=True)
        if terminal and now.running:
            names = ", ".join(run_id.rpartition("-")[0] for run_id in now.running)
            text = f"{line}  running: {names}"[: shutil.get_terminal_size().columns - 1]
            print(f"{clear}{text}", end="", flush=True)

    progress.report = report


def finished_text(plan: Plan, progress: Progress, seconds: float) -> str:
    """The closing lines of `xfer run`."""
    lines = [f"{len(progress.done)} of {progress.total} runs done ({duration(seconds)})."]
    for run_id, message in progress.failed.items():
        notebook = plan.runs[run_id].folder / engines.EXECUTED
        lines.append(f"failed: {run_id}: {message}\n  {notebook}")
    if progress.blocked:
        lines.append(f"{len(progress.blocked)} runs build on failed ones and were left out.")
    return "\n".join(lines)


def status_text(plan: Plan) -> str:
    """One line per run that is not done, with the last line of its error where it failed."""
    done, claims = plan.done(), Claims(runs_folder().parent / "claims")
    states = {run.id: _state(run, done, claims) for run in plan.runs.values()}
    counts = Counter(state for state, _ in states.values())
    head = ", ".join(f"{counts[name]} {name}" for name in ("done", "running", "failed", "waiting"))
    lines = [f"{state:8} {id}{more}" for id, (state, more) in states.items() if state != "done"]
    return "\n".join([f"{plan.study.title}: {head}", *lines])


def _state(run: Run, done: dict, claims: Claims) -> tuple[str, str]:
    if run.id in done:
        return "done", ""
    if claims.running(run.id):
        holder = claims.holder(run.id)
        return "running", f"  ({holder['host']}, process {holder['process']})"
    error = run.folder / engines.ERROR
    if error.exists():
        message = engines.last_line(error.read_text(encoding="utf-8"))
        return "failed", f"\n         {message}\n         {run.folder / engines.EXECUTED}"
    return "waiting", ""


def clean(plan: Plan, delete: bool) -> str:
    """Runs of this study's readable names that no study uses, and checkpoints of finished runs."""
    claims = Claims(runs_folder().parent / "claims")
    slugs = {run.slug for run in plan.runs.values()}
    used = {*plan.runs, *_used_by_others(plan)}
    old = [
        folder
        for folder in sorted(runs_folder().glob("*"))
        if folder.name.rpartition("-")[0] in slugs
        and folder.name not in used
        and not claims.running(folder.name)
    ]
    left = [plan.runs[id].folder / "checkpoints" for id in plan.done()]
    left = [folder for folder in left if folder.exists()]
    if delete:
        with claims:
            old = [folder for folder in old if _delete(folder, folder.name, claims)]
            left = [folder for folder in left if _delete(folder, folder.parent.name, claims)]
            for claim in list(claims.folder.glob("*.json")):
                if claims.take(claim.stem):
                    claims.release(claim.stem)
    verb = "Deleted" if delete else "Used by no study (add --yes to delete)"
    head = f"{verb}: {len(old)} runs, {len(left)} folders of checkpoints"
    return "\n".join([head, *(f"  {folder}" for folder in [*old, *left])])


def _used_by_others(plan: Plan) -> set[str]:
    """Runs in the plans of other studies in the same outputs folder."""
    plans = [path for path in paths.outputs().glob("*/plan.json") if path.parent != plan.folder]
    return {run["id"] for path in plans for run in results.plan(path.parent)["runs"]}


def _delete(folder: Path, run_id: str, claims: Claims) -> bool:
    """Deletes a folder while holding its run's claim; False where a living process holds it."""
    if not claims.take(run_id):
        return False
    shutil.rmtree(folder)
    claims.release(run_id)
    return True
