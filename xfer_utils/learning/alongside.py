"""What an arm has a model learn at the same time as the tasks of a job: other tasks, and text."""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from xfer_utils.formats import features
from xfer_utils.formats.features import Features
from xfer_utils.learning import batches, pretraining
from xfer_utils.sources.base import digest
from xfer_utils.sources.data import Data
from xfer_utils.study.jobs import TargetJob, TrainingJob
from xfer_utils.study.sections import Text

SMOOTHING = 0.3  # XLM-R's exponent: languages with little text are seen more often than in theirs


def other_tasks(data: Data, job: TargetJob, names: list[str]) -> dict[str, Features]:
    """Examples of other tasks: each epoch visits its share of what phase 2 would have visited."""
    arm, cap = job.together, job.together.cap if len(names) > 1 else 0
    how = {"most": arm.max_examples, "max_length": arm.max_length, "doc_stride": arm.doc_stride}
    examples = {name: data.features(name, "train", clean=True, **how) for name in names}
    phase2 = batches.Batches(list(examples.values()), arm.batch_size, 0, cap)
    rounds = arm.epochs
    if steps := phase2.steps(arm):
        rounds = steps * arm.accumulation / len(phase2)
    visits = [max(1, round(count * rounds / job.epochs)) for count in phase2.counts]
    for (name, part), count in zip(examples.items(), visits, strict=True):
        examples[name] = replace(part, batch_size=arm.batch_size, visits=count)
    return examples


def text_rows(data: Data, job: TrainingJob, tasks: list[Features]) -> Features:
    """Rows of text for masked LM: new ones in each epoch, a set number for each row of the tasks.

    Without tasks, all rows of text.
    """
    text, cap = job.mixture.text, job.mixture.cap if len(tasks) > 1 else 0
    visits = round(text.rate * sum(batches.Batches(tasks, 1, 0, cap).counts))
    parts, rng = _by_language(data, text, job.max_length), np.random.default_rng([job.seed, 2])
    counts = smoothed([len(part) for part in parts], visits * job.epochs)
    drawn = [p.take(batches.draw(len(p), n, rng)) for p, n in zip(parts, counts, strict=True)]
    return replace(features.joined(drawn), batch_size=text.batch_size, visits=visits)


def smoothed(sizes: list[int], wanted: int = 0) -> list[int]:
    """Rows to draw of each language: shares as their sizes to the power of 0.3, `wanted` in all.

    `wanted` 0: as many as there are.
    """
    shares = np.asarray(sizes, float) ** SMOOTHING
    ends = np.round(np.cumsum(shares) / shares.sum() * (wanted or sum(sizes)))
    return np.diff(ends, prepend=0).astype(int).tolist()


def _by_language(data: Data, text: Text, max_length: int) -> list[Features]:
    """Each language's text, without what targets evaluate; made once for all runs that ask."""
    source, targets = data.source, data.source.cleaned_of
    codes = text.languages or source.text_languages()
    read = [source.text_revision(), *map(source.revision, targets), text.lines_per_language]
    lines = cache(lambda: pretraining.sample_text(source, text.lines_per_language, codes)[0])

    def path(code: str) -> Path:
        mark = digest("text", code, read, data.tokenizer_mark, max_length)
        return data.cache / "features" / f"{mark}.safetensors"

    def make(code: str) -> Features:
        return features.of_text(lines()[code], data.tokenizer, max_length)

    return [features.cached(path(code), partial(make, code)) for code in codes]
