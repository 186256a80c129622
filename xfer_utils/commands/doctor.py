"""`xfer doctor`: what would stop a study on this machine, and what to do about it."""

import os
import platform
import shutil
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from xfer_utils.commands import needs
from xfer_utils.learning import origins
from xfer_utils.runs import cost, engines
from xfer_utils.runs.cost import quantity
from xfer_utils.runs.plan import Plan, make_plan
from xfer_utils.sources import client_errors
from xfer_utils.sources.ccg import HOW_TO_GET
from xfer_utils.sources.raw import MissingData
from xfer_utils.study import params, paths
from xfer_utils.study.tasks import task

OK, NOTE, MISSING = "ok", "note", "MISSING"
HUB_SECONDS = 10


@dataclass(frozen=True)
class Check:
    """One thing looked at: `note` is worth knowing, `MISSING` stops the study."""

    state: str
    subject: str
    finding: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f"\n          -> {self.advice}" if self.advice and self.state != OK else ""
        return f"{self.state:8}{self.subject}: {self.finding}{advice}"


def examine(file: Path, source: str = "") -> list[Check]:
    """All checks for a study file, in the order in which a missing thing would stop it."""
    checks = [_python(), _outputs(paths.outputs())]
    study = params.load(file, source)
    checks += [_model(name, model) for name, model in study.models.items()]
    try:
        plan = make_plan(file, source=source)
    except (MissingData, OSError) as error:
        advice = "correct `source:` in the study file; README.md says how such a folder is laid out"
        return [*checks, Check(MISSING, "data", str(error), advice)]
    return [*checks, *_data(plan), *_disk(plan), *_memory(plan.study)]


def text(checks: list[Check]) -> str:
    """The report, with its verdict as the last line."""
    missing = [check.subject for check in checks if check.state == MISSING]
    verdict = f"Missing: {', '.join(missing)}." if missing else "Nothing stops this study here."
    return "\n".join([*map(str, checks), "", verdict])


