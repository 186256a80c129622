"""What an arm does to the training data of phase 2: translations, and controls that carry nothing.

All of it is done to rows that are clean already, and to nothing that a target evaluates.
"""

from itertools import chain

import numpy as np
from datasets import Dataset

from xfer_utils.formats.base import Format, hashed
from xfer_utils.sources.raw import MissingData
from xfer_utils.study.sections import Mixture

VOCABULARY_ROWS = 1000  # rows whose words may take the place of others


def wanted(mixture: Mixture, seed: int, name: str, role: str) -> list:
    """What is done to the answers of a task and role, as data; empty where it is nothing.

    Shuffled answers are for training: a dev score is against the true ones. A sham's dev score is
    against its own, so that it shows whether the sham was learnt.
    """
    how = mixture.transform if name in mixture.tasks else ""
    if how == "shuffled":
        return [how, seed] if role == "train" else []
    return [how] if how else []


def applied(rows: Dataset, form: Format, labels: int, how: str, seed: int = 0) -> Dataset:
    """The same rows in the same order with new answers.

    `shuffled` permutes the task's own answers over its rows. `sham` lets a hash of the input decide
    them, in every seed and split alike: a task of the same form, to be learnt by heart at most.
    """
    if how == "shuffled":
        answers = form.permuted(rows[:], np.random.default_rng([seed, 1]))
    else:
        inputs = [name for name in form.columns if name != form.answer]
        keys = [hashed(*(row[name] for name in inputs)) for row in rows]
        answers = [form.sham(row, key, labels) for row, key in zip(rows, keys, strict=True)]
    return _with(rows, {form.answer: answers})


def shared_out(tables: dict[str, Dataset], most: int, items: str) -> dict[str, Dataset]:
    """Rows of one task by language, from the items that there are in all of them.

    At most `most` items: each in every language (`all`), or shared out among them (`split`).
    """
    places = [{item: n for n, item in enumerate(rows["item"])} for rows in tables.values()]
    common = [item for item in places[0] if all(item in other for other in places)]
    if not common:
        raise MissingData(f"no training item is there in all of {', '.join(tables)}")
    chosen = [common[n] for n in spread(len(common), most or len(common))]
    parts = {}
    for number, (code, place) in enumerate(zip(tables, places, strict=True)):
        own = chosen if items == "all" else chosen[number :: len(tables)]
        parts[code] = tables[code].select([place[item] for item in own])
    return parts


def corrupted(rows: Dataset, form: Format, share: float, language: str) -> Dataset:
    """Rows of a bad translation: this share of their words, parted by spaces, are other ones."""
    table, rng = rows.to_list(), np.random.default_rng(hashed(language))
    texts = chain.from_iterable(map(form.texts, table[:VOCABULARY_ROWS]))
    words = np.array([word for text in texts for word in text.split()])

    def change(text: str) -> str:
        said = text.split(" ")
        new = rng.choice(words, len(said))
        wrong = rng.random(len(said)) < share
        return " ".join(np.where(wrong & (np.array(said) != ""), new, said))

    changed = [form.reworded(row, change) for row in table]
    return _with(rows, {name: [row[name] for row in changed] for name in changed[0]})


def spread(available: int, wanted: int) -> np.ndarray:
    """`wanted` places at equal distances among the available ones, or all of them."""
    return np.linspace(0, available - 1, min(wanted, available)).round().astype(int)


def _with(rows: Dataset, columns: dict[str, list]) -> Dataset:
    """Rows with new values in some columns."""
    return Dataset.from_dict({**rows[:], **columns}, features=rows.features)
