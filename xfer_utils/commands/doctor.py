"""`xfer doctor`: checks that a machine can run a study, and says what to do about each thing that is missing."""

import json
import os
import platform
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from xfer_utils.commands import needs
from xfer_utils.learning import origins
from xfer_utils.runs import cost, engines
from xfer_utils.runs.plan import Plan, make_plan
from xfer_utils.sources import client_errors
from xfer_utils.sources.raw import MissingData
from xfer_utils.study import params, paths
from xfer_utils.study.params import Study
from xfer_utils.study.tasks import task

OK, NOTE, MISSING = "ok", "note", "MISSING"
# Per parameter: weight, gradient and two moments in fp32, the weight in bf16; with LoRA the weights and little else.
TRAINING_BYTES = {"full": 18, "lora": 6}
# Per token of a batch, layer and unit of width, kept for the backward pass: counted on a CPU under autocast to bf16,
# with XLM-R base (0.65 MB a token) and Large (1.75 MB). In fp32 each number is twice as long.
ACTIVATION_BYTES = {"bf16": 70, "fp32": 140}
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
HUB_SECONDS = 10
UNREACHABLE = "the hub cannot be reached"


@dataclass(frozen=True)
class Check:
    """One thing looked at: `note` is worth knowing, `MISSING` stops the study; `advice` says what to do."""

    state: str
    subject: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.state:8}{self.subject}: {self.found}" + (
            f"\n          -> {self.advice}" if self.advice else ""
        )


def examine(file: Path, source: str = "") -> list[Check]:
    """All checks for a study file, in the order in which a missing thing would be met."""
    checks = [python_version(), *packages(), writable(paths.outputs())]
    study = params.load(file, source)
    for name, model in study.models.items():
        checks.append(model_access(name, model))
    try:
        plan = make_plan(file, source=source)
    except (MissingData, ConnectionError, OSError) as error:
        advice = "correct `source:` in the study file; README.md says how such a folder is laid out"
        return [*checks, Check(MISSING, "data", str(error), advice)]
    checks += [*data_access(plan), *licensed(plan), *disks(plan), *memory(study)]
    return checks


def text(checks: list[Check]) -> str:
    """The report, with its verdict as the last line."""
    missing = sum(check.state == MISSING for check in checks)
    verdict = (
        f"{missing} things are missing."
        if missing
        else "Everything that this study needs is there."
    )
    return "\n".join([*map(str, checks), "", verdict.replace("1 things are", "1 thing is")])


def python_version() -> Check:
    """Whether this Python is in the range that the package states."""
    wanted, here = SpecifierSet(_project()["requires-python"]), platform.python_version()
    if here in wanted:
        return Check(OK, "Python", here)
    return Check(
        MISSING,
        "Python",
        f"{here}, but {wanted} is needed",
        "make the environment anew with such a Python",
    )


def packages() -> Iterator[Check]:
    """Installed versions against the ranges in pyproject.toml; what fits is one line."""
    fitting = 0
    for line in _project()["dependencies"]:
        wanted = Requirement(line)
        try:
            here = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            here = ""
        if here and wanted.specifier.contains(here, prereleases=True):
            fitting += 1
        else:
            found = (
                f"{here} is installed, {wanted.specifier} is needed" if here else "not installed"
            )
            yield Check(
                MISSING,
                wanted.name,
                found,
                "pip install -r requirements.txt (`make study` does it in .venv)",
            )
    yield Check(OK, "packages", f"{fitting} of {len(_project()['dependencies'])} in their ranges")


