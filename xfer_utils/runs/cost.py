"""How long a plan will take. Three grounds, best first: a done run with the same settings, measured seconds per token
of the same model on the same kind of device, and FLOPs over an assumed rate.

The unit of work is the FLOP: 6 per parameter and token of training (4 with LoRA, which needs no gradients of the
weights), 2 per parameter and token of evaluation. Parameters are those outside the word embeddings, and in masked
language modelling the output layer for the share of tokens that are predicted. Attention over long inputs, tokenising
and saving are left out; what was measured holds them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from xfer_utils.runs import records
from xfer_utils.runs.counts import Counts, evaluation_tokens, training_tokens
from xfer_utils.runs.plan import Plan, Run, runs_folder, source_of
from xfer_utils.study import paths
from xfer_utils.study.params import Model

# Sustained: a CPU core on a small model, and a 24 GB GPU in bf16 with the kernels that share it. The largest GPUs are
# 5 to 10 times faster.
ASSUMED_FLOPS = {"cpu": 4.0e10, "gpu": 2.0e13}
START_SECONDS = 1.0
PADDING = {
    "random": 1.25,
    "length": 1.0,
}  # work per real token: measured 1.12 to 1.35, by task (notebook 96)
UNKNOWN_SHAPE = (
    24,
    1024,
)  # layers and width of a model that nothing is known of: those of XLM-R Large
UNHASHED = ("seed", "checkpoint_minutes", "run_dir", "encoder_dir", "held_out")


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
    """A model's size: parameters in all and outside the word embeddings, bytes to download, licence, layers and their
    width, whether known."""

    parameters: float
    body: float
    download: float
    licence: str
    layers: int
    width: int
    known: bool = True


@cache
def published() -> dict[str, dict]:
    """The published models whose size is known, by hub id."""
    return yaml.safe_load((Path(__file__).parent / "models.yaml").read_text(encoding="utf-8"))


def size(model: Model) -> Size:
    """A model's size, without asking the hub."""
    if shape := model.pretrain:
        body = _body(shape.layers, shape.width, shape.feedforward)
        return Size(
            body + shape.vocabulary * shape.width,
            body,
            0,
            "trained here",
            shape.layers,
            shape.width,
        )
    if row := published().get(model.load):
        parameters, shape = row["parameters"] * 1e6, (row["layers"], row["width"])
        return Size(
            parameters,
            row["body"] * 1e6,
            row.get("download", parameters * 4e-9) * 1e9,
            row["licence"],
            *shape,
        )
    folder = paths.resolve(model.load)
    stored = sum(f.stat().st_size for f in folder.glob("*.safetensors")) if folder.is_dir() else 0
    if stored:
        return Size(
            stored / 4, stored / 4, 0, "see the model's folder", *_shape(folder / "config.json")
        )
    return Size(5.6e8, 3.0e8, 2.2e9, "see the model's page", *UNKNOWN_SHAPE, known=False)


def _shape(file: Path) -> tuple[int, int]:
    """Layers and width, by the names that configurations have for them."""
    given = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    names = (("num_hidden_layers", "num_layers", "n_layer"), ("hidden_size", "d_model", "n_embd"))
    layers, width = (next((given[key] for key in keys if key in given), 0) for keys in names)
    return (layers, width) if layers and width else UNKNOWN_SHAPE


def expected(plan: Plan, todo: list[str]) -> Expected:
    """Expected kernel seconds of each run that is still to do."""
    counts = Counts(source_of(plan.study))
    exact, rates = _history(plan, counts)
    found = Expected()
    for run_id in todo:
        run = plan.runs[run_id]
        model = plan.study.models[run.labels["model"]]
        work = effort(run.kind.name, run.parameters, counts)
        encoder = _encoder(run, plan.runs)
        if like := exact.get(_settings(run.kind.name, run.parameters, encoder)):
            found.measured += 1
            found.seconds[run_id] = median(like)
        elif rate := rates.get(encoder):
            found.scaled += 1
            found.seconds[run_id] = START_SECONDS + rate * work
        else:
            found.assumed += 1
            found.shares_gpu |= bool(model.load)
            flops = size(model).body * work
            found.seconds[run_id] = (
                START_SECONDS + flops / ASSUMED_FLOPS["gpu" if model.load else "cpu"]
            )
    return found


