import pytest

from xfer_utils.analysis import published


@pytest.mark.parametrize("panel", ["gains", "xtreme_test"])
def test_every_figure_has_a_source_and_a_kind(panel):
    frame = published.figures(panel)
    assert frame.source.str.len().gt(10).all()
    assert set(frame.kind) <= {"seen", "derived"}
    assert frame.value.between(0, 100).all()
    assert not frame.duplicated(["system", "task", "metric", "split"]).any()


def test_group_means_agree_with_the_task_scores():
    """72.7 is the printed mean of X-STILTs over seven tasks; answers count (F1 + EM) / 2."""
    own = published.figures("xtreme_test").query("system == 'X-STILTs, best per task'")
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


def test_only_known_figures_stand_in_the_panel_each_with_its_source():
    panel = published.gains_panel().set_index("intermediate task")
    assert panel["source"].str.len().gt(10).all() and len(panel) == 9
    assert panel.loc["MNLI", "points"] == "+7.5" and panel.loc["MNLI", "split"] == "dev"
    assert panel.loc["best intermediate task per target", "points"] == "+5.4"
    first_version = panel.loc["best intermediate task per target, first version"]
    assert first_version["points"] == "+6.1" and first_version["split"] == "not stated"
    base = panel.loc["none: XLM-R Large"].set_index("measured")["points"]
    assert base.to_dict() == {"score, Tatoeba": "31.0", "score, BUCC": "71.5"}
    assert panel["source"].str.contains("2005.13013").sum() == 7
