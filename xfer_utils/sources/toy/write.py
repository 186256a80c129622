"""Writes a toy world to a folder: every task in its hub schema, text, and languages.csv."""

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xfer_utils.sources.toy import pairs, prose, questions, rows
from xfer_utils.sources.toy.grammar import Clause
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.meaning import Draw, Universe
from xfer_utils.sources.toy.world import Sizes, World
from xfer_utils.study.settings_file import SettingsError

Item = Any
Maker = Callable[[Draw], Iterable[Item]]
# Tasks that could draw the same item, from the same pool of events.
GROUPS = dict.fromkeys(("ccg", "udpos", "panx"), "tagging")
GROUPS |= dict.fromkeys(("xquad", "mlqa", "tydiqa"), "spans")
COPA = ("effect", "cause")
CANDIDATES = "candidates"  # in place of a language: what Mewsli-X's mentions are looked for among
DEV = "intermediate_dev"
ATTEMPTS = 60  # draws for every item wanted, before a world counts as too small
ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])


class Writer:
    """Draws the items of each task once and writes them in as many languages as the task has."""

    def __init__(self, world: World, folder: Path):
        self.world, self.folder, self.sizes = world, folder, world.rows()
        self.universe = Universe(world)
        self.lexicons = {dials.code: Lexicon(world, dials) for dials in world.tongues()}
        self._drawn: dict[str, set[Item]] = defaultdict(set)

    def draw(self, task: str, split: str, count: int, maker: Maker, pool: str) -> list[Item]:
        """`count` different items, none of them drawn before for its group of tasks."""
        draw = Draw.of(self.universe, pool, f"{self.world.seed}/{task}/{split}")
        seen = self._drawn[GROUPS.get(task, task)]
        items: list[Item] = []
        for _ in range(count * ATTEMPTS):
            for item in maker(draw):
                key = item.meaning() if isinstance(item, questions.Choice) else item
                if key not in seen:
                    seen.add(key)
                    items.append(item)
            if len(items) >= count:
                return items[:count]
        problem = f"{task} {split} has only {len(items)} of {count} different items"
        raise SettingsError(f"toy world: {problem}; ask for fewer rows in `world: {{sizes: }}`")

    def put(self, task: str, name: str, records: list[dict[str, Any]]) -> None:
        """One file `<task>/<name>.parquet`."""
        path = self.folder / task / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, records)

    def speak(self, task: str, split: str, items: list[Item], codes: Iterable[str] = ()) -> None:
        """The same items in some languages, or in all of them."""
        for number, (code, lexicon) in enumerate(self.lexicons.items()):
            if not codes or code in codes:
                # MLQA leaves a fifth of the items untranslated, as the real one does.
                gaps = task == "mlqa" and code != "en"
                chosen = [(n, item) for n, item in enumerate(items) if not gaps or (n + number) % 5]
                records = [rows.row(task, lexicon, split, n, item) for n, item in chosen]
                self.put(task, f"{code}.{split}", records)


def _write(path: Path, records: list[dict[str, Any]]) -> None:
    schema = None
    if "answers" in records[0]:  # where all lists are empty, they do not show their type
        schema = pa.schema(dict.fromkeys(records[0], pa.string()) | {"answers": ANSWERS})
    pq.write_table(pa.Table.from_pylist(records, schema), path)


def single(make: Callable[..., Item | None], *settings: Any) -> Maker:
    """A maker from a function that draws one item, or none."""
    return lambda draw: filter(None, [make(draw, *settings)])


EVENT = single(Draw.event, 0.5, 0.6, 0.3)
MENTION = single(questions.mention)
TYDIQA = partial(questions.spans, which=0.6)


