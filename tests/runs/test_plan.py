"""What a study file becomes: which runs on what, and what is counted in the tables."""

import json

import pytest
from conftest import study_file

from xfer_utils.analysis import results
from xfer_utils.commands import overview
from xfer_utils.runs import plan as study
from xfer_utils.runs import records
from xfer_utils.study.settings_file import SettingsError
from xfer_utils.study.tasks import task

HEAD = """title: T
question: Q
estimand: E
models: {m: {pretrain: {layers: 1, width: 16, vocabulary: 100, steps: 1}}}
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A plan over a small folder of real schemas."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))

    def plan(text: str, files: dict[str, list[dict]]):
        for name, rows in files.items():
            path = tmp_path / "data" / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (tmp_path / "data" / "text").mkdir(exist_ok=True)
        (tmp_path / "data" / "text" / "en.txt").write_text("a line\n")
        (tmp_path / "own.yaml").write_text(
            f"name: own\n{HEAD}source: folder:{tmp_path / 'data'}\n{text}"
        )
        return study.make_plan(tmp_path / "own.yaml")

    return plan


def arms_trained(plan) -> dict[str, list[str]]:
    """Tasks that each arm's phase 2 trains on."""
    runs = [run for run in plan.runs.values() if run.kind.name == "intermediate"]
    return {run.labels["arm"]: run.job.tasks for run in runs}


