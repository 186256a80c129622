"""Notebooks 51 and 70 on the smoke study: every format, and what they say where there is nothing."""

import json

import pandas as pd
import pytest

from xfer_utils.analysis import findings, results

# What the page of an item must hold, by target.
HOLDS = {
    "xnli": ("premise", "hypothesis", "right"),
    "xquad": ("question", "context", "<sub>right"),
    "tatoeba": ("right", "mnli"),
}


def test_it_finds_a_change_by_itself(run, capsys):
    names = run("70_explore_predictions")
    changes = names["changes"]
    assert abs(changes[names["target"], names["language"], names["arm"]]) == changes.abs().max() > 0
    assert (names["changed"]["change"] != 0).any()
    assert names["changed"]["change"].abs().is_monotonic_decreasing
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{names['tables'].task_title(names['target'])} in ")
    assert ", 0 count more, 0 count less" not in last


@pytest.mark.parametrize("target", HOLDS)
def test_texts_are_shown(run, target):
    names = run("70_explore_predictions", target=target, arm="mnli", most=2)
    pages = [page.data for page in names["displayed"] if hasattr(page, "data")]
    assert len(pages) >= 3 and all(part in pages[0] for part in HOLDS[target]), pages[0]
    row = names["texts"](names["language"]).loc[names["changed"]["id"].iloc[0]]
    text = row.get("text_a", row.get("question", row.get("text")))
    assert names["html"].escape(text) in pages[0]


def test_tags_stand_side_by_side(run):
    names = run("70_explore_predictions", target="udpos", language="en", arm="squad")
    tables = [shown for shown in names["displayed"] if isinstance(shown, pd.DataFrame)]
    assert list(tables[0].index) == ["word", "right", "none", "squad"]
    first = names["changed"].iloc[0]
    assert list(tables[0].loc["right"]) == json.loads(first["gold"])
    tags = sum(len(json.loads(gold)) for gold in names["changed"]["gold"])
    assert int(tables[-1].to_numpy().sum()) == tags, "confusion counts every tag once"


def test_the_same_item_in_several_languages(run, capsys):
    run("70_explore_predictions", target="xnli", language="en")
    out = capsys.readouterr().out
    assert all(f"\n{code}: counts " in out for code in ("en", "qaa", "qcb"))


def test_the_values_of_items_are_those_of_the_metric(run):
    names = run("70_explore_predictions", target="xnli", language="qaa", arm="mnli")
    pair, table = names["changed"], names["table"].loc["xnli", "qaa"]
    assert 100 * pair["value"].mean() == pytest.approx(table["none"])
    assert 100 * pair["value_after"].mean() == pytest.approx(table["mnli"])
    assert set(pair["value"]) <= {0.0, 1.0} and pair["id"].is_unique


def test_it_says_what_it_cannot_compare(run):
    with pytest.raises(ValueError, match=r"after an arm: xnli, ccg\. Done: "):
        run("70_explore_predictions", target="xnli", arm="ccg")


def test_hostile_text_stays_text(run):
    names = run("70_explore_predictions", target="xnli")
    said = {"right": ["<b>"], "none": [""], "mnli": ["absent"]}
    marked = names["marked"]("a <b> & c", said)
    assert marked == "a <mark>&lt;b&gt;</mark><sub>right</sub> &amp; c"


# ----- language by language -----


def test_a_table_for_each_target_with_its_gap(run, smoke):
    names = run("51_languages")
    folder = smoke.outputs / "smoke" / "tables"
    made = sorted(path.name for path in folder.glob("languages_*.html"))
    assert [name.split("_", 2)[2] for name in made] == [
        "xnli.html",
        "udpos.html",
        "xquad.html",
        "tatoeba.html",
    ]
    scores = results.scores(smoke.outputs / "smoke").query(
        "main and target == 'xnli' and arm == 'mnli'"
    )
    value = scores.set_index("language")["value"]
    csv = pd.read_csv(folder / "languages_01_xnli.csv").query("arm == 'mnli'")
    assert csv.set_index("language")["value"].to_dict() == pytest.approx(value.to_dict())
    text = (folder / "languages_01_xnli.html").read_text()
    assert f">{value['qaa']:.1f} (" in text and 'href="#xlmr-tiny.mnli.xnli"' in text
    gap = value.drop("en").mean() - value["en"]
    assert names["gap"](names["by_language"](scores.assign(arm="none")))["gap to English"].iloc[
        0
    ] == names["tables"].number(gap)
    assert "gap to English" not in (folder / "languages_04_tatoeba.html").read_text(), "no English"
    alone = names["as_text"](
        names["by_language"](scores.query("language == 'qaa'").assign(arm="none"))
    )
    assert alone.to_numpy().tolist() == [[f"{value['qaa']:.1f}"]]
    two = pd.DataFrame({"de": [50.0, 47.5]}, index=["none", "mnli"])
    assert names["as_text"](two)["de"].tolist() == ["50.0", "47.5 (−2.5)"], "one language"


def test_changes_of_the_gap_are_findings(run, smoke):
    changes = run("51_languages")["changes"].set_index("arm")
    found = [f for f in findings.read(smoke.outputs / "smoke") if f.summary == "51_languages"]
    assert len(found) == 3 and {finding.verdict for finding in found} == {"one run"}
    scores = results.scores(smoke.outputs / "smoke").query("main and target != 'tatoeba'")
    scores["others"] = scores["language"] != "en"
    means = scores.groupby(["arm", "target", "others"])["value"].mean().unstack()
    gaps = (means[True] - means[False]).groupby("arm").mean()
    assert changes.loc["mnli", "gain"] == pytest.approx(gaps["mnli"] - gaps["none"])


def test_many_languages_stand_in_parts_or_as_families(run, smoke):
    run("51_languages", side_by_side=2, families_from=99)
    folder = smoke.outputs / "smoke" / "tables"
    first, second = (folder / f"languages_01_xnli{part}.html" for part in ("", "_1"))
    assert ">en<" in first.read_text() and ">en<" not in second.read_text()
    assert second.read_text().count('href="#xlmr-tiny.mnli.xnli"') == 1
    second.unlink()
    run("51_languages", families_from=2)
    assert "(1)" in first.read_text() and not second.exists()
