"""What a run costs in seconds and bytes, known before anything is fetched or trained.

Seconds come from finished runs of the same kind and encoder where there are any, else from FLOPs
over a measured rate. FLOPs are 6 per parameter and token of training (4 with LoRA, which
needs no gradients of the weights) and 2 per parameter and token of evaluation; parameters are
those outside the word embeddings.
"""

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from xfer_utils.runs import records
from xfer_utils.runs.counts import Counts, evaluation_tokens, training_tokens
from xfer_utils.runs.plan import Plan, runs_folder, source_of
from xfer_utils.study import params, paths, settings_file

CARD_FLOPS = 2.0e13  # assumed: what kernels that share a 24 GB card sustain together, in bf16
SUSTAINED = 0.7  # of the rate of one layer trained alone; embeddings, head, Trainer take the rest
START_SECONDS = 2.0
PADDING = {"packed": 1.0, "padded": 1.25}  # work per real token; padded, 1.12 to 1.35 were measured
# Per parameter: weight, gradient and two moments in fp32, the weight in bf16; LoRA has no more
# than the weights. Per token of a batch, layer and unit of width, kept for the backward pass:
# counted under autocast to bf16 with XLM-R base (0.65 MB a token) and Large (1.75 MB).
TRAINING_BYTES = {"full": 18, "lora": 6}
ACTIVATION_BYTES = {"bf16": 70, "fp32": 140}


@dataclass(frozen=True)
class Size:
    """A model's size: parameters in all and outside the word embeddings, bytes to download."""

    parameters: float = 5.6e8
    body: float = 3.0e8
    download: float = 2.2e9
    layers: int = 24
    width: int = 1024
    known: bool = True


@cache
def published() -> dict[str, dict]:
    """The published models whose size is known, by hub id."""
    return settings_file.load(Path(__file__).parent / "models.yaml")


def size(model: params.Model) -> Size:
    """A model's size, without asking the hub; XLM-R Large's where nothing is known."""
    if shape := model.pretrain:
        body = shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.feedforward)
        return Size(body + shape.vocabulary * shape.width, body, 0, shape.layers, shape.width)
    if row := published().get(model.load):
        download = row.get("download", row["parameters"] * 0.004) * 1e9
        parameters, body = row["parameters"] * 1e6, row["body"] * 1e6
        return Size(parameters, body, download, row["layers"], row["width"])
    files = paths.resolve(model.load).glob("*.safetensors")
    parameters = sum(file.stat().st_size for file in files) / 4
    return Size(parameters, parameters, 0) if parameters else Size(known=False)


def training_bytes(model: Size, training: params.Training, choices: int, precision: str) -> float:
    """Memory of a training: the model's own, and the activations of a batch of longest inputs."""
    per_unit = ACTIVATION_BYTES["fp32" if training.precision == "fp32" else precision]
    tokens = training.batch_size * max(1, choices) * training.max_length
    activations = tokens * per_unit * model.layers * model.width
    return model.parameters * TRAINING_BYTES[training.tuning] + activations


@dataclass
class Expected:
    """Kernel seconds of each run still to do, and how they are known."""

    seconds: dict[str, float] = field(default_factory=dict)
    by_model: dict[str, float] = field(default_factory=dict)  # seconds of published ones on a card
    measured: int = 0
    rates: list[float] = field(default_factory=list)
    cards: int = 0

    @property
    def card_seconds(self) -> float:
        """Of the runs of all published models, on a card at the assumed rate."""
        return sum(self.by_model.values())

    def lanes(self, workers: int) -> int:
        """Kernels that make progress at once: the rate of a GPU is that of all kernels on it."""
        return self.cards if self.cards and self.rates else workers

    @property
    def basis(self) -> str:
        """In words, for the plan's last lines."""
        parts = [f"{self.measured} as long as finished runs of their kind"] * bool(self.measured)
        if self.rates:
            rate = quantity(sum(self.rates) / len(self.rates), "FLOP/s")
            parts.append(f"{len(self.rates)} from FLOPs at {rate}, as measured on this machine")
        return ", ".join(parts)


def expected(plan: Plan, todo: Iterable[str], threads: int = 1) -> Expected:
    """Expected kernel seconds of each run that is still to do, with so many threads each."""
    import torch

    counts, cost = Counts(source_of(plan.study)), Expected(cards=torch.cuda.device_count())
    runs = plan.runs.values()
    planned = {r.id: (r.kind.name, r.parameters, list(r.parents.values())) for r in runs}
    likes = {run_id: _like(run_id, planned) for run_id in todo}
    history = _history({*likes.values()}, counts)
    for run_id, like in likes.items():
        name = plan.runs[run_id].labels["model"]
        model = plan.study.models[name]
        work, body = effort(plan.runs[run_id].parameters, counts), size(model).body
        if rate := history.get(like):
            cost.measured += 1
        else:
            cost.rates.append(machine_rate(size(model).width) * (1 if cost.cards else threads))
            rate = cost.rates[-1] / body
        cost.seconds[run_id] = START_SECONDS + work / rate
        if model.load:
            seconds = START_SECONDS + work * body / CARD_FLOPS
            cost.by_model[name] = cost.by_model.get(name, 0.0) + seconds
    return cost


