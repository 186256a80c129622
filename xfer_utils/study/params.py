"""The study file: one YAML file in params/, strictly validated, with defaults from the paper where it has them."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xfer_utils.study import settings_file
from xfer_utils.study.settings_file import SettingsError, closest
from xfer_utils.study.tasks import registry

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]


class Section(BaseModel):
    """Base of all sections: unknown keys refused, types not coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Training(Section):
    """How one training is done. Defaults are the paper's, but for `select`: the paper chooses by `english_dev`."""

    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1.0e-5
    epochs: Positive = 2
    max_steps: Count = 0
    batch_size: Positive = 32
    accumulation: Positive = 1
    max_length: Annotated[int, Field(ge=8)] = 256
    doc_stride: Positive = 128
    max_examples: Count = 0
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    adam_epsilon: Annotated[float, Field(gt=0)] = 1.0e-8
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    batching: Literal["random", "length"] = "random"
    select: Literal["last", "english_dev"] = "last"
    eval_steps: Positive = 1000
    patience: Positive = 30
    dev_examples: Positive = 500
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    tuning: Literal["full", "lora"] = "full"
    lora_rank: Positive = 16
    activation_checkpointing: bool = False
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 20.0


class Pretraining(Section):
    """A small XLM-R pre-trained from scratch on the source's own text (phase 1 of the toy and mini studies)."""

    layers: Positive = 3
    width: Annotated[int, Field(ge=16)] = 96
    heads: Positive = 4
    feedforward: Annotated[int, Field(ge=16)] = 384
    vocabulary: Annotated[int, Field(ge=100)] = 2000
    positions: Annotated[int, Field(ge=16)] = 128
    steps: Positive = 3000
    batch_size: Positive = 64
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2.0e-3
    max_length: Annotated[int, Field(ge=8)] = 64
    masked: Annotated[float, Field(gt=0, lt=1)] = 0.2
    beta2: Annotated[float, Field(gt=0, lt=1)] = 0.98
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dropout_later: Annotated[float, Field(ge=0, lt=1)] = 0.1
    lines_per_language: Count = 0
    seed: int = 0


class Model(Section):
    """One encoder: pre-trained here, or loaded from a hub id or a local folder."""

    pretrain: Pretraining | None = None
    load: str | None = None
    revision: str = "main"
    layer: int | None = None
    pooling: Literal["mean", "first", "last"] = "mean"
    head_pooling: Literal["auto", "first", "last", "mean"] = "auto"
    attention: Literal["auto", "causal", "bidirectional"] = "auto"

    @model_validator(mode="after")
    def _one_origin(self) -> "Model":
        if (self.pretrain is None) == (self.load is None):
            raise ValueError(
                "needs exactly one of `pretrain:` (train it here) and `load:` (a hub id or folder)"
            )
        if self.pretrain and self.layer is not None and not 0 <= self.layer <= self.pretrain.layers:
            raise ValueError(
                f"`layer: {self.layer}` is not one of its layers, 0 to {self.pretrain.layers}"
            )
        return self


