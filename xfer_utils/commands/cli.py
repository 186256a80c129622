"""The `xfer` command: plan, run, status, report, rescore, export, doctor, clean, pack, unpack."""

import errno
import signal
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Literal

import typer

from xfer_utils.commands import overview
from xfer_utils.learning.origins import ModelProblem
from xfer_utils.runs import engines
from xfer_utils.runs.plan import Plan, make_plan
from xfer_utils.sources.catalogue import HubUnreachable, MalformedRow, MissingData
from xfer_utils.study import paths
from xfer_utils.study.settings_file import SettingsError, closest

AGAIN = 75  # EX_TEMPFAIL: nothing is wrong, the same command goes on
ROOM = "free space there, or set XFER_OUTPUTS to a larger disk"
STANDS = "something else stands there: move it away"
DISK = {errno.ENOSPC: ROOM, errno.EDQUOT: ROOM}
DISK |= dict.fromkeys((errno.EEXIST, errno.EISDIR, errno.ENOTDIR), STANDS)
WRONG_REQUEST = (SettingsError, MissingData, MalformedRow, HubUnreachable, ModelProblem)

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)
File = Annotated[Path, typer.Argument(help="a study file, such as params/toy.yaml")]
Folder = Annotated[Path, typer.Argument(help="where the submission files are written")]
Source = Annotated[str, typer.Option(help="toy, hub or folder:PATH instead of the file's source")]
Numerics = Annotated[str, typer.Option(help="other: as another machine would make the study")]
Refresh = Annotated[bool, typer.Option("--refresh", help="make runs with changed code again")]
Why = Annotated[str, typer.Option(help="say how this run differs from its like on disk")]
Only = Annotated[str, typer.Option(help="runs whose id matches this, and what they build on")]
Limit = Annotated[int, typer.Option(help="stop after so many new runs; 0: no limit")]
Drain = Annotated[bool, typer.Option("--drain", help="of a job array: see docs/cluster.md")]
Workers = Annotated[int, typer.Option(help="kernels at a time; 0: the study's, or one per core")]
Engine = Annotated[Literal["threads", "ray"], typer.Option(help="ray: on a cluster (.[ray])")]
Address = Annotated[str, typer.Option(help="of a Ray cluster to join; else one on this machine")]
GpusPerRun = Annotated[float, typer.Option(min=0, max=64, help="with ray, such as 0.25")]
Archive = Annotated[Path, typer.Argument(help="such as toy.tar.gz")]
Weights = Annotated[bool, typer.Option("--weights", help="with encoders, to build on them there")]
Row = Annotated[str, typer.Option(help="the row of the table to export")]
Model = Annotated[str, typer.Option(help="which model, where the study has several")]
Dev = Annotated[bool, typer.Option("--dev", help="also dev sets, as dev-LANGUAGE files")]
Sample = Annotated[bool, typer.Option("--sample", help="publish scores and table: outputs/sample")]
Yes = Annotated[bool, typer.Option("--yes", help="delete, instead of only listing")]


@app.command()
def plan(file: File, why: Why = "", source: Source = "", numerics: Numerics = "") -> None:
    """Prints the study's runs by phase, what is done, what remains, and the expected time."""
    plan = make_plan(file, source, numerics)
    if why:
        run = plan.runs[_matching(plan, why)[0]]
        lines = overview.differences(run) or ["No other run of this name is on disk."]
        typer.echo("\n".join([run.id, *lines]))
    else:
        typer.echo(overview.plan_text(plan))


@app.command()
def run(
    file: File, only: Only = "*", limit: Limit = 0, workers: Workers = 0, refresh: Refresh = False,
    source: Source = "", numerics: Numerics = "", drain: Drain = False, engine: Engine = "threads",
    address: Address = "", gpus_per_run: GpusPerRun = 0.0,
) -> None:  # fmt: skip
    """Executes the study's runs with papermill; a finished run is never run again.

    With --drain it leaves runs of other launchers to them, and on SIGUSR1 or SIGTERM saves its
    trainings, gives its claims back and exits with code 75: start it again.
    """
    plan = make_plan(file, source, numerics)
    overview.save_plan(plan)
    if refresh:
        engines.forget(plan, overview.changed(plan))
    chosen = engines.with_parents(plan, _matching(plan, only))
    engines.make_whole(plan, chosen)
    progress = engines.Progress(len(plan.runs), done=set(plan.done()))
    wanted = [run_id for run_id in chosen if run_id not in progress.done][: limit or None]
    (lanes, threads), pool = overview.lanes(plan, workers), None
    if engine == "ray" and wanted:
        from xfer_utils.runs.ray_engine import RayPool

        workers = workers or plan.study.workers or (0 if address else lanes)
        gpus = plan.study.gpus_per_run
        pool = RayPool(address, gpus_per_run or gpus * (gpus > 1), workers, threads)
        lanes = pool.lanes
    overview.start(plan, wanted, lanes, threads, progress)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for sign in (signal.SIGTERM, signal.SIGUSR1) if drain else ():
        signal.signal(sign, lambda *_: setattr(progress, "told", min(progress.told, time.time())))
    begun = time.time()
    try:
        engines.execute(plan, wanted, lanes, threads, progress, drain, pool)
    except KeyboardInterrupt:
        done = f"{len(progress.done)} of {progress.total} runs are done"
        typer.echo(f"\nInterrupted. {done}; the same command continues.")
        raise typer.Exit(130) from None
    typer.echo(overview.finished_text(plan, progress, time.time() - begun))
    if progress.told <= time.time() and not progress.done.issuperset(wanted):
        raise typer.Exit(AGAIN)
    if progress.failed:
        raise typer.Exit(1)