def writable(folder: Path) -> Check:
    """Whether a file can be made in the outputs folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return Check(OK, "outputs", f"{folder} can be written")
    except OSError as error:
        return Check(
            MISSING,
            "outputs",
            f"{folder}: {error.strerror}",
            "set XFER_OUTPUTS to a folder of your own",
        )


def model_access(name: str, model: params.Model) -> Check:
    """Whether a model is trained here, in a folder, in the cache, or can be asked for at the hub."""
    if model.pretrain:
        return Check(OK, f"model {name}", "pre-trained by the study itself")
    subject = f"model {model.load}"
    try:
        if folder := origins.local_folder(model.load):
            whole = _has_weights(folder)
            advice = "" if whole else "copy all of its *.safetensors files there"
            problem = "" if whole else " has no weights, or not all of them"
            return Check(OK if whole else MISSING, subject, f"{folder}{problem}", advice)
        stored = try_to_load_from_cache(model.load, "config.json", revision=model.revision)
        if isinstance(stored, str) and _has_weights(Path(stored).parent):
            return Check(OK, subject, "in the hub's cache")
        with origins.explained(model.load):
            _ask_hub(model.load, "model", model.revision)
    except origins.ModelProblem as error:
        gated = client_errors.kind(error) == "gated"
        return Check(MISSING, subject, "gated" if gated else "cannot be had", str(error))
    return Check(
        OK, subject, f"on the hub, {needs.quantity(cost.size(model).download, 'B')} to download"
    )


def _has_weights(folder: Path) -> bool:
    """Whether a model's weights are whole: one file, or every file that an index names."""
    indexes = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.index.json")]
    named = {name for index in indexes for name in index["weight_map"].values()}
    return (
        all((folder / name).exists() for name in named)
        if named
        else any((folder / n).exists() for n in WEIGHTS)
    )


def data_access(plan: Plan) -> Iterator[Check]:
    """Every task's data: in the folder, or its repository on the hub."""
    if plan.study.source != "hub":
        for (row, target), reason in plan.not_run.items():
            if reason != "licensed data":
                cell = row if target == "*" else f"{target} after {row}"
                yield Check(
                    NOTE, f"data of {cell}", reason, "add its files to the folder, or leave it out"
                )
        yield Check(OK, "data", f"{plan.study.source} can be read")
        return
    names = {
        (hub.id, place.revision): row.name
        for row, hub in needs.hub_entries(plan.study)
        for place in (hub, *hub.configs.values())
    }
    for (repository, revision), name in names.items():
        check = _data_set(repository, revision, name)
        yield check
        if check.found == UNREACHABLE:
            return


def _data_set(repository: str, revision: str, name: str) -> Check:
    subject = f"data {repository}" + (f" ({revision})" if revision != "main" else "")
    cached = Path(HF_HUB_CACHE, f"datasets--{repository.replace('/', '--')}").is_dir()
    try:
        with origins.explained(repository):
            _ask_hub(repository, "dataset", revision)
    except origins.ModelProblem as error:
        kind = client_errors.kind(error)
        if kind == "gated":
            return Check(MISSING, subject, "gated", str(error))
        if kind == "unreachable" and cached:
            return Check(NOTE, subject, "in the hub's cache, as far as it was read before")
        gone = {
            "missing": "not on the hub (any more), or you may not read it",
            "revision": f"on the hub, but without the revision {revision}",
            "unreachable": UNREACHABLE,
        }
        advice = f"use `source: folder:PATH` with {task(name).folder}/ in it, or copy another machine's cache to HF_HOME"
        return Check(MISSING, subject, gone.get(kind, str(error)), advice)
    return Check(OK, subject, "on the hub" + (", cached in part or whole" if cached else ""))


def _ask_hub(repository: str, kind: str, revision: str) -> None:
    """Raises what the client raises where a revision may not be read: a gated repository tells everyone what it is."""
    if HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set: offline")
    hub = HfApi()
    if hub.repo_info(repository, repo_type=kind, revision=revision, timeout=HUB_SECONDS).gated:
        hub.auth_check(repository, repo_type=kind)