def _python() -> Check:
    """This Python and the installed packages against the ranges in pyproject.toml."""
    text = (paths.PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    versions = {canonicalize_name(dist.name): dist.version for dist in metadata.distributions()}
    versions["python"] = platform.python_version()
    unfit = []
    for line in (f"python{project['requires-python']}", *project["dependencies"]):
        wanted = Requirement(line)
        version = versions.get(canonicalize_name(wanted.name))
        if not version or not wanted.specifier.contains(version, prereleases=True):
            unfit.append(f"{wanted.name} {version or 'is absent'} (needed: {wanted.specifier})")
    advice = "pip install -r requirements.txt (`make study` does it in .venv)"
    finding = ", ".join(unfit) or "all in their ranges"
    return Check(MISSING if unfit else OK, "Python and packages", finding, advice)


def _outputs(folder: Path) -> Check:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return Check(OK, "outputs", f"{folder} can be written")
    except OSError as error:
        advice = "set XFER_OUTPUTS to a folder of your own"
        return Check(MISSING, "outputs", f"{folder}: {error.strerror}", advice)


def _model(name: str, model: params.Model) -> Check:
    """Whether a model is trained here, in a folder, in the cache, or on the hub."""
    if model.pretrain:
        return Check(OK, f"model {name}", "pre-trained by the study itself")
    subject = f"model {model.load}"
    try:
        folder = origins.local_folder(model.load)
    except origins.ModelProblem as error:
        return Check(MISSING, subject, "no model there", str(error))
    if folder:
        return Check(OK, subject, str(folder))
    return _on_the_hub(subject, model.load, "model", model.revision)


def _data(plan: Plan) -> Iterator[Check]:
    """What the source lacks; on the hub, every repository at the revision that is read."""
    study = plan.study
    kind, _, path = study.source.partition(":")
    folder = paths.resolve(path) if kind == "folder" else paths.outputs() / "data"
    by_arm: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (arm, target), reason in plan.not_run.items():
        by_arm[arm, reason].append(target)
    for (arm, reason), targets in by_arm.items():
        advice = f"{HOW_TO_GET}. The folder: {folder / arm}" if "licensed" in reason else ""
        subject = f"data of {', '.join(targets)} after {arm}"
        yield Check(NOTE, subject, f"not run: {reason}", advice)
    if study.source != "hub":
        yield Check(OK, "data", f"{study.source} can be read")
        return
    entries = [hub for _, hub in needs.hub_entries(study)]
    read = [(hub.id, place.revision) for hub in entries for place in (hub, *hub.configs.values())]
    for repository, revision in dict.fromkeys(read):
        check = _on_the_hub(f"data {repository} ({revision})", repository, "dataset", revision)
        yield check
        if check.finding == "unreachable":  # one such line is enough
            return


def _on_the_hub(subject: str, repository: str, kind: str, revision: str) -> Check:
    try:
        with origins.explained(repository):
            _ask_hub(repository, kind, revision)
    except origins.ModelProblem as error:
        problem = client_errors.kind(error)
        cache = Path(HF_HUB_CACHE, f"{kind}s--{repository.replace('/', '--')}")
        if problem == "unreachable" and cache.is_dir():
            return Check(NOTE, subject, "unreachable; its cache may be enough")
        advice = f"{error} `source: folder:PATH` needs no hub." if kind == "dataset" else str(error)
        return Check(MISSING, subject, problem, advice)
    return Check(OK, subject, "on the hub")


def _ask_hub(repository: str, kind: str, revision: str) -> None:
    """repo_info succeeds on gated repositories, so access is checked too."""
    if HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set: offline")
    hub = HfApi()
    if hub.repo_info(repository, repo_type=kind, revision=revision, timeout=HUB_SECONDS).gated:
        hub.auth_check(repository, repo_type=kind)


def _disk(plan: Plan) -> Iterator[Check]:
    """Room for outputs/ and for the hub's cache, which may be on another disk."""
    needed: dict[int, float] = defaultdict(float)
    folders: dict[int, Path] = {}
    for folder, size in (
        (paths.outputs(), needs.outputs_bytes(plan)),
        (Path(HF_HUB_CACHE), needs.cache_bytes(plan.study)),
    ):
        folder = _nearest_existing(folder)
        disk = folder.stat().st_dev
        needed[disk] += size
        folders.setdefault(disk, folder)
    advice = "free space, or set XFER_OUTPUTS or HF_HOME to a larger disk"
    for disk, folder in folders.items():
        yield _room(f"disk of {folder}", shutil.disk_usage(folder).free, needed[disk], advice)


def _nearest_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _memory(study: params.Study) -> Iterator[Check]:
    """Memory of the GPU, else of the machine, for the largest trainings that run at once."""
    import torch

    cuda, kernels = torch.cuda.is_available(), study.workers or engines.default_workers()
    needed = largest_training(study, "bf16" if cuda else "fp32")
    advice = "lower `workers:` or `batch_size:` (and raise `accumulation:`), or set `tuning: lora`"
    if cuda:
        sharing = -(-kernels // torch.cuda.device_count())
        there = torch.cuda.get_device_properties(0).total_memory
        yield _room("GPU memory", there, sharing * needed, advice)
        return
    if any(model.load for model in study.models.values()):
        yield Check(NOTE, "GPU", "none found", "`xfer plan` says how long it takes without one")
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield _room("RAM", there, 2e9 + kernels * needed, advice)


def largest_training(study: params.Study, precision: str) -> float:
    """Bytes of a study's largest training."""
    trainings = []
    for name, arm in study.rows().items():
        trainings += [("intermediate", name, task(part).choices) for part in arm.tasks]
    for name in filter(None, (task(target).train_on for target in study.targets)):
        trainings.append(("target", name, task(name).choices))
    needed = (
        cost.training_bytes(cost.size(model), study.training(phase, name), choices, precision)
        for model in study.models.values()
        for phase, name, choices in trainings
    )
    return max(needed, default=0.0)


def _room(subject: str, there: float, needed: float, advice: str) -> Check:
    finding = f"{quantity(there, 'B')} there, about {quantity(needed, 'B')} needed"
    return Check(OK if there > needed else MISSING, subject, finding, advice)
