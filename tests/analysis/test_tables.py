import csv
import re

import pandas as pd
import pytest

from xfer_utils.analysis import table_files, tables

COLUMNS = ["model", "arm", "target", "score", "base", "gain", "chance", "split"]
COLUMNS += ["low", "high", "interval", "n_seeds", "n_items", "p", "p_adjusted"]
COLUMNS += ["same_data", "above_chance", "degenerate", "languages"]
ARMS = {"none": "none", "anli_plus": "ANLI+", "mnli": "MNLI", "qqp": "QQP", "ccg": "CCG"}
ARMS |= {"multi": "multi-task"}
PRIMARY = "other languages without same data"
HOSTILE = (
    '<script>alert("x")</script> | 100% of $x_1$ & {\\input{secret}} **b** [l](http://e.example)'
)


def table_of(gains, reasons=()):
    return tables.main_table(gains, ARMS, dict(reasons), "Gains")


def line(intermediate, target, **more):
    head = {"model": "m", "arm": intermediate, "target": target}
    values = {"score": 50.0, "base": 48.0, "gain": 2.0, "low": 0.5, "high": 3.5}
    counts = {"interval": "test items", "n_seeds": 1, "n_base_seeds": 3, "n_items": 1200}
    marks = {"same_data": False, "above_chance": True, "degenerate": False, "languages": "de,en"}
    return head | values | counts | marks | {"chance": 33.3, "split": "dev"} | more


