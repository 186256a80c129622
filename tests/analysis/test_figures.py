import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from conftest import definitions

from xfer_utils.analysis import figures, tables
from xfer_utils.study.languages import languages

drawn = definitions("50_main_table")

COLUMNS = ["model", "arm", "target", "score", "base", "gain", "chance", "split"]
COLUMNS += ["low", "high", "interval", "n_seeds", "n_items", "p", "p_adjusted"]
COLUMNS += ["same_data", "above_chance", "degenerate", "languages"]


@pytest.fixture
def scores():
    """Scores that fall by 50 points a unit of distance; MNLI adds 2, and its second seed 1 more."""
    rows = []
    for language, distance in languages().distance[["en", "de", "fr", "ru", "sw", "hi"]].items():
        for intermediate, seeds in (("none", (0, 1, 2)), ("mnli", (0, 1))):
            for seed in seeds:
                value = 80 - 50 * distance + (2 + seed if intermediate == "mnli" else seed - 1)
                row = {
                    "model": "m",
                    "arm": intermediate,
                    "target": "xnli",
                    "language": language,
                }
                rows.append(
                    row | {"split": "validation", "value": value, "seed": seed, "main": True}
                )
    return pd.DataFrame(rows)


@pytest.fixture
def table():
    head = {"model": "m", "arm": "none", "target": "xnli", "split": "dev"}
    head |= {"languages": "en,de", "degenerate": False}
    none = dict.fromkeys(COLUMNS, 1) | head
    mnli = none | {"arm": "mnli", "gain": 2.0, "above_chance": False, "same_data": True}
    gains = pd.DataFrame([none, mnli])
    arms = {"none": "none", "mnli": "MNLI", "ccg": "CCG"}
    return tables.main_table(gains, arms, {("ccg", "xnli"): "licensed $1$ <b>"}, "Gains")


def texts(figure):
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(plt.Text)]


def test_points_are_means_over_seeds_and_gains_are_differences(scores):
    base = drawn.by_language(scores, languages()).set_index("language")
    assert base.value["en"] == pytest.approx(80)
    gained = drawn.by_language(scores, languages(), "mnli").set_index("language")
    assert gained.value.tolist() == pytest.approx([2.5] * 6)
    assert base.distance["sw"] == languages().distance["sw"]


def test_of_two_splits_only_the_one_that_tables_show_counts(scores):
    other = scores.assign(split="test", value=0.0)
    for name in ("dev", "validation"):
        shown = scores.assign(split=name)
        base = drawn.by_language(pd.concat([shown, other]), languages()).set_index("language")
        assert base.value["en"] == pytest.approx(80)


def test_the_fit_leaves_english_out_and_prints_r_and_n(scores):
    points = drawn.by_language(scores, languages())
    points.loc[points.language == "en", "value"] = 0.0
    found = texts(drawn.scatter(points, "distance", {"xnli": "XNLI"}, "score"))
    assert "r = −1.00, n = 5" in found
    assert {"XNLI", "sw", "hi", "en", "distance from English"} <= set(found)
    assert "target = xnli" not in found


def test_languages_without_the_feature_are_not_drawn(scores):
    points = drawn.by_language(scores.replace({"language": {"sw": "yo"}}), languages())
    found = texts(drawn.scatter(points, "resource", {"xnli": "XNLI"}, "score"))
    assert "yo" not in found and any(text.endswith("n = 4") for text in found)


def test_the_heat_map_marks_chance_same_data_and_missing(table):
    figure = drawn.heat_map(table)
    assert "+2.0†" in texts(figure) and "not run" in texts(figure)
    hatched = [patch for patch in figure.findobj(plt.Rectangle) if patch.get_hatch()]
    assert len(hatched) == 1


def test_dollar_signs_in_names_are_no_formulas(scores):
    points = drawn.by_language(scores, languages())
    figure = drawn.scatter(points, "distance", {"xnli": "costs $1$ or $x^{2$"}, "score $_")
    assert "costs $1$ or $x^{2$" in texts(figure)


def test_files_are_the_same_bytes_each_time(table, tmp_path):
    for name in ("a", "b"):
        figures.save(drawn.heat_map(table), tmp_path / name, "map", "What it shows.")
    for kind in ("svg", "png", "txt"):
        assert (tmp_path / "a" / f"map.{kind}").read_bytes() == (
            tmp_path / "b" / f"map.{kind}"
        ).read_bytes()
    before = plt.get_fignums()
    figures.save(drawn.heat_map(table), tmp_path / "a", "map", "What it shows.")
    assert plt.get_fignums() == before


def test_names_of_points_that_coincide_stand_one_above_the_other():
    figure, axes = plt.subplots()
    x, y = pd.Series([0.0, 0.0, 1.0], list("abc")), pd.Series([1.0, 1.0, 2.0], list("abc"))
    axes.plot(x, y, "o")
    figures.name_points(axes, x, y)
    places = {text.get_text(): text.xyann for text in axes.texts}
    assert places["c"] == pytest.approx((4, 3)) and abs(places["a"][1] - places["b"][1]) >= 7
    plt.close(figure)
