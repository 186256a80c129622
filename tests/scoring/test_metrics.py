"""Scores against cases by hand and independent implementations (seqeval, torchmetrics, sklearn)."""

import json
import math
import unicodedata
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from sklearn.metrics import f1_score as sk_f1

from xfer_utils.scoring import formulas, metrics
from xfer_utils.study.tasks import registry, task

UPOS = task("udpos").labels
IOB = task("panx").labels


def counts(gold, predicted):
    frame = pd.DataFrame({"gold": gold, "prediction": predicted}).map(json.dumps)
    return formulas.tag_items(task("panx"), frame)


def scored_by(metric, form=""):
    """A task row with this metric."""
    own = next(iter(metrics.METRICS[metric].items))
    return task("xnli").model_copy(update={"metric": metric, "format": form or own})


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
    assert metrics.scores(task("panx"), counts(gold, predicted))["f1"] == pytest.approx(expected)


@settings(max_examples=200, deadline=None)
@given(tagged(UPOS))
def test_pos_as_seqeval_of_xtremes_time(pairs):
    """That release took the whole tag for the type; a prefix makes today's seqeval do the same."""
    gold, predicted = [list(part) for part in zip(*pairs, strict=True)]
    spelled = [[[f"{tag[0]}-{tag}" for tag in tags] for tags in side] for side in (gold, predicted)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = 100 * f1_score(*spelled)
    assert metrics.scores(task("udpos"), counts(gold, predicted))["f1"] == pytest.approx(expected)


def test_pos_chunks_by_hand():
    tags = ["NOUN", "NOUN", "SCONJ", "SCONJ", "CCONJ", "X", "X"]
    expected = {("NOUN", 0, 1), ("SCONJ", 2, 2), ("SCONJ", 3, 3), ("CCONJ", 4, 4), ("X", 5, 6)}
    assert formulas.chunks(tags) == expected
    assert formulas.chunks([]) == set()
    # one wrong token breaks the chunk it is in: 1 of 3 predicted chunks is right, 1 of 2 gold ones
    frame = counts([["NOUN", "NOUN", "VERB"]], [["NOUN", "ADJ", "VERB"]])
    assert frame.iloc[0].to_dict() == {
        "tp": 1,
        "n_pred": 3,
        "n_gold": 2,
        "n_tokens": 3,
        "n_correct": 2,
    }
    assert metrics.scores(task("udpos"), frame) == pytest.approx({"f1": 40.0, "accuracy": 200 / 3})


def test_names_by_hand():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-ORG"], ["O", "I-LOC"]]  # a stray I- begins a chunk
    assert metrics.scores(task("panx"), counts(gold, predicted)) == pytest.approx(
        {"f1": 40.0, "accuracy": 400 / 6}
    )
    with pytest.raises(ValueError, match="shorter"):
        counts([["O", "O"]], [["O"]])


TEXT = st.text(st.sampled_from(list("aAnthe bcd.,!-'“¿的 中é\t1")), max_size=25)


@settings(max_examples=150, deadline=None)
@given(TEXT, st.lists(TEXT, min_size=1, max_size=3))
def test_squad_as_torchmetrics(prediction, golds):
    from torchmetrics.functional.text import squad

    expected = squad(
        [{"prediction_text": prediction, "id": "1"}],
        [{"answers": {"answer_start": [0] * len(golds), "text": golds}, "id": "1"}],
    )
    frame = pd.DataFrame([formulas.answer_counts(prediction, golds)])
    found = metrics.scores(task("squad"), frame)
    assert found["em"] == pytest.approx(float(expected["exact_match"]))
    if formulas.normalise_squad(
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
    assert formulas.normalise_mlqa(text, language) == expected


def test_answers_by_hand():
    assert formulas.answer_counts("the red car", ["car", "blue car"]) == {
        "em": 0,
        "f1": pytest.approx(2 / 3),
    }
    # Chinese: MLQA counts characters, SQuAD's rule sees one token
    assert formulas.answer_counts("红楼", ["红楼梦"], "mlqa", "zh")["f1"] == pytest.approx(0.8)
    assert formulas.answer_counts("红楼", ["红楼梦"], "squad", "zh")["f1"] == 0
    assert formulas.answer_counts("", []) == {"em": 1, "f1": 1.0}
    assert formulas.answer_counts("x", []) == {"em": 0, "f1": 0.0}
    # as in SQuAD 1.1, answers that are only an article match but share no token
    assert formulas.answer_counts("a", ["the"]) == {"em": 1, "f1": 0.0}


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=30)
)
def test_macro_f1_as_sklearn(pairs):
    gold, predicted = zip(*pairs, strict=True)
    expected = 100 * sk_f1(gold, predicted, average="macro", zero_division=0)
    frame = pd.DataFrame({"gold": gold, "prediction": predicted})
    found = metrics.scores(scored_by("macro_f1"), frame)
    assert found["macro_f1"] == pytest.approx(expected)
    assert found["accuracy"] == pytest.approx(100 * np.mean(np.array(gold) == predicted))