class Seeds(Section):
    """Seeds of phases 2 and 3: `none` (no intermediate task) needs several, to know its noise."""

    none: Annotated[list[int], Field(min_length=1)] = [0, 1, 2]
    other: Annotated[list[int], Field(min_length=1)] = [0]

    @field_validator("none", "other")
    @classmethod
    def _different(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seed {next(s for s in seeds if seeds.count(s) > 1)} is listed twice")
        return seeds


class Study(Section):
    """A whole study file after `extends:` is resolved."""

    name: Name
    title: str
    question: str
    estimand: str
    note: str = ""
    source: str = "toy"
    world: dict[str, Any] = {}
    splits: dict[str, dict[str, str | list[str]]] = {}
    models: dict[Name, Model]
    intermediate: list[str] = ["none"]
    multi_tasks: list[str] = []
    multi_cap: Positive = 2**17
    targets: list[str]
    benchmark: Literal["xtreme", "xtreme_r"] = "xtreme"
    languages: list[str] = []
    evaluate: dict[str, Literal["dev", "test"]] = {}
    max_eval_items: Count = 0
    seeds: Seeds = Seeds()
    intermediate_training: dict[str, Training] = {}
    target_training: dict[str, Training] = {}
    workers: Count = 0
    threads: Count = 0

    @field_validator("source")
    @classmethod
    def _known_source(cls, value: str) -> str:
        if value in ("toy", "hub") or (value.startswith("folder:") and len(value) > len("folder:")):
            return value
        raise ValueError(f"`{value}` is no source: write toy, hub or folder:PATH")

    @field_validator("intermediate", "multi_tasks", "targets")
    @classmethod
    def _known_tasks(cls, names: list[str], info: Any) -> list[str]:
        role = "target" if info.field_name == "targets" else "intermediate"
        roles = (role, "xtreme_r") if role == "target" else (role,)
        known = [name for name, row in registry().items() if row.role in roles]
        known += ["none", "multi"] if info.field_name == "intermediate" else []
        for name in names:
            if name not in known:
                raise ValueError(f"`{name}` is no {role} task.{closest(name, known)}")
        if len(set(names)) < len(names):
            raise ValueError("a task stands twice")
        if info.field_name == "intermediate" and "none" not in names:
            raise ValueError("`none` is missing: every gain is measured against it")
        return names

    @field_validator("intermediate_training", "target_training", "evaluate", "splits")
    @classmethod
    def _known_sections(cls, sections: dict[str, Any], info: Any) -> dict[str, Any]:
        known = _section_keys(info.field_name)
        for name in sections:
            if name not in known:
                raise ValueError(_no_section(name, info.field_name, known))
        return sections

    @model_validator(mode="after")
    def _mixture_of_something(self) -> "Study":
        if "multi" in self.intermediate and not self.mixture():
            raise ValueError(
                "the row `multi` needs tasks: list them in `multi_tasks:` or among `intermediate:`"
            )
        return self

    def mixture(self) -> list[str]:
        """The tasks of the row `multi`: `multi_tasks`, or every single task among the study's rows."""
        return self.multi_tasks or [
            name for name in self.intermediate if name not in ("none", "multi")
        ]

    def training(self, phase: Literal["intermediate", "target"], task: str) -> Training:
        """The settings of one training: the section's `default`, then the task's own lines."""
        section = getattr(self, f"{phase}_training")
        layers = [
            section[key].model_dump(exclude_unset=True)
            for key in ("default", task)
            if key in section
        ]
        return Training(**{key: value for layer in layers for key, value in layer.items()})


def _section_keys(section: str) -> list[str]:
    """What may stand in a section by task: training sets where something is trained, targets where it is evaluated."""
    targets = [row for row in registry().values() if row.role in ("target", "xtreme_r")]
    if section == "intermediate_training":
        return [
            "default",
            "multi",
            *(row.name for row in registry().values() if row.role == "intermediate"),
        ]
    if section == "target_training":
        used = [
            name for row in targets for name in (row.train_first, row.train_on or row.name) if name
        ]
        return ["default", *dict.fromkeys(used)]
    return [row.name for row in targets] if section == "evaluate" else list(registry())


def _no_section(name: str, section: str, known: list[str]) -> str:
    row = registry().get(name)
    if row is None:
        return f"`{name}` is no task.{closest(name, known)}"
    if section == "target_training" and row.train_on:
        return f"`{name}` is trained on `{row.train_on}`: write `{row.train_on}`, for all targets that share it"
    return f"`{name}` is not {'evaluated' if section == 'evaluate' else 'trained'} here. Known: {', '.join(known)}."


def load(path: str | Path, source: str = "") -> Study:
    """A study from its file, or with another source; a SettingsError says file, key, line and closest spelling."""
    path = Path(path)
    content, _ = settings_file.extended(path)
    if source:
        content["source"] = source
    try:
        return Study(**content)
    except ValidationError as error:
        raise refusals(path, error) from None


def refusals(
    path: str | Path, error: ValidationError, inside: tuple = (), known: list[str] = ()
) -> SettingsError:
    """All that pydantic found wrong in a study file, or in the section `inside` it, whose keys are the `known` ones."""
    files = settings_file.extended(Path(path))[1]
    found = [{**one, "loc": (*inside, *one["loc"])} for one in error.errors()]
    return SettingsError("\n".join(_explain(one, files, known) for one in found))


def refusal(path: str | Path, keys: tuple, message: str) -> SettingsError:
    """The error for a value that only its user can judge, such as a language that the source does not have."""
    files = settings_file.extended(Path(path))[1]
    name = ".".join(map(str, keys))
    return SettingsError(f"{settings_file.place(keys, files)}: `{name}`: {message}")


def _explain(error: dict, files: list[Path], known: list[str]) -> str:
    keys = tuple(k for k in error["loc"] if k != "[key]")
    place = settings_file.place(keys, files)
    name = ".".join(map(str, keys)) or "the file"
    if error["type"] == "extra_forbidden":
        return f"{place}: `{name}` is no known key.{closest(str(keys[-1]), list(known) or _siblings(keys))}"
    if error["type"] == "missing":
        return f"{place}: the key `{name}` is missing."
    message = error["msg"].removeprefix("Value error, ")
    got = "" if error["type"] == "value_error" else f" (it reads as {error['input']!r})"
    return f"{place}: `{name}`: {message}{got}" + (
        "" if (message + got).endswith((".", "?")) else "."
    )


def _siblings(keys: tuple) -> list[str]:
    sections = {"pretrain": Pretraining, "models": Model, "seeds": Seeds}
    sections |= dict.fromkeys(("intermediate_training", "target_training"), Training)
    for key in reversed(keys[:-1]):
        if key in sections:
            return list(sections[key].model_fields)
    return ["extends", *Study.model_fields]
