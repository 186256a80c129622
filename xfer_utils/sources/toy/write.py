"""Writes a toy world to a folder: every task in its hub schema, the text, and the table of languages."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xfer_utils.sources.toy import pairs, questions, rows, tagging
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.meaning import Universe
from xfer_utils.sources.toy.prose import Prose
from xfer_utils.sources.toy.world import World

Item = Any
Draw = Callable[[random.Random, str], Iterator[Item]]


class Writer:
    """Draws the items of each task once and writes them in as many languages as the task has."""

    def __init__(self, world: World, folder: Path):
        self.world, self.folder, self.sizes = world, folder, world.rows()
        self.universe, self.names = Universe(world), tagging.Names(world.seed)
        self.lexicons = {one.code: Lexicon(world, one) for one in world.tongues()}
        self.english = self.lexicons["en"]
        self._drawn: dict[str, set[Item]] = {}

    def draw(self, task: str, split: str, count: int, maker: Draw, pool: str, group: str = "") -> list[Item]:
        """`count` different items; an item of one split (or of another task of the group) never comes again."""
        rng = random.Random(f"{self.world.seed}/{task}/{split}")
        seen = self._drawn.setdefault(group or task, set())
        items: list[Item] = []
        for _ in range(count * 60):
            for item in maker(rng, pool):
                key = rows.meaning(item)
                if key not in seen:
                    seen.add(key)
                    items.append(item)
            if len(items) >= count:
                return items[:count]
        raise ValueError(
            f"toy world: {task} {split} has only {len(items)} of {count} different items; "
            "ask for fewer rows or a larger vocabulary"
        )

    def put(self, task: str, name: str, records: list[dict[str, Any]], schema: str = "") -> None:
        """One file `<task>/<name>.parquet`."""
        path = self.folder / task / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(records, schema=rows.SCHEMAS[schema or task]), path)

    def spoken(self, task: str, split: str, items: list[Item], row: Callable, everywhere: bool = False) -> None:
        """The same items in English, or in every language."""
        for code, lexicon in self.lexicons.items():
            if everywhere or code == "en":
                self.put(task, f"{code}.{split}", [row(lexicon, i, item) for i, item in enumerate(items)])


def write_world(world: World, folder: Path) -> None:
    """Write all tasks, texts and `languages.csv` of a world; the same world gives the same bytes."""
    folder = Path(folder)
    writer = Writer(world, folder)
    for write in (_inference, _question_pairs, _paraphrases, _spans, _tydiqa, _choices, _tagging, _retrieval, _text):
        write(writer)
    table = [one.features(world.text_lines(one)) for one in world.tongues()]
    pd.DataFrame(table).to_csv(folder / "languages.csv", index=False)


def _inference(w: Writer) -> None:
    sizes, depth = w.sizes, w.world.nli_depth

    def maker(hard: float) -> Draw:
        return lambda rng, pool: iter([pairs.inference(w.universe, rng, pool, hard)])

    def adversarial(deep: int) -> Draw:
        def draw(rng: random.Random, pool: str) -> Iterator[pairs.Pair]:
            chained = rng.random() < 0.5
            yield pairs.chain(w.universe, rng, deep) if chained else pairs.inference(w.universe, rng, pool, 0.6)

        return draw

    for task, hard, dev in (("snli", 0.0, "validation"), ("mnli", 0.25, "validation_matched")):
        for split, count, pool in (
            ("train", sizes.intermediate_train, "train"),
            (dev, sizes.intermediate_dev, "intermediate_dev"),
        ):
            items = w.draw(task, split, count, maker(hard), pool)
            w.spoken(task, split, items, rows.nli)
    for number, deep in enumerate(sorted((1, (1 + depth + 1) // 2, depth)), 1):
        for split, count, pool in (
            ("train", sizes.intermediate_train // 3, "train"),
            ("dev", max(8, sizes.intermediate_dev // 3), "intermediate_dev"),
        ):
            items = w.draw("anli", f"{split}_r{number}", count, adversarial(deep), pool)
            w.spoken("anli", f"{split}_r{number}", items, rows.nli)
    for split, count, pool in (
        ("validation", sizes.target_dev, "target_dev"),
        ("test", sizes.target_test, "target_test"),
    ):
        w.spoken("xnli", split, w.draw("xnli", split, count, maker(0.25), pool), rows.nli, everywhere=True)


def _question_pairs(w: Writer) -> None:
    def maker(rng: random.Random, pool: str) -> Iterator[pairs.Pair]:
        return iter([pairs.duplicate(w.universe, rng, pool)])

    train, dev = w.sizes.intermediate_train, w.sizes.intermediate_dev
    for split, count, pool in (("train", train, "train"), ("validation", dev, "intermediate_dev")):
        w.spoken("qqp", split, w.draw("qqp", split, count, maker, pool), rows.qqp)


def _target_splits(w: Writer) -> tuple[tuple[str, int, str], ...]:
    sizes = w.sizes
    return (
        ("train", sizes.target_train, "train"),
        ("validation", sizes.target_dev, "target_dev"),
        ("test", sizes.target_test, "target_test"),
    )


def _paraphrases(w: Writer) -> None:
    def maker(rng: random.Random, pool: str) -> Iterator[pairs.Pair]:
        return iter([pairs.paraphrase(w.universe, rng, pool)])

    for split, count, pool in _target_splits(w):
        items = w.draw("pawsx", split, count, maker, pool)
        w.spoken("pawsx", split, items, rows.pawsx, everywhere=split != "train")


def _spans(w: Writer) -> None:
    def maker(unanswerable: float) -> Draw:
        return lambda rng, pool: questions.spans(w.universe, rng, pool, 2, unanswerable)

    sizes = w.sizes
    for task, unanswerable in (("squad", 0.0), ("squad_v2", 0.4)):
        for split, count, pool in (
            ("train", sizes.intermediate_train, "train"),
            ("validation", sizes.intermediate_dev, "intermediate_dev"),
        ):
            items = w.draw(task, split, count, maker(unanswerable), pool)
            w.spoken(task, split, items, rows.span(f"{task}-{split}", titled=True))
    for task, split, count, pool in (
        ("xquad", "validation", sizes.target_dev, "target_dev"),
        ("mlqa", "validation", sizes.target_dev, "target_dev"),
        ("mlqa", "test", sizes.target_test, "target_test"),
    ):
        items = w.draw(task, split, count, maker(0.0), pool, group="xquad")
        w.spoken(task, split, items, rows.span(f"{task}-{split}"), everywhere=True)


def _tydiqa(w: Writer) -> None:
    """Every language asks about events of its own."""

    def maker(rng: random.Random, pool: str) -> Iterator[questions.Span]:
        return questions.spans(w.universe, rng, pool, 2, which=0.6)

    items = w.draw("tydiqa", "train", w.sizes.tydiqa_train, maker, "train")
    w.spoken("tydiqa", "train", items, rows.span("tydiqa-train", titled=True))
    for code, lexicon in w.lexicons.items():
        items = w.draw("tydiqa", f"validation/{code}", w.sizes.target_dev, maker, "target_dev", group="xquad")
        row = rows.span(f"tydiqa-{code}", titled=True)
        w.put("tydiqa", f"{code}.validation", [row(lexicon, i, item) for i, item in enumerate(items)])


def _choices(w: Writer) -> None:
    def story(rng: random.Random, pool: str) -> Iterator[questions.Choice]:
        yield questions.continuation(w.universe, rng, pool)

    def inferred(rng: random.Random, pool: str) -> Iterator[questions.Choice]:
        if choice := questions.inferred(w.universe, rng, pool):
            yield choice

    def commonsense(rng: random.Random, pool: str) -> Iterator[tuple[str, questions.Choice]]:
        yield questions.commonsense(w.universe, rng, pool)

    train, dev = w.sizes.intermediate_train, w.sizes.intermediate_dev
    for task, maker, row in (
        ("hellaswag", story, rows.hellaswag),
        ("cosmos_qa", inferred, rows.cosmos_qa),
        ("commonsense_qa", commonsense, rows.commonsense_qa),
    ):
        for split, count, pool in (("train", train, "train"), ("validation", dev, "intermediate_dev")):
            w.spoken(task, split, w.draw(task, split, count, maker, pool), row)


def _tagging(w: Writer) -> None:
    def varied(rng: random.Random, pool: str) -> Iterator[Item]:
        yield tagging.varied(w.universe, rng, pool, w.world.constructions)

    def named(rng: random.Random, pool: str) -> Iterator[Item]:
        yield tagging.named(w.universe, rng, w.names)

    for task, maker, row in (("udpos", varied, rows.udpos), ("panx", named, rows.panx)):
        for split, count, pool in _target_splits(w):
            items = w.draw(task, split, count, maker, pool, group="tagging")
            w.spoken(task, split, items, row, everywhere=split != "train")
    train, dev = w.sizes.intermediate_train, w.sizes.intermediate_dev
    for split, count, pool in (("train", train, "train"), ("validation", dev, "intermediate_dev")):
        w.spoken("ccg", split, w.draw("ccg", split, count, varied, pool, group="tagging"), rows.ccg)


def _retrieval(w: Writer) -> None:
    """Parallel sentences, and for each language two comparable corpora that share a third of their sentences."""
    items = w.draw("tatoeba", "test", w.sizes.target_dev, _maker_of_events(w), "target_dev")
    for code, lexicon in w.lexicons.items():
        if code == "en":
            continue
        parallel = [rows.tatoeba(lexicon, w.english, item) for item in items]
        w.put("tatoeba", f"{code}.test", parallel)
        for split, pool in (("validation", "target_dev"), ("test", "target_test")):
            _corpora(w, lexicon, split, pool)


def _maker_of_events(w: Writer) -> Draw:
    def maker(rng: random.Random, pool: str) -> Iterator[Item]:
        yield rows.plain(w.universe.event(rng, pool, 0.5, 0.6, 0.3))

    return maker


def _corpora(w: Writer, lexicon: Lexicon, split: str, pool: str) -> None:
    code, size = lexicon.language.code, w.sizes.bucc_pool
    drawn = w.draw(f"bucc2018/{code}", split, 2 * size - size // 3, _maker_of_events(w), pool)
    rng = random.Random(f"{w.world.seed}/{code}/{split}/order")
    own, english = drawn[:size], drawn[:size // 3] + drawn[size:]
    gold = []
    for side, items, speaker in ((code, own, lexicon), ("en", english, w.english)):
        order = rng.sample(range(size), size)
        texts = [{"id": f"{side}-{n:06d}", "sentence": rows.said(speaker, items[i])} for n, i in enumerate(order)]
        w.put("bucc2018", f"{code}-en.{side}.{split}", texts)
        gold.append({i: f"{side}-{n:06d}" for n, i in enumerate(order)})
    pairs_ = [{"source_id": gold[0][i], "target_id": gold[1][i]} for i in range(size // 3)]
    w.put("bucc2018", f"{code}-en.gold.{split}", pairs_, "bucc2018.gold")


def _text(w: Writer) -> None:
    prose = Prose(w.world, w.universe, w.names)
    folder = w.folder / "text"
    folder.mkdir(parents=True, exist_ok=True)
    for code, lexicon in w.lexicons.items():
        lines = prose.lines(lexicon, w.english, w.world.text_lines(lexicon.language))
        (folder / f"{code}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
