"""Notebook 57: what a study declared beforehand, tested as it said, on tables with known truth."""

import pytest
from made_studies import scores, summary, write
from scipy import stats as dist
from statsmodels.stats.multitest import multipletests

from xfer_utils.analysis import findings
from xfer_utils.runs import identity

ARMS = {"none": 0.0, "squad": 8.0, "sham": 1.0, "qqp": 1.0}
TARGETS = {"tydiqa": 40.0, "panx": 60.0}


def contrast(name, arm, minus, target, **more):
    whole = {"languages": "others", "test": "difference", "margin": 0.0} | more
    return {"name": name, "arm": arm, "minus": minus, "target": target, **whole}


DECLARED = [
    contrast("taught", "squad", "sham", "tydiqa"),
    contrast("idle", "qqp", "sham", "tydiqa"),
    contrast("null", "qqp", "sham", "panx", test="equivalence", margin=3.0, languages="all"),
]


@pytest.fixture
def concluded(tmp_path):
    table = scores(ARMS, TARGETS, seeds=5, noise=1.0)
    english = (table["language"] == "en") & (table["arm"] == "squad")
    table.loc[english, "value"] += 90  # which must not count
    variables = summary("57_primary_contrasts", write(tmp_path, table, primary=DECLARED))
    return table, variables["table"], findings.read(tmp_path)


def by_seed(table, arm, target, languages=("de", "sw")):
    own = table[(table["arm"] == arm) & (table["target"] == target)]
    return own[own["language"].isin(languages)].groupby("seed")["value"].mean()


def test_differences_are_paired_by_seed_and_corrected_together(concluded):
    table, tested, found = concluded
    ours, sham, idle = (by_seed(table, arm, "tydiqa") for arm in ("squad", "sham", "qqp"))
    raw = [dist.ttest_rel(ours, sham), dist.ttest_rel(idle, sham)]
    corrected = multipletests([test.pvalue for test in raw], method="holm")[1]
    primary = tested[tested["primary"]].set_index("name")
    assert primary.loc[["taught", "idle"], "p_adjusted"].to_numpy() == pytest.approx(corrected)
    assert found[0].estimate == pytest.approx((ours - sham).mean())
    assert found[0].interval == pytest.approx(tuple(raw[0].confidence_interval()))
    assert [row.verdict for row in found] == ["gain", "not shown", "equivalent"]


def test_both_arms_stand_beside_each_contrast(concluded):
    _, tested, _ = concluded
    beside = tested[tested["name"] == "taught"].set_index("of")["estimate"]
    assert list(beside.index) == ["squad minus sham", "squad minus none", "sham minus none"]
    assert beside.iloc[0] == pytest.approx(beside.iloc[1] - beside.iloc[2])


def test_equivalence_is_shown_by_a_narrow_interval_and_not_by_a_wide_one(concluded, tmp_path):
    table, _, found = concluded
    gaps = by_seed(table, "qqp", "panx", ("en", "de", "sw")) - by_seed(
        table, "sham", "panx", ("en", "de", "sw")
    )
    narrow = dist.ttest_1samp(gaps, 0).confidence_interval(0.9)
    assert found[2].interval == pytest.approx(tuple(narrow))
    noisy = write(tmp_path / "noisy", scores(ARMS, TARGETS, 3, noise=4.0), primary=DECLARED)
    summary("57_primary_contrasts", noisy)
    assert findings.read(noisy)[2].verdict == "not shown"
    far = write(tmp_path / "far", scores(ARMS | {"qqp": 9.0}, TARGETS, 5, 1.0), primary=DECLARED)
    summary("57_primary_contrasts", far)
    assert findings.read(far)[2].verdict == "gain", "clear of the margin"


def test_the_declaration_is_known_by_its_hash(concluded):
    _, _, found = concluded
    assert {row.declared for row in found} == {identity.digest(DECLARED)}
    assert identity.digest(DECLARED[:2]) != identity.digest(DECLARED)


def test_one_run_claims_nothing_and_what_did_not_run_is_named(tmp_path, capsys):
    declared = [*DECLARED, contrast("absent", "squad", "ccg", "tydiqa")]
    one = write(tmp_path, scores(ARMS, TARGETS, seeds=1, noise=1.0), primary=declared)
    summary("57_primary_contrasts", one)
    found = findings.read(one)
    assert [row.verdict for row in found] == ["one run"] * 3 and found[0].interval is None
    assert "Not run: absent." in capsys.readouterr().out


def test_a_study_without_contrasts_ends_well(tmp_path, capsys):
    summary("57_primary_contrasts", write(tmp_path, scores(ARMS, TARGETS, 2, 1.0)))
    assert "No contrast was declared." in capsys.readouterr().out
    assert findings.read(tmp_path) == []