def wall_seconds(plan: Plan, seconds: Mapping[str, float], lanes: int) -> float:
    """Time until all is done: the work shared out, but never less than the longest chain."""
    chain: dict[str, float] = {}
    for run in plan.runs.values():
        above = max((chain.get(parent, 0.0) for parent in run.parents.values()), default=0.0)
        chain[run.id] = above + seconds.get(run.id, 0.0)
    encoders = sum(seconds.get(run.id, 0.0) for run in plan.runs.values() if not run.parents)
    shared = (sum(seconds.values()) - encoders) / max(1, lanes)
    return max(max(chain.values(), default=0.0), encoders + shared)


def effort(parameters: Mapping[str, Any], counts: Counts) -> float:
    """FLOPs of a run per parameter of its model."""
    factor = 4 if parameters.get("tuning") == "lora" else 6
    trained = training_tokens(parameters, counts) * PADDING[parameters.get("layout", "packed")]
    return factor * trained + 2 * evaluation_tokens(parameters, counts)


@cache
def machine_rate(width: int) -> float:
    """FLOP/s that a model of this width sustains here, on one thread or on the GPU.

    Measured in a second or two: one layer is trained on a batch, again and again.
    """
    import torch
    from torch.utils.benchmark import Timer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows, length = (512, 32) if device == "cuda" else (32, 32)
    shape = {"nhead": math.gcd(width, 12), "dim_feedforward": 4 * width, "batch_first": True}
    layer = torch.nn.TransformerEncoderLayer(width, **shape, device=device)
    optimizer, batch = torch.optim.AdamW(layer.parameters()), torch.rand(rows, length, width)
    batch = batch.to(device)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            layer(batch).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    clock = {"timer": time.process_time} if device == "cpu" else {}  # others may use the cores, too
    timer = Timer("step()", globals={"step": step}, **clock)
    times = timer.blocked_autorange(min_run_time=0.5).times
    return SUSTAINED * 6 * 12 * width**2 * rows * length / min(times)


def _history(likes: set[str], counts: Counts) -> dict[str, float]:
    """Work per second of finished runs on this device that are like those planned.

    It is that of all such runs together: short ones alone would tell about start-up.
    """
    results = list(filter(None, map(records.read, runs_folder().glob("*"))))
    finished = {r.id: (r.kind, r.parameters, r.parents) for r in results}
    work, seconds = defaultdict(float), defaultdict(float)
    here = records.environment()["device"]
    for result in results:
        like = _like(result.id, finished)
        # The seconds of a resumed run are those of its last part alone.
        whole = not result.training.get("resumed_from")
        if like in likes and whole and result.environment["device"] == here:
            work[like] += effort(result.parameters, counts)
            seconds[like] += max(0.1, result.timing["total"] - START_SECONDS)
    return {like: work[like] / seconds[like] for like in work}


def _like(run_id: str, runs: Mapping[str, tuple[str, dict, list[str]]]) -> str | None:
    """A run's kind and the settings of the encoder it descends from, None if that is gone.

    `runs` are kind, parameters and parents by id.
    """
    kind, parameters, parents = runs[run_id]
    while parents:
        if parents[0] not in runs:
            return None
        _, parameters, parents = runs[parents[0]]
    settings = {k: v for k, v in parameters.items() if k not in ("seed", "run_dir", "numerics")}
    settings["load"] = re.sub(r"-s\d+$", "", settings["load"])  # shipped for another seed
    return json.dumps([kind, settings], sort_keys=True)


def duration(seconds: float | None) -> str:
    """A duration to two figures; nothing where it is not known."""
    if seconds is None or seconds != seconds:
        return ""
    for unit, length, longest in (("s", 1, 100), ("min", 60, 6000), ("h", 3600, 172800)):
        if seconds < longest:
            return f"{seconds / length:.{int(seconds < 10 * length)}f} {unit}"
    return f"{seconds / 86400:.0f} days"


def quantity(number: float, unit: str = "") -> str:
    """A number with one of k, M, G, T and at most three figures."""
    for sign, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g} {sign}{unit}"
    return f"{number:.0f} {unit}".strip()
