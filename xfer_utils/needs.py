"""What a study needs before anything is fetched: tokens, downloads, disk, licences; and what its seeds can show."""

import math
from statistics import stdev

from xfer_utils import cost, counts, stats
from xfer_utils.params import Study
from xfer_utils.records import Result
from xfer_utils.study import Plan, source_of
from xfer_utils.tasks import registry, task, training_parts

ASSUMED_SD = 1.0  # points between seeds, where nothing was measured: large encoders lie between about 0.3 and 2
BYTES_PER_TOKEN = 4.5  # of text, before compression
FEATURE_BYTES = 8  # per cached token: its id, and offsets or labels
ADAM_BYTES = 12  # per parameter in a checkpoint: the weight and two moments
NON_COMMERCIAL = ("-nc", "non-commercial", "research use")


def lines(plan: Plan, done: dict[str, Result], expected: cost.Expected) -> list[str]:
    """The plan's closing lines."""
    study = plan.study
    found = [_tokens(plan), _traffic(plan), *_hours(plan, expected)]
    found += [f"Licences: {text}." for text in [_licences(study)] if text]
    return [*found, detectable(study, done)]


def data_sets(study: Study) -> list[str]:
    """The registry's data sets that a study reads, each once."""
    named = [name for name in study.intermediate if name not in ("none", "multi")]
    named += [
        name for target in study.targets for name in (task(target).train_first, task(target).train_on, target) if name
    ]
    return list(dict.fromkeys(part for name in named for part in training_parts(name)))


def download_bytes(study: Study) -> tuple[float, float]:
    """Bytes of models and, at most, of data that a study fetches."""
    models = sum(cost.size(model).download for model in study.models.values())
    if study.source != "hub":
        return models, 0.0
    return models, sum(_data_tokens(name) for name in data_sets(study) if task(name).hub) * BYTES_PER_TOKEN


def disk_bytes(plan: Plan) -> float:
    """Bytes that the study leaves in outputs/ and in the hub's cache, checkpoints of runs in progress included."""
    models, data = download_bytes(plan.study)
    total = models + 2 * data + sum(_data_tokens(name) for name in data_sets(plan.study)) * FEATURE_BYTES
    largest = 0.0
    for run in plan.runs.values():
        parameters = cost.size(plan.study.models[run.labels["model"]]).parameters
        largest = max(largest, parameters)
        keeps = run.kind == "intermediate" or (run.kind == "encoder" and not run.parameters["load"])
        total += 4 * parameters if keeps else 0
    return total + 2 * ADAM_BYTES * largest


def detectable(study: Study, done: dict[str, Result]) -> str:
    """The smallest gain of an intermediate task that the study's seeds can tell from chance between seeds."""
    sd, basis = seed_sd(done)
    none, other = len(study.seeds.none), len(study.seeds.other)
    gain = stats.min_detectable_gain(sd, none, other)
    if math.isfinite(gain):
        return f"Seeds: {none} of none, {other} of each other row: a gain of {gain:.1f} points can be shown ({basis})."
    more = max(3, none)
    gain = stats.min_detectable_gain(sd, more, 3)
    return (
        f"Seeds: {none} of none, {other} of each other row: no gain can be told from chance between seeds; "
        f"{more} and 3 would show one of {gain:.1f} points ({basis})."
    )


def seed_sd(done: dict[str, Result]) -> tuple[float, str]:
    """The deviation of a target's score between seeds of `none`, and how it is known."""
    by_target: dict[tuple[str, str], list[float]] = {}
    for result in done.values():
        if result.kind != "target" or result.labels.get("intermediate") != "none":
            continue
        for target in {score.task for score in result.scores}:
            values = [score.value for score in result.scores if score.task == target and score.main]
            if values:
                key = (str(result.labels["model"]), target)
                by_target.setdefault(key, []).append(sum(values) / len(values))
    spreads = [stdev(values) ** 2 for values in by_target.values() if len(values) > 1]
    if not spreads:
        return ASSUMED_SD, f"80% power at 5%, assuming a deviation of {ASSUMED_SD:.1f} points between seeds"
    sd = math.sqrt(sum(spreads) / len(spreads))
    return sd, f"80% power at 5%, from the deviation of {sd:.2f} points measured between seeds of none"


def _data_tokens(name: str) -> float:
    row = task(name)
    evaluated = sum(counts.official_rows(row, row.evaluate).values())
    return (row.train_rows + evaluated) * row.mean_tokens


def _tokens(plan: Plan) -> str:
    known = counts.Counts(source_of(plan.study))
    total = sum(counts.training_tokens(run.kind, run.parameters, known) for run in plan.runs.values())
    return f"Training: {len(plan.runs)} runs, about {quantity(total)} tokens."


def _traffic(plan: Plan) -> str:
    models, data = download_bytes(plan.study)
    unknown = [m.load for m in plan.study.models.values() if m.load and not cost.size(m).known]
    guess = f" (the size of {', '.join(unknown)} is a guess)" if unknown else ""
    fetched = f"about {quantity(models, 'B')} of models, at most {quantity(data, 'B')} of data{guess}"
    fetched = fetched if models or data else "nothing"
    return f"Download: {fetched}. Disk: about {quantity(disk_bytes(plan), 'B')}, the hub's cache included."


def _hours(plan: Plan, expected: cost.Expected) -> list[str]:
    loaded = {name for name, model in plan.study.models.items() if model.load}
    seconds = sum(s for id, s in expected.seconds.items() if plan.runs[id].labels["model"] in loaded)
    if not seconds:
        return []
    rate = f", at {cost.ASSUMED_FLOPS['gpu'] / 1e12:.0f} TFLOP/s" if expected.assumed else ""
    return [f"GPU: about {seconds / 3600:.0f} hours of one 24 GB card ({expected.basis}{rate})."]


def _licences(study: Study) -> str:
    """Data sets that are restricted by name, the others by licence; and the models'."""
    used = [registry()[name] for name in data_sets(study)] if study.source == "hub" else []
    held = [row for row in used if row.hub and any(word in row.hub.licence.lower() for word in NON_COMMERCIAL)]
    free = sorted({row.hub.licence for row in used if row.hub and row not in held})
    parts = [f"not for commercial use: {', '.join(f'{row.title} ({row.hub.licence})' for row in held)}"] * bool(held)
    parts += [f"to be had from its owner: {row.title}" for row in used if not row.hub]
    parts += [f"data otherwise: {', '.join(free)}"] * bool(free)
    parts += [f"{model.load}: {cost.size(model).licence}" for model in study.models.values() if model.load]
    return "; ".join(parts)


def quantity(number: float, unit: str = "") -> str:
    """A number with one of k, M, G, T and at most three figures."""
    for sign, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g} {sign}{unit}"
    return f"{number:.0f} {unit}".strip()
