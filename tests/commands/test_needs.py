"""What a study needs, against figures worked out by hand."""

import pytest

from xfer_utils.commands import needs, overview
from xfer_utils.formats.base import BYTES_PER_TOKEN
from xfer_utils.runs import plan as study
from xfer_utils.study import params, paths, sections


@pytest.fixture(autouse=True)
def outputs(tmp_path, monkeypatch):
    """Outputs of its own."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))


def paper(**changes) -> params.Study:
    return params.load(paths.PARAMS / "paper.yaml").model_copy(update=changes)


def test_disk_holds_what_every_kernel_keeps_while_it_trains():
    """Two checkpoints of 12 bytes a parameter, and the best weights so far where one is chosen."""
    for name, bytes_each in (("paper", 560e6 * (24 + 8)), ("base", 278e6 * 24)):
        plan = study.make_plan(paths.PARAMS / f"{name}.yaml")
        needed = []
        for workers in (1, 3):
            plan.study = plan.study.model_copy(update={"workers": workers})
            needed.append(needs.outputs_bytes(plan))
        assert needed[1] - needed[0] == pytest.approx(2 * bytes_each)


@pytest.mark.parametrize(("role", "added"), [("dev", False), ("test", True)])
def test_repositories_that_xtreme_r_adds_count_where_their_languages_are_scored(role, added):
    entries = needs.hub_entries(paper(targets=["udpos"], evaluate={"udpos": role}))
    assert ("izhx/xtreme-r-udpos" in {entry.id for _, entry in entries}) == added


def test_every_split_of_a_configuration_is_fetched_read_or_not():
    """A known size comes first; PAWS-X by its rows: 7 languages of 49,401 + 2,000 + 2,000."""
    fetched = {
        name: needs.download_bytes(paper(intermediate=["none"], targets=[name]))[1]
        for name in ("pawsx", "xnli", "xquad")
    }
    mnli = (392702 + 9815 + 9832) * 40 * BYTES_PER_TOKEN
    assert fetched["pawsx"] == pytest.approx(7 * 53401 * 60 * BYTES_PER_TOKEN)
    assert fetched["xnli"] == pytest.approx(950e6 + mnli)
    squad = (87599 + 10570) * 190 + 11 * 1190 * 220
    assert fetched["xquad"] == pytest.approx(squad * BYTES_PER_TOKEN)


def test_a_data_set_that_two_tasks_read_is_fetched_once():
    alone, both = (
        needs.download_bytes(paper(intermediate=["none"], targets=targets))[1]
        for targets in (["lareqa"], ["lareqa", "xquad"])
    )
    assert both - alone == pytest.approx(11 * 1190 * 220 * BYTES_PER_TOKEN), "both train on SQuAD"


@pytest.mark.parametrize("name", ["smoke", "toy", "toy-seeds"])
def test_what_the_toy_world_needs(name):
    text = overview.plan_text(study.make_plan(paths.PARAMS / f"{name}.yaml"))
    assert "GPU: none needed." in text and "commercial" not in text
    assert "Download: nothing." in text


def test_the_detectable_gain_is_told():
    """3 pairs of seeds: a t test with 2 degrees of freedom finds 4.60 deviations, not 3.07."""
    others = ([2, 1, 0], [0, 1, 2, 3, 4], [0])
    three, five, one = (sections.Seeds(none=[0, 1, 2], other=other) for other in others)
    told = needs._detectable(paper(seeds=three))
    assert "enough to detect a gain of 4.6 points (paired by seed, before Holm's" in told
    assert "(unpaired, before Holm's" in needs._detectable(paper(seeds=five))
    assert "too few" in needs._detectable(paper(seeds=one))


def test_missing_languages_are_said(tmp_path):
    """A folder with two languages of XNLI; PAWS-X has no Swahili anywhere, so none is missing."""
    for name in ("xnli/en", "xnli/sw", "pawsx/en"):
        file = tmp_path / "data" / f"{name}.validation.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}\n")
    own = {"source": f"folder:{tmp_path / 'data'}", "targets": ["xnli", "pawsx"]}
    told = needs.missing_languages(paper(**own))
    assert told["XNLI"].startswith("2 of 15 languages, no data for ar, bg, de")
    assert told["PAWS-X"].startswith("1 of 7 languages")
    few = needs.missing_languages(paper(**own, languages=["en", "sw", "ur"]))
    assert few == {"XNLI": "2 of 3 languages, no data for ur"}
    assert needs.missing_languages(paper(source="toy")) == {}
