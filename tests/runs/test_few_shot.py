"""A few examples in the target languages: their pools, their buckets, and a whole small study."""

import numpy as np
import pytest
from conftest import records_of, study_file, xfer
from datasets import Dataset

from xfer_utils.analysis import results
from xfer_utils.runs import counts
from xfer_utils.runs import plan as study
from xfer_utils.scoring import scores as scoring
from xfer_utils.sources import leaks, shots
from xfer_utils.sources.raw import MissingData

STUDY = """
intermediate: [none, mnli]
targets: [xnli, tydiqa]
few_shot:
  k: [0, 1, 3]
  buckets: 2
  ways: [sequential, together, english, averaged]
  training: {max_steps: 3, layout: padded}
"""
LANGUAGES = ["en", "qaa", "qcb"]


@pytest.fixture(scope="module")
def made(smoke, tmp_path_factory):
    """The study, in the outputs of the smoke study, whose encoders it takes."""
    file = study_file(tmp_path_factory.mktemp("params"), STUDY, name="shots")
    patch = pytest.MonkeyPatch()
    patch.setenv("XFER_OUTPUTS", str(smoke.outputs))
    ended = xfer("run", file, outputs=smoke.outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    yield study.make_plan(file)
    patch.undo()


@pytest.fixture(scope="module")
def source(made):
    return study.source_of(made.study)


def adapted(made):
    return {run.labels["arm"] + run.labels["train_task"]: run for run in made.runs.values() if run.kind.name == "few_shot"}  # fmt: skip


@pytest.mark.parametrize(("name", "where"), [("xnli", "test"), ("panx", "test"), ("tydiqa", "dev"), ("xquad", "dev")])  # fmt: skip
def test_a_pool_shares_nothing_with_what_is_evaluated(source, name, where):
    other, parts = shots.parted(source, name, "dev", LANGUAGES)
    assert other == where and set(parts) == set(LANGUAGES)
    form, seen, tested = leaks.format_of(name), leaks.Marks(), leaks.Marks()
    for pool, test in parts.values():
        assert len(pool) >= 8 and len(test) >= 8
        seen.add(leaks.marks(form, pool))
        tested.add(leaks.marks(form, test))
    assert not leaks.shared(seen, tested), "text, paragraph, id or article, in any language"
    if other == "dev":
        whole = [{*pool["item"]} for pool, _ in parts.values()]
        assert not set().union(*whole) & set().union(
            *({*test["item"]} for _, test in parts.values())
        )


def test_of_one_labelled_set_whole_articles_are_held_out(source, monkeypatch):
    """As of XQuAD, where only SQuAD's ids tell which article a question is about."""
    items = source.read("xquad", "dev")["item"]
    articles = {item: f"article {n // 7}" for n, item in enumerate(items)}
    monkeypatch.setattr(shots, "_articles", lambda *_: articles)
    _, parts = shots.parted(source, "xquad", "dev", LANGUAGES)
    pools = {articles[item] for pool, _ in parts.values() for item in pool["item"]}
    tests = {articles[item] for _, test in parts.values() for item in test["item"]}
    assert pools and tests and not pools & tests


def test_an_item_that_is_evaluated_in_one_language_is_in_no_pool():
    def rows(texts):
        ids = [str(n) for n, _ in enumerate(texts)]
        same = {"id": ids, "item": ids, "cluster": ids, "text_b": texts, "label": [0] * len(texts)}
        return Dataset.from_dict({**same, "text_a": texts})

    pools = {"en": rows(["a", "b", "c"]), "qaa": rows(["x", "y", "z"])}
    tests = {"en": rows(["d", "e"]), "qaa": rows(["y", "w"])}
    kept = shots._clean("xnli", pools, tests)
    assert kept["en"]["text_a"] == ["a", "c"] and kept["qaa"]["text_a"] == ["x", "z"]


def test_buckets_are_nested_different_and_balanced_if_asked(source):
    _, parts = shots.parted(source, "xnli", "dev", LANGUAGES)
    pool = parts["qaa"][0]
    draws = [shots.bucket(pool, 5, number, "xnli")["id"] for number in range(4)]
    assert len({tuple(ids) for ids in draws}) == 4 and all(len({*ids}) == 5 for ids in draws)
    assert shots.bucket(pool, 2, 1, "xnli")["id"] == draws[1][:2]
    assert (
        shots.bucket(parts["en"][0], 5, 1, "xnli")["item"]
        == shots.bucket(pool, 5, 1, "xnli")["item"]
    )
    balanced = shots.bucket(pool, 3, 0, "xnli", per_class=True)
    assert np.bincount(balanced["label"]).tolist() == [3, 3, 3]
    with pytest.raises(MissingData, match="ask for fewer"):
        shots.bucket(pool, len(pool) + 1, 0, "xnli")


def test_every_arm_gets_the_same_buckets(made):
    for task in ("mnli", "tydiqa"):
        plain, after = (adapted(made)[f"{arm}{task}"].parameters for arm in ("none", "mnli"))
        differing = {key for key in plain if plain[key] != after[key]}
        assert differing == {"run_dir", "encoder_dir"}, "and buckets follow from nothing else"


def test_scores_carry_their_factors_and_leave_the_targets_own_alone(made, smoke):
    table = results.scores(made.folder)
    few = table[table["k"].notna()]
    assert not few["main"].any() and set(few["k"]) == {0, 1, 3}
    assert table[table["k"].isna()]["main"].sum() == 2 * 2 * 3
    for (_, _, _), own in few.groupby(["arm", "target", "metric"]):
        count = own.groupby(["k", "way"]).size()
        assert count[0, "none"] == 2 and (count.drop((0, "none")) == 2 * 2).all()
        assert set(count.index.get_level_values("way")) == {"none", "sequential", "together", "english", "averaged"}  # fmt: skip
        assert own.groupby(["language"])["n"].nunique().eq(1).all()
    run = adapted(made)["nonetydiqa"]
    assert run.result().training["steps"] == 3 * 2 * 2 * (3 * 2 + 1)
    frame = scoring.predictions(run.folder, "tydiqa")
    one = frame[(frame["k"] == 1) & (frame["bucket"] == 0) & (frame["way"] == "english")]
    assert len(one) == few[few["target"] == "tydiqa"].groupby("language")["n"].first().sum()


def test_a_kind_that_is_off_changes_no_id(made, smoke):
    before = {run for run in records_of(smoke.outputs) if run.startswith("target-mnli-after-none")}
    assert {id for id in made.runs if id.startswith("target-mnli-after-none")} <= before


def test_the_plan_foresees_tokens_of_all_adaptations(made, source):
    parameters = adapted(made)["nonemnli"].parameters
    known, few = counts.Counts(source), parameters | {"ways": ["sequential"]}
    tokens = known.example_tokens("xnli", "dev", 64)
    assert counts.training_tokens(few, known) == pytest.approx(tokens * 2 * (1 + 3) * 3 * 2)
    evaluations = 2 * (1 + 2 * 2)  # English is not among them
    assert counts.evaluation_tokens(few, known) == pytest.approx(tokens * 20 * evaluations)
