"""Retrieval: sentence vectors against a loop over single sentences, neighbours against brute force, mined pairs."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import FakeData, Table, dataset, sentences, study_file

from xfer_utils.analysis import results, stats, tables
from xfer_utils.learning import encoders
from xfer_utils.learning.origins import ModelProblem
from xfer_utils.runs import plan as study
from xfer_utils.runs import records
from xfer_utils.scoring import evaluation, metrics, retrieval
from xfer_utils.study.settings_file import SettingsError
from xfer_utils.study.tasks import task

MEAN = retrieval.VectorSettings("mean", 32)
TEXTS = list(dict.fromkeys(text for text, _ in sentences(60, seed=3)))[:40]


def pool(ours, english, gold):
    """Rows of a retrieval task: our sentences, the English ones, and which belong together."""
    rows = [
        {"side": "source", "text": text, "match": gold.get(n), "id": f"x{n}"}
        for n, text in enumerate(ours)
    ]
    back = {english_id: f"x{n}" for n, english_id in gold.items()}
    rows += [
        {"side": "target", "text": text, "match": back.get(f"e{n}"), "id": f"e{n}"}
        for n, text in enumerate(english)
    ]
    return dataset(
        [{**row, "item": row["id"], "cluster": row["id"], "context": None} for row in rows]
    )


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


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_vectors_are_those_of_each_sentence_alone(data, encoder, pooling, monkeypatch):
    part = data.features("tatoeba", "dev", "qaa", max_length=32)
    layers = [0, 1, 2]
    vectors = retrieval.embed(encoder, part, layers, 1, retrieval.VectorSettings(pooling, 32))
    for row in range(0, len(part), 7):
        ids = torch.tensor(part.slice("ids", row).astype(np.int64))[None]
        with torch.no_grad():
            states = encoder(
                input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True
            ).hidden_states
        for layer in layers:
            state = states[layer][0]
            alone = {"mean": state.mean(0), "first": state[0], "last": state[-1]}[pooling].numpy()
            assert vectors[layer][row] == pytest.approx(alone / np.linalg.norm(alone), abs=1e-5)
    for limit in (
        partial(monkeypatch.setattr, retrieval, "STATES_BYTES", 30 * 4 * 3 * 32),
        partial(monkeypatch.setitem, evaluation.TOKENS_PER_BATCH, "cpu", 30),
    ):
        limit()
        small = retrieval.embed(encoder, part, layers, 1, retrieval.VectorSettings(pooling, 32))
        assert all(np.allclose(small[layer], vectors[layer], atol=1e-6) for layer in layers)


def test_nearest_neighbours_against_brute_force(data, encoder, tmp_path):
    scores = retrieval.evaluate(encoder, data, "tatoeba", "dev", tmp_path, layer=1, how=MEAN)
    frame = pd.read_parquet(tmp_path / "predictions" / "tatoeba.dev.parquet")
    for code in ("qaa", "qab"):
        rows = data.rows("tatoeba", "dev", code).to_pandas()
        for layer in (0, 1, 2):
            part = data.features("tatoeba", "dev", code, max_length=32)
            vectors = retrieval.embed(encoder, part, [layer], 1, MEAN)[layer]
            ours, english = (
                vectors[(rows["side"] == side).to_numpy()] for side in ("source", "target")
            )
            ids = rows[rows["side"] == "source"]["id"].to_numpy()
            found = [
                ids[max(range(len(ours)), key=lambda n, e=e: float(ours[n] @ e))] for e in english
            ]
            gold = rows[rows["side"] == "target"]["match"].tolist()
            right = [a == b for a, b in zip(found, gold, strict=True)]
            (score,) = [
                s
                for s in scores
                if (s["language"], s["layer"], s["metric"]) == (code, layer, "accuracy")
            ]
            assert score["value"] == pytest.approx(100 * np.mean(right)) and score["main"] == (
                layer == 1
            )
            if layer == 1:
                own = frame[frame["language"] == code]
                assert own["prediction"].tolist() == found and own["correct"].tolist() == [
                    int(r) for r in right
                ]
    assert all(
        score["chance"] == pytest.approx(100 / len(TEXTS)) for score in scores if score["main"]
    )


def test_equal_sentences_find_each_other(data, encoder, tmp_path):
    scores = retrieval.evaluate(encoder, data, "tatoeba", "dev", tmp_path, layer=2, how=MEAN)
    assert {s["value"] for s in scores if s["language"] == "qaa"} == {100.0}


def test_mined_pairs_and_their_scores_from_disk(data, encoder, tmp_path):
    scores = retrieval.evaluate(encoder, data, "bucc2018", "dev", tmp_path, layer=1, how=MEAN)
    frame = pd.read_parquet(tmp_path / "predictions" / "bucc2018.dev.parquet")
    again = metrics.scores(task("bucc2018"), frame)
    assert again == {score["metric"]: score["value"] for score in scores}
    assert frame["n_gold"].sum() == 20 and frame[frame["tp"] == 1]["gold"].equals(
        frame[frame["tp"] == 1]["prediction"]
    )
    assert again["recall"] > 80, "equal sentences lie nearest to each other"
    assert {score["metric"] for score in scores if score["main"]} == {"f1"}


def test_pairs_with_a_repeated_sentence_are_not_extracted(data, encoder, tmp_path):
    rows = pool([*TEXTS, TEXTS[0]], TEXTS, {n: f"e{n}" for n in range(20)})
    data.source.rows["bucc2018", "dev", "qaa"] = rows
    retrieval.evaluate(encoder, data, "bucc2018", "dev", tmp_path, layer=1, how=MEAN)
    frame = pd.read_parquet(tmp_path / "predictions" / "bucc2018.dev.parquet")
    mined = set(frame[frame["n_pred"] == 1]["id"])
    assert len(mined) > 10 and not mined & {"x0", "x40"}
    assert frame.set_index("id").loc["x0", ["n_gold", "tp"]].tolist() == [1, 0]


def test_the_threshold_of_test_comes_from_dev(data, encoder, tmp_path, monkeypatch):
    rows = data.source.rows
    rows["bucc2018", "test", "qaa"] = rows["bucc2018", "dev", "qaa"]
    asked = []
    kept = retrieval.search.best_threshold
    monkeypatch.setattr(
        retrieval.search, "best_threshold", lambda *a: asked.append(kept(*a)) or asked[-1]
    )
    retrieval.evaluate(encoder, data, "bucc2018", "test", tmp_path, layer=1, how=MEAN)
    assert len(asked) == 1, "chosen once, on dev"


def test_a_layer_that_the_model_does_not_have_is_named(data, encoder, tmp_path):
    with pytest.raises(
        ModelProblem, match=r"layer 9 is not one of this model's, 0 to \d+: correct `layer:`"
    ):
        retrieval.evaluate(encoder, data, "tatoeba", "dev", tmp_path, layer=9, how=MEAN)


def test_the_default_layer_is_the_papers_relative_depth():
    assert [retrieval.default_layer(n) for n in (24, 12, 2, 1)] == [14, 7, 1, 1]


def test_pools_without_distractors_are_not_mined(data, encoder, tmp_path):
    """The hub has gold pairs only: whatever is extracted has a partner, so a mining F1 would be no mining F1."""
    data.source.rows["bucc2018", "dev", "qaa"] = data.source.rows["tatoeba", "dev", "qaa"]
    scores = retrieval.evaluate(encoder, data, "bucc2018", "dev", tmp_path, layer=1, how=MEAN)
    main = [score for score in scores if score["main"]]
    assert {score["metric"] for score in scores} == {"accuracy"} and len(main) == 1
    (name,) = {score["task"] for score in scores}
    assert tables.task_title(name) == "BUCC (accuracy, gold pairs only)"
    frame = pd.read_parquet(tmp_path / "predictions" / f"{name}.dev.parquet")
    assert metrics.scores(task(name), frame) == {"accuracy": main[0]["value"]}
    row = {
        "run": "r",
        "model": "m",
        "arm": "none",
        "target": name,
        "seed": 0,
        "same_data": False,
    }
    gains = stats.gains(pd.DataFrame([{**row, **main[0]}]), lambda run, name: frame, draws=20)
    table = tables.main_table(gains, {"none": "none"}, {}, "Gains")
    assert "BUCC (accuracy, gold pairs only)" in list(table.heads["column"]) and "BUCC" not in list(
        table.heads["column"]
    )


def test_one_pool_without_distractors_makes_all_a_search(data, encoder, tmp_path):
    data.source.rows["bucc2018", "dev", "qab"] = data.source.rows["tatoeba", "dev", "qab"]
    scores = retrieval.evaluate(encoder, data, "bucc2018", "dev", tmp_path, layer=1, how=MEAN)
    assert {(score["task"], score["metric"]) for score in scores} == {
        ("bucc2018_pairs", "accuracy")
    }


def test_what_is_not_run_stands_in_the_column_of_what_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    labels = {"arm": "none", "targets": ["bucc2018"]}
    score = {
        "task": "bucc2018_pairs",
        "language": "de",
        "split": "dev",
        "metric": "accuracy",
        "value": 1.0,
        "n": 2,
    }
    folder = tmp_path / "runs" / "a"
    records.write_draft(folder, watch=records.Stopwatch(), scores=[{**score, "main": True}])
    about = {"labels": labels, "identity": {}, "parameters": {}, "parents": [], "code": {}}
    records.accept(folder, id="a", kind="retrieval", seconds=1.0, **about)
    missing = {"arm": "ccg", "target": "bucc2018", "reason": "licensed data"}
    runs = [
        {"id": "a", "kind": "retrieval", "labels": labels},
        {"id": "b", "kind": "retrieval", "labels": {**labels, "arm": "mnli"}},
    ]
    records.write_json(tmp_path / "s" / "plan.json", {"runs": runs, "not_run": [missing]})
    assert results.not_run(tmp_path / "s") == {
        ("ccg", "bucc2018_pairs"): "licensed data",
        ("mnli", "bucc2018_pairs"): "not run yet",
    }


def test_the_first_token_of_a_causal_encoder_is_refused(data, encoder):
    encoder.config.xfer_attention = "causal"
    part = data.features("tatoeba", "dev", "qaa", max_length=32)
    with pytest.raises(ModelProblem, match="causal"):
        retrieval.embed(encoder, part, [1], 1, retrieval.VectorSettings("first", 32))


def test_vectors_are_made_in_the_precision_of_the_study(data, encoder, monkeypatch):
    asked = []
    monkeypatch.setattr(encoders, "in_bf16", lambda precision: bool(asked.append(precision)))
    part = data.features("tatoeba", "dev", "qaa", max_length=32)
    retrieval.embed(encoder, part, [1], 1, retrieval.VectorSettings("mean", 32, "fp32"))
    assert set(asked) == {"fp32"}


def test_the_plan_gives_precision_and_one_length(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    text = "targets: [bucc2018, tatoeba]\ntarget_training: {default: {max_length: 40, precision: fp32}}\n"
    plan = study.make_plan(study_file(tmp_path, text))
    jobs = [run.job for run in plan.runs.values() if run.kind.name == "retrieval"]
    reading = [(job.max_length, job.precision) for job in jobs]
    assert set(reading) == {(40, "fp32")}
    for name, value in (("max_length", 32), ("precision", "bf16")):
        other = study_file(
            tmp_path,
            f"targets: [bucc2018, tatoeba]\ntarget_training: {{tatoeba: {{{name}: {value}}}}}\n",
        )
        with pytest.raises(
            SettingsError, match=f"bucc2018 and tatoeba are made by one run and need one `{name}`"
        ):
            study.make_plan(other)
