"""From a study file to a plan: a DAG of runs, each with an id of what can change its result."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xfer_utils.learning import origins
from xfer_utils.runs import codehash, identity, records, shipped
from xfer_utils.runs.kinds import KINDS, Kind
from xfer_utils.runs.lacking import Lacking
from xfer_utils.sources import leaks
from xfer_utils.sources.catalogue import open_source
from xfer_utils.sources.toy.world import World
from xfer_utils.study import params, paths
from xfer_utils.study.jobs import Job
from xfer_utils.study.sections import Arm, Together, Training
from xfer_utils.study.tasks import task


@dataclass(frozen=True)
class Run:
    """One training, or one evaluation without training, by one job notebook.

    `parents` are the runs it builds on, by the notebook parameter that takes their folder. `labels`
    say what the run is in the study (model, arm, seed, targets): tables group by them.
    """

    id: str
    kind: Kind
    job: Job
    parents: dict[str, str]
    labels: dict[str, Any]
    identity: dict[str, Any]
    code: dict[str, str]
    gpus: int = 1

    @property
    def slug(self) -> str:
        """The readable part of the id: the same for every version of settings, data and code."""
        return self.id.rpartition("-")[0]

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        return runs_folder() / self.id

    @property
    def parameters(self) -> dict[str, Any]:
        """What papermill injects."""
        return self.job.model_dump(mode="json")

    def result(self) -> records.Result | None:
        """The record of a done run; None where it is missing or lacks a model that is asked for."""
        result = records.read(self.folder)
        lacking = getattr(self.job, "keep_model", False) and not (self.folder / "model").is_dir()
        return None if lacking else result


@dataclass
class Plan:
    """A study's runs, parents first, and what cannot be run, with the reason."""

    study: params.Study
    file: Path
    arms: dict[str, Arm]
    runs: dict[str, Run] = field(default_factory=dict)
    not_run: dict[tuple[str, str], str] = field(default_factory=dict)  # by arm and target
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)  # tasks of mixtures, by arm
    languages_csv: str | None = None

    @property
    def folder(self) -> Path:
        """The study's own outputs: plan, tables, figures, report."""
        return paths.outputs() / self.study.name

    def done(self) -> dict[str, records.Result]:
        """Results of the runs that are done."""
        results = {run.id: run.result() for run in self.runs.values()}
        return {id: result for id, result in results.items() if result is not None}


def differing(code: dict[str, str], other: dict[str, str]) -> list[str]:
    """Modules whose hashes differ, or that only one of two versions of the code has."""
    return sorted({name for name, _ in code.items() ^ other.items()})


def runs_folder() -> Path:
    """Runs are shared by all studies."""
    return paths.outputs() / "runs"


def make_plan(file: str | Path, source: str = "", numerics: str = "") -> Plan:
    """The plan of a study file, as params.load reads it; nothing is trained for it."""
    file = Path(file)
    return Planner(params.load(file, source, numerics), file).plan


def source_of(study: params.Study) -> Any:
    """The study's source of data."""
    data = paths.outputs() / "data"
    return open_source(study.source, world=study.world, data_dir=data, splits=study.splits)


