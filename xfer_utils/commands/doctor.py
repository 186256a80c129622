"""`xfer doctor`: what would stop a study on this machine, and what to do about it."""

import os
import platform
import shutil
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from huggingface_hub import HfApi
from huggingface_hub.constants import HF_HUB_CACHE
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from xfer_utils.commands import needs
from xfer_utils.learning import origins
from xfer_utils.runs import engines
from xfer_utils.runs.cost import quantity
from xfer_utils.runs.plan import Plan, make_plan
from xfer_utils.sources import client_errors
from xfer_utils.sources.ccg import HOW_TO_GET
from xfer_utils.sources.raw import MissingData
from xfer_utils.study import params, paths

OK, NOTE, MISSING = "ok", "note", "MISSING"


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
    models = [model for model in params.load(file, source).models.values() if model.load]
    checks = [_packages(), _outputs()]
    checks += [_reachable("model", model.load, model.revision) for model in models]
    try:
        plan = make_plan(file, source)
    except (MissingData, OSError) as error:
        advice = (
            "correct `source:` in the study file; docs/using.md says how such a folder is laid out"
        )
        return [*checks, Check(MISSING, "data", str(error), advice)]
    return [*checks, *_data(plan), *_disk(plan), _memory(plan.study)]


def _packages() -> Check:
    """This Python and the installed packages against the ranges in pyproject.toml."""
    project = tomllib.loads((paths.PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    versions = {canonicalize_name(dist.name): dist.version for dist in metadata.distributions()}
    versions["python"] = platform.python_version()
    needed, unfit = [f"python{project['requires-python']}", *project["dependencies"]], []
    for wanted in map(Requirement, needed):
        version = versions.get(canonicalize_name(wanted.name), "absent")
        if version == "absent" or not wanted.specifier.contains(version, prereleases=True):
            unfit.append(f"{wanted.name} {version} (needed: {wanted.specifier})")
    advice = "pip install -r requirements.txt (`make study` does it in .venv)"
    finding = ", ".join(unfit) or "all in their ranges"
    return Check(MISSING if unfit else OK, "Python and packages", finding, advice)


def _outputs() -> Check:
    folder = paths.outputs()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    state = OK if os.access(folder, os.W_OK) else MISSING
    return Check(state, "folder for outputs", str(folder), "set XFER_OUTPUTS to one of your own")


def _data(plan: Plan) -> Iterator[Check]:
    """What the source lacks; on the hub, every repository at the revision that is read."""
    kind, _, path = plan.study.source.partition(":")
    folder = paths.resolve(path) if kind == "folder" else paths.outputs() / "data"
    for arm, reason in dict.fromkeys((arm, why) for (arm, _), why in plan.not_run.items()):
        advice = f"{HOW_TO_GET}. The folder: {folder / arm}" if "licensed" in reason else ""
        yield Check(NOTE, f"data for {arm}", f"not run: {reason}", advice)
    for title, what in needs.missing_languages(plan.study).items():
        yield Check(NOTE, f"languages of {title}", what, "a mean is over those that are there")
    entries = [hub for _, hub in needs.hub_entries(plan.study)] if kind == "hub" else []
    read = [(hub.id, place.revision) for hub in entries for place in (hub, *hub.configs.values())]
    for repository, revision in dict.fromkeys(read):
        check = _reachable("dataset", repository, revision)
        yield check
        if check.finding == "unreachable":  # one such line is enough
            return


def _reachable(kind: str, name: str, revision: str) -> Check:
    """Whether a model or data set is in a folder, in the cache, or on the hub."""
    subject = f"{kind} {name} ({revision})"
    try:
        with origins.explained(name):
            if kind == "model" and (folder := origins.local_folder(name)):
                return Check(OK, f"model {name}", f"in {folder}")
            hub = HfApi()
            if hub.repo_info(name, repo_type=kind, revision=revision, timeout=10).gated:
                hub.auth_check(name, repo_type=kind)  # repo_info succeeds without access, too
    except origins.ModelProblem as error:
        problem = client_errors.kind(error)
        cache = Path(HF_HUB_CACHE, f"{kind}s--{name.replace('/', '--')}")
        if problem == "unreachable" and cache.is_dir():
            return Check(NOTE, subject, "unreachable; its cache may be enough")
        other_way = " `source: folder:PATH` needs no hub." if kind == "dataset" else ""
        return Check(MISSING, subject, problem, f"{error}{other_way}")
    return Check(OK, subject, "on the hub")


def _disk(plan: Plan) -> Iterator[Check]:
    """Room for outputs/ and for the hub's cache, which may be on another disk."""
    needed: dict[Path, float] = defaultdict(float)
    outputs, cache = needs.outputs_bytes(plan), needs.cache_bytes(plan.study)
    for folder, size in ((paths.outputs(), outputs), (Path(HF_HUB_CACHE), cache)):
        whole = folder.resolve()
        disk = next(path for path in (whole, *whole.parents) if path.is_mount())
        needed[disk] += size
    advice = "free space, or set XFER_OUTPUTS or HF_HOME to a larger disk"
    for disk, size in needed.items():
        yield _room(f"disk at {disk}", shutil.disk_usage(disk).free, size, advice)


def _memory(study: params.Study) -> Check:
    """Memory of the GPU, else of the machine, for the largest trainings that run at once."""
    advice = "lower `workers:` or `batch_size:` (and raise `accumulation:`), or set `tuning: lora`"
    kernels = study.workers or engines.default_workers()
    if torch.cuda.is_available():
        needed = -(-kernels // torch.cuda.device_count()) * needs.largest_training(study, "bf16")
        there = torch.cuda.get_device_properties(0).total_memory
        return _room("GPU memory", there, needed, advice)
    needed = 2e9 + kernels * needs.largest_training(study, "fp32")
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return _room("RAM", there, needed, advice)


def _room(subject: str, there: float, needed: float, advice: str) -> Check:
    finding = f"{quantity(there, 'B')} there, about {quantity(needed, 'B')} needed"
    return Check(OK if there > needed else MISSING, subject, finding, advice)
