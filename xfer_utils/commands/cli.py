"""The `xfer` command: plan, run, status, report, rescore, export, doctor, clean."""

import signal
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated

import typer

from xfer_utils.study.settings_file import SettingsError, closest

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)
File = Annotated[Path, typer.Argument(help="a study file, such as params/toy.yaml")]
Source = Annotated[
    str, typer.Option(help="toy, hub or folder:PATH, in place of the file's own source")
]


@app.command()
def plan(
    file: File,
    why: Annotated[
        str, typer.Option(help="say what sets this run apart from its like on disk")
    ] = "",
    source: Source = "",
) -> None:
    """Prints the study's runs by phase, what is done, what remains, and the expected time."""
    from xfer_utils.commands import overview
    from xfer_utils.runs import plan as study

    made = study.make_plan(file, source)
    if why:
        run = _one_run(made, why)
        typer.echo(
            f"{run.id}\n"
            + "\n".join(overview.differences(run) or ["No other run of this name is on disk."])
        )
        return
    typer.echo(overview.plan_text(made))


@app.command()
def run(
    file: File,
    only: Annotated[
        str, typer.Option(help="runs whose id matches this pattern, and what they build on")
    ] = "*",
    limit: Annotated[int, typer.Option(help="stop after so many new runs; 0: no limit")] = 0,
    workers: Annotated[
        int, typer.Option(help="kernels at a time; 0: the study's, or one per core or GPU half")
    ] = 0,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="make runs again whose code has changed since")
    ] = False,
    source: Source = "",
) -> None:
    """Executes the study's runs with papermill; what is done is never run again."""
    from xfer_utils.commands import overview
    from xfer_utils.runs import engines
    from xfer_utils.runs import plan as study

    made = study.make_plan(file, source)
    overview.save_plan(made)
    done = made.done()
    if refresh:
        changed = engines.with_children(
            made, [id for id in done if made.runs[id].changed_code(done[id])]
        )
        done = {id: result for id, result in done.items() if id not in changed}
        engines.forget(made, changed)
    progress = engines.Progress(len(made.runs), done=set(done))
    wanted = _wanted(made, only, limit, progress.done)
    workers = workers or made.study.workers or engines.default_workers()
    overview.start(made, wanted, workers, progress)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = time.time()
    try:
        engines.execute(
            made, wanted, workers, made.study.threads or engines.default_threads(workers), progress
        )
    except KeyboardInterrupt:
        typer.echo(
            f"\nInterrupted. {len(progress.done)} of {progress.total} runs are done; the same command goes on."
        )
        raise typer.Exit(130) from None
    typer.echo(overview.finished_text(made, progress, time.time() - begun))
    if progress.failed:
        raise typer.Exit(1)


@app.command()
def status(file: File, source: Source = "") -> None:
    """Which runs are done, running, failed or waiting."""
    from xfer_utils.commands import overview
    from xfer_utils.runs import plan as study

    typer.echo(overview.status_text(study.make_plan(file, source=source)))


@app.command()
def report(file: File, source: Source = "") -> None:
    """Builds the study's tables, figures and HTML report from the runs that are done."""
    from xfer_utils.commands import summary
    from xfer_utils.runs import plan as study

    page, failed = summary.build(study.make_plan(file, source))
    typer.echo(f"Report: {page}")
    if failed:
        typer.echo(f"failed: {failed}", err=True)
        raise typer.Exit(1)


@app.command()
def rescore(file: File, source: Source = "") -> None:
    """Makes the scores of the study's finished runs again from their predictions on disk."""
    from xfer_utils.analysis import results
    from xfer_utils.runs import plan as study

    typer.echo(results.rescore(list(study.make_plan(file, source=source).done())))


@app.command()
def doctor(file: File, source: Source = "") -> None:
    """Checks machine, packages, disk, data and models for a study, and says what to do about each thing missing."""
    from xfer_utils.commands import doctor

    checks = doctor.examine(file, source)
    typer.echo(doctor.text(checks))
    if any(check.state == doctor.MISSING for check in checks):
        raise typer.Exit(1)


@app.command()
def export(
    file: File,
    folder: Annotated[Path, typer.Argument(help="where the benchmark's submission files go")],
    intermediate: Annotated[str, typer.Option(help="the row of the table to export")] = "none",
    model: Annotated[str, typer.Option(help="which model, where the study has several")] = "",
    dev: Annotated[
        bool, typer.Option("--dev", help="also what was evaluated on dev, as dev-LANGUAGE files")
    ] = False,
    source: Source = "",
) -> None:
    """Writes one row's predictions (first seed) in the benchmark's submission format."""
    from xfer_utils.commands.export import export
    from xfer_utils.runs import plan as study

    files, left_out = export(study.make_plan(file, source=source), intermediate, folder, model, dev)
    typer.echo("\n".join([*map(str, files), *left_out]))


@app.command()
def clean(
    file: File,
    yes: Annotated[bool, typer.Option("--yes", help="delete, instead of only listing")] = False,
    source: Source = "",
) -> None:
    """Lists (with --yes deletes) old runs of this study that no study uses, and the checkpoints of done runs."""
    from xfer_utils.commands import overview
    from xfer_utils.runs import plan as study

    typer.echo(overview.clean(study.make_plan(file, source=source), yes))


def _one_run(made: object, pattern: str) -> object:
    found = [
        run
        for run in made.runs.values()
        if fnmatch(run.id, pattern) or run.slug == pattern or run.id == pattern
    ]
    if not found:
        raise SettingsError(f"{made.file}: no run `{pattern}`.{closest(pattern, list(made.runs))}")
    return found[0]


def _wanted(made: object, only: str, limit: int, done: set[str]) -> list[str]:
    """Ids to run, parents first; `only` picks by pattern and draws in what those build on."""
    from xfer_utils.runs.engines import with_parents

    chosen = [id for id in made.runs if fnmatch(id, only) or fnmatch(id, f"*{only}*")]
    if not chosen:
        raise SettingsError(
            f"{made.file}: no run matches `{only}`. `xfer plan {made.file}` lists them."
        )
    todo = [id for id in with_parents(made, chosen) if id not in done]
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
