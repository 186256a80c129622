"""The study file: one YAML file in params/, strictly validated, with what it extends worked in."""

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from xfer_utils.study import paths, sections, settings_file
from xfer_utils.study.settings_file import SettingsError, closest
from xfer_utils.study.tasks import evaluated, registry, task, training_parts

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)]
RESERVED = ("cache", "claims", "data", "runs", "sample", "scratch")  # folders of outputs/
Roles = Annotated[list[sections.Role], Field(min_length=1, max_length=2)]
# A split's name is part of a file's name.
Split = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]+$", max_length=64)]
NONE, MULTI = "none", "multi"
TITLES = {NONE: "none", MULTI: "multi-task"}


class KeyFault(ValueError):
    """A fault that shows only when the whole file is known, with the key that it is about."""

    def __init__(self, message: str, *keys: str | int) -> None:
        super().__init__(message)
        self.keys = keys


class Study(sections.Section):
    """A whole study file after `extends:` is resolved."""

    name: Name
    title: str
    question: str
    estimand: str
    note: str = ""
    source: Annotated[str, Field(pattern=r"^(toy|hub|folder:.+)$")] = "toy"
    world: dict[str, Any] = {}
    splits: dict[str, dict[Literal["train", "dev", "test"], Split | list[Split]]] = {}
    models: Annotated[dict[Name, sections.Model], Field(min_length=1)]
    intermediate: list[str] = [NONE]
    arms: dict[Name, sections.Arm] = {}
    targets: list[str]
    benchmark: Literal["xtreme", "xtreme_r"] = "xtreme"
    languages: list[str] = []
    evaluate: dict[str, sections.Role | Roles] = {}
    max_eval_items: sections.Count = 0
    keep_model: bool = False
    few_shot: sections.FewShot | None = None
    seeds: sections.Seeds = sections.Seeds()
    intermediate_training: dict[str, sections.Training] = {}
    target_training: dict[str, sections.Training] = {}
    numerics: sections.Numerics = ""
    primary: list[sections.Primary] = []
    summaries: list[str] = ["50_main_table", "51_languages", "70_explore_predictions"]
    workers: Annotated[int, Field(ge=0, le=1000)] = 0
    threads: Annotated[int, Field(ge=0, le=1000)] = 0
    gpus_per_run: Annotated[int, Field(ge=1, le=1000)] = 1

    @field_validator("name", "models", "arms")
    @classmethod
    def _no_folder(cls, value: str | dict[str, Any]) -> str | dict[str, Any]:
        for name in RESERVED:
            if name == value or (isinstance(value, dict) and name in value):
                raise ValueError(f"`{name}` is a folder in outputs/: choose another name")
        return value

    @field_validator("targets")
    @classmethod
    def _known_targets(cls, names: list[str]) -> list[str]:
        return _known(names, evaluated(), "target task")

    @field_validator("summaries")
    @classmethod
    def _known_summaries(cls, names: list[str]) -> list[str]:
        notebooks = sorted(path.stem for path in paths.NOTEBOOKS.glob("*.ipynb"))
        return _known(names, notebooks, "notebook")

    @field_validator("arms")
    @classmethod
    def _known_arm_tasks(cls, arms: dict[str, sections.Arm]) -> dict[str, sections.Arm]:
        for name, arm in arms.items():
            _known(arm.tasks, _intermediate(), f"intermediate task (in the arm `{name}`)")
            if name == NONE and (arm.tasks or arm.text.rate):
                raise ValueError("`none` is the arm without phase 2")
            place = f"in the arm `{name}`, `target_training`: "
            _check_sections("target_training", arm.target_training, place)
        return arms

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds_by_row(cls, seeds: Any) -> Any:
        if not isinstance(seeds, dict | sections.Seeds):
            advice = "seeds of the row `none` and of every other row"
            raise ValueError(f"write `seeds: {{none: [0, 1, 2], other: [0]}}`, the {advice}")
        return seeds

    @field_validator("target_training", "evaluate", "splits")
    @classmethod
    def _known_sections(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        _check_sections(info.field_name, given)
        return given

    @model_validator(mode="after")
    def _known_rows(self) -> "Study":
        known = [NONE, MULTI, *self.arms, *_intermediate()]
        _known(self.intermediate, known, "intermediate task or arm", "intermediate")
        if NONE not in self.intermediate:
            message = "`none` is missing: every gain is measured against it"
            raise KeyFault(message, "intermediate")
        if MULTI in self.intermediate and not self.rows()[MULTI].tasks:
            advice = "list some here, or in `arms: {multi: {tasks: []}}`"
            raise KeyFault(f"the row `multi` needs tasks: {advice}", "intermediate")
        for name in self.intermediate_training:
            if name not in ("default", *known):
                message = _no_section(name, "intermediate_training", ["default", *known])
                raise KeyFault(message, "intermediate_training", name)
        return self

    @model_validator(mode="after")
    def _known_contrasts(self) -> "Study":
        arms, names = list(self.rows()), [declared.name for declared in self.primary]
        known = {"arm": arms, "arms": arms, "minus": arms}
        known |= {"target": self.targets, "targets": self.targets}
        for place, declared in enumerate(self.primary):
            for key in (key for key in known if key in type(declared).model_fields):
                value = getattr(declared, key)
                for name in [value] if isinstance(value, str) else value:
                    if name not in known[key]:
                        message = f"`{name}` is not in this study.{closest(name, known[key])}"
                        raise KeyFault(message, "primary", place, key)
            if names.count(declared.name) > 1:
                raise KeyFault("two contrasts have this name", "primary", place, "name")
            tests_equality = declared.test == "equivalence"
            if isinstance(declared, sections.Contrast) and tests_equality != (declared.margin > 0):
                message = "a test of equivalence needs a margin above 0, and no other test has one"
                raise KeyFault(message, "primary", place, "margin")
        return self

    def rows(self) -> dict[str, sections.Arm]:
        """The arms by name, in the order of the tables: `intermediate`, then what `arms` adds.

        A bare task name is the arm that trains on it. `multi` is the mixture of all plain tasks
        listed, unless `arms` says which.
        """
        names = list(dict.fromkeys([*self.intermediate, *self.arms]))
        plain = [name for name in self.intermediate if name not in (NONE, MULTI, *self.arms)]
        tasks = {MULTI: plain, NONE: []}
        arms = {}
        for name in names:
            arm = self.arms.get(name) or sections.Arm(tasks=tasks.get(name, [name]))
            row, own = registry().get(name), arm.tasks or tasks.get(name, [])
            title = arm.title or TITLES.get(name) or (row.title if row else name)
            arms[name] = arm.model_copy(update={"title": title, "tasks": own})
        return arms

    def training(
        self, phase: Literal["intermediate", "target"], name: str, model: str = "", arm: str = ""
    ) -> sections.Training:
        """The settings of one training: study's default and own lines, the model's, the arm's.

        An arm with one task has that task's settings too: a sham is trained as what it imitates.
        """
        origins = [self, self.models[model]] if model else [self]
        given = [getattr(origin, f"{phase}_training") for origin in origins]
        own = self.arms.get(arm, sections.Arm())
        tasks = own.tasks if phase == "intermediate" and len(own.tasks) == 1 else []
        given += [own.target_training] if phase == "target" else [{name: own.training}]
        keys = ["default", *tasks, name]
        layers = [section.get(key) for section in given for key in keys]
        settings: dict[str, Any] = {}
        for layer in filter(None, layers):
            settings |= layer.model_dump(exclude_unset=True)
        return sections.Training(**settings)

    def roles(self, target: str) -> list[sections.Role]:
        """The splits that a target is evaluated on; the tables show the first."""
        wanted = self.evaluate.get(target, task(target).evaluate)
        return [wanted] if isinstance(wanted, str) else list(wanted)


def same_data(arm: sections.Arm, train_task: str) -> bool:
    """Whether an arm's phase 2 holds the very training data that phase 3 uses."""
    if not train_task:
        return False
    folders = {task(part).folder for name in arm.tasks for part in training_parts(name)}
    return task(train_task).folder in folders


def _intermediate() -> list[str]:
    return [row.name for row in registry().values() if row.role in ("intermediate", "part")]


def _known(names: list[str], known: list[str], what: str, *keys: str) -> list[str]:
    for name in names:
        if name not in known:
            raise KeyFault(f"`{name}` is no {what}.{closest(name, known)}", *keys)
        if names.count(name) > 1:
            raise KeyFault(f"`{name}` is listed twice", *keys)
    return names


def _check_sections(section: str, given: dict[str, Any], place: str = "") -> None:
    known = _section_keys(section)
    for name in given:
        if name not in known:
            raise ValueError(place + _no_section(name, section, known))


def _section_keys(section: str) -> list[str]:
    """What a section may hold by task: training sets, or targets where it evaluates."""
    targets = evaluated()
    if section != "target_training":
        return targets if section == "evaluate" else list(registry())
    trained = [n for t in map(task, targets) for n in (t.train_first, t.train_on or t.name) if n]
    return ["default", *dict.fromkeys(trained)]


def _no_section(name: str, section: str, known: list[str]) -> str:
    row = registry().get(name)
    if row is None:
        return f"`{name}` is no task.{closest(name, known)}"
    if section == "target_training" and row.train_on:
        advice = f"write `{row.train_on}`, for all targets that share it"
        return f"`{name}` is trained on `{row.train_on}`: {advice}"
    verb = "evaluated" if section == "evaluate" else "trained"
    return f"`{name}` is not {verb} here. Known: {', '.join(known)}."


def load(path: str | Path, source: str = "", numerics: str = "") -> Study:
    """A study from its file; a SettingsError says file, key and line of what is wrong.

    `source` and `numerics` stand in for the file's; under other numerics it has a name of its own.
    """
    path = Path(path)
    content, _ = settings_file.extended(path)
    if source:
        content["source"] = source
    if numerics:
        content |= {"numerics": numerics, "name": f"{content.get('name')}-{numerics}"}
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise refusals(path, error) from None


def refusals(
    path: str | Path, error: ValidationError, inside: tuple = (), known: list[str] = ()
) -> SettingsError:
    """All that pydantic refused in a study file, or in the section `inside` it (keys: `known`)."""
    files = settings_file.extended(Path(path))[1]
    problems = [{**problem, "loc": (*inside, *problem["loc"])} for problem in error.errors()]
    return SettingsError("\n".join(_explain(problem, files, known) for problem in problems))


def refusal(path: str | Path, keys: tuple, message: str) -> SettingsError:
    """The error for a value that only a source can judge, such as a language it does not have."""
    place = settings_file.place(keys, settings_file.extended(Path(path))[1])
    return SettingsError(f"{place}: `{'.'.join(map(str, keys))}`: {message}")


def _explain(error: dict, files: list[Path], known: list[str]) -> str:
    fault = error.get("ctx", {}).get("error")
    location = getattr(fault, "keys", ()) or error["loc"]
    keys = tuple(key for key in location if key not in sections.TAGS) or tuple(location)
    place = settings_file.place(keys, files)
    name = ".".join(map(str, keys)) or "the file"
    if error["type"] == "extra_forbidden":
        near = closest(str(keys[-1]), list(known) or _siblings(keys))
        return f"{place}: `{name}` is no known key.{near}"
    if error["type"] == "missing":
        return f"{place}: the key `{name}` is missing."
    message = error["msg"].removeprefix("Value error, ").replace("a valid list", "a list, as `[0]`")
    got = "" if error["type"] == "value_error" else f" (it reads as {reprlib.repr(error['input'])})"
    stop = "" if (message + got).endswith((".", "?")) else "."
    return f"{place}: `{name}`: {message}{got}{stop}"


def _siblings(keys: tuple) -> list[str]:
    known = {"pretrain": sections.Pretraining, "models": sections.Model, "arms": sections.Arm}
    known |= {"seeds": sections.Seeds, "primary": sections.Contrast, "few_shot": sections.FewShot}
    trainings = ("intermediate_training", "target_training", "training")
    known |= dict.fromkeys(trainings, sections.Training)
    for key in reversed(keys[:-1]):
        if key in known:
            return list(known[key].model_fields)
    return ["extends", *Study.model_fields]