@pytest.fixture
def gains():
    none = {"gain": 0.0, "interval": "seeds", "n_seeds": 3}
    reach = {"low": -2.0, "high": -0.04, "interval": "seeds"}
    mean = {"split": "", "n_items": 2}
    chance = {"chance": 0.5, "above_chance": False}
    rows = [
        line("none", "tatoeba", score=20.0, low=19.0, high=21.0, chance=0.5, **none),
        line("none", "xnli", score=48.0, low=46.0, high=50.0, **none),
        line("none", "mean", score=34.0, low=33.0, high=35.0, **mean, **none),
        line("none", "primary", score=34.0, low=33.0, high=35.0, **mean, **none),
        line("mnli", "xnli", same_data=True, gain=-1.25, **reach, p=0.01, p_adjusted=0.04),
        line("mnli", "tatoeba", gain=4.0, low=1.0, high=7.0, **chance),
        line("mnli", "mean", gain=1.4, **mean),
        line("mnli", "primary", gain=4.0, **mean),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_rows_stand_in_the_studys_order_and_columns_in_the_registrys(gains):
    table = table_of(
        gains, {("anli_plus", "xnli"): "r", ("multi", "panx"): "r", ("multi", "xnli"): "r"}
    )
    assert list(dict.fromkeys(table.cells.row)) == ["none", "ANLI+", "MNLI", "multi-task"]
    assert list(table.heads.column) == ["XNLI", "NER", "Tatoeba", "mean", PRIMARY]
    assert len(table.cells) == 4 * 5


def test_none_shows_scores_and_the_others_gains(gains):
    text = table_files.wide(table_of(gains)).set_index("intermediate task")
    assert text.loc["none", "XNLI"] == "48.0 [46.0, 50.0]"
    assert text.loc["MNLI", "XNLI"] == "−1.2*† [−2.0, 0.0]"
    assert text.loc["MNLI", "Tatoeba"] == "+4.0 one run (chance)", "no interval"
    assert text.loc["chance", "Tatoeba"] == "0.5" and text.loc["items", "XNLI"] == "1,200"
    assert text.loc["split", "mean"] == "2 targets" and "languages" not in text.index


def test_cells_that_did_not_run_say_so_with_the_reason(gains):
    table = table_of(
        gains, {("ccg", "xnli"): "CCGbank is licensed.", ("ccg", "tatoeba"): "CCGbank is licensed."}
    )
    cells = table.cells[table.cells.arm == "ccg"].set_index("target")
    assert cells.loc[["xnli", "tatoeba"], "state"].eq("not run").all()
    assert "Not run: CCG. Reason: CCGbank is licensed." in table.notes
    assert 'title="CCGbank is licensed."' in tables.great_table(table).as_raw_html()
    one = table_of(gains, {("qqp", "xnli"): "the run failed"})
    assert "Not run: QQP on XNLI. Reason: the run failed." in one.notes
    assert "Not run: QQP on Tatoeba. Reason: not in the study." in one.notes


def test_a_result_counts_more_than_a_reason(gains):
    table = table_of(gains, {("mnli", "xnli"): "a second seed is not run yet"})
    assert table.cells.set_index(["arm", "target"]).loc[("mnli", "xnli"), "state"] == "gain"
    assert not any(note.startswith("Not run") for note in table.notes)


def test_colour_follows_the_gain_and_grey_means_chance(gains):
    colours = tables.colours(table_of(gains))
    assert tables.GREY in colours["mnli", "tatoeba"] and ("none", "xnli") not in colours
    assert f"{tables.GAIN} 19%" in colours["mnli", "mean"]
    assert f"{tables.GAIN} 55%" in colours["mnli", "primary"], "the strongest"
    assert tables.HARM in colours["mnli", "xnli"]


def test_only_what_survives_correction_is_bold(gains):
    markup = tables.great_table(table_of(gains)).as_raw_html()
    body = markup[markup.index("<tbody") :]
    assert re.findall(r"<b>(.*?)</b>", body) == ["−1.2†"]


def test_notes_say_what_the_marks_mean_only_where_they_stand(gains):
    notes = " ".join(table_of(gains).notes)
    assert "†" in notes and "Grey" in notes and "Bold" in notes
    assert "Seeds: 3 for none; 1 for MNLI." in notes
    clean = gains.assign(same_data=False, above_chance=True, p_adjusted=1.0)
    notes = " ".join(table_of(clean).notes)
    assert not any(mark in notes for mark in ("†", "Grey", "Bold"))


def test_notes_say_which_languages_and_how_retrieval_counts(gains):
    table = table_of(gains.assign(languages=["de", "de,en", "", "", "de,en", "de", "", ""]))
    notes = " ".join(table.notes)
    assert "English included (but not in Tatoeba)" in notes and "equally near" in notes
    assert "Mining" not in notes and "‡" not in notes
    mined = gains.replace({"target": {"tatoeba": "bucc2018"}})
    assert "would extract every pair" in " ".join(table_of(mined).notes)
    without = " ".join(table_of(gains.assign(languages="de")).notes)
    assert "its languages, without English" in without


def test_a_column_says_how_many_languages_of_how_many_it_has(gains):
    table = tables.main_table(gains, ARMS, {}, "Gains", covered={"xnli": "2 of 15"})
    text = table_files.wide(table).set_index("intermediate task").loc["languages"]
    assert text.to_dict() == {"XNLI": "2 of 15", "Tatoeba": "", "mean": "", PRIMARY: ""}
    assert "2 of 15 languages" in tables.great_table(table).as_raw_html()


def test_a_degenerate_cell_is_marked_behind_the_star(gains):
    marked = gains.assign(degenerate=gains["arm"].eq("mnli") & gains["target"].eq("xnli"))
    table = table_of(marked)
    assert (
        table_files.wide(table)
        .set_index("intermediate task")
        .loc["MNLI", "XNLI"]
        .startswith("−1.2*†‡ [")
    )
    assert "‡ degenerate" in " ".join(table.notes)


def test_equal_gaps_have_a_note_and_no_interval(gains):
    equal = gains["arm"].eq("none") & gains["target"].eq("xnli")
    gone = gains.assign(low=gains["low"].mask(equal), high=gains["high"].mask(equal))
    table = table_of(gone)
    assert "No interval: the same gap" in " ".join(table.notes)
    assert table_files.wide(table).set_index("intermediate task").loc["none", "XNLI"] == "48.0"


def test_two_models_or_two_scores_for_a_cell_are_refused(gains):
    for twice in (gains.assign(model="n"), gains.head(1)):
        with pytest.raises(ValueError, match=r"duplicate|non-unique"):
            table_of(pd.concat([gains, twice]))


def test_arms_stand_in_the_plans_order_and_are_called_as_the_scores_say():
    scores = pd.DataFrame({"arm": ["mnli", "none"], "title": ["MNLI, shuffled", "none"]})
    assert list(tables.arm_titles(scores)) == ["mnli", "none"]
    titles = tables.arm_titles(scores, ["none", "ccg", "multi", "mnli"])
    assert list(titles.items()) == [
        ("none", "none"), ("ccg", "CCG"), ("multi", "multi-task"), ("mnli", "MNLI, shuffled"),
    ]  # fmt: skip


def test_nothing_done_yet_is_a_table_of_not_run():
    table = table_of(pd.DataFrame(columns=COLUMNS), {("none", "xnli"): "not run yet"})
    assert table_files.wide(table).set_index("intermediate task").loc["none", "XNLI"] == "not run"
    assert "not run" in tables.great_table(table).as_raw_html()


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (1.25, True, "+1.2"),
        (-0.04, True, "0.0"),
        (0.0, True, "0.0"),
        (-3.0, False, "−3.0"),
        (99.96, False, "100.0"),
    ],
)
def test_numbers(value, signed, text):
    assert tables.number(value, signed) == text


