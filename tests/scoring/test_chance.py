"""The score of guessing, against hand-computed cases and full enumeration."""

import itertools
import math
import random

import numpy as np
import pytest

from xfer_utils.scoring import chance, formulas
from xfer_utils.study.tasks import task


@pytest.mark.parametrize(("n_gold", "n_pool", "k"), [(1, 5, 3), (2, 5, 3), (4, 5, 3), (3, 4, 20)])
def test_the_average_precision_of_a_random_order_against_all_orders(n_gold, n_pool, k):
    gold = set(range(n_gold))
    every = [
        formulas.average_precision(order, gold, k)
        for order in itertools.permutations(range(n_pool))
    ]
    assert formulas.random_precision(n_gold, n_pool, k) == pytest.approx(100 * np.mean(every))


def test_chance():
    assert chance.chance(task("xnli")) == pytest.approx(100 / 3)
    assert chance.chance(task("hellaswag")) == 25
    assert math.isnan(chance.chance(task("udpos")))
    rows = [{"tags": [0, 0, 1, -100]}, {"tags": [0]}]
    assert chance.majority_rate([[0, 0, 1], [0]]) == 75
    assert chance.chance(task("ccg"), rows) == 75
    ones = [{"tags": [7, 7]}, {"tags": [7]}]
    assert chance.chance(task("udpos"), ones) == 100  # one tag only: shuffling changes nothing
    pool = [{"side": "target"}] * 50 + [{"side": "source"}] * 10
    assert chance.chance(task("tatoeba"), pool) == 2


def test_chance_of_names_is_low_and_of_spans_between():
    draw = random.Random(1)
    rows = [{"tags": [draw.choice([0, 0, 0, 0, 1, 3, 5]) for _ in range(10)]} for _ in range(300)]
    assert 5 < chance.chance(task("panx"), rows) < 25  # 1 in 7 tokens begins each type
    words = [f"w{i}" for i in range(20)]
    rows = []
    for _ in range(400):
        i = draw.randrange(20)
        rows.append(
            {"context": " ".join(words), "answers": {"text": [words[i]], "answer_start": [0]}}
        )
    assert chance.chance(task("xquad"), rows) == pytest.approx(
        5, abs=3
    )  # one word of 20: EM = F1 = 1/20
    everything = [{"context": "中国", "answers": {"text": ["中国"], "answer_start": [0]}}] * 3
    assert chance.chance(task("mlqa"), everything, "zh") == 100
