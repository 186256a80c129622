"""The registry of tasks, read from tasks.yaml: one entry per task, no code per task."""

import importlib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from xfer_utils.study import settings_file
from xfer_utils.study.settings_file import SettingsError, closest

Columns = dict[str, str | list[str]]


class Row(BaseModel):
    """Base of the registry's rows: frozen, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(Row):
    """Where one split stands that is kept apart from the others of its data set."""

    config: str | None = None
    data_dir: str | None = None
    revision: str = "main"


class Hub(Place):
    """Where the hub keeps a task; {language} and {name} in config and data_dir are filled in."""

    id: str
    names: dict[str, str] = {}
    languages: tuple[str, ...] = ()
    splits: dict[str, str] = {}
    configs: dict[str, Place] = {}
    absent: dict[str, tuple[str, ...]] = {}
    prefix_column: str = ""
    columns: Columns = {}
    rows: dict[str, int | dict[str, int]] = {}
    megabytes: int = 0
    licence: str
    note: str = ""

    def expected(self, split: str, language: str) -> int | None:
        """Rows of a split in the official release, where the registry knows them."""
        rows = self.rows.get(split)
        return rows.get(language) if isinstance(rows, dict) else rows

    def place(self, split: str, language: str) -> Place:
        """Config, folder and revision of a split, with the language filled in."""
        place = self.configs.get(language) or self.configs.get(split) or self
        fill = {"language": language, "name": self.names.get(language, language)}
        fields = {key: getattr(place, key) for key in Place.model_fields}
        return Place(**{key: value and value.format(**fill) for key, value in fields.items()})


class Task(Row):
    """One task: its format, columns, labels, splits, metric and languages."""

    name: str
    title: str
    role: Literal["intermediate", "target", "part", "xtreme_r", "low_resource", "translated"]
    format: str
    parts: tuple[str, ...] = ()
    train_on: str | None = None
    train_first: str | None = None
    gold_only: str = ""
    columns: Columns = {}
    variants: tuple[Columns, ...] = ()
    labels: tuple[str, ...] = ()
    read_as: dict[str, str] = {}  # labels stored after these, and which of these they count as
    open_labels: bool = False
    choices: int = 0
    questions: dict[str, str] = {}
    layout: Literal["pairs", "pools", "answers", "entities"] | None = None
    splits: dict[Literal["train", "dev", "test"], str | list[str]] = {}
    evaluate: Literal["dev", "test"] = "dev"
    metric: str
    aligned: bool = False
    mean_tokens: int = 0
    train_rows: int = 0
    languages: tuple[str, ...] = ("en",)
    xtreme_r_languages: tuple[str, ...] = ()
    local: str = ""
    hub: Hub | None = None
    hub_xtreme_r: Hub | None = None

    @property
    def folder(self) -> str:
        """The folder of a local source that holds the task's files."""
        return self.local or self.name

    def hub_for(self, language: str) -> Hub | None:
        """The hub entry that holds a language: the task's own, or that of XTREME-R's additions."""
        added = self.hub_xtreme_r
        return added if added and language in added.languages else self.hub


# Roles of the targets whose sentences are taken out of text for pre-training. Low-resource sets are
# not: to be read, the 205 languages of SIB-200 would have to be fetched for every encoder.
BENCHMARKS = ("target", "xtreme_r")
FILE = Path(__file__).with_name("tasks.yaml")
TEXT = "_text"  # the entry that is no task: where the hub keeps plain text
# A format and a metric know what a row must hold. They stand in later folders, so they are found by
# name: a new format is a new file, a new metric a new entry, and neither is listed here.
CHECKS = ("xfer_utils.formats.base", "xfer_utils.scoring.metrics")


@cache
def _file() -> dict[str, dict]:
    return settings_file.load(FILE)


@cache
def registry() -> dict[str, Task]:
    """Every task by name, in the order of tasks.yaml; a SettingsError names a fault's line."""
    tasks = {name: _task(name, row) for name, row in _file().items() if name != TEXT}
    for name, row in tasks.items():
        for key in ("parts", "train_on", "train_first", "gold_only"):
            value = getattr(row, key) or ()
            for other in (value,) if isinstance(value, str) else value:
                if other not in tasks:
                    raise _refusal((name, key), f"`{other}` is no task.{closest(other, [*tasks])}")
    return tasks


def _task(name: str, row: dict) -> Task:
    try:
        if not isinstance(row, dict):
            raise ValueError(f"an entry is a list of `key: value` lines, not {row!r}")
        task = Task.model_validate({**row, "name": name})
        for module in CHECKS:
            importlib.import_module(module).check(task)
    except ValidationError as error:
        problem = error.errors()[0]
        keys, message = (name, *problem["loc"]), problem["msg"]
    except ValueError as error:
        keys, message = (name,), str(error)
    else:
        return task
    raise _refusal(keys, message)


def _refusal(keys: tuple, message: str) -> SettingsError:
    place = settings_file.place(keys, [FILE])
    return SettingsError(f"{place}: `{'.'.join(map(str, keys))}`: {message}")


@cache
def text_on_hub() -> Hub:
    """Where the hub keeps plain text for masked language modelling."""
    return Hub(**_file()[TEXT])


def task(name: str) -> Task:
    """One task; an unknown name is a KeyError that lists what there is."""
    tasks = registry()
    if name not in tasks:
        raise KeyError(f"unknown task {name!r}; known: {', '.join(tasks)}")
    return tasks[name]


def evaluated(*roles: str) -> list[str]:
    """All targets, or those of some roles."""
    roles = roles or (*BENCHMARKS, "low_resource")
    return [name for name, row in registry().items() if row.role in roles]


def training_parts(name: str) -> tuple[str, ...]:
    """The data sets behind one training task: ANLI+ is three, every other task is itself."""
    return task(name).parts or (name,)
