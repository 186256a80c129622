"""Nothing leaks in the toy world: no meaning in two splits, no label that word counts tell."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import hstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from test_toy_reader import Reader

from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.world import Sizes, World
from xfer_utils.sources.toy.write import write_world

SIZES = Sizes(
    intermediate_train=2000, intermediate_dev=400, pawsx_train=1500, target_dev=200,
    target_test=100,
    tydiqa_train=200, bucc_pool=60, text_lines=200, choice_train=1500, tagging_train=800,
)  # fmt: skip
WORLD = World(seed=3, family="tiny", sizes=SIZES)
DEV = {"mnli": "validation_matched", "anli": "dev_r1"}
TEXTS = {
    "snli": ("premise", "hypothesis"), "mnli": ("premise", "hypothesis"),
    "xnli": ("premise", "hypothesis"),
    "anli": ("premise", "hypothesis"), "qqp": ("question1", "question2"),
    "pawsx": ("sentence1", "sentence2"),
    "squad": ("context",), "squad_v2": ("context",), "xquad": ("context",), "mlqa": ("context",),
    "tydiqa": ("context",), "hellaswag": ("ctx_a",), "cosmos_qa": ("context",),
    "tatoeba": ("target_sentence",),
}  # fmt: skip
SPLITS = {
    "train": [
        "snli/en.train", "mnli/en.train", "anli/en.train_r1", "anli/en.train_r3", "qqp/en.train",
        "pawsx/en.train",
        "squad/en.train", "squad_v2/en.train", "tydiqa/en.train", "hellaswag/en.train",
        "cosmos_qa/en.train",
    ],
    "intermediate dev": [
        "snli/en.validation", "mnli/en.validation_matched", "anli/en.dev_r1", "qqp/en.validation",
        "squad/en.validation", "squad_v2/en.validation", "hellaswag/en.validation",
        "cosmos_qa/en.validation",
    ],
    "target dev": [
        "xnli/en.validation", "pawsx/en.validation", "xquad/en.validation", "mlqa/en.validation",
        "tydiqa/en.validation", "tatoeba/qaa.test",
    ],
    "target test": ["xnli/en.test", "pawsx/en.test", "mlqa/en.test"],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("leaks")
    write_world(WORLD, path)
    return path


def read(folder: Path, task: str, split: str, code: str = "en") -> pd.DataFrame:
    return pd.read_parquet(folder / task / f"{code}.{split}.parquet")


def cores(reader: Reader, folder: Path, name: str) -> set[tuple[str, str, str]]:
    """Who did what to whom in the texts of a file's items (the races of ANLI aside)."""
    rows = pd.read_parquet(folder / f"{name}.parquet")
    columns = TEXTS[name.split("/")[0]]
    if columns[0] == "premise":  # the hypothesis is drawn first; a premise may speak of kinds only
        columns = ("premise",)
    told = (m for column in columns for text in rows[column] for m in reader.sentences(text))
    found = {m.core() for m in told if m.asked not in ("subject", "object")}
    kinds = {"person", "animal", "food", "tool", "vehicle"}
    return {
        core for core in found if core[1] not in ("outran", "trailed") and not kinds & set(core)
    }


def test_no_event_is_in_two_splits(folder: Path) -> None:
    """Neither between a task's splits, nor between training or phase 2 and any target's test."""
    reader = Reader(Lexicon(WORLD, WORLD.tongues()[0]))
    events = {
        split: set().union(*(cores(reader, folder, n) for n in names))
        for split, names in SPLITS.items()
    }
    assert all(len(found) > 50 for found in events.values())
    splits = list(events)
    for i, one in enumerate(splits):
        for other in splits[i + 1 :]:
            assert not events[one] & events[other], (
                one,
                other,
                sorted(events[one] & events[other])[:3],
            )


def test_items_of_every_task_differ_between_splits(folder: Path) -> None:
    for task, columns, splits in (
        ("udpos", ["tokens"], ("train", "validation", "test")),
        ("panx", ["tokens"], ("train", "validation", "test")),
        ("ccg", ["tokens"], ("train", "validation")),
        ("commonsense_qa", ["question", "choices"], ("train", "validation")),
    ):  # fmt: skip
        seen = [
            {str(row) for row in read(folder, task, s)[columns].to_numpy().tolist()} for s in splits
        ]
        for i, one in enumerate(seen):
            for other in seen[i + 1 :]:
                assert not one & other, task
    supertagged = {
        tuple(tokens)
        for split in ("train", "validation")
        for tokens in read(folder, "ccg", split).tokens
    }
    for split in ("validation", "test"):
        assert not supertagged & {tuple(tokens) for tokens in read(folder, "udpos", split).tokens}


