"""What a study needs, before anything is fetched: downloads, disk, memory, GPU, licences, seeds."""

import math
from itertools import product

from xfer_utils.analysis import intervals
from xfer_utils.formats.base import BYTES_PER_TOKEN
from xfer_utils.runs import cost, counts, engines
from xfer_utils.runs.cost import quantity
from xfer_utils.runs.plan import Plan, source_of
from xfer_utils.study.params import Study
from xfer_utils.study.tasks import Hub, Task, task, training_parts

SEED_DEVIATION = 1.0  # points between seeds, assumed: 0.3 to 2 in large encoders
WEIGHT_BYTES, CHECKPOINT_BYTES = 4, 12  # per parameter; a checkpoint has two moments as well
NON_COMMERCIAL = ("-nc", "non-commercial", "research use")


def lines(plan: Plan, expected: cost.Expected) -> list[str]:
    """The plan's closing lines."""
    study, known = plan.study, counts.Counts(source_of(plan.study))
    tokens = sum(counts.training_tokens(run.parameters, known) for run in plan.runs.values())
    models, data = download_bytes(study)
    download = f"about {quantity(models, 'B')} of models, at most {quantity(data, 'B')} of data"
    loaded = [model for model in study.models.values() if model.load]
    if guessed := [model.load for model in loaded if not cost.size(model).known]:
        download += f" (the size of {', '.join(guessed)} is a guess)"
    disk = quantity(outputs_bytes(plan) + cache_bytes(study), "B")
    hours, rate = expected.card_seconds / 3600, quantity(cost.CARD_FLOPS, "FLOP/s")
    card = f"about {hours:.0f} hours of one card at an assumed {rate}" if hours else "none needed"
    by_model = []
    for name, seconds in expected.by_model.items() if len(expected.by_model) > 1 else ():
        alone = study.model_copy(update={"models": {name: study.models[name]}})
        needed = f"{quantity(largest_training(alone, 'bf16'), 'B')} of memory"
        by_model.append(f"  {name}: about {seconds / 3600:.0f} hours, {needed}")
    entries = hub_entries(study) if study.source != "toy" else []
    restricted = [
        f"{row.title} ({hub.licence})"
        for row, hub in entries
        if any(word in hub.licence.lower() for word in NON_COMMERCIAL)
    ]
    lacking = [f"{title} in {what}" for title, what in missing_languages(study).items()]
    return [
        *([f"Not in every language: {'; '.join(lacking)}."] if lacking else []),
        f"Training: {len(plan.runs)} runs, about {quantity(tokens)} tokens.",
        f"Download: {download if models or data else 'nothing'}.",
        f"Disk: about {disk}, including the hub's cache.",
        f"GPU: {card}.",
        *by_model,
        *([f"Not for commercial use: {', '.join(restricted)}."] if restricted else []),
        _detectable(study),
    ]


def missing_languages(study: Study) -> dict[str, str]:
    """By target, how many of its languages the source has, where some that are asked for lack."""
    source, lacking = source_of(study), {}
    for row in map(task, study.targets if study.source != "toy" else ()):
        there = set(source.languages(row.name, study.roles(row.name)[0]))
        known = row.languages + (row.xtreme_r_languages if study.benchmark == "xtreme_r" else ())
        wanted = [code for code in known if not study.languages or code in study.languages]
        if absent := [code for code in wanted if code not in there]:
            counts = f"{len(wanted) - len(absent)} of {len(wanted)} languages"
            lacking[row.title] = f"{counts}, no data for {', '.join(absent)}"
    return lacking


def hub_entries(study: Study) -> list[tuple[Task, Hub]]:
    """Where the hub keeps a study's data sets; XTREME-R's additions only where they are scored."""
    source, arms = source_of(study), study.rows().values()
    names = [name for arm in arms for name in arm.tasks]
    pairs = [pair for arm in arms for pair in product(arm.tasks, arm.languages)]
    names += filter(None, (source.training_set(*pair) for pair in pairs))
    for target in study.targets:
        names += filter(None, (task(target).train_first, task(target).train_on, target))
    entries = []
    for row in map(task, dict.fromkeys(part for name in names for part in training_parts(name))):
        added = row.hub_xtreme_r if row.name in study.targets else None
        scored = product(study.roles(row.name), added.languages) if added else ()
        used = any(source.has(row.name, role, code) for role, code in scored)
        entries += [(row, hub) for hub in (row.hub, added if used else None) if hub]
    return entries


def download_bytes(study: Study) -> tuple[float, float]:
    """Bytes of models and, at most, of data that a study fetches."""
    models = sum(cost.size(model).download for model in study.models.values())
    data: dict[tuple, float] = {}
    for row, hub in hub_entries(study) if study.source == "hub" else []:
        codes, sides = hub.languages or row.languages, 2 if row.format == "sentence" else 1
        rows = sum(  # of all configurations: the client fetches their unread splits as well
            hub.expected(split, code) or counts.UNKNOWN_ITEMS
            for split, code in product(hub.rows or ("train", "validation", "test"), codes)
            if code not in hub.absent.get(split, ())
        )
        size = hub.megabytes * 1e6 or sides * rows * row.mean_tokens * BYTES_PER_TOKEN
        place = (hub.id, hub.config, hub.data_dir)  # two tasks may read one data set in two ways
        data[place] = max(data.get(place, 0.0), size)
    return models, sum(data.values())


def cache_bytes(study: Study) -> float:
    """Bytes that the study leaves in the hub's cache: data are there as fetched and as prepared."""
    models, data = download_bytes(study)
    return models + 2 * data


def outputs_bytes(plan: Plan) -> float:
    """Bytes that the study leaves in outputs/: encoders, and checkpoints of runs in progress."""
    total, in_progress = 0.0, 0.0
    for run in plan.runs.values():
        if run.kind.name == "retrieval" or run.parameters.get("load"):
            continue
        parameters = cost.size(plan.study.models[run.labels["model"]]).parameters
        kept = run.parameters.get("keep_model", run.kind.name != "few_shot")
        total += WEIGHT_BYTES * parameters * kept
        best = WEIGHT_BYTES if run.parameters.get("select") == "english_dev" else 0
        # Two checkpoints: the one before stays until the next is whole.
        in_progress = max(in_progress, 2 * (CHECKPOINT_BYTES + best) * parameters)
    return total + (plan.study.workers or engines.default_workers()) * in_progress


def largest_training(study: Study, precision: str) -> float:
    """Bytes of memory of a study's largest training."""
    trainings = [
        (study.training("intermediate", arm), task(part).choices)
        for arm, row in study.rows().items()
        for part in row.tasks
    ]
    for name in filter(None, (task(target).train_on for target in study.targets)):
        trainings.append((study.training("target", name), task(name).choices))
    pairs = product(map(cost.size, study.models.values()), trainings)
    sizes = (cost.training_bytes(size, *training, precision) for size, training in pairs)
    return max(sizes, default=0)


def _detectable(study: Study) -> str:
    """The smallest gain that the study's seeds can tell from chance between seeds."""
    none, other = study.seeds.none, study.seeds.other
    gain = intervals.min_detectable_gain(SEED_DEVIATION, other, none)
    paired = "paired by seed" if set(none) == set(other) else "unpaired"
    enough = f"enough to detect a gain of {gain:.1f} points ({paired}, before Holm's correction)"
    verdict = enough if math.isfinite(gain) else "too few to tell a gain from chance"
    basis = f"80% power at 5%, if a score deviates by {SEED_DEVIATION} points between seeds"
    return f"Seeds: {len(none)} of none, {len(other)} of each other row: {verdict} ({basis})."
