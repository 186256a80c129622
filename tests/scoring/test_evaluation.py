"""Evaluation: batches and languages keep apart, gold gives 100, and predictions on disk give the scores again."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import FakeData, Table, dataset, sentences

from xfer_utils.formats import features
from xfer_utils.scoring import evaluation, metrics
from xfer_utils.study.tasks import task

SIZE = {"max_length": 32, "doc_stride": 8}
CONTEXT = "The old king saw Anna Karenina in Ulm , so the day was fine and great , and then he was very good . "
LANGUAGES = ("en", "qaa", "qab")


def sequences(n, seed):
    return dataset(
        [{"text_a": text, "text_b": "", "label": label} for text, label in sentences(n, seed)]
    )


def tagged(n, seed):
    rng = np.random.default_rng(seed)
    made = [text.split() * int(rng.integers(1, 6)) for text, _ in sentences(n, seed)]
    tags = [
        [-100 if rng.random() < 0.1 else int(rng.integers(4)) for _ in tokens] for tokens in made
    ]
    return dataset(
        [{"tokens": tokens, "tags": own} for tokens, own in zip(made, tags, strict=True)]
    )


def questions(n, seed):
    rng, made = np.random.default_rng(seed), []
    for _ in range(n):
        context = CONTEXT * int(rng.integers(1, 4))
        answer = str(rng.choice(["Ulm", "Anna Karenina", "fine and great", "The old king"]))
        answers = {"text": [answer], "answer_start": [context.index(answer)]}
        made.append({"question": "Who was it ?", "context": context.strip(), "answers": answers})
    return dataset(made)


def choices(n, seed):
    rng = np.random.default_rng(seed)
    made = [
        {"text_a": text, "choices": ["good", "poor", "odd", "so so"]}
        for text, _ in sentences(n, seed)
    ]
    return dataset([{**row, "label": int(rng.integers(4))} for row in made])


MAKERS = {
    "xnli": sequences,
    "udpos": tagged,
    "xquad": questions,
    "mlqa": questions,
    "hellaswag": choices,
}
LABELS = {"xnli": list(task("xnli").labels), "udpos": list(task("udpos").labels)}


@pytest.fixture(scope="module")
def data(tokenizer):
    rows = {
        (name, "dev", code): make(12, place)
        for name, make in MAKERS.items()
        for place, code in enumerate(LANGUAGES)
    }
    return FakeData(Table(rows, LABELS), tokenizer)


@pytest.fixture
def model(new_model):
    formats = {name: task(name).format for name in MAKERS}
    return new_model(formats, {name: len(LABELS.get(name, ())) for name in MAKERS})


@pytest.mark.parametrize("name", MAKERS)
def test_one_pass_over_languages_equals_one_by_one(data, model, name):
    together, frame = evaluation.score(model, name, data, name, "dev", list(LANGUAGES), **SIZE)
    apart = [evaluation.score(model, name, data, name, "dev", [code], **SIZE) for code in LANGUAGES]
    assert together == [score for scores, _ in apart for score in scores]
    pd.testing.assert_frame_equal(frame, pd.concat([part for _, part in apart], ignore_index=True))
    assert {score["language"] for score in together} == set(LANGUAGES)
    assert sum(score["main"] for score in together) == len(LANGUAGES)


@pytest.mark.parametrize("name", MAKERS)
def test_predictions_on_disk_give_the_scores_again(data, model, name, tmp_path):
    scores = evaluation.evaluate(model, name, data, name, "dev", tmp_path, **SIZE)
    frame = pd.read_parquet(tmp_path / "predictions" / f"{name}.dev.parquet")
    assert list(dict.fromkeys(frame["language"])) == list(LANGUAGES) and set(frame["split"]) == {
        "dev"
    }
    for code in LANGUAGES:
        own = frame[frame["language"] == code]
        again = metrics.scores(task(name), own)
        assert again == {
            score["metric"]: score["value"] for score in scores if score["language"] == code
        }
        assert own["id"].tolist() == list(data.rows(name, "dev", code)["id"])
        assert all(score["n"] == len(own) for score in scores)


@pytest.mark.parametrize("name", MAKERS)
def test_small_batches_predict_what_large_ones_do(data, model, name, monkeypatch):
    _, large = evaluation.score(model, name, data, name, "dev", ["en"], **SIZE)
    monkeypatch.setitem(evaluation.TOKENS_PER_BATCH, "cpu", 40)
    _, small = evaluation.score(model, name, data, name, "dev", ["en"], **SIZE)
    pd.testing.assert_frame_equal(large, small)


def test_predictions_are_those_of_each_row_alone(data, model):
    part = data.features("xnli", "dev", "en", **SIZE)
    found = evaluation.predict(model, "xnli", [part], 1)[0]
    for row in range(len(part)):
        ids = torch.tensor(part.slice("ids", row).astype(np.int64))[None]
        with torch.no_grad():
            alone = model(task="xnli", input_ids=ids, attention_mask=torch.ones_like(ids))[
                "logits"
            ][0]
        assert found[row] == pytest.approx(alone.numpy(), abs=1e-5)


def gold_output(name, rows, part):
    """What a model that knows everything would put out."""
    if part.format == "sequence":
        return np.eye(3)[np.asarray(rows["label"])]
    if part.format == "choice":
        right = np.asarray(rows["label"])[part.arrays["example"]]
        place = np.concatenate([np.arange(4)] * len(rows))
        return (right == place).astype(float)[:, None]
    if part.format == "token":
        return np.maximum(part.arrays["labels"], 0)
    output = np.zeros((len(part.arrays["ids"]), 2))
    for row, (first, last) in enumerate(part.arrays["target"]):
        if first:
            output[part.arrays["starts"][row] + [first, last], [0, 1]] = 9.0
    return output


@pytest.mark.parametrize("name", MAKERS)
def test_gold_predictions_give_100_and_others_do_not(data, tokenizer, name):
    rows = MAKERS[name](30, 5)
    row, names = task(name), LABELS.get(name, [])
    part = features.of_examples(row.format, rows, tokenizer, **SIZE)
    output = gold_output(name, rows, part)

    def scored(output):
        frame = evaluation.item_frame(row, rows[:], part, output, names, "en")
        scores, _ = evaluation.score_languages(row, "dev", [("en", frame, 1.0)])
        return {score["metric"]: score["value"] for score in scores}

    assert set(scored(output).values()) == {100.0}
    rng = np.random.default_rng(0)
    wrong = rng.permutation(output) if part.format != "token" else (output + 1) % len(names)
    assert max(scored(wrong).values()) < 90


def test_a_long_sentence_keeps_all_its_tags(data, tokenizer, model):
    long = dataset([{"tokens": ["good", "day"] * 60, "tags": [1, 2] * 60}])
    part = features.of_examples("token", long, tokenizer, 32)
    assert len(part) > 3
    output = evaluation.predict(model, "udpos", [part], 1)[0]
    frame = evaluation.item_frame(task("udpos"), long[:], part, output, LABELS["udpos"], "en")
    assert len(frame) == 1 and frame["n_tokens"][0] == 120


def test_chance_stands_beside_the_main_score_only(data, model):
    scores, frame = evaluation.score(model, "xnli", data, "xnli", "dev", ["en"], **SIZE)
    commonest = frame["gold"].value_counts(normalize=True).max()
    assert {score["metric"]: score["chance"] for score in scores if score["main"]} == {
        "accuracy": pytest.approx(100 * commonest)
    }
    assert all(score["chance"] is None for score in scores if not score["main"])


def test_a_cap_takes_the_first_items_of_every_language(data, model):
    scores, frame = evaluation.score(
        model, "xnli", data, "xnli", "dev", list(LANGUAGES), most=5, **SIZE
    )
    assert frame.groupby("language").size().to_dict() == dict.fromkeys(LANGUAGES, 5)
    assert all(score["n"] == 5 for score in scores)
