import pytest

from xfer_utils.analysis import results


@pytest.mark.parametrize("panel", ["gains", "xtreme_test"])
def test_every_figure_has_a_source_and_a_kind(panel):
    frame = results.published(panel)
    assert frame.source.str.len().gt(10).all()
    assert set(frame.kind) <= {"seen", "derived"}
    assert frame.value.between(0, 100).all()
    assert not frame.duplicated(["system", "task", "metric", "split"]).any()


def test_group_means_agree_with_the_task_scores():
    """72.7 is the printed mean of X-STILTs over seven tasks; answers count (F1 + EM) / 2."""
    own = results.published("xtreme_test").query("system == 'X-STILTs, best per task'")
    value = own.set_index(["task", "metric"]).value
    answering = [
        (value[task, "f1"] + value[task, "em"]) / 2 for task in ("xquad", "mlqa", "tydiqa")
    ]
    tasks = [
        value["xnli", "accuracy"],
        value["pawsx", "accuracy"],
        value["udpos", "f1"],
        value["panx", "f1"],
    ]
    assert sum(tasks + answering) / 7 == pytest.approx(72.7, abs=0.05)


def test_only_known_figures_stand_there_each_with_its_source():
    known = results.published("gains").set_index("system")
    assert len(known) == 9 and known["source"].str.contains("2005.13013").sum() == 7
    assert known.loc["MNLI", ["value", "split"]].to_list() == [7.5, "dev"]
    assert known.loc["best intermediate task per target", "value"] == 5.4
    first_version = known.loc["best intermediate task per target, first version"]
    assert first_version["value"] == 6.1 and first_version["split"] == ""
    base = known.loc["none: XLM-R Large"].set_index("task")["value"]
    assert base.to_dict() == {"Tatoeba": 31.0, "BUCC": 71.5}
