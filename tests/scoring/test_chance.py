"""Chance: counted where answers are equally likely, else what guesses score on average."""

import random

import pytest
from conftest import dataset

from xfer_utils.scoring import evaluation
from xfer_utils.study.tasks import task


def chance(name: str, rows: list[dict], language: str = "en", names: list[str] | None = None):
    row = task(name)
    return evaluation.chance(row, dataset(rows)[:], names or list(row.labels), language)


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    """Chance levels are kept; these are kept nowhere."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))


def test_chance_of_classes_is_that_of_the_commonest():
    """Someone who always says "different" is right in 55% of PAWS-X, and has learnt nothing."""
    rows = [{"label": label} for label in [0] * 11 + [1] * 9]
    assert chance("pawsx", rows) == pytest.approx(55)
    assert chance("xcopa", rows) == pytest.approx(55)
    assert chance("xnli", [{"label": label} for label in (0, 1, 2)]) == pytest.approx(100 / 3)


def test_chance_is_guessed_once_for_the_same_rows(tmp_path):
    rows = [{"tags": [0, 1, 0, 3]}, {"tags": [0]}]
    first = chance("panx", rows)
    (file,) = tmp_path.glob("cache/chance/*.txt")
    stored = file.stat().st_mtime_ns
    assert chance("panx", rows) == first and file.stat().st_mtime_ns == stored
    chance("panx", [*rows, {"tags": [1]}])
    assert len(list(tmp_path.glob("cache/chance/*.txt"))) == 2, "other rows, another level"


def test_a_pool_has_as_many_answers_as_target_sentences():
    pool = [{"side": "target"}] * 50 + [{"side": "source"}] * 10
    assert chance("tatoeba", pool) == 2


def test_a_pair_is_ranked_among_all_passages():
    rows = [{"passage": str(n), "context": ""} for n in range(5)]
    expected = 20 * (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5)
    assert chance("mewslix_pairs", rows) == pytest.approx(expected)


def test_tags_by_accuracy_are_guessed_as_the_commonest_one():
    rows = [{"tags": [0, 0, 1, -100]}, {"tags": [0]}]
    assert chance("ccg", rows, names=["N", "NP"]) == 75


def test_tags_by_f1_are_the_gold_ones_shuffled():
    ones = [{"tags": [7, 7]}, {"tags": [7]}]
    assert chance("udpos", ones) == 100, "one tag only: shuffling changes nothing"
    draw = random.Random(1)
    rows = [{"tags": [draw.choice([0, 0, 0, 0, 1, 3, 5]) for _ in range(10)]} for _ in range(300)]
    assert 5 < chance("panx", rows) < 25, "1 in 7 tokens begins each type"


def test_answers_are_random_spans_as_long_as_answers_are():
    draw, words = random.Random(1), [f"w{i}" for i in range(20)]
    rows = [
        {"context": " ".join(words), "answers": {"text": [draw.choice(words)], "answer_start": [0]}}
        for _ in range(400)
    ]
    assert chance("xquad", rows) == pytest.approx(5, abs=0.8), "one word of 20: EM = F1 = 1/20"
    answers = {"text": ["中国"], "answer_start": [0]}
    assert chance("mlqa", [{"context": "中国", "answers": answers}] * 3, "zh") == 100
