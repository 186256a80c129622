"""What a summary concludes: verdicts from gains, sentences from numbers, one file for all."""

import json
import math

import pytest

from xfer_utils.analysis import findings

CELL = {"gain": 1.23, "low": 0.4, "high": 2.1, "interval": "seeds", "n_seeds": 3}
CELL |= {"equivalent": False}
ESTIMAND = "gain over none"


def of(**more):
    return findings.of_gain("50", ESTIMAND, "MNLI", CELL | {"p_adjusted": 0.01} | more)


def test_the_verdict_follows_the_corrected_p_and_the_sign():
    assert of().verdict == "gain" and of().interval == (0.4, 2.1)
    assert of(gain=-1.0, low=-2.0, high=-0.5).verdict == "loss"
    assert of(p_adjusted=0.2).verdict == "not shown"
    assert of(p_adjusted=math.nan).verdict == "not shown"


def test_an_interval_clear_of_0_is_not_called_noise():
    assert "but not after correction" in of(p_adjusted=0.2).sentence
    assert "noise" in of(p_adjusted=0.2, low=-0.1).sentence


def test_one_run_has_no_interval_whatever_its_items_say():
    finding = of(interval="test items", n_seeds=1, p_adjusted=math.nan)
    assert finding.verdict == "one run" and finding.interval is None
    assert "[" not in finding.sentence and "one run" in finding.sentence


def test_equivalence_is_a_verdict_of_its_own_where_no_gain_is_shown():
    finding = of(gain=0.2, low=-0.5, high=0.9, equivalent=True, p_adjusted=0.4)
    assert finding.verdict == "equivalent" and "less than 1 point either way" in finding.sentence
    assert of(equivalent=True).verdict == "gain"


def test_equal_gaps_of_all_seeds_show_nothing():
    finding = of(low=math.nan, high=math.nan, p_adjusted=math.nan)
    assert (finding.verdict, finding.interval) == ("not shown", None)


def test_the_sentence_is_made_from_the_numbers():
    assert of().sentence.startswith("MNLI, gain over none: +1.2 points [0.4, 2.1] over 3 seeds")
    assert "−1.0 points" in of(gain=-1.0, low=-2.0, high=-0.5).sentence


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"interval": None}, "interval over seeds"),
        ({"interval": (2.0, 3.0)}, "outside its interval"),
        ({"sentence": "It helps by 7.0 points."}, "does not give the estimate"),
        ({"verdict": "great"}, "verdict"),
        ({"estimate": math.nan}, "finite"),
        ({"note": "x"}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, problem):
    with pytest.raises(ValueError, match=problem):
        findings.Finding(**of().model_dump() | change)


def test_a_summary_replaces_its_own_findings_and_no_others(tmp_path):
    assert findings.read(tmp_path) == []
    other = of().model_copy(update={"summary": "60"})
    findings.write(tmp_path, "60", [other])
    findings.write(tmp_path, "50", [of(), of(gain=1.5)])
    findings.write(tmp_path, "50", [of()])
    assert findings.read(tmp_path) == [of(), other]
    rows = json.loads((tmp_path / "findings.json").read_text())
    assert set(rows[0]) == {
        *("summary", "estimand", "estimate", "interval", "verdict", "sentence", "declared", "p"),
    }  # fmt: skip
    findings.write(tmp_path, "60", [])
    assert findings.read(tmp_path) == [of()]


def test_a_damaged_file_is_not_taken_for_findings(tmp_path):
    (tmp_path / "findings.json").write_text('[{"sentence": "Trust me."}]')
    with pytest.raises(ValueError, match="estimand"):
        findings.read(tmp_path)
