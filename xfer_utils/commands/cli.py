"""The `xfer` command: plan, run, status, report, export, doctor, clean."""

# What a command needs is imported inside it: `xfer status` need not wait for what only runs need.
import signal
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_utils.study.settings_file import SettingsError, closest

if TYPE_CHECKING:
    from xfer_utils.runs.plan import Plan, Run

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)
File = Annotated[Path, typer.Argument(help="a study file, such as params/toy.yaml")]
Source = Annotated[str, typer.Option(help="toy, hub or folder:PATH instead of the file's source")]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="make runs again whose code has changed since")
]
Why = Annotated[str, typer.Option(help="say how this run differs from its like on disk")]
Only = Annotated[str, typer.Option(help="runs whose id matches this, and what they build on")]
Limit = Annotated[int, typer.Option(help="stop after so many new runs; 0: no limit")]
Workers = Annotated[int, typer.Option(help="kernels at a time; 0: the study's, or one per core")]
Row = Annotated[str, typer.Option(help="the row of the table to export")]
Model = Annotated[str, typer.Option(help="which model, where the study has several")]
Dev = Annotated[bool, typer.Option("--dev", help="also dev sets, as dev-LANGUAGE files")]
Yes = Annotated[bool, typer.Option("--yes", help="delete, instead of only listing")]


@app.command()
def plan(file: File, why: Why = "", source: Source = "") -> None:
    """Prints the study's runs by phase, what is done, what remains, and the expected time."""
    from xfer_utils.commands import overview

    plan = _plan(file, source)
    if why:
        run = _run(plan, why)
        lines = overview.differences(run) or ["No other run of this name is on disk."]
        typer.echo("\n".join([run.id, *lines]))
    else:
        typer.echo(overview.plan_text(plan))


@app.command()
def run(
    file: File,
    only: Only = "*",
    limit: Limit = 0,
    workers: Workers = 0,
    refresh: Refresh = False,
    source: Source = "",
) -> None:
    """Executes the study's runs with papermill; a finished run is never run again."""
    from xfer_utils.commands import overview
    from xfer_utils.runs import engines

    plan = _plan(file, source)
    overview.save_plan(plan)
    if refresh:
        engines.forget(plan, overview.changed(plan))
    progress = engines.Progress(len(plan.runs), done=set(plan.done()))
    wanted = _wanted(plan, only, limit, progress.done)
    workers = workers or plan.study.workers or engines.default_workers()
    threads = plan.study.threads or engines.default_threads(workers)
    overview.start(plan, wanted, workers, progress)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = time.time()
    try:
        engines.execute(plan, wanted, workers, threads, progress)
    except KeyboardInterrupt:
        done = f"{len(progress.done)} of {progress.total} runs are done"
        typer.echo(f"\nInterrupted. {done}; the same command continues.")
        raise typer.Exit(130) from None
    typer.echo(overview.finished_text(plan, progress, time.time() - begun))
    if progress.failed:
        raise typer.Exit(1)


@app.command()
def status(file: File, source: Source = "") -> None:
    """Which runs are done, running, failed or waiting."""
    from xfer_utils.commands import overview

    typer.echo(overview.status_text(_plan(file, source)))


@app.command()
def report(file: File, source: Source = "") -> None:
    """Builds the study's tables, figures and HTML report from the runs that are done."""
    from xfer_utils.commands import summary

    page, failed = summary.build(_plan(file, source))
    typer.echo(f"Report: {page}")
    if failed:
        typer.echo(f"failed: {failed}", err=True)
        raise typer.Exit(1)


@app.command()
def doctor(file: File, source: Source = "") -> None:
    """Checks what would stop a study on this machine, and says what to do about it."""
    from xfer_utils.commands import doctor

    checks = doctor.examine(file, source)
    typer.echo(doctor.text(checks))
    if any(check.state == doctor.MISSING for check in checks):
        raise typer.Exit(1)


@app.command()
def export(
    file: File,
    folder: Annotated[Path, typer.Argument(help="where the submission files are written")],
    arm: Row = "none",
    model: Model = "",
    dev: Dev = False,
    source: Source = "",
) -> None:
    """Writes one row's predictions (first seed) in the benchmark's submission format."""
    from xfer_utils.commands.export import export

    files, left_out = export(_plan(file, source), arm, folder, model, dev)
    typer.echo("\n".join([*map(str, files), *left_out]))


@app.command()
def clean(file: File, yes: Yes = False, source: Source = "") -> None:
    """Lists (with --yes deletes) old runs that no study uses, and checkpoints of finished runs."""
    from xfer_utils.commands import overview

    typer.echo(overview.clean(_plan(file, source), yes))


def _plan(file: Path, source: str) -> "Plan":
    from xfer_utils.runs.plan import make_plan

    return make_plan(file, source)


def _run(plan: "Plan", pattern: str) -> "Run":
    for run in plan.runs.values():
        if run.slug == pattern or fnmatch(run.id, pattern):
            return run
    raise SettingsError(f"{plan.file}: no run `{pattern}`.{closest(pattern, list(plan.runs))}")


def _wanted(plan: "Plan", only: str, limit: int, done: set[str]) -> list[str]:
    """Ids to run, parents first; `only` picks by pattern and draws in what those build on."""
    from xfer_utils.runs.engines import with_parents

    chosen = [id for id in plan.runs if fnmatch(id, only) or fnmatch(id, f"*{only}*")]
    if not chosen:
        message = f"no run matches `{only}`. `xfer plan {plan.file}` lists them."
        raise SettingsError(f"{plan.file}: {message}")
    todo = [id for id in with_parents(plan, chosen) if id not in done]
    return todo[:limit] if limit else todo


def main() -> None:
    """Entry point: a wrong request ends with exit code 2 and a sentence, never with a traceback."""
    from xfer_utils.learning.origins import ModelProblem
    from xfer_utils.sources.catalogue import HubUnreachable, MalformedRow, MissingData

    try:
        app()
    except (SettingsError, MissingData, MalformedRow, HubUnreachable, ModelProblem) as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
