"""Writes a toy world to a folder: every task in its hub schema, the text, and the table of languages."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xfer_utils.sources.toy import pairs, questions, rows, tagging
from xfer_utils.sources.toy.grammar import Utterance
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.meaning import Universe
from xfer_utils.sources.toy.prose import Prose
from xfer_utils.sources.toy.world import World

Item = Any
Maker = Callable[[random.Random, str], Iterator[Item]]


class Writer:
    """Draws the items of each task once and writes them in as many languages as the task has."""

    def __init__(self, world: World, folder: Path):
        self.world, self.folder, self.sizes = world, folder, world.rows()
        self.universe, self.names = Universe(world), tagging.Names(world.seed)
        self.lexicons = {one.code: Lexicon(world, one) for one in world.tongues()}
        self._drawn: dict[str, set[Item]] = {}

    def draw(
        self, task: str, split: str, count: int, maker: Maker, pool: str, group: str = ""
    ) -> list[Item]:
        """`count` different items; what one split (or another task of the group) has drawn never comes again."""
        rng = random.Random(f"{self.world.seed}/{task}/{split}")
        seen = self._drawn.setdefault(group or task, set())
        items: list[Item] = []
        for _ in range(count * 60):
            for item in maker(rng, pool):
                if (key := rows.meaning(item)) not in seen:
                    seen.add(key)
                    items.append(item)
            if len(items) >= count:
                return items[:count]
        raise ValueError(
            f"toy world: {task} {split} has only {len(items)} of {count} different items; "
            "ask for fewer rows or a larger vocabulary"
        )

    def put(self, task: str, name: str, records: list[dict[str, Any]]) -> None:
        """One file `<task>/<name>.parquet`."""
        path = self.folder / task / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(records, schema=rows.SCHEMAS.get(task)), path)

    def spoken(
        self, task: str, split: str, items: list[Item], codes: list[str] | None = None
    ) -> None:
        """The same items in some languages, or in all; MLQA leaves a fifth of them untranslated, as the real one."""
        for number, code in enumerate(self.lexicons):
            if codes is None or code in codes:
                chosen = [
                    (i, item)
                    for i, item in enumerate(items)
                    if task != "mlqa" or code == "en" or (i + number) % 5
                ]
                self.put(
                    task,
                    f"{code}.{split}",
                    [rows.row(task, self.lexicons[code], split, *one) for one in chosen],
                )


def write_world(world: World, folder: Path) -> None:
    """Write all tasks, texts and `languages.csv` of a world; the same world gives the same bytes."""
    writer = Writer(world, Path(folder))
    _english(writer)
    _everywhere(writer)
    for code, lexicon in writer.lexicons.items():
        _of_its_own(writer, code, lexicon)
    table = [one.features(world.text_lines(one)) for one in world.tongues()]
    pd.DataFrame(table).to_csv(Path(folder) / "languages.csv", index=False)


def _one(make: Callable[..., Item | None], *arguments: Any) -> Maker:
    """A maker of single items from a function of universe, random numbers and pool."""
    universe, *rest = arguments

    def maker(rng: random.Random, pool: str) -> Iterator[Item]:
        item = make(universe, rng, pool, *rest)
        return iter([item] if item else [])

    return maker


def _spans(w: Writer, unanswerable: float = 0.0, which: float = 0.3) -> Maker:
    return lambda rng, pool: questions.spans(w.universe, rng, pool, unanswerable, which)


def _english(w: Writer) -> None:
    """The intermediate tasks: one training and one development set each, ANLI in three rounds."""
    sizes, u, depth = w.sizes, w.universe, w.world.nli_depth
    dev, rounds = sizes.intermediate_dev, sorted((1, (2 + depth) // 2, depth))
    tasks = [
        (
            "snli",
            "train",
            "validation",
            sizes.intermediate_train,
            dev,
            _one(pairs.inference, u, 0.0),
        ),
        (
            "mnli",
            "train",
            "validation_matched",
            sizes.intermediate_train,
            dev,
            _one(pairs.inference, u, 0.25),
        ),
        ("qqp", "train", "validation", sizes.intermediate_train, dev, _one(pairs.duplicate, u)),
        ("squad", "train", "validation", sizes.intermediate_train, dev, _spans(w)),
        (
            "squad_v2",
            "train",
            "validation",
            sizes.intermediate_train,
            dev,
            _spans(w, unanswerable=0.4),
        ),
        (
            "hellaswag",
            "train",
            "validation",
            sizes.choice_train,
            dev,
            _one(questions.continuation, u),
        ),
        ("cosmos_qa", "train", "validation", sizes.choice_train, dev, _one(questions.inferred, u)),
        (
            "commonsense_qa",
            "train",
            "validation",
            sizes.choice_train,
            dev,
            _one(questions.commonsense, u),
        ),
        (
            "ccg",
            "train",
            "validation",
            sizes.choice_train,
            dev,
            _one(tagging.varied, u, w.world.constructions),
        ),
    ]
    tasks += [
        (
            "anli", f"train_r{i}", f"dev_r{i}", sizes.intermediate_train // 3, max(8, dev // 3),
            _one(pairs.adversarial, u, deep),
        ) for i, deep in enumerate(rounds, 1)
    ]  # fmt: skip
    for task, *splits, train_rows, dev_rows, maker in tasks:
        group = "tagging" if task == "ccg" else ""
        for split, count, pool in zip(
            splits, (train_rows, dev_rows), ("train", "intermediate_dev"), strict=True
        ):
            w.spoken(task, split, w.draw(task, split, count, maker, pool, group), ["en"])


def _everywhere(w: Writer) -> None:
    """The target tasks whose evaluation sets are the same in all languages, and English training sets."""
    sizes, u = w.sizes, w.universe
    named = _one(tagging.named, u, w.names)
    for task, train_rows, maker, group in (
        ("xnli", 0, _one(pairs.inference, u, 0.25), ""),
        ("pawsx", sizes.pawsx_train, _one(pairs.paraphrase, u), ""),
        ("udpos", sizes.tagging_train, _one(tagging.varied, u, w.world.constructions), "tagging"),
        ("panx", sizes.tagging_train, named, "tagging"),
        ("xquad", 0, _spans(w), "spans"),
        ("mlqa", 0, _spans(w), "spans"),
        ("tydiqa", sizes.tydiqa_train, _spans(w, which=0.6), ""),
    ):
        if train_rows:
            w.spoken(
                task, "train", w.draw(task, "train", train_rows, maker, "train", group), ["en"]
            )
        if task != "tydiqa":
            w.spoken(
                task,
                "validation",
                w.draw(task, "validation", sizes.target_dev, maker, "target_dev", group),
            )
        if task not in ("tydiqa", "xquad"):
            w.spoken(
                task, "test", w.draw(task, "test", sizes.target_test, maker, "target_test", group)
            )


def _event(universe: Universe, rng: random.Random, pool: str) -> Utterance:
    return Utterance(universe.event(rng, pool, 0.5, 0.6, 0.3))


def _of_its_own(w: Writer, code: str, lexicon: Lexicon) -> None:
    """What each language has for itself: text, TyDiQA's events, parallel sentences, comparable corpora."""
    sizes, english = w.sizes, w.lexicons["en"]
    items = w.draw(
        "tydiqa",
        f"validation/{code}",
        sizes.target_dev,
        _spans(w, which=0.6),
        "target_dev",
        "spans",
    )
    w.spoken("tydiqa", "validation", items, [code])
    path = w.folder / "text" / f"{code}.txt"
    path.parent.mkdir(exist_ok=True)
    lines = Prose(w.world, w.universe, w.names).lines(
        lexicon, english, w.world.text_lines(lexicon.language)
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if code == "en":
        return
    maker, half = _one(_event, w.universe), sizes.bucc_pool // 3
    items = w.draw(f"tatoeba/{code}", "test", sizes.target_dev, maker, "target_dev")
    sides = [(rows.said(lexicon, item), rows.said(english, item)) for item in items]
    names = ("source_sentence", "target_sentence", "source_lang", "target_lang")
    w.put(
        "tatoeba",
        f"{code}.test",
        [dict(zip(names, (*side, code, "en"), strict=True)) for side in sides],
    )
    for split, pool in (("validation", "target_dev"), ("test", "target_test")):
        drawn = w.draw(f"bucc2018/{code}", split, 2 * sizes.bucc_pool - half, maker, pool)
        own, other = drawn[: sizes.bucc_pool], drawn[:half] + drawn[sizes.bucc_pool :]
        sources = _corpus(w, f"{code}-en.{code}.{split}", lexicon, own)
        targets = _corpus(w, f"{code}-en.en.{split}", english, other)
        gold = [{"source_id": sources[i], "target_id": targets[i]} for i in range(half)]
        w.put("bucc2018", f"{code}-en.gold.{split}", gold)


def _corpus(w: Writer, name: str, lexicon: Lexicon, items: list[Utterance]) -> list[str]:
    """One side of two comparable corpora, in an order of its own; gives the id of each item."""
    order = random.Random(f"{w.world.seed}/{name}/order").sample(range(len(items)), len(items))
    ids = [f"{lexicon.language.code}-{place:06d}" for place in order]
    records = sorted(
        (number, rows.said(lexicon, item)) for number, item in zip(ids, items, strict=True)
    )
    w.put("bucc2018", name, [{"id": number, "sentence": sentence} for number, sentence in records])
    return ids
