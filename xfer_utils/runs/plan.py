"""From a study file to a plan: a DAG of runs, each with an id made of everything that can change its result."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xfer_utils.learning import origins
from xfer_utils.runs import codehash, records
from xfer_utils.sources import leaks
from xfer_utils.sources.catalogue import open_source
from xfer_utils.sources.toy.world import World
from xfer_utils.study import params, paths
from xfer_utils.study.settings_file import closest
from xfer_utils.study.tasks import registry, task, training_parts

NOTEBOOKS = {
    "encoder": "10_encoder.ipynb",
    "intermediate": "20_intermediate.ipynb",
    "target": "30_target.ipynb",
    "retrieval": "35_retrieval.ipynb",
}
UNHASHED_ROW_FIELDS = {
    "title", "mean_tokens", "train_rows", "languages", "xtreme_r_languages", "hub", "hub_xtreme_r", "role"
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One training, or one evaluation without training, by one job notebook."""

    id: str
    kind: str
    notebook: str
    parameters: dict[str, Any]
    parents: tuple[str, ...]
    labels: dict[str, Any]
    identity: dict[str, Any]

    @property
    def slug(self) -> str:
        """The readable part of the id: the same for every version of code, data and settings."""
        return self.id.rpartition("-")[0]

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        return runs_folder() / self.id


@dataclass
class Plan:
    """A study's runs in an order in which parents stand first, and what cannot be run, with the reason."""

    study: params.Study
    file: Path
    runs: dict[str, Run] = field(default_factory=dict)
    not_run: dict[tuple[str, str], str] = field(default_factory=dict)
    mixture: dict[str, str] = field(
        default_factory=dict
    )  # tasks of the row `multi`, and why one is left out
    languages_csv: str | None = None

    @property
    def folder(self) -> Path:
        """The study's own outputs: plan, tables, figures, report."""
        return paths.outputs() / self.study.name

    def done(self) -> dict[str, records.Result]:
        """Results of the runs that are done."""
        results = {run.id: records.read(run.folder) for run in self.runs.values()}
        return {id: result for id, result in results.items() if result is not None}


def runs_folder() -> Path:
    """Runs are shared by all studies."""
    return paths.outputs() / "runs"


def make_plan(file: str | Path, keep_stale: bool = False, source: str = "") -> Plan:
    """The plan of a study file (with another source than the file's, if one is given); nothing is trained for it."""
    return Planner(params.load(file, source), Path(file), keep_stale).plan


def source_of(study: params.Study) -> Any:
    """The study's source of data."""
    return open_source(
        study.source, world=study.world, data_dir=paths.outputs() / "data", splits=study.splits
    )


