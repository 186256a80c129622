"""Scores against hand-computed cases and independent implementations (seqeval, torchmetrics, scikit-learn)."""

import itertools
import math
import random
import unicodedata
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from sklearn.metrics import f1_score as sk_f1

from xfer_utils.scoring import metrics
from xfer_utils.study.tasks import task

UPOS = task("udpos").labels
IOB = task("panx").labels


def counts(gold, predicted):
    return pd.DataFrame([metrics.tag_counts(g, p) for g, p in zip(gold, predicted, strict=True)])


def tagged(labels):
    pair = st.integers(1, 8).flatmap(
        lambda n: st.tuples(*[st.lists(st.sampled_from(labels), min_size=n, max_size=n)] * 2)
    )
    return st.lists(pair, min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(tagged((*IOB, "E-PER", "S-PER", "S-LOC")))  # IOB2, and what else seqeval takes for a prefix
def test_names_as_seqeval(pairs):
    gold, predicted = [list(part) for part in zip(*pairs, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = 100 * f1_score(gold, predicted)
    assert metrics.scores("span_f1", counts(gold, predicted))["f1"] == pytest.approx(expected)


@settings(max_examples=200, deadline=None)
@given(tagged(UPOS))
def test_pos_as_seqeval_of_xtremes_time(pairs):
    """That release took the whole tag for the type; a prefix makes today's seqeval do the same."""
    gold, predicted = [list(part) for part in zip(*pairs, strict=True)]
    spelled = [[[f"{tag[0]}-{tag}" for tag in tags] for tags in side] for side in (gold, predicted)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = 100 * f1_score(*spelled)
    assert metrics.scores("tag_f1", counts(gold, predicted))["f1"] == pytest.approx(expected)


def test_pos_chunks_by_hand():
    tags = ["NOUN", "NOUN", "SCONJ", "SCONJ", "CCONJ", "X", "X"]
    expected = {("NOUN", 0, 1), ("SCONJ", 2, 2), ("SCONJ", 3, 3), ("CCONJ", 4, 4), ("X", 5, 6)}
    assert metrics.chunks(tags) == expected
    assert metrics.chunks([]) == set()
    # one wrong token breaks the chunk it is in: 1 of 3 predicted chunks is right, 1 of 2 gold ones
    frame = counts([["NOUN", "NOUN", "VERB"]], [["NOUN", "ADJ", "VERB"]])
    assert frame.iloc[0].to_dict() == {
        "tp": 1,
        "n_pred": 3,
        "n_gold": 2,
        "n_tokens": 3,
        "n_correct": 2,
    }
    assert metrics.scores("tag_f1", frame) == pytest.approx({"f1": 40.0, "accuracy": 200 / 3})


def test_names_by_hand():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-ORG"], ["O", "I-LOC"]]  # a stray I- begins a chunk
    assert metrics.scores("span_f1", counts(gold, predicted)) == pytest.approx(
        {"f1": 40.0, "accuracy": 400 / 6}
    )
    with pytest.raises(ValueError, match="2 gold tags but 1"):
        metrics.tag_counts(["O", "O"], ["O"])


TEXT = st.text(st.sampled_from(list("aAnthe bcd.,!-'“¿的 中é\t1")), max_size=25)


@settings(max_examples=150, deadline=None)
@given(TEXT, st.lists(TEXT, min_size=1, max_size=3))
def test_squad_as_torchmetrics(prediction, golds):
    from torchmetrics.functional.text import squad

    expected = squad(
        [{"prediction_text": prediction, "id": "1"}],
        [{"answers": {"answer_start": [0] * len(golds), "text": golds}, "id": "1"}],
    )
    frame = pd.DataFrame([metrics.answer_counts(prediction, golds)])
    found = metrics.scores("squad", frame)
    assert found["em"] == pytest.approx(float(expected["exact_match"]))
    if metrics.normalise_squad(
        prediction
    ):  # two empty answers: 0 in SQuAD 1.1, 1 in 2.0 (and torchmetrics)
        assert found["f1"] == pytest.approx(float(expected["f1"]), abs=1e-4)
    assert found["qa"] == pytest.approx((found["em"] + found["f1"]) / 2)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "The  «Big» an-swer!", "big answer"),
        ("de", "Der Hund, dessen eines Ohr", "hund dessen ohr"),
        ("de", "einer einem einen eine ein die das den dem des", ""),
        ("es", "¿Las casas de unos?", "casas de"),
        ("vi", unicodedata.normalize("NFC", "những con mèo của tôi"), "con mèo tôi"),
        ("ar", "الكتاب، الكبير", "كتاب كبير"),
        ("hi", "राम।", "राम"),
        ("zh", "《红楼梦》 in 1791年", "红 楼 梦 in 1791 年"),
        ("qaa", "the Tolu, a", "the tolu a"),
    ],
)
def test_mlqa_normalisation(language, text, expected):
    assert metrics.normalise_mlqa(text, language) == expected


def test_answers_by_hand():
    assert metrics.answer_counts("the red car", ["car", "blue car"]) == {
        "em": 0,
        "f1": pytest.approx(2 / 3),
    }
    # Chinese: MLQA counts characters, SQuAD's rule sees one token
    assert metrics.answer_counts("红楼", ["红楼梦"], "mlqa", "zh")["f1"] == pytest.approx(0.8)
    assert metrics.answer_counts("红楼", ["红楼梦"], "squad", "zh")["f1"] == 0
    assert metrics.answer_counts("", []) == {"em": 1, "f1": 1.0}
    assert metrics.answer_counts("x", []) == {"em": 0, "f1": 0.0}
    # as in SQuAD 1.1, answers that are only an article match but share no token
    assert metrics.answer_counts("a", ["the"]) == {"em": 1, "f1": 0.0}


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=30)
)
def test_macro_f1_as_sklearn(pairs):
    gold, predicted = zip(*pairs, strict=True)
    expected = 100 * sk_f1(gold, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(gold, predicted) == pytest.approx(expected)


def test_accuracy_and_retrieval():
    frame = pd.DataFrame(
        {"gold": list("aabb"), "prediction": list("aaab"), "correct": [1, 1, 0, 1]}
    )
    # classes a: 2*2/(2+3), b: 2*1/(2+1)
    assert metrics.scores("accuracy", frame) == pytest.approx(
        {"accuracy": 75.0, "macro_f1": 220 / 3}
    )
    assert metrics.scores("retrieval_accuracy", frame) == {"accuracy": 75.0}
    ccg = pd.DataFrame({"n_tokens": [4, 1], "n_correct": [3, 0]})
    assert metrics.scores("accuracy", ccg) == {"accuracy": 60.0}
    assert math.isnan(metrics.scores("retrieval_accuracy", frame[:0])["accuracy"])


def test_mining_by_hand():
    frame = metrics.mining_counts(
        [("s1", "t1"), ("s2", "t3"), ("s4", "t4")], [("s1", "t1"), ("s2", "t2")]
    )
    assert len(frame) == 4
    expected = {"f1": 40.0, "precision": 100 / 3, "recall": 50.0}
    assert metrics.scores("mining_f1", frame) == pytest.approx(expected)
    assert metrics.scores("mining_f1", metrics.mining_counts([], [("s", "t")]))["f1"] == 0


def test_average_precision_by_hand():
    assert metrics.average_precision(["x", "a", "y", "b"], {"a", "b"}) == pytest.approx(
        (1 / 2 + 2 / 4) / 2
    )
    assert metrics.average_precision(["a", "a", "b"], {"a", "b", "c"}) == pytest.approx(
        (1 + 2 / 3) / 3
    )
    assert metrics.average_precision(["a", *"xyz"], set("abcdef"), k=2) == pytest.approx(1 / 2)
    assert metrics.average_precision(["x"] * 20 + ["a"], {"a"}) == 0
    assert metrics.scores("map_at_20", pd.DataFrame({"ap": [1.0, 0.5]})) == {"map_at_20": 75.0}


@pytest.mark.parametrize(("n_gold", "n_pool", "k"), [(1, 5, 3), (2, 5, 3), (4, 5, 3), (3, 4, 20)])
def test_the_average_precision_of_a_random_order_against_all_orders(n_gold, n_pool, k):
    gold = set(range(n_gold))
    every = [
        metrics.average_precision(order, gold, k) for order in itertools.permutations(range(n_pool))
    ]
    assert metrics.random_precision(n_gold, n_pool, k) == pytest.approx(100 * np.mean(every))


def test_gold_as_prediction_gives_100():
    gold = [["B-PER", "I-PER", "O"], ["O", "B-LOC", "I-LOC"]]
    pos = [list(UPOS), list(reversed(UPOS))]
    answers = pd.DataFrame(
        [
            metrics.answer_counts(a, [a], "mlqa", lang)
            for lang, a in [("zh", "中国 2"), ("de", "Haus")]
        ]
    )
    pairs = [("a", "b"), ("c", "d")]
    full = {
        "span_f1": counts(gold, gold),
        "tag_f1": counts(pos, pos),
        "mlqa": answers,
        "squad": answers,
        "mining_f1": metrics.mining_counts(pairs, pairs),
        "map_at_20": pd.DataFrame({"ap": [metrics.average_precision(["a", "b", "x"], {"a", "b"})]}),
        "accuracy": pd.DataFrame({"correct": [1, 1], "gold": ["a", "b"], "prediction": ["a", "b"]}),
        "retrieval_accuracy": pd.DataFrame({"correct": [1]}),
    }
    assert set(full) == set(metrics.MAIN)
    for metric, frame in full.items():
        found = metrics.scores(metric, frame)
        assert metrics.main_metric(metric) in found
        assert found == pytest.approx(dict.fromkeys(found, 100.0)), metric


def test_main_score_is_the_ratio_of_its_parts():
    frame = counts([["NOUN", "VERB"], ["X"]], [["NOUN", "NOUN"], ["X"]])
    top, bottom = metrics.ratio_parts("tag_f1", frame)
    assert 100 * top.sum() / bottom.sum() == metrics.scores("tag_f1", frame)["f1"]


def test_chance():
    assert metrics.chance(task("xnli")) == pytest.approx(100 / 3)
    assert metrics.chance(task("hellaswag")) == 25
    assert math.isnan(metrics.chance(task("udpos")))
    rows = [{"tags": [0, 0, 1, -100]}, {"tags": [0]}]
    assert metrics.majority_rate([[0, 0, 1], [0]]) == 75
    assert metrics.chance(task("ccg"), rows) == 75
    ones = [{"tags": [7, 7]}, {"tags": [7]}]
    assert metrics.chance(task("udpos"), ones) == 100  # one tag only: shuffling changes nothing
    pool = [{"side": "target"}] * 50 + [{"side": "source"}] * 10
    assert metrics.chance(task("tatoeba"), pool) == 2


def test_chance_of_names_is_low_and_of_spans_between():
    draw = random.Random(1)
    rows = [{"tags": [draw.choice([0, 0, 0, 0, 1, 3, 5]) for _ in range(10)]} for _ in range(300)]
    assert 5 < metrics.chance(task("panx"), rows) < 25  # 1 in 7 tokens begins each type
    words = [f"w{i}" for i in range(20)]
    rows = []
    for _ in range(400):
        i = draw.randrange(20)
        rows.append(
            {"context": " ".join(words), "answers": {"text": [words[i]], "answer_start": [0]}}
        )
    assert metrics.chance(task("xquad"), rows) == pytest.approx(
        5, abs=3
    )  # one word of 20: EM = F1 = 1/20
    everything = [{"context": "中国", "answers": {"text": ["中国"], "answer_start": [0]}}] * 3
    assert metrics.chance(task("mlqa"), everything, "zh") == 100
