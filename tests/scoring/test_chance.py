"""Chance: counted where answers are equally likely, else what guesses score."""

import random

import pytest
from conftest import dataset

from xfer_utils.scoring import evaluation
from xfer_utils.study.tasks import task


def chance(name: str, rows: list[dict], language: str = "en", names: list[str] | None = None):
    row = task(name)
    return evaluation.chance(row, dataset(rows)[:], names or list(row.labels), language)


@pytest.mark.parametrize(("name", "wanted"), [("xnli", 100 / 3), ("hellaswag", 25)])
def test_labels_and_choices_are_equally_likely(name, wanted):
    assert chance(name, [{"label": 0}]) == pytest.approx(wanted)


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
    assert chance("xquad", rows) == pytest.approx(5, abs=3), "one word of 20: EM = F1 = 1/20"
    answers = {"text": ["中国"], "answer_start": [0]}
    assert chance("mlqa", [{"context": "中国", "answers": answers}] * 3, "zh") == 100
