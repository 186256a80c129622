"""What a run leaves behind: its notebook writes a draft, the launcher checks and renames it."""

import hashlib
import json
import math
import platform
import socket
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from xfer_utils.study import kept, paths

RESULT, DRAFT = kept.RESULT, "result.draft.json"
LIBRARIES = (
    "torch", "transformers", "accelerate", "datasets", "tokenizers", "peft", "numpy", "papermill",
)  # fmt: skip
FOLDERS = ("predictions", "encoder", "model")  # what belongs to the record, unlike checkpoints
LARGE = 2**26  # bytes: what holds more is compared by size here, and wholly by who loads it


class Score(BaseModel):
    """One score of one task in one language."""

    model_config = ConfigDict(extra="allow")

    task: str
    language: str
    split: str
    metric: str
    value: float
    n: int
    main: bool
    chance: float | None = None


class Result(BaseModel):
    """The whole record of a finished run."""

    model_config = ConfigDict(extra="forbid")

    id: str
    kind: str
    labels: dict[str, Any]
    identity: dict[str, Any]
    parameters: dict[str, Any]
    parents: list[str]
    code: dict[str, str]
    scores: list[Score]
    files: dict[str, int]
    training: dict[str, Any]
    data: list[dict[str, Any]]
    environment: dict[str, Any]
    timing: dict[str, float]
    digests: dict[str, str] = {}
    left: list[str] = []  # files that stayed behind where the run was made
    seal: str = ""


class BrokenResult(ValueError):
    """A draft or result that is not whole, or not valid."""


class Stopwatch:
    """Seconds spent per named part of a run."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """Books the time since the last lap under `part`."""
        now = time.perf_counter()
        self.parts[part] = round(self.parts.get(part, 0.0) + now - self._last, 3)
        self._last = now


def write_draft(
    run_dir: Path, *, watch: Stopwatch, scores: list[dict] = (), training: dict | None = None,
    data: list[dict] = (),
) -> Path:  # fmt: skip
    """Writes the draft of a run's record, which becomes its result once papermill has returned."""
    paths_in = [path for folder in FOLDERS for path in sorted((run_dir / folder).rglob("*"))]
    files = {path.relative_to(run_dir).as_posix(): path for path in paths_in if path.is_file()}
    content = {
        "scores": list(scores),
        "files": {name: path.stat().st_size for name, path in files.items()},
        "digests": {name: kept.digest(path) for name, path in files.items()},
        "training": training or {},
        "data": list(data),
        "environment": environment(),
        "timing": {**watch.parts, "cpu": round(time.process_time(), 3)},
    }
    return write_json(run_dir / DRAFT, content)


def accept(run_dir: Path, *, seconds: float, **about: Any) -> Result:
    """Checks a draft (files, sizes, finite values) and makes it the result, atomically.

    `about` is what the launcher knows of the run: the fields of Result that the draft lacks.
    """
    draft = run_dir / DRAFT
    try:
        content = json.loads(draft.read_text(encoding="utf-8"))
        content["timing"]["total"] = round(seconds, 3)
        result = Result(**about, **content)
    except FileNotFoundError:
        message = "the notebook ended without writing its result (a killed kernel looks so)"
        raise BrokenResult(message) from None
    except (ValidationError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise BrokenResult(f"{draft}: not a valid record: {error}") from None
    _check(run_dir, result)
    result = sealed(result)
    write_json(run_dir / RESULT, result.model_dump())
    draft.unlink()
    return result


def read(run_dir: Path) -> Result | None:
    """The result of a done run; None where it is missing, torn, or its files do not fit it."""
    try:
        return _whole(run_dir)
    except (OSError, ValueError, TypeError):
        return None


def fault(run_dir: Path) -> str:
    """Why a result that is there does not count; empty where it counts, or there is none."""
    try:
        _whole(run_dir)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, TypeError) as error:
        message = str(error) if isinstance(error, BrokenResult) else f"{RESULT} is no whole record"
        return message.splitlines()[0]
    return ""


def _whole(run_dir: Path) -> Result:
    content = json.loads((run_dir / RESULT).read_text(encoding="utf-8"))
    result = Result(**content)
    if result.seal and result.seal != _seal(content):
        raise BrokenResult(f"{RESULT} was changed after it was written")
    _check(run_dir, result)
    return result


def sealed(result: Result, left: list[str] = ()) -> Result:
    """A record with its own digest; files that are left behind are no part of it any more."""
    named = {
        field: {name: mark for name, mark in getattr(result, field).items() if name not in left}
        for field in ("files", "digests")
    }
    result = result.model_copy(update={**named, "left": list(left)})
    return result.model_copy(update={"seal": _seal(result.model_dump())})


def _seal(content: dict) -> str:
    """The digest of a record itself."""
    plain = json.dumps({**content, "seal": ""}, sort_keys=True)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def _check(run_dir: Path, result: Result) -> None:
    if result.id != run_dir.name:
        raise BrokenResult(f"{RESULT} is that of another run, {result.id}")
    for recorded in (result.files, result.digests):
        if changed := kept.altered(run_dir, recorded, LARGE):
            raise BrokenResult(f"{run_dir / changed[0]} is missing or not as the run has left it")
    for score in result.scores:
        if not math.isfinite(score.value):
            what = f"{score.task} {score.language} {score.metric}"
            raise BrokenResult(f"{result.id}: {what} is not a number")
    if result.kind in ("target", "retrieval", "few_shot") and not result.scores:
        raise BrokenResult(f"{result.id}: no scores")


def write_json(path: Path, content: dict) -> Path:
    """JSON, never half-written."""
    with paths.replacing(path) as temporary, temporary.open("w", encoding="utf-8") as out:
        json.dump(content, out, indent=1, ensure_ascii=False)
    return path


def environment() -> dict[str, Any]:
    """Versions, device and threads: recorded with every score, never part of a run's id."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in LIBRARIES},
        "device": torch.cuda.get_device_name() if cuda else f"cpu ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "host": socket.gethostname(),
    }
