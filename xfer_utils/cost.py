"""How long a plan will take. Three grounds, best first: a done run with the same settings, measured seconds per token
of the same model on the same kind of device, and FLOPs over an assumed rate.

The unit of work is the FLOP: 6 per parameter and token of training (4 with LoRA, which needs no gradients of the
weights), 2 per parameter and token of evaluation. Parameters are those outside the word embeddings. Attention over
long inputs, tokenising and saving are left out; what was measured holds them.
"""

import gzip
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq
import yaml

from xfer_utils import paths, records
from xfer_utils.params import Model
from xfer_utils.sources.raw import find_table
from xfer_utils.study import Plan, runs_folder, source_of
from xfer_utils.tasks import Task, task, training_parts

# Sustained: a CPU core on a small model, and a 24 GB GPU in bf16 with the kernels that share it. The largest GPUs are
# 5 to 10 times faster.
ASSUMED_FLOPS = {"cpu": 4.0e10, "gpu": 2.0e13}
START_SECONDS = 1.5
UNKNOWN_ITEMS = 1000
UNHASHED = ("seed", "checkpoint_minutes")


@dataclass
class Expected:
    """Seconds of kernel time still to spend, and how many runs' are known in which way."""

    seconds: dict[str, float] = field(default_factory=dict)
    measured: int = 0
    scaled: int = 0
    assumed: int = 0
    shares_gpu: bool = False

    def lanes(self, workers: int) -> int:
        """Kernels that make progress at once: the assumed rate of a GPU is that of all kernels on it together."""
        return 1 if self.shares_gpu else workers

    @property
    def basis(self) -> str:
        """In words, for the plan's last lines."""
        parts = [f"{self.measured} from done runs with the same settings"] * bool(self.measured)
        parts += [f"{self.scaled} from this model's measured speed"] * bool(self.scaled)
        parts += [f"{self.assumed} from FLOPs over an assumed rate"] * bool(self.assumed)
        return ", ".join(parts) or "nothing to do"


@dataclass(frozen=True)
class Size:
    """A model's size: parameters in all and outside the word embeddings, bytes to download, licence, whether known."""

    parameters: float
    body: float
    download: float
    licence: str
    known: bool = True


@cache
def published() -> dict[str, dict]:
    """The published models whose size is known, by hub id."""
    return yaml.safe_load((Path(__file__).parent / "models.yaml").read_text(encoding="utf-8"))


def size(model: Model) -> Size:
    """A model's size, without asking the hub."""
    if shape := model.pretrain:
        body = 12 * shape.layers * shape.width**2
        return Size(body + shape.vocabulary * shape.width, body, 0, "trained here")
    if row := published().get(model.load):
        parameters = row["parameters"] * 1e6
        return Size(parameters, row["body"] * 1e6, row.get("download", parameters * 4e-9) * 1e9, row["licence"])
    folder = paths.resolve(model.load)
    stored = sum(f.stat().st_size for f in folder.glob("*.safetensors")) if folder.is_dir() else 0
    if stored:
        return Size(stored / 4, stored / 4, 0, "see the model's folder")
    return Size(5.6e8, 3.0e8, 2.2e9, "see the model's page", known=False)


def expected(plan: Plan, todo: list[str]) -> Expected:
    """Expected kernel seconds of each run that is still to do."""
    counts = Counts(source_of(plan.study))
    exact, rates = _history(plan, counts)
    found = Expected()
    for run_id in todo:
        run = plan.runs[run_id]
        model = plan.study.models[run.labels["model"]]
        work = effort(run.kind, run.parameters, counts)
        like, rate = exact.get(_settings(run.kind, run.labels, run.parameters)), rates.get(_speed_key(run.labels))
        if like:
            found.measured += 1
            seconds = median(like)
        elif rate:
            found.scaled += 1
            seconds = START_SECONDS + median(rate) * work
        else:
            found.assumed += 1
            found.shares_gpu |= bool(model.load)
            seconds = START_SECONDS + size(model).body * work / ASSUMED_FLOPS["gpu" if model.load else "cpu"]
        found.seconds[run_id] = seconds
    return found


def wall_seconds(plan: Plan, seconds: dict[str, float], workers: int) -> float:
    """Time until all is done with so many kernels: the work shared out, but never less than the longest chain."""
    chain: dict[str, float] = {}
    for run in plan.runs.values():
        above = max((chain.get(parent, 0.0) for parent in run.parents), default=0.0)
        chain[run.id] = above + seconds.get(run.id, 0.0)
    encoders = sum(seconds.get(run.id, 0.0) for run in plan.runs.values() if run.kind == "encoder")
    rest = sum(seconds.values()) - encoders
    return max(max(chain.values(), default=0.0), encoders + rest / max(1, workers))


