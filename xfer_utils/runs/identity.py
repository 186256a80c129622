"""A run's identity: what can change its result, and nothing else.

Parameters at their off value, and registry rows, data and evaluated sets that the run does not
read, are left out. Code enters by the notebook's own cells (what a user edits is run again) and by
versions raised by hand; the hash of the package's code is recorded with a run, not hashed.
"""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

from xfer_utils.formats import base
from xfer_utils.learning import origins
from xfer_utils.runs import codehash
from xfer_utils.runs.kinds import Kind
from xfer_utils.sources import base as reading
from xfer_utils.sources import leaks
from xfer_utils.study import kept, paths
from xfer_utils.study.jobs import EncoderJob, Job
from xfer_utils.study.tasks import task, training_parts

# What of a registry row cannot change data or predictions: words, priors, and how items are scored.
UNHASHED_ROW_FIELDS = {
    "title", "mean_tokens", "train_rows", "languages", "xtreme_r_languages", "hub", "hub_xtreme_r",
    "role", "metric", "evaluate", "train_on", "train_first", "local",
}  # fmt: skip
ENTER_AS_DATA = {"source", "world", "splits", "held_out"}


def digest(content: Any) -> str:
    """The short hash of plain data."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def of_run(kind: Kind, job: Job, parents: list[str], source: Any) -> dict[str, Any]:
    """The identity of a run as data; its digest ends the run's id."""
    tasks = list(dict.fromkeys([*kind.trains_on(job), *kind.scores(job)]))
    formats = {task(name).format for name in tasks} or {"mlm"}
    formats = sorted(formats | ({"mlm"} if job.mixture.text.rate else set()))
    versions = {name: base.of(name).VERSION for name in formats}
    content = {
        "kind": kind.name,
        "versions": {"kind": kind.version, "reading": reading.VERSION, **versions},
        "parameters": _parameters(job, tasks),
        "tasks": {name: _row(name, job) for name in tasks},
        "data": _data(kind, job, tasks, source),
        "parents": parents,
        "cells": codehash.of_cells(paths.NOTEBOOKS / kind.notebook),
    }
    return {key: value for key, value in content.items() if value}


def _parameters(job: Job, tasks: list[str]) -> dict[str, Any]:
    """The job's parameters; where data lie is left out, since their revisions are in `data`."""
    parameters = {k: v for k, v in job.identity().items() if k not in ENTER_AS_DATA}
    parts = {part for name in tasks for part in training_parts(name)}
    if splits := {name: roles for name, roles in job.splits.items() if name in parts}:
        parameters["splits"] = splits
    if isinstance(job, EncoderJob) and job.load and origins.fingerprint(job.load):
        parameters = {k: v for k, v in parameters.items() if k not in ("load", "revision")}
    return parameters


@cache
def _row_fields(name: str) -> dict:
    return task(name).model_dump(mode="json", exclude=UNHASHED_ROW_FIELDS, exclude_defaults=True)


def _row(name: str, job: Job) -> dict:
    """A registry row as data; its metric counts only where it chooses a checkpoint or a search."""
    chooses = task(name).format == "sentence" or getattr(job, "chooses", False)
    return _row_fields(name) | ({"metric": task(name).metric} if chooses else {})


def _data(kind: Kind, job: Job, tasks: list[str], source: Any) -> dict[str, str]:
    """Revisions of what is read, and what cleaning takes out of it."""
    if isinstance(job, EncoderJob):
        if job.load:
            return {"weights": origins.fingerprint(job.load)}
        return {"text": text_read(job.lines_per_language, source)}
    data = {part: source.revision(part) for name in tasks for part in training_parts(name)}
    data |= _translations(job, source)
    if job.mixture.text.rate:
        data["text"] = text_read(job.mixture.text.lines_per_language, source)
    if held_out := getattr(job, "held_out", {}):
        for name in kind.trains_on(job):
            if removed := _removed(name, held_out, source):
                data[f"{name}, without"] = removed
        if job.chooses:  # where dev is evaluated, a checkpoint is chosen on other rows
            data["held out"] = digest(held_out)
    return data


def _translations(job: Job, source: Any) -> dict[str, str]:
    """Training sets in other languages, and all that they are cleaned of."""
    mixture, data = job.mixture, {}
    for name, code in product(mixture.tasks, mixture.languages):
        if code != "en":
            read = [source.training_set(name, code), *job.held_out]
            data[f"{name} in {code}"] = digest(list(map(source.revision, read)))
    return data


def _removed(name: str, held_out: dict[str, list[str]], source: Any) -> str:
    """What cleaning takes out of a training set; for data not on disk, what it is cleaned of."""
    if not hasattr(source, "path"):
        return digest([leaks.VERSION, {target: source.revision(target) for target in held_out}])

    def find() -> str:
        read = set(source.read(name, "train")["id"])
        kept = set(leaks.clean_rows(source, name, "train", held_out)[0]["id"])
        return digest(sorted(read - kept)) if read != kept else ""

    revisions = [source.revision(part) for part in (*training_parts(name), *held_out)]
    return _remembered(["removed", leaks.VERSION, name, held_out, revisions], find)


def text_read(lines_per_language: int, source: Any) -> str:
    """The text that an encoder reads, without what any target evaluates."""
    revisions = [
        leaks.VERSION,
        source.text_revision(),
        *map(source.revision, source.cleaned_of),
    ]
    if not hasattr(source, "path"):
        return digest(revisions)

    def find() -> str:
        # Imported here: a plan whose text is known need not wait for it.
        from xfer_utils.learning.pretraining import sample_text

        mark = hashlib.sha256()
        for code, lines in sample_text(source, lines_per_language)[0].items():
            mark.update("\n".join([code, *lines, ""]).encode("utf-8", "surrogatepass"))
        return mark.hexdigest()[:10]

    return _remembered(["text", lines_per_language, revisions], find)


def _remembered(key: list, find: Callable[[], str]) -> str:
    """What cleaning removed, found once for the same data and kept under outputs/cache."""
    path = paths.outputs() / "cache" / "cleaning" / f"{digest(key)}.txt"
    kept.cached(path, lambda file: file.write_text(find(), encoding="utf-8"))
    return path.read_text(encoding="utf-8")