def hostile(gains):
    own = gains.replace({"arm": {"mnli": HOSTILE}, "split": {"dev": HOSTILE}})
    arms = {"none": "none", HOSTILE: HOSTILE, "qqp": "QQP"}
    reasons = {("qqp", "tatoeba"): HOSTILE}
    return tables.main_table(own, arms, reasons, HOSTILE, HOSTILE, [HOSTILE])


def test_hostile_text_is_escaped_in_html(gains):
    markup = tables.great_table(hostile(gains)).as_raw_html()
    assert "<script" not in markup and markup.count("&lt;script&gt;") >= 5


def test_hostile_text_keeps_the_markdown_table_in_shape(gains):
    text = table_files.markdown(hostile(gains))
    assert "<script" not in text and "](http" not in text and "**b**" not in text
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}


def test_hostile_text_does_nothing_in_latex(gains):
    text = table_files.latex(hostile(gains))
    assert "\\input" not in text and "\\textbackslash input\\{secret\\}" in text
    body = text.split("\\toprule")[1].split("\\bottomrule")[0]
    rows = [row for row in body.splitlines() if row.rstrip().endswith("\\\\")]
    assert rows and {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {4}
    assert not re.search(r"(?<!\\)[$%_]", body.replace("$-$", ""))


def test_all_forms_are_written_and_are_the_same_each_time(gains, tmp_path):
    table = table_of(gains)
    first, again = (table_files.save(table, tmp_path / name) for name in "ab")
    assert set(first) == {"html", "md", "tex", "tidy.csv"}
    assert all(path.read_bytes() == again[form].read_bytes() for form, path in first.items())
    tidy = list(csv.DictReader((tmp_path / "a" / "main.tidy.csv").open(encoding="utf-8")))
    own = next(row for row in tidy if (row["arm"], row["target"]) == ("mnli", "xnli"))
    assert float(own["value"]) == -1.25 and own["same_data"] == "True" and own["split"] == "dev"


def test_a_plain_table_escapes_and_is_written_twice(tmp_path):
    frame = pd.DataFrame({"system": [HOSTILE], "XNLI": ["not run"]})
    table_files.save_plain(frame, tmp_path, "panel", "Title", [HOSTILE])
    assert "<script" not in (tmp_path / "panel.html").read_text()
    assert pd.read_csv(tmp_path / "panel.csv").system[0] == HOSTILE