def test_pretraining_text_has_no_event_of_a_test(folder: Path) -> None:
    reader = Reader(Lexicon(WORLD, WORLD.tongues()[0]))
    tested = set().union(*(cores(reader, folder, name) for name in SPLITS["target test"]))
    lines, met = (folder / "text" / "en.txt").read_text(encoding="utf-8").splitlines(), 0
    for line in lines:
        if {"with", "near", "behind"} & set(line.split()):  # the reader takes them for arguments
            continue
        try:
            events = {one.core() for one in reader.sentences(line.replace("then ", ""))}
        except (AssertionError, KeyError):  # names, relative clauses and the like
            continue
        met += 1
        assert not events & tested, line
    assert met > len(lines) / 2


def fitted(
    train: list[list[str]], labels: np.ndarray, test: list[list[str]], gold: np.ndarray
) -> float:
    """Accuracy (in %) of a logistic regression on words and pairs of words of some columns."""
    bags = [
        CountVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", binary=True).fit(column)
        for column in train
    ]
    both = [
        hstack([bag.transform(column) for bag, column in zip(bags, columns, strict=True)])
        for columns in (train, test)
    ]
    return 100 * LogisticRegression(C=0.1, max_iter=300).fit(both[0], labels).score(both[1], gold)


@pytest.mark.parametrize(
    ("train", "test", "second_only", "chance", "margin"),
    [
        ("snli/train", "snli/validation", True, 33, 9),
        ("snli/train", "snli/validation", False, 33, 14),
        ("mnli/train", "xnli/validation", True, 33, 10),
        ("mnli/train", "xnli/validation", False, 33, 14),
        ("qqp/train", "qqp/validation", True, 50, 8), ("qqp/train", "qqp/validation", False, 50, 8),
        ("pawsx/train", "pawsx/validation", True, 50, 9),
        ("pawsx/train", "pawsx/validation", False, 50, 9),
    ],
)  # fmt: skip
def test_words_alone_tell_little_about_pairs(
    folder: Path, train: str, test: str, second_only: bool, chance: float, margin: float
) -> None:
    rows = [read(folder, *name.split("/")) for name in (train, test)]
    names = [name.split("/")[0] for name in (train, test)]
    texts = [[list(r[c]) for c in TEXTS[n][second_only:]] for r, n in zip(rows, names, strict=True)]
    found = fitted(texts[0], rows[0].label.to_numpy(), texts[1], rows[1].label.to_numpy())
    assert found < chance + margin, f"{train}: {found:.1f}%"


def options(task: str, row) -> tuple[str, list[str], int]:
    if task == "hellaswag":
        return row.ctx, list(row.endings), int(row.label)
    if task == "cosmos_qa":
        return (
            row.context + row.question,
            [row.answer0, row.answer1, row.answer2, row.answer3],
            row.label,
        )
    return row.question, list(row.choices["text"]), "ABCDE".index(row.answerKey)


@pytest.mark.parametrize(
    ("task", "chance", "margin"),
    [("hellaswag", 25, 8), ("cosmos_qa", 25, 12), ("commonsense_qa", 20, 12)],
)
def test_options_alone_tell_little(folder: Path, task: str, chance: float, margin: float) -> None:
    flat = {
        split: [options(task, row) for row in read(folder, task, split).itertuples()]
        for split in ("train", "validation")
    }
    bag = CountVectorizer(token_pattern=r"\S+", binary=True)
    train = [
        (option, i == label)
        for _, choices, label in flat["train"]
        for i, option in enumerate(choices)
    ]
    model = LogisticRegression(C=0.1, max_iter=300).fit(
        bag.fit_transform([o for o, _ in train]), [y for _, y in train]
    )
    right = [
        int(np.argmax(model.predict_proba(bag.transform(choices))[:, 1])) == label
        for _, choices, label in flat["validation"]
    ]
    assert 100 * np.mean(right) < chance + margin, f"{task}: {100 * np.mean(right):.1f}%"


@pytest.mark.parametrize(
    ("task", "column", "most"),
    [("udpos", "upos", 93), ("panx", "ner_tags", 90), ("ccg", "supertags", 92)],
)
def test_words_alone_do_not_tell_tags(folder: Path, task: str, column: str, most: float) -> None:
    """The most frequent tag of each word is wrong often enough."""
    train, test = read(folder, task, "train"), read(folder, task, "validation")
    pairs = pd.DataFrame(
        {"word": np.concatenate(train.tokens), "tag": np.concatenate(train[column])}
    )
    usual = pairs.groupby("word").tag.agg(lambda tags: tags.mode()[0])
    words, gold = np.concatenate(test.tokens), np.concatenate(test[column])
    guessed = np.array([usual.get(word, gold[0]) for word in words])
    assert 100 * np.mean(guessed == gold) < most, f"{100 * np.mean(guessed == gold):.1f}%"
