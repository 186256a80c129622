"""The table of the five questions: where each answer comes from, and what is corrected for what."""

import json

import pytest

from xfer_utils.analysis import answers, findings
from xfer_utils.analysis.findings import Finding
from xfer_utils.study import paths


def finding(estimate, p, **more):
    known = {"summary": "6", "estimand": "the declared one", "estimate": estimate, "p": p}
    known |= {"interval": (estimate - 1, estimate + 1), "verdict": "holds", "declared": "abc"}
    return Finding(**{**known, "sentence": f"{abs(estimate):.1f}, {abs(estimate):.2f}", **more})


def study(root, name, *concluded, runs=()):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"runs": [{"id": run} for run in runs]}))
    findings.write(folder, "6", concluded)


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr(paths, "SAMPLES", tmp_path / "sample")
    return tmp_path / "outputs", tmp_path / "sample"


def table(places):
    return {row["study"]: row for row in answers.answers(*places)}


def test_what_is_nowhere_is_not_run_and_still_asked(places):
    rows = table(places)
    assert [row["verdict"] for row in rows.values()] == ["not run"] * 5
    assert all(row["question"].endswith("?") and row["estimand"] for row in rows.values())
    assert {row["estimate"] + row["p"] for row in rows.values()} == {""}


def test_holms_rule_is_over_all_five_whatever_has_run(places):
    study(places[1], "similarity", finding(-0.46, 0.005, interval=(-0.71, -0.07)))
    study(places[1], "few_shot", finding(2.0, 0.02))
    rows = table(places)
    assert (rows["similarity"]["p"], rows["similarity"]["verdict"]) == ("0.025", "holds")
    assert (rows["few_shot"]["p"], rows["few_shot"]["verdict"]) == ("0.080", "not shown")
    assert rows["similarity"]["estimate"] == "−0.46 [−0.71, −0.07]"
    assert rows["few_shot"]["estimate"] == "+2.0 points [1.0, 3.0]"
    assert "languages" in rows["similarity"]["covers"] and "seeds" in rows["few_shot"]["covers"]
    assert rows["typology"]["verdict"] == "not run"


def test_what_is_finished_here_comes_before_what_is_published(places):
    study(places[1], "scaling", finding(1.0, 0.5))
    study(places[0], "scaling", finding(9.0, 0.5, declared=""), finding(2.0, 0.5))
    study(places[1], "typology", finding(3.0, 0.5))
    study(places[0], "typology", finding(4.0, 0.5), runs=["missing"])
    rows = table(places)
    assert rows["scaling"]["estimate"].startswith("+2.0") and not rows["scaling"]["published"]
    assert rows["typology"]["estimate"].startswith("+3.0"), "a run is missing here"
    assert rows["typology"]["published"] == "published"


def test_other_worlds_stand_beside_the_same_estimand_alone(places):
    study(places[1], "similarity", finding(0.1, 0.5))
    study(places[1], "scaling", finding(1.0, 0.5))
    assert table(places)["scaling"]["elsewhere"] == "not run"
    lines = ["similarity,1,0.2,abc", "similarity,2,-0.1,abc", "similarity,3,0.9,older"]
    header = "question,world,estimate,declared"
    (places[1] / "worlds.csv").write_text("\n".join([header, *lines, "scaling,1,2.0,abc"]))
    rows = table(places)
    assert rows["similarity"]["elsewhere"] == "0.05 (−0.10 to 0.20 in 2)"
    assert rows["scaling"]["elsewhere"] == "+2.0 points (2.0 to 2.0 in 1)"
    assert rows["typology"]["elsewhere"] == ""


def test_one_run_has_an_estimate_and_no_p(places):
    study(places[1], "scaling", findings.over_seeds("6", "x", [1.5], ("up", "down"), "abc"))
    row = table(places)["scaling"]
    assert (row["estimate"], row["covers"], row["p"]) == ("+1.5 points", "one run", "one run")


def test_the_p_of_a_declared_difference_is_kept():
    gaps = [1.0, 2.0, 3.0]
    assert findings.over_seeds("6", "x", gaps, ("up", "down"), "abc").p == pytest.approx(
        0.0742, abs=1e-4
    )
    assert findings.over_seeds("6", "x", gaps, ("up", "down")).p is None, "not declared"