class Counts:
    """Rows per task: counted where the source is a folder (the toy world is one), else the official release's."""

    def __init__(self, source: Any = None) -> None:
        self.source = source if hasattr(source, "path") else None

    def train(self, name: str) -> int:
        """English training rows of a task."""
        return self._stored(name, "train", "en") or train_rows(name)

    def evaluated(self, name: str, role: str) -> dict[str, int]:
        """Rows to encode per language: both sides of a retrieval task."""
        row = task(name)
        if self.source is None:
            return official_rows(row, role)
        sides = 2 if row.format == "sentence" else 1
        codes = self.source.languages(name, role)
        return {code: sides * (self._stored(name, role, code) or UNKNOWN_ITEMS) for code in codes}

    def _stored(self, name: str, role: str, language: str) -> int:
        if self.source is None:
            return 0
        stems = [(part, split) for part in training_parts(name) for split in self.source.splits(part, role)]
        files = [find_table(self.source.path / task(part).folder, f"{language}.{split}") for part, split in stems]
        return sum(map(_rows, filter(None, files)))


@cache
def _rows(file: Path) -> int:
    """Rows of a stored table, without reading them where its format says."""
    if file.suffix == ".parquet":
        return pq.ParquetFile(file).metadata.num_rows
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        return sum(1 for _ in lines)


def effort(kind: str, parameters: dict[str, Any], counts: Counts) -> float:
    """FLOPs of a run per parameter of its model."""
    factor = 4 if parameters.get("tuning") == "lora" else 6
    return factor * training_tokens(kind, parameters, counts) + 2 * evaluation_tokens(kind, parameters, counts)


def training_tokens(kind: str, given: dict[str, Any], counts: Counts) -> float:
    """Tokens that a run is trained on."""
    if kind == "encoder":
        return 0 if given["load"] else given["steps"] * given["batch_size"] * given["max_length"] / 2
    if kind not in ("intermediate", "target"):
        return 0
    names = given["tasks"] if kind == "intermediate" else [given["train_task"]]
    rows, tokens = 0, 0.0
    for name in names:
        found = counts.train(name)
        found = min(found, given["max_examples"] or found, given.get("multi_cap", found) if len(names) > 1 else found)
        rows, tokens = rows + found, tokens + found * row_tokens(task(name), given["max_length"])
    epochs = given["epochs"]
    if given["max_steps"]:
        epochs = min(epochs, given["max_steps"] * given["batch_size"] * given.get("accumulation", 1) / max(1, rows))
    return tokens * epochs


def evaluation_tokens(kind: str, given: dict[str, Any], counts: Counts) -> float:
    """Tokens that a run evaluates; retrieval always takes all of its pools."""
    if kind not in ("target", "retrieval"):
        return 0
    total = 0.0
    for name in given["targets"]:
        most = given.get("max_eval_items", 0)
        items = sum(min(n, most or n) for n in counts.evaluated(name, given["evaluate"][name]).values())
        total += items * row_tokens(task(name), given["max_length"])
    return total


def train_rows(name: str) -> int:
    """English training rows of a task in the official release."""
    return task(name).train_rows or sum(task(part).train_rows for part in training_parts(name))


def official_rows(row: Task, role: str) -> dict[str, int]:
    """Rows to encode per language in the official release."""
    splits = row.splits.get(role, ())
    splits = [splits] if isinstance(splits, str) else splits
    sides = 2 if row.format == "sentence" else 1
    found = {}
    for code in row.languages:
        entry = row.hub_for(code)
        known = [entry.expected(split, code) or 0 for split in splits] if entry else []
        absent = entry and all(code in entry.absent.get(split, ()) for split in splits)
        found[code] = 0 if absent else sides * (sum(known) or UNKNOWN_ITEMS)
    return found


def row_tokens(row: Task, max_length: int) -> float:
    """Mean tokens of an example, all its choices together, as far as the model reads them."""
    return min(row.mean_tokens, max_length * max(1, row.choices))


def _history(plan: Plan, counts: Counts) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of done runs by settings, and per unit of effort by model: on this device, from this source's data."""
    exact: dict[str, list[float]] = {}
    rates: dict[str, list[float]] = {}
    here, source = records.environment()["device"], (plan.study.source, plan.study.world)
    for folder in sorted(runs_folder().glob("*")):
        result = records.read(folder)
        if result is None or result.environment.get("device") != here:
            continue
        given, seconds = result.identity["parameters"], result.timing["total"]
        exact.setdefault(_settings(result.kind, result.labels, given), []).append(seconds)
        if result.kind == "encoder" or (given["source"], given["world"]) != source:
            continue
        if work := effort(result.kind, given, counts):
            rates.setdefault(_speed_key(result.labels), []).append(max(0.0, seconds - START_SECONDS) / work)
    return exact, rates


def _settings(kind: str, labels: dict, parameters: dict) -> str:
    """Everything that may change a run's duration."""
    given = {key: value for key, value in parameters.items() if key not in UNHASHED}
    return json.dumps([kind, labels.get("model"), given], sort_keys=True)


def _speed_key(labels: dict) -> str:
    return str(labels.get("model"))