def write_world(world: World, folder: Path) -> None:
    """Write all tasks, texts and `languages.csv`; the same world gives the same bytes."""
    w = Writer(world, Path(folder))
    for task, split, items in _intermediate(w):
        w.speak(task, split, items, ["en"])
    _parallel(w)
    (w.folder / "text").mkdir(exist_ok=True)
    for code, lexicon in w.lexicons.items():
        items = w.draw("tydiqa", f"validation/{code}", w.sizes.target_dev, TYDIQA, "target_dev")
        w.speak("tydiqa", "validation", items, [code])
        lines = prose.lines(world, w.universe, lexicon, w.lexicons["en"])
        (w.folder / "text" / f"{code}.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
        if code != "en":
            items = w.draw(f"tatoeba/{code}", "test", w.sizes.target_dev, EVENT, "target_dev")
            records = [
                {"source_sentence": rows.text(lexicon, item)}
                | {"target_sentence": rows.text(w.lexicons["en"], item)}
                | {"source_lang": code, "target_lang": "en"}
                for item in items
            ]
            w.put("tatoeba", f"{code}.test", records)
            _comparable_corpora(w, code)
    table = [dials.features(world.text_lines(dials)) for dials in world.tongues()]
    pd.DataFrame(table).to_csv(w.folder / "languages.csv", index=False)


def intermediate(sizes: Sizes) -> list[tuple[str, str, str, int, int, Maker]]:
    """The intermediate tasks: one training and one development set each, ANLI in three rounds."""
    many, fewer, dev = sizes.intermediate_train, sizes.choice_train, sizes.intermediate_dev
    third, few = many // 3, max(8, dev // 3)
    return [
        ("snli", "train", "validation", many, dev, single(pairs.inference, 0.0)),
        ("mnli", "train", "validation_matched", many, dev, single(pairs.inference, 0.25)),
        ("anli", "train_r1", "dev_r1", third, few, single(pairs.adversarial, 1)),
        ("anli", "train_r2", "dev_r2", third, few, single(pairs.adversarial, 2)),
        ("anli", "train_r3", "dev_r3", third, few, single(pairs.adversarial, 2)),
        ("qqp", "train", "validation", many, dev, single(pairs.duplicate)),
        ("squad", "train", "validation", many, dev, questions.spans),
        ("squad_v2", "train", "validation", many, dev, partial(questions.spans, unanswerable=0.4)),
        ("hellaswag", "train", "validation", fewer, dev, single(questions.continuation)),
        ("cosmos_qa", "train", "validation", fewer, dev, single(questions.inferred)),
        ("commonsense_qa", "train", "validation", fewer, dev, single(questions.commonsense)),
        ("ccg", "train", "validation", fewer, dev, single(prose.varied)),
    ]


def later(sizes: Sizes) -> dict[str, list[tuple[str, int, Maker, str]]]:
    """Sets that no file of a world has, written when they are first read: split, rows, maker, pool.

    Inference of a set depth, and what XTREME-R adds to the nine targets.
    """
    train, dev = sizes.intermediate_train, sizes.intermediate_dev
    makers = {f"steps_{n}": single(pairs.rewritten, n) for n in (1, 2, 3)}
    choices = {
        "copa": single(questions.sequel, 2, COPA),
        "social_i_qa": single(questions.sequel, 3),
    }
    sizes_of = dict.fromkeys(makers, train) | dict.fromkeys(choices, sizes.choice_train)
    sets = {
        task: [("train", sizes_of[task], maker, "train"), ("validation", dev, maker, DEV)]
        for task, maker in {**makers, **choices}.items()
    }
    sets["mewslix_pairs"] = [
        ("train", sizes.choice_train, MENTION, "train"), ("pairs_validation", dev, MENTION, DEV)
    ]  # fmt: skip
    for task, maker in (("xcopa", choices["copa"]), ("mewslix", MENTION)):
        own = {"validation": sizes.target_dev, "test": sizes.target_test}
        pools = ("target_dev", "target_test")
        sets[task] = [(*s, maker, pool) for s, pool in zip(own.items(), pools, strict=True)]
    return sets | {"lareqa": [("validation", sizes.target_dev, questions.spans, "target_dev")]}


def _intermediate(w: Writer, only: str = "") -> Iterator[tuple[str, str, list[Item]]]:
    """Task, split and items of each intermediate set, or of one task's sets, one after another."""
    for task, train, validation, train_rows, dev_rows, maker in intermediate(w.sizes):
        if not only or task == only:
            yield task, train, w.draw(task, train, train_rows, maker, "train")
            yield task, validation, w.draw(task, validation, dev_rows, maker, DEV)
    drawn = "xquad" if only == "lareqa" else only  # LAReQA's questions are XQuAD's
    for split, count, maker, pool in later(w.sizes).get(only, ()):
        yield drawn, split, w.draw(drawn, split, count, maker, pool)


def translate(world: World, task: str, split: str, code: str, path: Path) -> None:
    """Write a set that comes late, or one of an intermediate task in another language.

    CANDIDATES are all that can be mentioned, described in one language each, in turn.
    """
    w = Writer(world, path.parent)
    if code == CANDIDATES:
        entities = dict.fromkeys(noun for noun, _ in w.universe.facts)
        spoken = zip(entities, itertools.cycle(w.lexicons.values()), strict=False)
        records = [
            {"entity_id": entity, "description": rows.described(lexicon, w.universe, entity)}
            for entity, lexicon in spoken
        ]
        return _write(path, records)
    drawn, items = next(sets[::2] for sets in _intermediate(w, task) if sets[1] == split)
    lexicon = w.lexicons[code]
    records = [rows.row(drawn, lexicon, split, n, item) for n, item in enumerate(items)]
    if task == "mewslix_pairs":
        about = partial(rows.described, lexicon, w.universe)
        records = [{"mention": r["mention"], "entity": about(r["entity_id"])} for r in records]
    _write(path, records)


def _parallel(w: Writer) -> None:
    """Target tasks with their English training sets; XQuAD has no test set, TyDiQA comes later."""
    sizes = w.sizes
    for task, train_rows, maker in (
        ("xnli", 0, single(pairs.inference, 0.25)),
        ("pawsx", sizes.pawsx_train, single(pairs.paraphrase)),
        ("udpos", sizes.tagging_train, single(prose.varied)),
        ("panx", sizes.tagging_train, single(prose.named)),
        ("xquad", 0, questions.spans),
        ("mlqa", 0, questions.spans),
        ("tydiqa", sizes.tydiqa_train, TYDIQA),
    ):
        draw, speak = partial(w.draw, task), partial(w.speak, task)
        if train_rows:
            speak("train", draw("train", train_rows, maker, "train"), ["en"])
        if task != "tydiqa":
            speak("validation", draw("validation", sizes.target_dev, maker, "target_dev"))
        if task not in ("tydiqa", "xquad"):
            speak("test", draw("test", sizes.target_test, maker, "target_test"))


def _comparable_corpora(w: Writer, code: str) -> None:
    """BUCC: two pools of sentences, a third of each with its translation in the other."""
    size, shared = w.sizes.bucc_pool, w.sizes.bucc_pool // 3
    for split, pool in (("validation", "target_dev"), ("test", "target_test")):
        count = 2 * size - shared
        items = w.draw(f"bucc2018/{code}", split, count, EVENT, pool)
        own, english = items[:size], items[:shared] + items[size:]
        sources = _corpus(w, f"{code}-en.{code}.{split}", w.lexicons[code], own)
        targets = _corpus(w, f"{code}-en.en.{split}", w.lexicons["en"], english)
        gold = [{"source_id": sources[n], "target_id": targets[n]} for n in range(shared)]
        w.put("bucc2018", f"{code}-en.gold.{split}", gold)


def _corpus(w: Writer, name: str, lexicon: Lexicon, items: list[Clause]) -> list[str]:
    """Writes one side of two comparable corpora, in an order of its own; gives the items' ids."""
    order = random.Random(f"{w.world.seed}/{name}/order").sample(range(len(items)), len(items))
    ids = [f"{lexicon.language.code}-{place:06d}" for place in order]
    sentences = {id: rows.text(lexicon, item) for id, item in zip(ids, items, strict=True)}
    w.put("bucc2018", name, [{"id": id, "sentence": sentences[id]} for id in sorted(ids)])
    return ids