def wall_seconds(plan: Plan, seconds: dict[str, float], workers: int) -> float:
    """Time until all is done with so many kernels: the work shared out, but never less than the longest chain."""
    chain: dict[str, float] = {}
    for run in plan.runs.values():
        above = max((chain.get(parent, 0.0) for parent in run.parents.values()), default=0.0)
        chain[run.id] = above + seconds.get(run.id, 0.0)
    encoders = sum(
        seconds.get(run.id, 0.0) for run in plan.runs.values() if run.kind.name == "encoder"
    )
    rest = sum(seconds.values()) - encoders
    return max(max(chain.values(), default=0.0), encoders + rest / max(1, workers))


def effort(kind: str, parameters: dict[str, Any], counts: Counts) -> float:
    """FLOPs of a run per parameter of its model."""
    factor = 4 if parameters.get("tuning") == "lora" else 6
    trained = (
        training_tokens(kind, parameters, counts) * PADDING[parameters.get("batching", "length")]
    )
    if kind == "encoder" and trained:
        body = _body(parameters["layers"], parameters["width"], parameters["feedforward"])
        trained *= 1 + parameters["masked"] * parameters["vocabulary"] * parameters["width"] / body
    return factor * trained + 2 * evaluation_tokens(kind, parameters, counts)


def _body(layers: int, width: int, feedforward: int) -> float:
    """Weights of a transformer outside its embeddings."""
    return layers * (4 * width**2 + 2 * width * feedforward)


def _history(plan: Plan, counts: Counts) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of done runs by settings, and seconds per unit of effort by encoder: on this device, from this source."""
    exact: dict[str, list[float]] = {}
    spent: dict[str, list[tuple[float, float]]] = {}
    here, source = records.environment()["device"], (plan.study.source, plan.study.world)
    results = {folder.name: records.read(folder) for folder in sorted(runs_folder().glob("*"))}
    for result in results.values():
        if (
            result is None
            or result.environment.get("device") != here
            or not (encoder := _encoder(result, results))
        ):
            continue
        if result.training.get("resumed_from"):  # its seconds are those of its last part alone
            continue
        given, seconds = result.parameters, result.timing["total"]
        exact.setdefault(_settings(result.kind, given, encoder), []).append(seconds)
        if result.kind == "encoder" or (given["source"], given["world"]) != source:
            continue
        if work := effort(result.kind, given, counts):
            spent.setdefault(encoder, []).append((max(0.0, seconds - START_SECONDS), work))
    # A model's rate is of all its runs together: in short ones it would be drowned by what comes before and after.
    return exact, {
        encoder: sum(s for s, _ in pairs) / sum(w for _, w in pairs)
        for encoder, pairs in spent.items()
    }


def _encoder(run: Run | records.Result, known: Mapping[str, Run | records.Result | None]) -> str:
    """Settings of the encoder this run descends from; empty if it is gone."""
    while run and _kind(run) != "encoder":
        parents = run.parents if isinstance(run.parents, list) else list(run.parents.values())
        run = known.get(next(iter(parents), ""))
    return _settings("encoder", run.parameters) if run else ""


def _kind(run: Run | records.Result) -> str:
    return run.kind if isinstance(run.kind, str) else run.kind.name


def _settings(kind: str, parameters: dict, encoder: str = "") -> str:
    """Everything that may change a run's duration."""
    given = {key: value for key, value in parameters.items() if key not in UNHASHED}
    return json.dumps([kind, given, encoder], sort_keys=True)
