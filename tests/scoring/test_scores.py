"""Scores made again from predictions on disk."""

from dataclasses import replace

import pandas as pd
import pytest

from xfer_utils.scoring import metrics, scores
from xfer_utils.study.tasks import task

XNLI = task("xnli")


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs"


def table(language="de", split="validation", predicted="aab", gold="abb"):
    columns = {"id": list("123"), "gold": list(gold), "prediction": list(predicted)}
    frame = pd.DataFrame({"language": language, "split": split, **columns})
    return frame.assign(correct=(frame["gold"] == frame["prediction"]).astype(int))


def save(run_dir, *frames, name="xnli", role="dev"):
    path = scores.predictions_path(run_dir, name, role)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(frames).to_parquet(path, index=False)


def recorded(*frames, row=XNLI, **factors):
    return [s for frame in frames for s in scores.language_scores(row, frame, 200 / 3, **factors)]


def use(monkeypatch, metric):
    """Makes XNLI a task with another metric."""
    row = XNLI.model_copy(update={"metric": metric})
    monkeypatch.setattr(scores, "task", lambda name: row)
    return row


def test_current_scores_are_kept_and_made_anew_on_demand(tmp_path):
    german, english = table(), table("en", predicted="abb")
    old = recorded(german, english)
    assert scores.rescored(tmp_path, old) == (old, []), "nothing is read where nothing changed"
    save(tmp_path, german, english)
    assert scores.rescored(tmp_path, old, anew=True) == (old, [])


def test_another_metric_of_the_same_predictions(tmp_path, monkeypatch, outputs):
    save(tmp_path, table(), table("en", predicted="abb"))
    old = recorded(table(), table("en", predicted="abb"), bucket="far")
    use(monkeypatch, "macro_f1")
    new, remaining = scores.rescored(tmp_path, old)
    main = {s["language"]: (s["metric"], s["value"], s["bucket"]) for s in new if s["main"]}
    assert main == {
        "de": ("macro_f1", pytest.approx(200 / 3), "far"),
        "en": ("macro_f1", 100, "far"),
    }
    assert not remaining
    assert {s["chance"] for s in new if s["main"]} == {40.0}, "always b: F1 of 0.8, and 0 of a"
    assert {s["value"] for s in new if s["metric"] == "accuracy"} == {200 / 3, 100}
    assert len(list((outputs / "cache" / "scores").glob("*.parquet"))) == 1


def test_changed_code_counts_again_and_once(tmp_path, monkeypatch, outputs):
    save(tmp_path, table().assign(correct=0))  # as wrong code had counted them
    old = recorded(table().assign(correct=0))
    old = [{**score, "metric_code": "older"} for score in old]
    calls = []
    accuracy = metrics.METRICS["accuracy"]

    def counting(row, frame):
        calls.extend([frame] * ("id" in frame))  # and not what someone who guesses would answer
        return accuracy.items["sequence"](row, frame)

    counted = replace(accuracy, items={"sequence": counting})
    monkeypatch.setitem(metrics.METRICS, "accuracy", counted)
    for _ in range(2):
        new, _ = scores.rescored(tmp_path, old)
        assert next(s["value"] for s in new if s["main"]) == pytest.approx(200 / 3)
    assert len(calls) == 1
    (cached,) = (outputs / "cache" / "scores").glob("*.parquet")
    cached.write_bytes(b"damaged")
    scores.rescored(tmp_path, old)
    assert len(calls) == 2
    save(tmp_path, table(predicted="abb"))
    new, _ = scores.rescored(tmp_path, old)
    assert next(s["value"] for s in new if s["main"]) == 100, "other predictions, other counts"


def test_what_has_no_predictions_stays_and_is_named(tmp_path, monkeypatch):
    chosen, other = recorded(table(), layer=2), recorded(table(predicted="bba"), layer=1)
    old = chosen + [{**score, "main": False} for score in other]
    use(monkeypatch, "macro_f1")
    new, remaining = scores.rescored(tmp_path, old)
    assert remaining == old and len(new) == len(old), "no predictions at all"
    assert not any(score["main"] for score in new), "an accuracy is no main score of this task now"
    save(tmp_path, table())
    new, remaining = scores.rescored(tmp_path, old)
    assert {s["layer"] for s in remaining} == {1} and len(remaining) == 2
    assert [(s["metric"], s["layer"]) for s in new if s["main"]] == [("macro_f1", 2)]


def test_several_splits_have_a_file_each(tmp_path):
    save(tmp_path, table(split="validation"), role="dev")
    save(tmp_path, table(split="test", predicted="abb"), role="test")
    assert set(scores.predictions(tmp_path, "xnli")["split"]) == {"validation", "test"}
    old = recorded(table(split="validation"), table(split="test", predicted="abb"))
    assert scores.rescored(tmp_path, old, anew=True) == (old, [])
    with pytest.raises(FileNotFoundError, match=r"pawsx\.\*\.parquet"):
        scores.predictions(tmp_path, "pawsx")
