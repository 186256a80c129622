"""The files of a submission, byte for byte; and what is no submission is refused."""

import json

import pandas as pd
import pytest
from conftest import study_file

from xfer_utils.commands.export import export, write
from xfer_utils.runs import plan as study
from xfer_utils.runs import records
from xfer_utils.study.settings_file import SettingsError


def frame(language, predictions, **columns):
    rows = {
        "language": language,
        "split": "test",
        "id": [f"{language}-{i}" for i in range(len(predictions))],
    }
    return pd.DataFrame(rows | {"prediction": predictions} | columns)


def test_labels(tmp_path):
    both = pd.concat(
        [frame("en", ["entailment", "neutral"]), frame("sw", ["contradiction", "neutral"])]
    )
    files = write("xnli", both, "test", tmp_path)
    files += write("pawsx", frame("de", ["paraphrase", "different"]), "test", tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        "xnli/test-en.tsv",
        "xnli/test-sw.tsv",
        "pawsx/test-de.tsv",
    ]
    assert files[0].read_text() == "entailment\nneutral\n"
    assert files[2].read_text() == "1\n0\n"


def test_tags_have_an_empty_line_between_sentences(tmp_path):
    tags = [json.dumps(["B-LOC", "I-LOC"]), json.dumps(["O"])]
    (file,) = write("panx", frame("yo", tags), "test", tmp_path)
    assert file.read_text() == "B-LOC\nI-LOC\n\nO\n"


def test_answers(tmp_path):
    (file,) = write("mlqa", frame("zh", ["红楼梦", 'a "b"']), "test", tmp_path)
    assert file.name == "test-zh.json"
    assert json.loads(file.read_text(encoding="utf-8")) == {"zh-0": "红楼梦", "zh-1": 'a "b"'}


def test_mining_writes_predicted_pairs_only(tmp_path):
    (file,) = write("bucc2018", frame("zh", ["en-5", "en-6"], n_pred=[1, 0]), "test", tmp_path)
    assert file.read_text() == "zh-0\ten-5\n"


def test_tatoeba_numbers_in_the_order_of_sorted_queries(tmp_path):
    table = frame("jv", ["b", "b", "a"], gold=["a", "b", "c"])
    (file,) = write(
        "tatoeba", table.assign(text=["Zebra", "Ant", "bee"]), "test", tmp_path / "sorted"
    )
    assert file.read_text() == "1\n1\n0\n"
    (file,) = write("tatoeba", table.assign(text=["Cat", "Bee", "Ant"]), "test", tmp_path / "other")
    assert file.read_text() == "0\n1\n1\n"
    (file,) = write(
        "tatoeba", table.assign(text=["Same", "Same", "Ant"]), "test", tmp_path / "equal"
    )
    assert file.read_text() == "0\n1\n1\n"


def test_choices_are_objects_with_the_number_of_the_label(tmp_path):
    (file,) = write("xcopa", frame("ht", ["choice2", "choice1"]), "test", tmp_path)
    assert str(file.relative_to(tmp_path)) == "xcopa/test-ht.jsonl"
    assert file.read_text() == '{"label": 1}\n{"label": 0}\n'


@pytest.mark.parametrize("name", ["lareqa", "mewslix"])
def test_ranked_lists_hold_the_best_twenty_by_the_id_of_the_query(tmp_path, name):
    ranked = [[f"Q{n}" for n in range(25)], ["Q7"]]
    (file,) = write(name, frame("ar", [json.dumps(ids) for ids in ranked]), "test", tmp_path)
    assert str(file.relative_to(tmp_path)) == f"{name}/test-ar.json"
    assert json.loads(file.read_text()) == {"ar-0": ranked[0][:20], "ar-1": ["Q7"]}


# ----- from a study -----

WHOLE = "max_eval_items: 0\nintermediate: [none]\ntargets: [xnli, xquad, tatoeba]\n"
PREDICTED = {
    "xnli": frame("en", ["entailment"]),
    "xquad": frame("en", ["Ulm"]),
    "tatoeba": frame("qaa", ["a"], gold=["a"], text=["Ant"]),
    "udpos": pd.concat([frame("de", ['["DET", "NOUN"]']), frame("zh", ['["NOUN"]'])]),
    "lareqa": frame("ar", ['["en:q#0"]']),
}


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A study whose runs are done, with made-up predictions on the evaluated split."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))

    def make(text, **splits):
        plan = study.make_plan(study_file(tmp_path, text))
        for run in plan.runs.values():
            for name in {*run.labels.get("targets", ())} & set(PREDICTED):
                role = run.job.evaluate[name][0]
                path = run.folder / "predictions" / f"{name}.{role}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                split = splits.get(name, "test" if name == "tatoeba" else "validation")
                PREDICTED[name].assign(split=split, model=run.labels["model"]).to_parquet(path)
            score = {
                "task": "xnli",
                "language": "en",
                "split": "x",
                "metric": "accuracy",
                "value": 1.0,
                "n": 1,
            }
            records.write_draft(
                run.folder, watch=records.Stopwatch(), scores=[{**score, "main": True}]
            )
            records.accept(
                run.folder, id=run.id, kind=run.kind.name, labels=run.labels, seconds=1.0,
                identity=run.identity, parameters=run.parameters, parents=[], code=run.code,
            )  # fmt: skip
        return plan

    return make