def test_multi_is_the_mixture_of_the_plain_rows_unless_the_file_says_which(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    rows = "intermediate: [none, mnli, qqp, multi]\n"
    plain = study.make_plan(study_file(tmp_path, rows))
    assert arms_trained(plain) == {"mnli": ["mnli"], "qqp": ["qqp"], "multi": ["mnli", "qqp"]}
    text = (
        f"{rows}arms: {{multi: {{tasks: [squad, qqp]}}, pair: {{tasks: [mnli, squad], cap: 9}}}}\n"
    )
    named = study.make_plan(study_file(tmp_path, text, "named"))
    assert arms_trained(named)["multi"] == ["squad", "qqp"]
    assert arms_trained(named)["pair"] == ["mnli", "squad"]
    assert [arm.title for arm in named.arms.values()] == [
        "none",
        "MNLI",
        "QQP",
        "multi-task",
        "pair",
    ]


def test_settings_of_an_arm_and_of_a_model_come_last(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    text = """intermediate: [none, mnli]
arms: {slow: {tasks: [mnli], training: {learning_rate: 1.0e-4}}, short: {tasks: [mnli], steps: 7}}
models:
  m:
    pretrain: {layers: 1, width: 16, vocabulary: 100, steps: 1}
    intermediate_training: {default: {epochs: 3}}
"""
    runs = study.make_plan(study_file(tmp_path, text)).runs.values()
    jobs = {run.labels["arm"]: run.job for run in runs if run.kind.name == "intermediate"}
    rates = {name: job.learning_rate for name, job in jobs.items()}
    assert rates == {"mnli": 1.0e-3, "slow": 1.0e-4, "short": 1.0e-3}
    assert {job.epochs for job in jobs.values()} == {3}
    assert {name: job.max_steps for name, job in jobs.items()} == {"mnli": 0, "slow": 0, "short": 7}


def test_a_sham_is_trained_as_the_task_that_it_imitates(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    rows = "intermediate: [none, qqp]\narms: {sham: {tasks: [qqp], transform: sham}}\n"
    plan = study.make_plan(
        study_file(tmp_path, f"{rows}intermediate_training: {{qqp: {{epochs: 7}}}}")
    )
    jobs = [run.job for run in plan.runs.values() if run.kind.name == "intermediate"]
    assert [(job.transform, job.epochs) for job in jobs] == [("", 7), ("sham", 7)]


POS = [{"tokens": ["a"], "upos": ["X"]}]


def test_a_split_that_is_not_there_is_known_before_the_training(make):
    files = {"udpos/en.train": POS, "udpos/en.test": POS, "udpos/th.test": POS}
    on_test = make("targets: [udpos]\nevaluate: {udpos: test}\nlanguages: [en, th]\n", files)
    assert [run.kind.name for run in on_test.runs.values()].count(
        "target"
    ) == 3 and not on_test.not_run
    on_dev = make("targets: [udpos]\n", files)
    assert "target" not in [run.kind.name for run in on_dev.runs.values()]
    assert "no evaluation data" in on_dev.not_run["none", "udpos"]


PAIR = [{"premise": "a", "hypothesis": "b", "label": 0}]


def test_a_dev_set_is_needed_only_where_it_chooses_the_checkpoint(make):
    text = "intermediate: [none, mnli]\ntargets: [tatoeba]\nintermediate_training:\n  default: {select: %s}\n"
    assert not make(text % "last", {"mnli/en.train": PAIR}).not_run.keys() - {
        ("none", "tatoeba"),
        ("mnli", "tatoeba"),
    }
    chosen = make(text % "english_dev", {"mnli/en.train": PAIR})
    assert chosen.not_run["mnli", "tatoeba"].startswith("no dev data for mnli")


def test_what_multi_lacks_is_said(make):
    text = "intermediate: [none]\narms: {multi: {tasks: [mnli, ccg]}}\ntargets: [tatoeba]\n"
    plan = make(text, {"mnli/en.train": PAIR})
    assert plan.left_out == {"multi": {"ccg": "licensed data"}}
    assert "not in multi: ccg: licensed data" in overview.plan_text(plan)


def test_an_encoder_depends_on_what_its_text_was_cleaned_of(make):
    """By the effect: a set that takes no line out of the text changes nothing."""
    pair = {"source_sentence": "another", "target_sentence": "still another"}
    found = {"source_sentence": "a line", "target_sentence": "b"}
    sets = [[pair], [pair, pair], [pair, found]]
    plans = [make("targets: [tatoeba]\n", {"tatoeba/sw.test": rows}) for rows in sets]
    first, grown, cleaned = (next(iter(plan.runs)) for plan in plans)
    assert first == grown != cleaned


def test_runs_depend_on_what_must_not_be_trained_on(make):
    """By what is removed: an evaluated set that takes no row from training changes nothing."""
    row = {
        "id": "1",
        "title": "T",
        "context": "One here.",
        "question": "who?",
        "answers": {"text": ["One"], "answer_start": [0]},
    }
    other = {**row, "id": "2", "title": "U", "context": "Two there.", "question": "where?"}
    text, train = "intermediate: [none, squad]\ntargets: [xquad]\n", [row, {**other, "id": "3"}]
    unseen = {**other, "context": "Three.", "id": "4"}
    sets = [[row], [row, unseen], [row, other]]
    ids = [
        {
            run.slug: run.id
            for run in make(text, {"squad/en.train": train, "xquad/en.validation": x}).runs.values()
        }
        for x in sets
    ]
    first, grown, cleaned = (one["intermediate-squad-s0"] for one in ids)
    assert first == grown != cleaned
    targets = [one["target-squad-after-none-s0"] for one in ids]
    assert len(set(targets)) == 3, "what is evaluated has changed"


@pytest.mark.parametrize(
    ("benchmark", "wanted"), [("xtreme", {"en", "de"}), ("xtreme_r", {"en", "de", "lt"})]
)
def test_means_are_over_the_benchmarks_languages(make, monkeypatch, benchmark, wanted):
    """Lithuanian is one of XTREME-R's additions: a folder may hold it, but XTREME's mean does not."""
    assert "lt" in task("udpos").xtreme_r_languages
    files = {"udpos/en.train": POS} | {
        f"udpos/{code}.validation": POS for code in ("en", "de", "lt")
    }
    plan = make(f"benchmark: {benchmark}\ntargets: [udpos]\nseeds: {{none: [0]}}\n", files)
    (run,) = [run for run in plan.runs.values() if run.kind.name == "target"]
    overview.save_plan(plan)
    score = {
        "task": "udpos",
        "split": "validation",
        "metric": "pos_f1",
        "value": 1.0,
        "n": 1,
        "main": True,
    }
    content = {
        "id": run.id, "kind": "target", "labels": run.labels, "identity": run.identity, "files": {},
        "training": {}, "parameters": run.parameters, "parents": [], "code": run.code,
        "scores": [{**score, "language": code} for code in ("en", "de", "lt")], "data": [],
        "environment": records.environment(), "timing": {"total": 1.0},
    }  # fmt: skip
    records.write_json(run.folder / records.RESULT, content)
    assert set(results.scores(plan.folder)["language"]) == wanted


def test_nobody_reads_all_of_wikipedia_by_accident(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    file = study_file(
        tmp_path, "models: {m: {pretrain: {layers: 1, width: 16, vocabulary: 100, steps: 1}}}\n"
    )
    with pytest.raises(
        SettingsError, match=r"models\.m\.pretrain\.lines_per_language.*all of Wikipedia"
    ):
        study.make_plan(file, source="hub")


def test_a_language_without_training_data_is_not_run(make):
    text = "intermediate: [none]\narms: {german: {tasks: [mnli], languages: [en, %s]}}\ntargets: [tatoeba]\n"
    files = {"mnli/en.train": [PAIR[0]], "mnli_translated/de.train": [PAIR[0]]}
    swahili = make(text % "sw", files)
    assert swahili.not_run["german", "tatoeba"].startswith("no Swahili training data for MNLI in ")
    german = make(text % "de", files)
    (job,) = [run.job for run in german.runs.values() if run.kind.name == "intermediate"]
    assert job.languages == ["en", "de"]
    ids = set(german.runs)
    grown = make(text % "de", {"mnli_translated/de.train": [PAIR[0], PAIR[0]]})
    changed = ids - set(grown.runs)
    assert [id.split("-")[0] for id in changed] == ["intermediate"], "what is read is in the id"


def test_a_layer_that_a_loaded_model_does_not_have_is_known_before_any_training(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    config = {"model_type": "bert", "num_hidden_layers": 12}
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(json.dumps(config))
    pair = {"source_sentence": "a", "target_sentence": "b"}
    text = f"targets: [tatoeba]\nmodels: {{m: {{load: {tmp_path / 'bert'}, layer: %d}}}}\n"
    head = HEAD.replace(HEAD[HEAD.index("models:") :], "")
    for layer in (12, 99):
        file = tmp_path / f"layer{layer}.yaml"
        (tmp_path / "data").mkdir(exist_ok=True)
        file.write_text(f"name: own\n{head}source: folder:{tmp_path / 'data'}\n{text % layer}")
        path = tmp_path / "data" / "tatoeba" / "sw.test.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(pair) + "\n")
        if layer == 12:
            assert study.make_plan(file).runs
        else:
            told = r"models\.m\.layer`: 99 is not one of its layers, 0 to 12"
            with pytest.raises(SettingsError, match=told):
                study.make_plan(file)