def test_accuracy_and_retrieval():
    frame = pd.DataFrame(
        {"gold": list("aabb"), "prediction": list("aaab"), "correct": [1, 1, 0, 1]}
    )
    # classes a: 2*2/(2+3), b: 2*1/(2+1)
    assert metrics.scores(task("xnli"), frame) == pytest.approx(
        {"accuracy": 75.0, "macro_f1": 220 / 3}
    )
    assert metrics.scores(task("tatoeba"), frame) == {"accuracy": 75.0}
    ccg = pd.DataFrame({"n_tokens": [4, 1], "n_correct": [3, 0]})
    assert metrics.scores(task("ccg"), ccg) == {"accuracy": 60.0}
    assert math.isnan(metrics.scores(task("tatoeba"), frame[:0])["accuracy"])


def test_mining_by_hand():
    mined = [("s1", "t1"), ("s2", "t3"), ("s4", "t4")]
    frame = formulas.mining_counts(mined, {("s1", "t1"), ("s2", "t2")})
    assert len(frame) == 4
    expected = {"f1": 40.0, "precision": 100 / 3, "recall": 50.0}
    assert metrics.scores(task("bucc2018"), frame) == pytest.approx(expected)
    assert metrics.scores(task("bucc2018"), formulas.mining_counts([], {("s", "t")}))["f1"] == 0


def test_average_precision_by_hand():
    assert formulas.average_precision(["x", "a", "y", "b"], {"a", "b"}) == pytest.approx(
        (1 / 2 + 2 / 4) / 2
    )
    assert formulas.average_precision(["a", "a", "b"], {"a", "b", "c"}) == pytest.approx(
        (1 + 2 / 3) / 3
    )
    assert formulas.average_precision(["a"], map(str, range(30))) == 0
    many = {"a", *map(str, range(30))}
    assert formulas.average_precision(["a"], many) == 1 / 20, "no more than 20 are sought"
    assert formulas.average_precision(["x"] * 20 + ["a"], {"a"}) == 0
    assert metrics.scores(task("lareqa"), pd.DataFrame({"ap": [1.0, 0.5]})) == {"map_at_20": 75.0}


