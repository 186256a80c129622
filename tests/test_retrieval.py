"""Retrieval: sentence vectors against a loop over single sentences, neighbours against brute force, mined pairs."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import FakeData, Table, dataset, sentences

from xfer_utils import metrics, retrieval
from xfer_utils.tasks import task

SIZE = {"pooling": "mean", "max_length": 32}
TEXTS = list(dict.fromkeys(text for text, _ in sentences(60, seed=3)))[:40]


def pool(ours, english, gold):
    """Rows of a retrieval task: our sentences, the English ones, and which belong together."""
    rows = [{"side": "source", "text": text, "match": gold.get(n), "id": f"x{n}"} for n, text in enumerate(ours)]
    back = {english_id: f"x{n}" for n, english_id in gold.items()}
    rows += [
        {"side": "target", "text": text, "match": back.get(f"e{n}"), "id": f"e{n}"} for n, text in enumerate(english)
    ]
    return dataset([{**row, "item": row["id"], "cluster": row["id"], "context": None} for row in rows])


def aligned(order):
    """The same sentences on both sides, ours in another order."""
    return pool([TEXTS[n] for n in order], TEXTS, {place: f"e{n}" for place, n in enumerate(order)})


@pytest.fixture
def encoder(new_model):
    return new_model({"t": "sequence"}, {"t": 3}).encoder.eval()


@pytest.fixture
def data(tokenizer):
    order = np.random.default_rng(0).permutation(len(TEXTS)).tolist()
    others = [text + " Ulm" for text in TEXTS]
    rows = {("tatoeba", "dev", "qaa"): aligned(order), ("tatoeba", "dev", "qab"): pool(
        others, TEXTS, {n: f"e{n}" for n in range(len(TEXTS))}
    )}  # fmt: skip
    gold = {place: f"e{n}" for place, n in enumerate(order) if n < 20}
    ours = [TEXTS[n] if n < 20 else "Ulm Ulm Ulm " + TEXTS[n][::-1] for n in order]
    rows["bucc2018", "dev", "qaa"] = pool(ours, TEXTS, gold)
    return FakeData(Table(rows), tokenizer)


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_vectors_are_those_of_each_sentence_alone(data, encoder, pooling, monkeypatch):
    part = data.features("tatoeba", "dev", "qaa", max_length=32)
    layers = [0, 1, 2]
    vectors = retrieval.embed(encoder, part, layers, pooling, 1)
    for row in range(0, len(part), 7):
        ids = torch.tensor(part.slice("ids", row).astype(np.int64))[None]
        with torch.no_grad():
            states = encoder(
                input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True
            ).hidden_states
        for layer in layers:
            alone = (states[layer][0].mean(0) if pooling == "mean" else states[layer][0, 0]).numpy()
            assert vectors[layer][row] == pytest.approx(alone / np.linalg.norm(alone), abs=1e-5)
    monkeypatch.setitem(retrieval.TOKENS_PER_BATCH, "cpu", 30)
    small = retrieval.embed(encoder, part, layers, pooling, 1)
    assert all(np.allclose(small[layer], vectors[layer], atol=1e-6) for layer in layers)


def test_nearest_neighbours_against_brute_force(data, encoder, tmp_path):
    scores = retrieval.evaluate(encoder, data, "tatoeba", "dev", tmp_path, layer=1, **SIZE)
    frame = pd.read_parquet(tmp_path / "predictions" / "tatoeba.parquet")
    for code in ("qaa", "qab"):
        rows = data.rows("tatoeba", "dev", code).to_pandas()
        for layer in (0, 1, 2):
            part = data.features("tatoeba", "dev", code, max_length=32)
            vectors = retrieval.embed(encoder, part, [layer], "mean", 1)[layer]
            ours, english = (vectors[(rows["side"] == side).to_numpy()] for side in ("source", "target"))
            ids = rows[rows["side"] == "source"]["id"].to_numpy()
            found = [ids[max(range(len(ours)), key=lambda n, e=e: float(ours[n] @ e))] for e in english]
            gold = rows[rows["side"] == "target"]["match"].tolist()
            right = [a == b for a, b in zip(found, gold, strict=True)]
            (score,) = [s for s in scores if (s["language"], s["layer"], s["metric"]) == (code, layer, "accuracy")]
            assert score["value"] == pytest.approx(100 * np.mean(right)) and score["main"] == (layer == 1)
            if layer == 1:
                own = frame[frame["language"] == code]
                assert own["prediction"].tolist() == found and own["correct"].tolist() == [int(r) for r in right]
    assert all(score["chance"] == pytest.approx(100 / len(TEXTS)) for score in scores if score["main"])


def test_equal_sentences_find_each_other(data, encoder, tmp_path):
    scores = retrieval.evaluate(encoder, data, "tatoeba", "dev", tmp_path, layer=2, **SIZE)
    assert {s["value"] for s in scores if s["language"] == "qaa"} == {100.0}


def test_mined_pairs_and_their_scores_from_disk(data, encoder, tmp_path):
    scores = retrieval.evaluate(encoder, data, "bucc2018", "dev", tmp_path, layer=1, **SIZE)
    frame = pd.read_parquet(tmp_path / "predictions" / "bucc2018.parquet")
    again = metrics.scores(task("bucc2018").metric, frame)
    assert again == {score["metric"]: score["value"] for score in scores}
    assert frame["n_gold"].sum() == 20 and frame[frame["tp"] == 1]["gold"].equals(frame[frame["tp"] == 1]["prediction"])
    assert again["recall"] > 80, "equal sentences lie nearest to each other"
    assert {score["metric"] for score in scores if score["main"]} == {"f1"}


def test_the_threshold_of_test_comes_from_dev(data, encoder, tmp_path, monkeypatch):
    rows = data.source.rows
    rows["bucc2018", "test", "qaa"] = rows["bucc2018", "dev", "qaa"]
    asked = []
    kept = retrieval.search.best_threshold
    monkeypatch.setattr(retrieval.search, "best_threshold", lambda *a: asked.append(kept(*a)) or asked[-1])
    retrieval.evaluate(encoder, data, "bucc2018", "test", tmp_path, layer=1, **SIZE)
    assert len(asked) == 1, "chosen once, on dev"


def test_the_default_layer_is_the_papers_relative_depth():
    assert [retrieval.default_layer(n) for n in (24, 12, 2, 1)] == [14, 7, 1, 1]
