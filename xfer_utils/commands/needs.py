"""What a study needs before anything is fetched: tokens, downloads, disk, licences; and what its seeds can show."""

import math
from statistics import stdev

from xfer_utils.analysis import stats
from xfer_utils.runs import cost, counts, engines
from xfer_utils.runs.plan import Plan, source_of
from xfer_utils.runs.records import Result
from xfer_utils.study.params import Study
from xfer_utils.study.tasks import Hub, Task, task, training_parts

ASSUMED_SD = 1.0  # points between seeds, where nothing was measured: large encoders lie between about 0.3 and 2
FEATURE_BYTES = 8  # per cached token: its id, and offsets or labels
ADAM_BYTES = 12  # per parameter in a checkpoint: the weight and two moments
WEIGHT_BYTES = (
    4  # per parameter in an encoder, and in the best weights so far of `select: english_dev`
)
NON_COMMERCIAL = ("-nc", "non-commercial", "research use")


def lines(plan: Plan, done: dict[str, Result], expected: cost.Expected) -> list[str]:
    """The plan's closing lines."""
    study = plan.study
    found = [_tokens(plan), _traffic(plan), *_hours(plan, expected)]
    whose = (
        ""
        if study.source in ("hub", "toy")
        else " of the official releases (the folder's own may differ)"
    )
    found += [f"Licences{whose}: {text}." for text in [_licences(study)] if text]
    return [*found, detectable(study, done)]


def data_sets(study: Study) -> list[str]:
    """The registry's data sets that a study reads, each once."""
    named = [name for arm in study.rows().values() for name in arm.tasks]
    named += [
        name
        for target in study.targets
        for name in (task(target).train_first, task(target).train_on, target)
        if name
    ]
    return list(dict.fromkeys(part for name in named for part in training_parts(name)))


def hub_entries(study: Study) -> list[tuple[Task, Hub]]:
    """Where the hub keeps what a study reads: each task's entry, and XTREME-R's where its languages are scored."""
    source, found = source_of(study), []
    for row in map(task, data_sets(study)):
        role = study.evaluate.get(row.name, row.evaluate)
        scored = row.name in study.targets and row.hub_xtreme_r
        if row.hub:
            found.append((row, row.hub))
        if scored and any(source.has(row.name, role, code) for code in row.hub_xtreme_r.languages):
            found.append((row, row.hub_xtreme_r))
    return found


def download_bytes(study: Study) -> tuple[float, float]:
    """Bytes of models and, at most, of data that a study fetches."""
    models = sum(cost.size(model).download for model in study.models.values())
    entries = hub_entries(study) if study.source == "hub" else []
    found: dict[tuple, float] = {}
    for row, hub in entries:  # two tasks may read one data set in two ways
        place = (hub.id, hub.config, hub.data_dir)
        found[place] = max(found.get(place, 0.0), _fetched_bytes(row, hub))
    return models, sum(found.values())


def _fetched_bytes(row: Task, entry: Hub) -> float:
    """Bytes of a task's configurations, every split of each: the client fetches those that nothing reads too."""
    rows = counts.stored_rows(row, entry)
    return entry.megabytes * 1e6 or rows * row.mean_tokens * counts.BYTES_PER_TOKEN


def cache_bytes(study: Study) -> float:
    """Bytes that the study leaves in the hub's cache: data are there as fetched and as prepared."""
    models, data = download_bytes(study)
    return models + 2 * data


