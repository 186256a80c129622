"""Registry rows are checked by their format, in sentences that say what to write."""

import pytest

from xfer_utils.formats import base
from xfer_utils.study.tasks import Task, registry, task

LABELS = ("yes", "no")
PAIR = {"question": "q", "context": "c"}


def row(format: str, columns: dict, metric: str = "accuracy", **more) -> Task:
    known = {"name": "new", "title": "New", "role": "target", "metric": metric}
    return Task(format=format, columns=columns, **known, **more)


@pytest.mark.parametrize("name", registry())
def test_every_row_of_the_registry_fits_its_format(name):
    base.of(task(name).format).check(task(name))


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (row("sequence", {"text_a": "a", "label": "l"}), "format sequence needs `labels`"),
        (row("sequence", {"text_b": "b", "label": "l"}, labels=LABELS), "needs the column text_a"),
        (
            row("sequence", {"text_a": "a", "text_c": "c", "label": "l"}, labels=LABELS),
            "format sequence knows no column text_c; it has text_a, label, text_b, id, cluster",
        ),
        (
            row(
                "sequence", {"text_a": "a", "label": "l"}, labels=LABELS, variants=[{"text_a": "b"}]
            ),
            "needs the column label",
        ),
        (
            row("token", {"tokens": "t", "tags": "u"}),
            "format token needs `labels` or `open_labels`",
        ),
        (row("span", {"question": "q", "context": "c"}), "format span needs the column answers"),
        (
            row("choice", {"text_a": "a", "choices": "c", "label": "l"}),
            "format choice needs `choices`",
        ),
        (row("sentence", {"source": "s"}), "format sentence needs `layout`"),
        (
            row("sentence", PAIR, layout="answers"),
            "layout answers needs the columns id, question, context, answers",
        ),
        (row("pair", PAIR), "format pair needs the column passage, or context and answers"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(wrong, problem):
    with pytest.raises(ValueError) as refused:
        base.of(wrong.format).check(wrong)
    assert problem in str(refused.value)


@pytest.mark.parametrize("name", ["base", "nothing", "heads"])
def test_what_is_no_format_is_refused(name):
    with pytest.raises(ValueError, match=rf"unknown format '{name}': formats/{name}.py would have"):
        base.of(name)