def test_gold_as_prediction_gives_100():
    gold = [["B-PER", "I-PER", "O"], ["O", "B-LOC", "I-LOC"]]
    pos = [list(UPOS), list(reversed(UPOS))]
    questions = pd.DataFrame(
        [
            formulas.answer_counts(a, [a], "mlqa", lang)
            for lang, a in [("zh", "中国 2"), ("de", "Haus")]
        ]
    )
    pairs = [("a", "b"), ("c", "d")]
    full = {
        "span_f1": counts(gold, gold),
        "tag_f1": counts(pos, pos),
        "mlqa": questions,
        "squad": questions,
        "mining_f1": formulas.mining_counts(pairs, set(pairs)),
        "map_at_20": pd.DataFrame(
            {"ap": [formulas.average_precision(["a", "b", "x"], {"a", "b"})]}
        ),
        "accuracy": pd.DataFrame({"correct": [1, 1], "gold": ["a", "b"], "prediction": ["a", "b"]}),
        "retrieval_accuracy": pd.DataFrame({"correct": [1]}),
        "macro_f1": pd.DataFrame({"gold": ["a", "b"], "prediction": ["a", "b"]}),
    }
    assert set(full) == set(metrics.METRICS)
    for metric, frame in full.items():
        found = metrics.scores(scored_by(metric), frame)
        assert metrics.METRICS[metric].main in found
        assert found == pytest.approx(dict.fromkeys(found, 100.0)), metric


EXAMPLES = {
    "sequence": (list("aabcb"), list("abbca")),
    "choice": (list("01201"), list("00211")),
    "token": (['["B-PER", "O"]', '["O"]'], ['["B-PER", "B-LOC"]', '["O"]']),
    "span": (['["Haus"]', '["das Haus", "Boot"]', "[]"], ["das Haus", "rotes Boot", ""]),
    "pair": (['["a"]', '["b", "c"]'], ['["b", "a"]', '["b", "c"]']),
    "sentence": (['["a"]', '["b", "c"]'], ['["b", "a"]', '["a", "c"]']),
}


@pytest.mark.parametrize(
    ("metric", "form"),
    [(name, form) for name, metric in metrics.METRICS.items() for form in metric.items],
)
def test_a_score_of_weighted_items_is_that_of_items_repeated(metric, form):
    """One bootstrap for all metrics rests on it; items are counted from gold and prediction."""
    gold, predicted = EXAMPLES[form]
    row = scored_by(metric, form)
    frame = pd.DataFrame({"gold": gold, "prediction": predicted, "language": "de"})
    if metric == "mining_f1":
        frame = frame.assign(tp=[0, 1], n_pred=[1, 1], n_gold=[0, 1])
    counts = metrics.counts(row, frame)
    weights = np.random.default_rng(0).multinomial(len(frame), [1 / len(frame)] * len(frame), 20)
    draws = metrics.main_score(row, dict(zip(counts, (weights @ counts.to_numpy()).T, strict=True)))
    assert draws.shape == (20,)
    for weight, draw in zip(weights, draws, strict=True):
        repeated = frame.loc[np.repeat(frame.index, weight)]
        main = metrics.scores(row, repeated)[metrics.METRICS[metric].main]
        assert draw == pytest.approx(main)


def test_a_metric_that_does_not_fit_is_refused():
    for row in registry().values():
        metrics.check(row)
    with pytest.raises(ValueError, match="xnli: metric `tag_f1` is none for tasks of format `seq"):
        metrics.check(task("xnli").model_copy(update={"metric": "tag_f1"}))
    with pytest.raises(ValueError, match=r"`f2` is none .* these are: accuracy, tag_f1, span_f1\."):
        metrics.check(task("panx").model_copy(update={"metric": "f2"}))


def test_a_new_format_has_one_value_per_item():
    row = task("xnli").model_copy(update={"format": "rating"})
    metrics.check(row)
    frame = pd.DataFrame({"gold": list("ab"), "prediction": list("aa")})
    assert metrics.scores(row, frame)["accuracy"] == 50


def test_the_code_of_a_metric_is_that_of_its_functions(monkeypatch):
    codes = {name: metrics.code(name) for name in metrics.METRICS}
    assert len(set(codes.values())) == len(codes)
    own = metrics.Metric("x", {"sequence": lambda row, frame: frame}, lambda sums: sums, ())
    monkeypatch.setitem(metrics.METRICS, "own", own)
    assert metrics.code("own") not in codes.values()
    assert {name: metrics.code(name) for name in codes} == codes, "adding one changes no other"