def outputs_bytes(plan: Plan) -> float:
    """Bytes that the study leaves in outputs/, checkpoints of runs in progress included."""
    total = sum(_data_tokens(name) for name in data_sets(plan.study)) * FEATURE_BYTES
    in_progress = 0.0
    for run in plan.runs.values():
        parameters = cost.size(plan.study.models[run.labels["model"]]).parameters
        keeps = run.kind.name == "intermediate" or (
            run.kind.name == "encoder" and not run.parameters["load"]
        )
        total += WEIGHT_BYTES * parameters if keeps else 0
        stored = ADAM_BYTES + WEIGHT_BYTES * (run.parameters.get("select") == "english_dev")
        if keeps or run.kind.name == "target":
            in_progress = max(
                in_progress, 2 * stored * parameters
            )  # the one before stays until the next is whole
    return total + (plan.study.workers or engines.default_workers()) * in_progress


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
        if result.kind != "target" or result.labels.get("arm") != "none":
            continue
        for target in {score.task for score in result.scores}:
            values = [score.value for score in result.scores if score.task == target and score.main]
            if values:
                key = (str(result.labels["model"]), target)
                by_target.setdefault(key, []).append(sum(values) / len(values))
    spreads = [stdev(values) ** 2 for values in by_target.values() if len(values) > 1]
    if not spreads:
        return (
            ASSUMED_SD,
            f"80% power at 5%, assuming a deviation of {ASSUMED_SD:.1f} points between seeds",
        )
    sd = math.sqrt(sum(spreads) / len(spreads))
    return (
        sd,
        f"80% power at 5%, from the deviation of {sd:.2f} points measured between seeds of none",
    )


def _data_tokens(name: str) -> float:
    row = task(name)
    evaluated = sum(counts.official_rows(row, row.evaluate).values())
    return (row.train_rows + evaluated) * row.mean_tokens


def _tokens(plan: Plan) -> str:
    known = counts.Counts(source_of(plan.study))
    total = sum(
        counts.training_tokens(run.kind.name, run.parameters, known) for run in plan.runs.values()
    )
    return f"Training: {len(plan.runs)} runs, about {quantity(total)} tokens."


def _traffic(plan: Plan) -> str:
    models, data = download_bytes(plan.study)
    unknown = [m.load for m in plan.study.models.values() if m.load and not cost.size(m).known]
    guess = f" (the size of {', '.join(unknown)} is a guess)" if unknown else ""
    fetched = (
        f"about {quantity(models, 'B')} of models, at most {quantity(data, 'B')} of data{guess}"
    )
    fetched = fetched if models or data else "nothing"
    disk = quantity(outputs_bytes(plan) + cache_bytes(plan.study), "B")
    return f"Download: {fetched}. Disk: about {disk}, the hub's cache included."


def _hours(plan: Plan, expected: cost.Expected) -> list[str]:
    loaded = {name for name, model in plan.study.models.items() if model.load}
    if not loaded and plan.study.source != "hub":
        return ["GPU: none needed."]
    seconds = sum(
        s for id, s in expected.seconds.items() if plan.runs[id].labels["model"] in loaded
    )
    if not seconds:
        return []
    rate = f", at {cost.ASSUMED_FLOPS['gpu'] / 1e12:.0f} TFLOP/s" if expected.assumed else ""
    return [f"GPU: about {seconds / 3600:.0f} hours of one card ({expected.basis}{rate})."]


def _licences(study: Study) -> str:
    """Data sets that are restricted by name, the others by licence; and the models'. The toy world needs none."""
    used, names = (hub_entries(study), data_sets(study)) if study.source != "toy" else ([], [])
    held = [
        (row, hub)
        for row, hub in used
        if any(word in hub.licence.lower() for word in NON_COMMERCIAL)
    ]
    free = sorted({hub.licence for row, hub in used if (row, hub) not in held})
    parts = [
        f"not for commercial use: {', '.join(f'{row.title} ({hub.licence})' for row, hub in held)}"
    ] * bool(held)
    parts += [
        f"to be had from its owner: {task(name).title}" for name in names if not task(name).hub
    ]
    parts += [f"data otherwise: {', '.join(free)}"] * bool(free)
    parts += [
        f"{model.load}: {cost.size(model).licence}" for model in study.models.values() if model.load
    ]
    return "; ".join(parts)


def quantity(number: float, unit: str = "") -> str:
    """A number with one of k, M, G, T and at most three figures."""
    for sign, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g} {sign}{unit}"
    return f"{number:.0f} {unit}".strip()