class Planner:
    """Builds a plan, phase by phase."""

    def __init__(self, study: params.Study, file: Path, keep_stale: bool) -> None:
        self.plan = Plan(study, file)
        self.study, self.keep_stale = study, keep_stale
        try:
            self.source = source_of(study)
        except ValidationError as error:
            raise params.refusals(file, error, ("world",), list(World.model_fields)) from None
        if study.source == "toy":
            self.plan.languages_csv = str(self.source.path / "languages.csv")
        self._check_languages()
        self.data = {"source": study.source, "world": study.world, "splits": study.splits}
        for name, model in study.models.items():
            encoder = self._encoder(name, model)
            for intermediate in study.intermediate:
                seeds = study.seeds.none if intermediate == "none" else study.seeds.other
                for seed in seeds:
                    self._branch(name, model, encoder, intermediate, seed)

    def _check_languages(self) -> None:
        known = sorted(
            {code for name in self.study.targets for code in self._languages(name)} | {"en"}
        )
        for place, code in enumerate(self.study.languages):
            if code not in known:
                message = f"`{code}` is no language of these targets in source {self.study.source}."
                raise params.refusal(
                    self.plan.file, ("languages", place), message + closest(code, known)
                )

    def _encoder(self, name: str, model: params.Model) -> Run:
        if self.study.source == "hub" and model.pretrain and not model.pretrain.lines_per_language:
            place = ("models", name, "pretrain", "lines_per_language")
            raise params.refusal(
                self.plan.file, place, "0 stands for all lines, which here are all of Wikipedia's."
            )
        settings = (model.pretrain or params.Pretraining()).model_dump()
        use = {"head_pooling": model.head_pooling, "attention": model.attention}
        parameters = {
            **self.data,
            "load": model.load or "",
            "revision": model.revision,
            **use,
            **settings,
        }
        # What is evaluated is taken out of the text that is read.
        evaluated = [row.name for row in registry().values() if row.role in ("target", "xtreme_r")]
        data = (
            {"text": self.source.text_revision(), **self._revisions(evaluated)}
            if model.pretrain
            else {}
        )
        if model.load:
            data["weights"] = origins.fingerprint(model.load)
        return self._add("encoder", name, parameters, (), {"model": name}, data)

    def _branch(
        self, name: str, model: params.Model, encoder: Run, intermediate: str, seed: int
    ) -> None:
        """Everything that follows from one encoder, one intermediate task and one seed."""
        labels = {"model": name, "intermediate": intermediate, "seed": seed}
        parent = (
            encoder if intermediate == "none" else self._intermediate(encoder, intermediate, labels)
        )
        targets = self.study.targets
        if parent is None:
            for target in targets:
                self.plan.not_run[intermediate, target] = self.plan.not_run[intermediate, "*"]
            return
        trained = [target for target in targets if task(target).train_on]
        for train_task in dict.fromkeys(task(target).train_on for target in trained):
            self._target(
                parent, train_task, [t for t in trained if task(t).train_on == train_task], labels
            )
        mined = [target for target in targets if not task(target).train_on]
        if mined:
            self._retrieval(parent, model, mined, labels)

    def _intermediate(self, encoder: Run, name: str, labels: dict) -> Run | None:
        training = self.study.training("intermediate", name)
        parts = {
            t: self._missing(t, training)
            for t in (self.study.mixture() if name == "multi" else [name])
        }
        tasks = [t for t, reason in parts.items() if not reason]
        if name == "multi":
            self.plan.mixture = parts
        if not tasks:
            self.plan.not_run[name, "*"] = next(iter(parts.values()))
            return None
        return self._before(encoder, tasks, training, name, labels)

    def _before(
        self, parent: Run, tasks: list[str], training: params.Training, slug: str, labels: dict
    ) -> Run:
        """A training whose encoder is what the next one starts from."""
        held_out = self._held_out(tasks)
        parameters = {
            **self.data,
            "tasks": tasks,
            "cap": self.study.multi_cap,
            "held_out": held_out,
            **training.model_dump(),
            "beta2": 0.999,
            "seed": labels["seed"],
        }
        slug = f"{slug}-s{labels['seed']}"
        data = self._revisions([*tasks, *held_out])
        return self._add("intermediate", slug, parameters, (parent,), labels, data, tasks)

    def _missing(self, name: str, training: params.Training) -> str:
        """Why a task cannot be trained on; empty where it can. A dev set is needed where it chooses the checkpoint."""
        needed = {
            "train": "training",
            **({"dev": "dev"} if training.select == "english_dev" else {}),
        }
        for part in training_parts(name):
            for role, called in needed.items():
                if not self.source.has(part, role, "en"):
                    licensed = registry()[part].open_labels and not self.source.has(
                        part, "train", "en"
                    )
                    return (
                        "licensed data"
                        if licensed
                        else f"no {called} data for {part} in {self.study.source}"
                    )
        return ""

    def _target(self, parent: Run, train_task: str, targets: list[str], labels: dict) -> None:
        first, present = task(targets[0]).train_first, [t for t in targets if self._languages(t)]
        missing = [
            self._missing(name, self.study.training("target", name))
            for name in (first, train_task)
            if name
        ]
        reason = next(filter(None, missing), "")
        row, nowhere = labels["intermediate"], f"no evaluation data in {self.study.source}"
        self.plan.not_run |= {
            (row, t): reason or nowhere for t in targets if reason or t not in present
        }
        if reason or not present:
            return
        if first:
            training, leading = (
                self.study.training("target", first),
                {**labels, "leads_to": train_task},
            )
            parent = self._before(parent, [first], training, f"{first}-after-{row}", leading)
        held_out = self._held_out([train_task])
        parameters = {
            **self.data,
            "train_task": train_task,
            "targets": present,
            "evaluate": self._roles(present),
            "max_eval_items": self.study.max_eval_items,
            "held_out": held_out,
            **self.study.training("target", train_task).model_dump(),
            "beta2": 0.999,
            "languages": [],
            "keep_model": False,
            "seed": labels["seed"],
        }
        slug = f"{train_task}-after-{labels['intermediate']}-s{labels['seed']}"
        used = list(dict.fromkeys([train_task, *present]))
        labels = {**labels, "train_task": train_task, "targets": present}
        data = self._revisions([*used, *held_out])
        self._add("target", slug, parameters, (parent,), labels, data, used)

    def _retrieval(
        self, parent: Run, model: params.Model, targets: list[str], labels: dict
    ) -> None:
        present = [t for t in targets if self._languages(t)]
        for target in set(targets) - set(present):
            self.plan.not_run[labels["intermediate"], target] = (
                f"no evaluation data in {self.study.source}"
            )
        if not present:
            return
        parameters = {
            **self.data,
            "targets": present,
            "evaluate": self._roles(present),
            "layer": -1 if model.layer is None else model.layer,
            "pooling": model.pooling,
            "languages": [],
            **self._reading(present),
        }
        slug = f"after-{labels['intermediate']}-s{labels['seed']}"
        if labels["intermediate"] == "none":
            slug, labels = "after-none", {**labels, "seed": -1}
        labels = {**labels, "train_task": "", "targets": present}
        self._add(
            "retrieval", slug, parameters, (parent,), labels, self._revisions(present), present
        )

    def _languages(self, target: str) -> list[str]:
        """Languages in which the source has what the study evaluates."""
        return self.source.languages(target, self._roles([target])[target][0])

    def _reading(self, targets: list[str]) -> dict[str, Any]:
        """How sentences are read: one run reads those of all retrieval targets in one way."""
        found = {t: self.study.training("target", t) for t in targets}
        for name in ("max_length", "precision"):
            if len({getattr(settings, name) for settings in found.values()}) > 1:
                message = f"{' and '.join(found)} are made by one run and need one `{name}`."
                raise params.refusal(
                    self.plan.file, ("target_training", targets[-1], name), message
                )
        return found[targets[0]].model_dump(include={"max_length", "precision"})

    def _roles(self, targets: list[str]) -> dict[str, list[str]]:
        return {t: [self.study.evaluate.get(t, task(t).evaluate)] for t in targets}

    def _held_out(self, tasks: list[str]) -> dict[str, list[str]]:
        """Which of the study's evaluated sets could share items with some training sets, by target and role."""
        comparable = [
            t for t in self.study.targets if any(leaks.comparable(t, name) for name in tasks)
        ]
        return self._roles(comparable)

    def _revisions(self, tasks: list[str]) -> dict[str, str]:
        """Revisions of the data sets; the hub's reader is loaded by name, so its code counts here."""
        reader = (
            {"reader": codehash.of_package("xfer_utils.sources.hub")}
            if self.study.source == "hub"
            else {}
        )
        return reader | {
            part: self.source.revision(part) for name in tasks for part in training_parts(name)
        }

    def _add(
        self, kind: str, slug: str, parameters: dict, parents: tuple[Run, ...], labels: dict, data: dict,
        tasks: list[str] = (),
    ) -> Run:  # fmt: skip
        identity = {
            "kind": kind,
            "parameters": parameters,
            "tasks": {name: _row(name) for name in tasks},
            "data": data,
            "parents": [parent.id for parent in parents],
            "code": codehash.of_notebook(paths.NOTEBOOKS / NOTEBOOKS[kind]),
        }
        id = f"{kind}-{slug}-{digest(identity)}".lower()
        if self.keep_stale and not (runs_folder() / id / records.RESULT).exists():
            id = _stale_twin(f"{kind}-{slug}".lower(), identity) or id
        run = self.plan.runs.get(id)
        if run is None:
            run = Run(
                id,
                kind,
                NOTEBOOKS[kind],
                parameters,
                tuple(p.id for p in parents),
                labels,
                identity,
            )
            self.plan.runs[id] = run
        return run


def digest(identity: dict) -> str:
    """The short hash of a run's identity."""
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@cache
def _row(name: str) -> dict:
    """The registry's row as data, without what cannot change a score."""
    return json.loads(
        task(name).model_dump_json(exclude=UNHASHED_ROW_FIELDS, exclude_defaults=True)
    )


def _stale_twin(slug: str, identity: dict) -> str | None:
    """A done run that differs from this one in its code only; where parents have twins, `identity` names those."""
    for folder in sorted(runs_folder().glob(f"{slug}-*"), reverse=True):
        result = records.read(folder)
        if result and {**result.identity, "code": {}} == {**identity, "code": {}}:
            return folder.name
    return None
