"""Notebooks 53, 55, 58 and 59: on the smoke study, which lacks much, and on tables with known truth."""

import numpy as np
import pandas as pd
import pytest

from xfer_utils.analysis import findings, results
from xfer_utils.runs import records

STUB = """
def share(labels, predictions, language=None):
    return {"accuracy": 100 * sum(a == b for a, b in zip(labels, predictions)) / len(labels)}

METRIC_FUNCTION = {"xnli": share, "tatoeba": share}
"""


def last(capsys):
    return capsys.readouterr().out.splitlines()[-1]


# ----- 53: the XTREME table -----
def test_the_best_task_of_each_target_is_chosen_on_items_that_it_is_not_scored_on(
    run, capsys, smoke
):
    names = run("53_xtreme")
    table = names["table"]
    assert set(table["target"]) == {"xnli", "udpos", "xquad", "tatoeba"} and len(table) == 4
    assert table["how"].str.startswith("halves of").all() and (table["choice"].str.len() == 2).all()
    assert (table["held out"] <= table["same items"] + 1e-9).all(), "optimistic"
    assert table.set_index("target")["English"].isna().to_dict()["tatoeba"]
    assert last(capsys) == "Targets: 4; arms to choose from: 3."
    found = [own for own in findings.read(smoke.outputs / "smoke") if own.summary == "53_xtreme"]
    assert [own.verdict for own in found][:2] == ["one run", "one run"]


def test_a_cross_fitted_choice_is_unbiased_and_one_on_the_same_items_is_not(run):
    """Arms that are equally good: what the choice adds is luck, and luck does not carry over."""
    chosen, rng = run("53_xtreme")["chosen"], np.random.default_rng(0)
    chosen.__globals__["choices"] = list("abcde")
    index = pd.MultiIndex.from_product(
        [list("abcde"), [0], [0, 1], ["en", "de"]], names=["arm", "seed", "part", "language"]
    )
    luck = {"held out": [], "English": [], "same items": []}
    for _ in range(300):
        parts = pd.Series(rng.normal(60, 2, len(index)), index)
        for way, scores in luck.items():
            scores.append(chosen(parts, 0, way)[0] - 60)
    error = np.std(luck["held out"]) / np.sqrt(300)
    assert abs(np.mean(luck["held out"])) < 3 * error and abs(np.mean(luck["English"])) < 3 * error
    assert np.mean(luck["same items"]) > 10 * error


def test_the_choice_is_made_on_dev_where_there_is_a_test_set(run):
    chosen = run("53_xtreme")["chosen"]
    chosen.__globals__["choices"] = ["a", "b"]
    rows = {
        ("a", "dev", "en"): 1,
        ("a", "dev", "de"): 9,
        ("b", "dev", "en"): 3,
        ("b", "dev", "de"): 3,
    }
    rows |= {(arm, "test", "de"): score for arm, score in (("a", 50.0), ("b", 70.0))}
    index = [(arm, 0, *rest) for arm, *rest in rows]
    names = ["arm", "seed", "part", "language"]
    parts = pd.Series(list(rows.values()), pd.MultiIndex.from_tuples(index, names=names), float)
    assert chosen(parts, 0, "held out") == (50.0, ["a"])
    assert chosen(parts, 0, "English") == (70.0, ["b"])
    assert chosen(parts, 0, "same items") == (70.0, ["b"])


# ----- 55: retrieval, explained -----
def test_without_every_way_there_are_layers(run, capsys):
    names = run("55_retrieval")
    assert len(names["counts"]) == 1 and names["counts"]["layers"].item() == 3
    assert "not run" in last(capsys) and names["shape"]["centred"].isna().all()
    raw = names["shape"]["raw"]
    main = names["scores"].query("main and target == 'tatoeba'").groupby("arm")["value"].mean()
    assert raw.to_dict() == pytest.approx(main.to_dict())


def test_every_way_has_a_panel_and_centring_a_finding(run, monkeypatch, smoke):
    whole = results.scores(smoke.outputs / "smoke")
    usual = whole[(whole["target"] == "tatoeba") & (whole["metric"] == "accuracy")]
    ways = [
        usual.assign(main=False, special=special, centred=centred, by=by, value=usual["value"] + centred)
        for special in (True, False) for centred in (True, False) for by in ("cosine", "margin")
    ]  # fmt: skip
    apart = ways[0].assign(metric="anisotropy", centred=False, value=90.0)
    monkeypatch.setattr(results, "scores", lambda folder: pd.concat([whole, *ways, apart]))
    names = run("55_retrieval")
    assert len(names["counts"]) == 8 and {found.estimand[-3:] for found in names["concluded"]} == {
        "raw",
        "red",
    }
    shape = names["shape"]
    assert (shape["centred"] - shape["raw"]).to_list() == pytest.approx([1.0] * len(shape))
    assert (shape["anisotropy"] == 90).all() and len(names["drawn"]) == 2


