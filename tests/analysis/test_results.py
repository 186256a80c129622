"""The two tidy tables, made from the smoke study's runs."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import SMOKE, records_of

from xfer_utils.analysis import results, stats, tables
from xfer_utils.runs import plan as study
from xfer_utils.scoring import metrics
from xfer_utils.study import tasks
from xfer_utils.study.tasks import task

COLUMNS = {
    *(
        "study",
        "run",
        "model",
        "arm",
        "target",
        "train_task",
        "seed",
        "language",
        "split",
        "metric",
    ),
    *("value", "n", "chance", "main", "same_data", "layer", "pooling", "metric_code", "title"),
}


@pytest.fixture
def folder(smoke, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(smoke.outputs))
    return smoke.outputs / "smoke"


def test_scores_are_those_of_the_records(folder, smoke):
    frame = results.scores(folder)
    assert set(frame.columns) == COLUMNS and set(frame["study"]) == {"smoke"}
    wanted = {
        (run, s["task"], s["language"], s["metric"], s.get("layer"), s["value"])
        for run, record in records_of(smoke.outputs).items()
        for s in record["scores"]
        if record["kind"] in ("target", "retrieval")
    }
    layers = frame["layer"].astype(object).where(frame["layer"].notna(), None)
    keys = zip(
        frame["run"],
        frame["target"],
        frame["language"],
        frame["metric"],
        layers,
        frame["value"],
        strict=True,
    )
    assert set(keys) == wanted and len(frame) == len(wanted)


def test_one_main_score_per_run_task_and_language(folder):
    main = results.scores(folder).query("main")
    assert not main.duplicated(["run", "target", "language"]).any()
    assert set(main["target"]) == {"xnli", "udpos", "xquad", "tatoeba"}
    assert set(main["arm"]) == {"none", "mnli", "squad", "multi"}
    assert all(
        row.metric == metrics.METRICS[task(row.target).metric].main for row in main.itertuples()
    )


def test_same_data(folder):
    pairs = results.scores(folder).query("same_data")[["arm", "target"]].drop_duplicates()
    assert set(pairs.itertuples(index=False, name=None)) == {
        ("mnli", "xnli"),
        ("squad", "xquad"),
        ("multi", "xnli"),
        ("multi", "xquad"),
    }


def test_examples_give_the_scores_again(folder):
    frame, read = results.scores(folder).query("main"), results.examples(folder)
    for (run, target), rows in frame.groupby(["run", "target"]):
        table = read(run, target)
        assert {"language", "split", "id", "item", "cluster", "gold", "prediction"} <= set(
            table.columns
        )
        for row in rows.itertuples():
            own = table[table["language"] == row.language]
            assert len(own) == row.n
            assert metrics.scores(task(target), own)[row.metric] == pytest.approx(row.value)
    assert read(run, target) is read(run, target), "read once"


def with_metric(monkeypatch, name, metric):
    """Another metric for a task, as an edit of the registry would have it."""
    rows = {**tasks.registry(), name: task(name).model_copy(update={"metric": metric})}
    monkeypatch.setattr(tasks, "registry", lambda: rows)


def test_another_metric_needs_no_training(folder, monkeypatch):
    before = results.scores(folder)
    with_metric(monkeypatch, "xnli", "macro_f1")
    after, read = results.scores(folder), results.examples(folder)
    main = after.query("main and target == 'xnli'")
    assert set(main["metric"]) == {"macro_f1"} and set(main["run"]) <= set(before["run"])
    old = before.query("target == 'xnli' and metric == 'macro_f1'")
    key = ["run", "language"]
    pairs = main.merge(old, on=key, suffixes=("", "_old"))
    assert len(pairs) == len(main) and np.allclose(pairs["value"], pairs["value_old"])
    rest, rest_before = (frame.query("target != 'xnli'") for frame in (after, before))
    assert rest["value"].tolist() == rest_before["value"].tolist()
    gains = stats.gains(after, read, draws=50)
    arms = tables.arm_titles(after)
    cells = tables.main_table(gains, arms, {}, "Gains").cells.query("target == 'xnli'")
    assert len(cells) == 4 and cells["value"].notna().all() and cells["low_items"].notna().all()


def test_every_score_can_be_made_again_from_predictions(smoke, command):
    """The item counts in the prediction files are those that gold and prediction give."""
    code, printed = command("rescore", SMOKE, outputs=smoke.outputs)
    assert code == 0
    first, *rest = printed.out.splitlines()
    assert first.startswith("20 runs: ") and first.endswith(" predictions, 0 changed or new.")
    assert len(rest) == 1 and rest[0].startswith("Tatoeba: "), "only other layers have none"


def test_a_score_that_does_not_fit_its_predictions_is_noticed(own_outputs, command, monkeypatch):
    run = next(run for run in records_of(own_outputs) if run.startswith("target-mnli-after-none"))
    path = own_outputs / "runs" / run / "result.json"
    record = json.loads(path.read_text())
    record["scores"][0] |= {"value": 12.5, "shots": 4}
    record["seal"] = ""  # as of a record from before there were seals
    path.write_text(json.dumps(record))
    _, printed = command("rescore", SMOKE, outputs=own_outputs)
    assert " 2 changed or new." in printed.out, "the other metric has shots now, too"
    frame = results.scores(own_outputs / "smoke")
    assert frame["shots"].dropna().tolist() == [4], "an open factor is a column"


def test_main_scores_without_predictions_are_named(own_outputs, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(own_outputs))
    with_metric(monkeypatch, "xnli", "macro_f1")
    run = next(run for run in records_of(own_outputs) if run.startswith("target-mnli-after-mnli"))
    folder = own_outputs / "runs" / run
    record = json.loads((folder / "result.json").read_text())
    for part in ("files", "digests"):
        del record[part]["predictions/xnli.dev.parquet"]
    record["seal"] = ""
    (folder / "result.json").write_text(json.dumps(record))
    (folder / "predictions" / "xnli.dev.parquet").unlink()
    with pytest.warns(UserWarning, match="older metric, as their predictions are missing: XNLI"):
        frame = results.scores(own_outputs / "smoke")
    assert run in set(frame["run"]) and run not in set(frame.query("main")["run"])


def test_items_are_shared_between_languages_where_tasks_are_parallel(folder):
    run = results.scores(folder).query("target == 'xnli'")["run"].iloc[0]
    table = results.examples(folder)(run, "xnli")
    items = table.groupby("language")["item"].apply(set)
    assert len(items) > 1 and all(own == items.iloc[0] for own in items)


def test_languages_of_a_study_filter_the_scores(own_outputs, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(own_outputs))
    path = own_outputs / "smoke" / "plan.json"
    content = json.loads(path.read_text())
    content["study"]["languages"] = ["en"]
    path.write_text(json.dumps(content))
    assert set(results.scores(path.parent)["language"]) == {"en"}


def test_what_is_not_run_says_why(smoke, own_outputs, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(own_outputs))
    assert results.not_run(own_outputs / "smoke") == {}
    for name, error in (("target-udpos-after-mnli-s0", True), ("retrieval-after-squad-s0", False)):
        (run,) = (own_outputs / "runs").glob(f"{name}-*")
        (run / "result.json").unlink()
        if error:
            (run / "error.txt").write_text("ValueError: no\n")
    reasons = results.not_run(own_outputs / "smoke")
    assert reasons == {("mnli", "udpos"): "the run failed", ("squad", "tatoeba"): "not run yet"}


def test_studies_and_intermediate_scores(folder):
    about = results.study(folder)
    assert about["name"] == "smoke" and "mean nothing" in about["note"]
    assert pd.read_csv(about["languages_csv"])["code"].tolist()[0] == "en"
    learnt = results.intermediate_scores(folder)
    assert set(learnt["trained on"]) == {"mnli", "squad", "multi"} and len(learnt) == 4


def test_the_plan_on_disk_is_plain_data(folder):
    made = json.loads((folder / "plan.json").read_text())
    assert len(made["runs"]) == 20
    ids = {run["id"] for run in made["runs"]}
    assert all(set(run["parents"]) <= ids for run in made["runs"])


def test_what_was_read_and_other_numbers_of_rows_than_released(own_outputs, monkeypatch, run):
    monkeypatch.setenv("XFER_OUTPUTS", str(own_outputs))
    name, record = next(
        (name, r) for name, r in records_of(own_outputs).items() if name.startswith("target-udpos")
    )
    row = {
        **record["data"][0],
        "task": "udpos",
        "split": "validation",
        "language": "de",
        "rows": 1000,
        "expected": 2000,
    }
    row |= {"dropped": {"no label": 7}, "odd": {"tags ignored": 2}, "notes": "a note"}
    record["data"] = [{**row, "as_expected": False, "dropped_as_evaluated": 3}]
    record["seal"] = ""
    (own_outputs / "runs" / name / "result.json").write_text(json.dumps(record))
    names = run("50_main_table", study_dir=str(own_outputs / "smoke"), draws=10)
    read = names["read"].set_index(["data set", "split"])
    rows = read.loc[("XNLI", "validation")]
    source = study.source_of(study.make_plan(SMOKE).study)
    languages = source.languages("xnli", "dev")
    assert rows["languages"] == len(languages) and not read.index.duplicated().any()
    assert rows["rows"] == sum(len(source.read("xnli", "dev", code)) for code in languages)
    assert names["mixtures"] == ["multi-task: MNLI, SQuAD v1.1, all at once."]
    assert "de 1,000 of 2,000" in read.loc[("POS", "validation"), "not as released"]
    assert read.loc[("POS", "validation"), "remarks"] == "no label: 7; tags ignored: 2; a note"
