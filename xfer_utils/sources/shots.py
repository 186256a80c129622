"""Shots: a few labelled examples in the languages of a target, none near what is evaluated."""

from collections.abc import Mapping, Sequence

import numpy as np
from datasets import Dataset

from xfer_utils.formats.base import hashed
from xfer_utils.sources import leaks
from xfer_utils.sources.catalogue import Source
from xfer_utils.sources.raw import MissingData
from xfer_utils.sources.transforms import spread
from xfer_utils.study.tasks import task

SHARE = 0.4  # of the items, where one labelled set must serve as pool and test
OTHER = {"dev": "test", "test": "dev"}
Parts = dict[str, tuple[Dataset, Dataset]]


def parted(
    source: Source, name: str, role: str, languages: Sequence[str], most: int = 0
) -> tuple[str, Parts]:
    """The role that shots come from, and by language the pool of shots and the rows to evaluate.

    The pool is the other labelled split where there is one in every language. Else the first items
    are the pool, in all languages the same, and with them go their articles: what is left of these
    is in neither part. Evaluated are at most so many rows, the same of all translations.
    """
    other, articles = OTHER[role], _articles(source, name)
    if all(source.has(name, other, code) for code in languages):
        pools = {code: source.read(name, other, code) for code in languages}
        tests = {code: source.read(name, role, code) for code in languages}
    else:
        other, tables = role, {code: source.read(name, role, code) for code in languages}
        pools, tests = _split(tables)
    pools = _clean(name, pools, tests) if other != role else pools
    parts = {}
    for code in languages:
        rows = _apart(name, tests[code], pools[code], articles)
        parts[code] = (pools[code], rows.select(spread(len(rows), most or len(rows))))
    return other, parts


def bucket(pool: Dataset, k: int, number: int, name: str, per_class: bool = False) -> Dataset:
    """So many shots of a pool: the bucket of this number, in every arm, seed and run the same.

    A bucket's fewer shots are among its more. With `per_class` there are as many of each label,
    where rows have one.
    """
    order = np.random.default_rng([hashed(name), number]).permutation(len(pool))
    if len(order) < k:
        advice = "ask for fewer in `few_shot: {k: }`"
        raise MissingData(f"{name}: {k} shots of a pool of {len(order)} examples; {advice}")
    if per_class and "label" in pool.column_names:
        labels = np.asarray(pool["label"])[order]
        return pool.select(np.r_[*(order[labels == one][:k] for one in np.unique(labels))])
    return pool.select(order[:k])


def _split(tables: Mapping[str, Dataset]) -> tuple[dict[str, Dataset], dict[str, Dataset]]:
    """The first items of each language, in all languages, and the others."""
    first = {item for rows in tables.values() for item in rows["item"][: int(SHARE * len(rows))]}
    parts = []
    for inside in (True, False):
        places = {c: [(item in first) == inside for item in t["item"]] for c, t in tables.items()}
        parts.append({code: tables[code].select(np.flatnonzero(p)) for code, p in places.items()})
    return parts[0], parts[1]


def _clean(
    name: str, pools: Mapping[str, Dataset], tests: Mapping[str, Dataset]
) -> dict[str, Dataset]:
    """Pools without the items that in any language share something with what is evaluated."""
    form, gone = leaks.format_of(name), {code: set() for code in pools}
    for code, rows in pools.items():
        union = leaks.marks(form, tests[code])
        gone[code] = {row["item"] for row in rows if leaks.shared(form.marks(row), union)}
    if task(name).aligned:
        gone = dict.fromkeys(pools, set().union(*gone.values()))
    kept = {c: [item not in gone[c] for item in rows["item"]] for c, rows in pools.items()}
    return {code: rows.select(np.flatnonzero(kept[code])) for code, rows in pools.items()}


def _apart(name: str, rows: Dataset, pool: Dataset, articles: Mapping[str, str]) -> Dataset:
    """Rows that share no text, paragraph, id or article with a pool."""
    form, told = leaks.format_of(name), {articles.get(item) for item in pool["item"]} - {None}
    union = leaks.marks(form, pool)
    kept = [n for n, row in enumerate(rows) if not leaks.shared(form.marks(row), union)]
    return rows.select([n for n in kept if articles.get(rows[n]["item"]) not in told])


def _articles(source: Source, name: str) -> dict[str, str]:
    """The article of an item, where a target such as XQuAD keeps the ids of its origin alone."""
    origin = task(name).train_on
    if task(name).format != "span" or origin == name or not source.has(origin, "dev"):
        return {}
    rows = source.read(origin, "dev")
    return dict(zip(rows["item"], rows["cluster"], strict=True))
