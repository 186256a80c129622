"""What a run costs in seconds and bytes, known before anything is fetched or trained.

Seconds come from finished runs of the same kind and encoder where there are any, else from FLOPs
over a measured rate. FLOPs are 6 per parameter and token of training (4 with LoRA, which
needs no gradients of the weights; 2 of frozen layers) and 2 per parameter and token of evaluation;
parameters are those outside the word embeddings, which count where hidden tokens are guessed.
"""

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from xfer_utils.runs import records
from xfer_utils.runs.counts import Counts, evaluation_tokens, training_tokens
from xfer_utils.runs.plan import Plan, runs_folder, source_of
from xfer_utils.study import paths, sections, settings_file

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
    dropout: bool = True
    known: bool = True


@cache
def published() -> dict[str, dict]:
    """The published models whose size is known, by hub id."""
    return settings_file.load(Path(__file__).parent / "models.yaml")


def size(model: sections.Model) -> Size:
    """A model's size, without asking the hub; XLM-R Large's where nothing is known."""
    if shape := model.pretrain:
        body = shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.feedforward)
        sizes = body + shape.vocabulary * shape.width, body, 0, shape.layers, shape.width
        return Size(*sizes, dropout=shape.dropout_later > 0)
    if row := published().get(model.load):
        download = row.get("download", row["parameters"] * 0.004) * 1e9
        parameters, body = row["parameters"] * 1e6, row["body"] * 1e6
        return Size(parameters, body, download, row["layers"], row["width"])
    folder = paths.resolve(model.load)
    parameters = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 4
    if not parameters or not (folder / "config.json").exists():
        return Size(known=False)
    shape = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    layers, width = (shape.get(name, 0) for name in ("num_hidden_layers", "hidden_size"))
    body = parameters - shape.get("vocab_size", 0) * width
    return Size(parameters, body, 0, layers or Size.layers, width or Size.width)


def training_bytes(model: Size, training: sections.Training, choices: int, precision: str) -> float:
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
    models = {run_id: plan.runs[run_id].labels["model"] for run_id in todo}
    sizes = {name: size(model) for name, model in plan.study.models.items()}
    history = _history({like: sizes[models[run_id]] for run_id, like in likes.items()}, counts)
    for run_id, like in likes.items():
        name = models[run_id]
        model, work = sizes[name], effort(plan.runs[run_id].parameters, counts, sizes[name])
        if rate := history.get(like):
            cost.measured += 1
        else:
            rate = machine_rate(model.width, model.dropout) * (1 if cost.cards else threads)
            cost.rates.append(rate)
        cost.seconds[run_id] = START_SECONDS + work / rate
        if plan.study.models[name].load:
            seconds = START_SECONDS + work / CARD_FLOPS
            cost.by_model[name] = cost.by_model.get(name, 0.0) + seconds
    return cost


def wall_seconds(plan: Plan, seconds: Mapping[str, float], lanes: int) -> float:
    """Time until all is done, if each free kernel takes the plan's first run that can start."""
    todo = [run for run in plan.runs.values() if run.id in seconds]
    places = {run.id: place for place, run in enumerate(todo)}
    order = TopologicalSorter({run.id: places.keys() & run.parents.values() for run in todo})
    order.prepare()
    now, ready, running = 0.0, [], []
    while order.is_active():
        for run_id in order.get_ready():
            heappush(ready, (places[run_id], run_id))
        while ready and len(running) < max(1, lanes):
            run_id = heappop(ready)[1]
            heappush(running, (now + seconds[run_id], run_id))
        now, run_id = heappop(running)
        order.done(run_id)
    return now


def effort(parameters: Mapping[str, Any], counts: Counts, model: Size) -> float:
    """FLOPs of a run."""
    frozen = max(0, parameters.get("freeze", 0) - 1) / model.layers
    each = 2 * frozen + (4 if parameters.get("tuning") == "lora" else 6) * (1 - frozen)
    guessed = parameters.get("masked", 0) * (model.parameters - model.body)  # word embeddings
    trained = training_tokens(parameters, counts) * PADDING[parameters.get("layout", "packed")]
    evaluated = 2 * evaluation_tokens(parameters, counts) * model.body
    return trained * (each * model.body + 6 * guessed) + evaluated


@cache
def machine_rate(width: int, dropout: bool = True) -> float:
    """FLOP/s that a model of this width sustains here, on one thread or on the GPU.

    Measured in a second or two: one layer is trained on a batch, again and again.
    """
    import torch
    from torch.utils.benchmark import Timer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows, length = (512, 32) if device == "cuda" else (32, 32)
    heads = math.gcd(width, max(1, width // 32))
    shape = {"nhead": heads, "dim_feedforward": 4 * width, "dropout": 0.1 * dropout}
    layer = torch.nn.TransformerEncoderLayer(width, **shape, batch_first=True, device=device)
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


def _history(sizes: Mapping[str, Size], counts: Counts) -> dict[str, float]:
    """FLOP/s of finished runs on this device that are like those planned, of models of these sizes.

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
        if like in sizes and whole and result.environment["device"] == here:
            with suppress(KeyError):  # a task that has left the registry
                work[like] += effort(result.parameters, counts, sizes[like])
                seconds[like] += max(0.1, result.timing["total"] - START_SECONDS)
    return {like: work[like] / seconds[like] for like in seconds}


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