class Planner:
    """Builds a plan, phase by phase."""

    def __init__(self, study: params.Study, file: Path) -> None:
        self.study, self.plan = study, Plan(study, file, study.rows())
        try:
            self.source = source_of(study)
        except ValidationError as error:
            raise params.refusals(file, error, ("world",), list(World.model_fields)) from None
        if study.source == "toy":
            self.plan.languages_csv = str(self.source.path / "languages.csv")
        self.lacking = Lacking(self.source, study.source, self.plan.languages_csv)
        known = sorted({code for name in study.targets for code in self._languages(name)})
        for place, code in enumerate(study.languages):
            if code not in known:
                message = f"`{code}` is no language of these targets in source {study.source}."
                message += f" Known: {', '.join(known)}."
                raise params.refusal(file, ("languages", place), message)
        for name in study.models:
            for arm in self.plan.arms:
                for seed in study.seeds.none if arm == params.NONE else study.seeds.other:
                    encoder = self._encoder(name, seed)
                    self._branch(encoder, {"model": name, "arm": arm, "seed": seed})

    def _languages(self, target: str) -> list[str]:
        """Languages in which the source has what the study evaluates."""
        return self.source.languages(target, self.study.roles(target)[0])

    def _encoder(self, name: str, seed: int) -> Run:
        """Phase 1: what is pre-trained has a seed of its own, a published model serves them all."""
        model, labels = self.study.models[name], {"model": name}
        parameters = model.model_dump(include={"revision", "head_pooling", "attention"})
        if not model.pretrain:
            return self._add("encoder", name, parameters | {"load": model.load}, None, labels)
        lines = model.pretrain.lines_per_language
        self._check_lines(("models", name, "pretrain", "lines_per_language"), lines)
        ready = shipped.find(model.pretrain, seed, self.source) if model.shipped else ""
        own = {"seed": seed, "numerics": self.study.numerics}
        made = {"load": ready} if ready else model.pretrain.model_dump() | own
        return self._add("encoder", f"{name}-s{seed}", parameters | made, None, labels)

    def _branch(self, encoder: Run, labels: dict) -> None:
        """Everything that follows from one encoder, one arm and one seed."""
        name, arm, parent = labels["arm"], self.plan.arms[labels["arm"]], encoder
        mixture, training, reason = self._phase2(labels)
        if reason:
            self._present(self.study.targets, labels, reason)
            return
        if arm.has_phase2:
            how = ("intermediate", name, mixture["tasks"], training, mixture)
            parent = self._trained(*how, encoder, labels)
        counts = training.model_dump(include=Together.COUNT)
        beside = Together(**mixture, **counts) if arm.together else Together()
        served: dict[str | None, list[str]] = {}
        for target in self.study.targets:
            served.setdefault(task(target).train_on, []).append(target)
        own = arm.has_phase2 or name == params.NONE
        nothing = "" if own else "this arm has no encoder of its own: there is no phase 2"
        mined = self._present(served.pop(None, []), labels, nothing)
        for train_task, targets in served.items():
            self._target(parent, train_task, targets, labels, beside)
        if mined:
            self._retrieval(parent, mined, labels)

    def _present(self, targets: list[str], labels: dict, reason: str = "") -> list[str]:
        """Targets that can be evaluated; the others are booked as not run."""
        present = [name for name in targets if self._languages(name) and not reason]
        reason = reason or f"no evaluation data in {self.study.source}"
        absent = [name for name in targets if name not in present]
        self.plan.not_run |= {(labels["arm"], name): reason for name in absent}
        return present

    def _phase2(self, labels: dict) -> tuple[dict[str, Any], Training, str]:
        """What an arm trains on, by which settings, and why it cannot; empty where it can."""
        name, arm = labels["arm"], self.plan.arms[labels["arm"]]
        training = self.study.training("intermediate", name, labels["model"], name)
        changes = {"max_steps": arm.steps} if arm.steps else {}
        if not arm.tasks:  # text has no dev set to choose a checkpoint by
            changes |= {"select": "last", "checkpoints": 0}
        training = training.model_copy(update=changes)
        reasons = {part: self.lacking.task(part, training, arm.languages) for part in arm.tasks}
        tasks, reason = [part for part in arm.tasks if not reasons[part]], ""
        if arm.tasks:
            self.plan.left_out[name] = {part: why for part, why in reasons.items() if why}
            reason = "" if tasks else reasons[arm.tasks[0]]
        if arm.text.rate:
            place = ("arms", name, "text", "lines_per_language")
            self._check_lines(place, arm.text.lines_per_language)
            reason = reason or self.lacking.text(arm.text.languages)
        return {**arm.mixture, "tasks": tasks}, training, reason

    def _check_lines(self, place: tuple, lines: int) -> None:
        if self.study.source == "hub" and not lines:
            message = "0 would read all of Wikipedia; set a limit, e.g. 8000."
            raise params.refusal(self.plan.file, place, message)

    def _target(
        self, parent: Run, train_task: str, targets: list[str], labels: dict, beside: Together
    ) -> None:
        arm, model = labels["arm"], labels["model"]
        usual = task(targets[0]).train_first
        first = usual if self.plan.arms[arm].first else None
        names = [name for name in (first, train_task) if name]
        settings = {name: self.study.training("target", name, model, arm) for name in names}
        reasons = [self.lacking.task(name, training) for name, training in settings.items()]
        others = [name for name in beside.tasks if name != train_task]
        if beside.tasks and not others:
            reasons.append("the two training sets are one")
        if not usual and not self.plan.arms[arm].first:
            reasons.append("nothing comes before it that could be left out")
        targets = self._present(targets, labels, next(filter(None, reasons), ""))
        if not targets:
            return
        if first:
            slug, leading = f"{first}-after-{arm}", {**labels, "leads_to": train_task}
            how = ("intermediate", slug, [first], settings[first], {"tasks": [first]})
            parent = self._trained(*how, parent, leading)
        same = params.same_data(self.plan.arms[arm], train_task)
        labels = {**labels, "train_task": train_task, "targets": targets, "same_data": same}
        parameters = {"train_task": train_task, **self._evaluation(targets)}
        parameters |= self.study.model_dump(include={"max_eval_items", "keep_model"})
        parameters["together"] = beside.model_copy(update={"tasks": others})
        parameters["keep_model"] |= self.study.few_shot is not None
        slug, training = f"{train_task}-after-{arm}", settings[train_task]
        tasks = [train_task, *others]
        run = self._trained("target", slug, tasks, training, parameters, parent, labels)
        if self.study.few_shot:
            self._few_shot(run, slug, training)

    def _few_shot(self, run: Run, slug: str, training: Training) -> None:
        """After phase 3, for the targets whose rows have labels."""
        few, labels = self.study.few_shot, run.labels
        targets = [name for name in labels["targets"] if task(name).format != "sentence"]
        training = training.model_copy(update=few.training.model_dump(exclude_unset=True))
        parameters = {"train_task": labels["train_task"], **self._evaluation(targets)}
        parameters |= self.study.model_dump(include={"max_eval_items"})
        parameters |= few.model_dump(exclude={"training"})
        labels, tasks = {**labels, "targets": targets}, [labels["train_task"]]
        if targets:
            self._trained("few_shot", slug, tasks, training, parameters, run, labels)

    def _trained(
        self, kind: str, slug: str, tasks: list[str], training: Training, parameters: dict,
        parent: Run, labels: dict,
    ) -> Run:  # fmt: skip
        """A training, with the evaluated sets that could share items with its training sets."""
        targets = self.study.targets
        near = [t for t in targets if any(leaks.comparable(t, name) for name in tasks)]
        held_out, seed = {target: self.study.roles(target) for target in near}, labels["seed"]
        how = {"held_out": held_out, "seed": seed, "numerics": self.study.numerics}
        parameters = parameters | training.model_dump() | how
        return self._add(kind, f"{slug}-s{seed}", parameters, parent, labels)

    def _retrieval(self, parent: Run, targets: list[str], labels: dict) -> None:
        model = self.study.models[labels["model"]]
        deepest = origins.layers(model.load, model.revision) if model.load and model.layer else None
        if deepest is not None and model.layer > deepest:
            place = ("models", labels["model"], "layer")
            message = f"{model.layer} is not one of its layers, 0 to {deepest}"
            raise params.refusal(self.plan.file, place, message)
        layer = -1 if model.layer is None else model.layer
        parameters = self._evaluation(targets) | self._reading(targets, labels["model"])
        parameters |= {"layer": layer, "pooling": model.pooling}
        slug = f"after-{labels['arm']}-s{labels['seed']}"
        if parent.kind.name == "encoder" and not model.pretrain:  # one run serves all seeds
            slug, labels = f"after-{labels['arm']}", {**labels, "seed": -1}
        labels = {**labels, "train_task": "", "targets": targets, "same_data": False}
        self._add("retrieval", slug, parameters, parent, labels)

    def _evaluation(self, targets: list[str]) -> dict[str, Any]:
        roles = {target: self.study.roles(target) for target in targets}
        return {"targets": targets, "evaluate": roles, "languages": self.study.languages}

    def _reading(self, targets: list[str], model: str) -> dict[str, Any]:
        """How sentences are read: one run reads those of all retrieval targets in one way."""
        trainings = [self.study.training("target", target, model) for target in targets]
        for name in ("max_length", "precision"):
            if len({getattr(training, name) for training in trainings}) > 1:
                message = f"{' and '.join(targets)} are made by one run and need one `{name}`."
                place = ("target_training", targets[-1], name)
                raise params.refusal(self.plan.file, place, message)
        return trainings[0].model_dump(include={"max_length", "precision"})

    def _add(
        self, kind_name: str, slug: str, parameters: dict, parent: Run | None, labels: dict
    ) -> Run:
        kind, study = KINDS[kind_name], self.study
        parents = {"encoder_dir": parent.id} if parent else {}
        folders = {key: f"outputs/runs/{id}" for key, id in parents.items()}
        data = {"source": study.source, "world": study.world, "splits": study.splits}
        job = kind.job(run_dir="", **data, **folders, **parameters)
        content = identity.of_run(kind, job, list(parents.values()), self.source)
        run_id = f"{kind_name}-{slug}-{identity.digest(content)}".lower()
        if run_id not in self.plan.runs:
            job = job.model_copy(update={"run_dir": f"outputs/runs/{run_id}"})
            code = codehash.of_notebook(paths.NOTEBOOKS / kind.notebook)
            about = job, parents, labels, content, code, study.gpus_per_run
            self.plan.runs[run_id] = Run(run_id, kind, *about)
        return self.plan.runs[run_id]