def names(files, folder):
    return [str(file.relative_to(folder)) for file in files]


def test_test_sets_are_exported(planned, tmp_path):
    plan = planned(WHOLE + "evaluate: {xnli: test}\n", xnli="test")
    files, left_out = export(plan, "none", tmp_path / "out")
    assert left_out == []
    assert names(files, tmp_path / "out") == [
        "xnli/test-en.tsv",
        "xquad/test-en.json",
        "tatoeba/test-qaa.tsv",
    ]


def test_dev_sets_are_no_submission(planned, tmp_path):
    plan = planned(WHOLE)
    with pytest.raises(
        SettingsError, match=r"XNLI: evaluated on validation.*`evaluate: {xnli: test}`.*--dev"
    ):
        export(plan, "none", tmp_path / "out")
    assert not (tmp_path / "out").exists(), "nothing is written"
    files, _ = export(plan, "none", tmp_path / "out", dev=True)
    assert names(files, tmp_path / "out") == [
        "xnli/dev-en.tsv",
        "xquad/test-en.json",
        "tatoeba/test-qaa.tsv",
    ]


def test_a_part_of_a_test_set_is_no_submission(planned, tmp_path):
    plan = planned(WHOLE.replace("items: 0", "items: 5") + "evaluate: {xnli: test}\n", xnli="test")
    with pytest.raises(
        SettingsError, match=r"XNLI: evaluated on at most 5 items.*`max_eval_items: 0`"
    ):
        export(plan, "none", tmp_path / "out")


def test_pools_that_were_not_mined_are_no_submission(planned, tmp_path):
    plan = planned(WHOLE.replace("xnli, xquad", "bucc2018"))
    with pytest.raises(SettingsError, match="BUCC: the source has gold pairs only"):
        export(plan, "none", tmp_path / "out")


ON_THE_HUB = """source: hub
world: {}
models: {small: {load: FacebookAI/xlm-roberta-base}}
max_eval_items: 0
intermediate: [none]
targets: [udpos, lareqa]
evaluate: {udpos: test}
"""


def test_what_the_hub_has_otherwise_than_the_benchmark_is_left_out_and_named(
    planned, tmp_path, command
):
    plan = planned(ON_THE_HUB, udpos="test")
    code, printed = command("export", plan.file, tmp_path / "out", outputs=tmp_path / "outputs")
    file, tags, answers = printed.out.splitlines()
    assert (code, file) == (0, str(tmp_path / "out/udpos/test-zh.tsv"))
    assert tags == (
        "POS: left out de, as no valid submission: the hub tags syntactic words where the "
        "benchmark's files have fused "
        "surface forms."
    )
    assert answers.startswith(
        "LAReQA: left out ar, as no valid submission: the hub has no sentence breaks"
    )
    assert names((tmp_path / "out").rglob("*.*"), tmp_path / "out") == ["udpos/test-zh.tsv"]


def test_one_model_is_exported(planned, tmp_path):
    text = WHOLE.replace("xnli, xquad, ", "") + "models:\n"
    text += "".join(
        f"  {name}: {{pretrain: {{steps: {steps}}}}}\n" for name, steps in (("one", 1), ("two", 2))
    )
    plan = planned(text)
    with pytest.raises(SettingsError, match="--model: one, two"):
        export(plan, "none", tmp_path / "out")
    with pytest.raises(SettingsError, match=r"--model: one, two.*`two`"):
        export(plan, "none", tmp_path / "out", model="tow")
    (run,) = [
        run
        for run in plan.runs.values()
        if run.kind.name == "retrieval" and run.labels["model"] == "two"
    ]
    (run.folder / "result.json").unlink()
    assert len(export(plan, "none", tmp_path / "out", model="one")[0]) == 1
    with pytest.raises(SettingsError, match="no run of two after `none` is done"):
        export(plan, "none", tmp_path / "out", model="two")
