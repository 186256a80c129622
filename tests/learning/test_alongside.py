"""What is learnt beside the tasks of a job: how much of it, how often, and of which languages."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_batches import made_up

from xfer_utils.formats import features
from xfer_utils.formats.features import Features
from xfer_utils.learning import alongside, pretraining
from xfer_utils.learning.batches import Batches
from xfer_utils.study.sections import Training

KEPT = settings(max_examples=40, deadline=None, derandomize=True, database=None)
COUNTS = st.integers(1, 40)


@KEPT
@given(units=COUNTS, visits=COUNTS, size=st.integers(1, 9), own=st.integers(1, 9))
def test_an_epoch_visits_so_many_units_in_batches_of_their_own_size(units, visits, size, own):
    """Some of them, or some again after all others; the other task has its cap and the usual size."""
    tasks = [replace(made_up([3] * units), visits=visits, batch_size=own), made_up([3] * 12)]
    sampler = Batches(tasks, size, 0, cap=10)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    first = [unit for batch in batches for number, unit in batch if number == 0]
    counts = np.bincount(first, minlength=units)
    assert counts.sum() == visits and counts.max() - counts.min() <= 1
    assert sum(len(batch) for batch in batches if batch[0][0] == 1) == 10
    for number, most in ((0, own), (1, size)):
        lengths = [len(batch) for batch in batches if batch[0][0] == number]
        assert max(lengths) <= most and sum(length < most for length in lengths) <= 1


@pytest.mark.parametrize(
    ("more", "steps"),
    [
        ({}, 0),
        ({"max_steps": 7}, 7),
        ({"more_steps": 5}, 2 * 3 + 5),
        ({"max_steps": 7, "more_steps": 5}, 12),
        ({"max_tokens": 300}, 15),  # 12 rows of 5 tokens in 3 batches: 20 tokens a step
        ({"max_tokens": 300, "accumulation": 2}, 8),
        ({"accumulation": 2, "more_steps": 1}, 2 * 2 + 1),
    ],
)
def test_steps_of_a_training(more, steps):
    assert Batches([made_up([5] * 12)], 4, 0).steps(Training(epochs=2, **more)) == steps


@KEPT
@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=6), wanted=st.integers(0, 500))
def test_languages_are_smoothed(sizes, wanted):
    rows = alongside.smoothed(sizes, wanted)
    total = wanted or sum(sizes)
    shares = np.array(sizes) ** 0.3
    assert sum(rows) == total
    assert np.allclose(rows, total * shares / shares.sum(), atol=1)


class Source:
    """A source with text alone, in two languages."""

    cleaned_of = ("xnli",)

    def text_languages(self):
        return ["en", "qaa"]

    def text_revision(self):
        return "text"

    def revision(self, name):
        return name


class Held:
    """What text_rows asks of data.Data."""

    def __init__(self, tokenizer, cache):
        self.source, self.tokenizer, self.cache = Source(), tokenizer, cache
        self.tokenizer_mark = "tokenizer"


def test_rows_of_text_for_each_row_of_the_tasks(tokenizer, tmp_path, monkeypatch):
    """In proportion to the rows that an epoch visits, new ones in the next epoch, cached."""
    from xfer_utils.study.jobs import IntermediateJob

    asked, lines = [], {"en": ["the day was so"] * 50, "qaa": ["and then a bit"] * 50}

    def sample(source, most, codes):
        asked.append((most, codes))
        return {code: lines[code] for code in codes}, {}

    monkeypatch.setattr(pretraining, "sample_text", sample)
    data, about = Held(tokenizer, tmp_path), {"run_dir": "r", "encoder_dir": "e", "source": "toy"}
    text = {"rate": 1.5, "lines_per_language": 50, "batch_size": 8}
    job = IntermediateJob(**about, tasks=["mnli"], text=text, epochs=2)
    rows = alongside.text_rows(data, job, [made_up([4] * 20)])
    assert (rows.format, len(rows), rows.visits, rows.batch_size) == ("mlm", 60, 30, 8)
    again = alongside.text_rows(data, job, [made_up([4] * 20)])
    assert np.array_equal(rows.arrays["ids"], again.arrays["ids"])
    assert asked == [(50, ["en", "qaa"])], "read once"
    words = {tuple(part.slice("ids", 0)) for part in _parts(data, lines)}
    assert {tuple(rows.slice("ids", n)) for n in range(60)} == words
    english = job.model_copy(update={"text": replace_languages(job.text), "tasks": []})
    alone = alongside.text_rows(data, english, [])
    assert len(alone) == 50 and alone.visits == 0


def replace_languages(text):
    return text.model_copy(update={"languages": ["en"]})


def _parts(data: Held, lines: dict) -> list[Features]:
    return [features.of_text(part, data.tokenizer, 256) for part in lines.values()]
