"""Training data whose answers carry nothing: the controls of intermediate training.

Rows are changed after cleaning, and after some were taken where not all are: order, inputs and
names stay, answers are new. `shuffled` permutes the task's own answers over its rows, by the seed.
`sham` lets a hash of the input decide them, in every seed and every split alike: a task of the same
form that can be learnt by heart alone. Shuffled answers are for training; a dev score is against
the true ones. A sham's dev score is against its own, so that it shows whether the sham was learnt.
Nothing that a target evaluates goes through here.
"""

import numpy as np
from datasets import Dataset

from xfer_utils.formats.base import Format, hashed
from xfer_utils.study.sections import Mixture


def wanted(mixture: Mixture, seed: int, name: str, role: str) -> list:
    """What is done to the rows of a task and role, as data; empty where it is nothing."""
    how = mixture.transform if name in mixture.tasks else ""
    if how == "shuffled":
        return [how, seed] if role == "train" else []
    return [how] if how else []


def applied(rows: Dataset, form: Format, labels: int, how: str, seed: int = 0) -> Dataset:
    """The same rows with new answers."""
    if how == "shuffled":
        answers = form.permuted(rows[:], np.random.default_rng([seed, 1]))
    else:
        inputs = [name for name in form.columns if name != form.answer]
        keys = [hashed(*(row[name] for name in inputs)) for row in rows]
        answers = [form.sham(row, key, labels) for row, key in zip(rows, keys, strict=True)]
    order, kind = rows.column_names, rows.features[form.answer]
    rows = rows.remove_columns(form.answer).add_column(form.answer, answers, feature=kind)
    return rows.select_columns(order)