# ----- 58: parity -----
def test_other_scorers_find_the_same(run, capsys):
    table = run("58_parity", runs_each=4)["table"]
    assert set(table["reference"]) == {"by hand", "seqeval", "torchmetrics"}
    assert set(table["target"]) == {"xnli", "udpos", "xquad", "tatoeba"} and len(table) > 30
    assert table["difference"].max() < 1e-4
    assert "the largest difference is" in last(capsys)


def test_ones_own_predictions_and_xtremes_scripts(run, tmp_path, smoke):
    (tmp_path / "evaluate.py").write_text(STUB)
    own = (
        "language,gold,prediction\nno,neutral,neutral\nno,neutral,entailment\nde,neutral,neutral\n"
    )
    (tmp_path / "own.csv").write_text(own)
    before = findings.read(smoke.outputs / "smoke")
    given = {"predictions": str(tmp_path / "own.csv"), "task_name": "xnli", "xtreme": str(tmp_path)}
    table = run("58_parity", **given)["table"].set_index(["language", "reference"])
    assert table.loc["no", "theirs"].to_dict() == {"by hand": 50.0, "XTREME": 50.0}
    assert (table["difference"] == 0).all() and findings.read(smoke.outputs / "smoke") == before


# ----- 59: claims -----
def test_claims_of_the_smoke_study_are_inconclusive_or_not_run(run, capsys):
    table = run("59_claims", draws=50)["shown"].set_index("claim")
    assert table.loc["HellaSwag raises the mean", "verdict"] == "not run"
    assert table.loc["MNLI raises the mean", "verdict"] == "inconclusive", "one run"
    assert table.loc["Masked LM alongside is no better", "verdict"] == "not run"
    assert "not run: " in last(capsys)


@pytest.fixture
def known(monkeypatch, smoke):
    """Scores with known gains: SQuAD 5 points, MNLI -5, nothing on XNLI, and an arm that translates."""
    gains = {"none": 0.0, "squad": 5.0, "mnli": -5.0, "squad_all": 5.1}
    rng, rows = np.random.default_rng(1), []
    for arm, gain in gains.items():
        for target in ("xnli", "tydiqa", "tatoeba"):
            for seed in (-1,) if arm == "none" and target == "tatoeba" else (0, 1, 2):
                for code in ("en", "de", "fr", "ru")[target == "tatoeba" :]:
                    noise = rng.normal(0, 0.1) * (seed >= 0)  # what is searched as it came has none
                    value = 60 + (target != "xnli") * gain + noise
                    row = {"model": "m", "arm": arm, "title": arm, "target": target, "seed": seed}
                    row |= {"language": code, "value": value, "main": True, "split": "validation"}
                    rows.append(
                        row | {"run": f"{arm}{target}{seed}", "chance": 1.0, "same_data": False}
                    )
    items = {"item_bound": 99.0, "n_items": 9, "degenerate": False, "metric": "accuracy"}
    frame = pd.DataFrame(rows).assign(**items)
    plan = results.plan(smoke.outputs / "smoke")
    off = plan["arms"]["none"]
    plan["arms"] = {
        "none": off, "mnli": off | {"tasks": ["mnli"]}, "squad": off | {"tasks": ["squad"]},
        "squad_all": off | {"tasks": ["squad"], "languages": ["en", "de"]},
    }  # fmt: skip
    plan["study"] |= {"intermediate": ["none", "mnli", "squad"], "arms": {"squad_all": {}}}
    records.write_json(smoke.outputs / "known" / "plan.json", plan)
    monkeypatch.setattr(results, "scores", lambda folder: frame)
    monkeypatch.setattr(results, "examples", lambda folder: None)


def test_claims_with_known_truth(run, known):
    names = run("59_claims", study_dir="outputs/known")
    verdicts = names["shown"].set_index("claim")["verdict"].to_dict()
    assert verdicts["SQuAD v1.1 raises the mean"] == "reproduced"
    assert verdicts["MNLI raises the mean"] == "contradicted"
    assert verdicts["No task raises XNLI"] == "reproduced"
    assert verdicts["Translated data is no better"] == "reproduced"
    assert verdicts["Almost every task raises retrieval"] == "inconclusive", "one up, one down"
    assert verdicts["Masked LM alongside is no better"] == "not run"
    squad = names["table"].set_index("claim").loc["SQuAD v1.1 raises the mean"]
    assert squad["estimate"] == pytest.approx(10 / 3, abs=0.2)
    assert squad["low_languages"] < squad["estimate"] < squad["high_languages"]
    assert names["ranked"].index.tolist() == ["squad", "mnli"]
    assert names["ranked"][["best", "worst"]].to_numpy().tolist() == [[1, 1], [2, 2]]
    assert len(names["beside"]) == len(names["concluded"]) == 6