def licensed(plan: Plan) -> Iterator[Check]:
    """CCGbank, which nobody may pass on: its cells stay empty without it."""
    from xfer_utils.sources.ccg import HOW_TO_GET

    if "ccg" in plan.study.intermediate:
        absent = any(reason == "licensed data" for reason in plan.not_run.values())
        found = "not there: its row will read `not run: licensed data`" if absent else "there"
        kind, _, path = plan.study.source.partition(":")
        folder = (paths.resolve(path) if kind == "folder" else paths.outputs() / "data") / task(
            "ccg"
        ).folder
        yield Check(
            NOTE if absent else OK,
            "CCGbank",
            found,
            f"{HOW_TO_GET}. The folder: {folder}" if absent else "",
        )


def disks(plan: Plan) -> Iterator[Check]:
    """Room for what the study leaves in outputs/ and in the hub's cache, which may be on another disk."""
    own, cache = needs.outputs_bytes(plan), needs.cache_bytes(plan.study)
    outputs, downloads = _standing(paths.outputs()), _standing(Path(HF_HUB_CACHE))
    if not cache or outputs.stat().st_dev == downloads.stat().st_dev:
        yield _disk("disk", outputs, own + cache, "XFER_OUTPUTS and HF_HOME")
    else:
        yield _disk("disk of outputs", outputs, own, "XFER_OUTPUTS")
        yield _disk("disk of the hub's cache", downloads, cache, "HF_HOME")


def _standing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _disk(subject: str, folder: Path, wanted: float, settings: str) -> Check:
    free = shutil.disk_usage(folder).free
    found = f"{needs.quantity(free, 'B')} free, about {needs.quantity(wanted, 'B')} needed"
    if free > wanted:
        return Check(OK, subject, found)
    return Check(MISSING, subject, found, f"free space, or set {settings} to a larger disk")


def memory(study: Study) -> Iterator[Check]:
    """GPU and main memory against what the kernels that run at once need for the largest training."""
    import torch

    largest = max(cost.size(model).parameters for model in study.models.values())
    loaded = any(model.load for model in study.models.values())
    wanted = training_bytes(study, "bf16" if torch.cuda.is_available() else "fp32")
    kernels = study.workers or engines.default_workers()
    main = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        sharing = -(-kernels // torch.cuda.device_count())
        yield _room(f"GPU {card.name}", card.total_memory, sharing * wanted)
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            yield Check(
                NOTE,
                f"GPU {card.name}",
                "no bf16",
                "set `precision: fp32` in the study file; fp16 is not used",
            )
    elif loaded:
        advice = "run the study where there is one; params/toy.yaml and params/mini.yaml need none"
        yield Check(
            MISSING, "GPU", "none found, and a published model takes days without one", advice
        )
    yield _room(
        "memory", main, 2e9 + kernels * (wanted if not torch.cuda.is_available() else 4 * largest)
    )


def training_bytes(study: Study, precision: str) -> float:
    """Memory of a study's largest training: the model's own, and the activations of a batch of the longest inputs."""
    found = [0.0]
    for size in map(cost.size, study.models.values()):
        for given, choices in _trainings(study):
            kept = (
                ACTIVATION_BYTES["fp32" if given.precision == "fp32" else precision]
                * size.layers
                * size.width
            )
            tokens = given.batch_size * max(1, choices) * given.max_length
            found.append(size.parameters * TRAINING_BYTES[given.tuning] + tokens * kept)
    return max(found)


def _trainings(study: Study) -> Iterator[tuple[params.Training, int]]:
    """The settings of every training, and how many inputs one of its examples has."""
    for name, arm in study.rows().items():
        if arm.tasks:
            yield study.training("intermediate", name), max(task(t).choices for t in arm.tasks)
    for name in filter(None, (task(target).train_on for target in study.targets)):
        yield study.training("target", name), task(name).choices


def _room(subject: str, has: float, wanted: float) -> Check:
    found = f"{needs.quantity(has, 'B')}, about {needs.quantity(wanted, 'B')} needed"
    advice = "lower `workers:` or `batch_size:` (and raise `accumulation:`), or set `tuning: lora`"
    return Check(OK, subject, found) if has >= wanted else Check(MISSING, subject, found, advice)


def _project() -> dict:
    return tomllib.loads((paths.PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