@app.command()
def status(file: File, source: Source = "", numerics: Numerics = "") -> None:
    """Which runs are done, running, failed or waiting."""
    typer.echo(overview.status_text(make_plan(file, source, numerics)))


# What only one command needs, and takes long to import, is imported in it.
@app.command()
def report(
    file: File, source: Source = "", numerics: Numerics = "", sample: Sample = False
) -> None:
    """Builds the study's tables, figures and HTML report from the runs that are done."""
    from xfer_utils.analysis import results
    from xfer_utils.commands import summary

    plan = make_plan(file, source, numerics)
    page, failed = summary.build(plan)
    typer.echo(f"Report: {page}")
    if failed:
        typer.echo(f"failed: {failed}", err=True)
        raise typer.Exit(1)
    if sample:
        typer.echo(f"Published: {results.publish(plan.folder)}")


@app.command()
def rescore(file: File, source: Source = "") -> None:
    """Makes the scores of the study's finished runs again from their predictions on disk."""
    from xfer_utils.analysis import results

    typer.echo(results.rescore(list(make_plan(file, source).done())))


@app.command()
def doctor(file: File, source: Source = "") -> None:
    """Checks what would stop a study on this machine, and says what to do about it."""
    from xfer_utils.commands import doctor

    checks = doctor.examine(file, source)
    missing = [check.subject for check in checks if check.state == doctor.MISSING]
    verdict = f"Missing: {', '.join(missing)}." if missing else "Nothing stops this study here."
    typer.echo("\n".join([*map(str, checks), "", verdict]))
    if missing:
        raise typer.Exit(1)


@app.command()
def export(
    file: File, folder: Folder, arm: Row = "none", model: Model = "", dev: Dev = False,
    source: Source = "",
) -> None:  # fmt: skip
    """Writes one row's predictions (first seed) in the benchmark's submission format."""
    from xfer_utils.commands.export import export

    files, left_out = export(make_plan(file, source), arm, folder, model, dev)
    typer.echo("\n".join([*map(str, files), *left_out]))


@app.command()
def clean(file: File, yes: Yes = False, source: Source = "") -> None:
    """Lists (with --yes deletes) old runs that no study uses, and checkpoints of finished runs."""
    typer.echo(overview.clean(make_plan(file, source), yes))


@app.command()
def pack(
    file: File, archive: Archive, weights: Weights = False, source: Source = "",
    numerics: Numerics = "",
) -> None:  # fmt: skip
    """Puts the study's finished runs into one archive, for another machine."""
    from xfer_utils.commands import travel

    typer.echo(f"{travel.pack(make_plan(file, source, numerics), archive, weights)} runs packed.")


@app.command()
def unpack(archive: Archive) -> None:
    """Adds the runs of an archive to those here, once they are found whole."""
    from xfer_utils.commands import travel

    became = travel.unpack(archive)
    typer.echo(", ".join(f"{len(runs)} {what}" for what, runs in became.items()) + ".")
    if became["refused"]:
        typer.echo("\n".join(became["refused"]), err=True)
        raise typer.Exit(1)


def _matching(plan: Plan, pattern: str) -> list[str]:
    """Ids of the runs whose id holds the pattern."""
    ids = [run_id for run_id in plan.runs if fnmatch(run_id, f"*{pattern}*")]
    if not ids:
        message = f"{plan.file}: no run matches `{pattern}`; `xfer plan {plan.file}` lists them."
        raise SettingsError(message + closest(pattern, list(plan.runs)))
    return ids


def main() -> None:
    """Entry point: a wrong request ends with exit code 2 and a sentence, never with a traceback."""
    try:
        app()
    except WRONG_REQUEST as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
    except OSError as error:
        if error.errno is None:
            raise
        advice = DISK.get(error.errno, "see that it is there and can be written")
        kept = "What is finished is kept, and the same command continues."
        place = error.filename or paths.outputs()
        typer.echo(f"{place}: {error.strerror}; {advice}. {kept}", err=True)
        sys.exit(1)
