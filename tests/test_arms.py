"""Arms of every kind, run by the real command: each is a few words in a study file."""

import json

import pandas as pd
import pytest
from conftest import records_of, study_file, xfer

ARMS = """intermediate: [none]
targets: [xquad]
arms:
  sham_squad: {tasks: [squad], transform: sham, title: sham of SQuAD}
  sham_qqp: {tasks: [qqp], transform: sham}
  shuffled: {tasks: [qqp, squad], transform: shuffled}
"""


@pytest.fixture(scope="module")
def arms(smoke, tmp_path_factory):
    """A study of arms beside the smoke study, whose encoder and row `none` it takes over."""
    file = study_file(tmp_path_factory.mktemp("arms"), ARMS, "arms")
    ended = xfer("run", file, outputs=smoke.outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    plan = json.loads((smoke.outputs / "arms" / "plan.json").read_text())
    made, ids = records_of(smoke.outputs), [run["id"] for run in plan["runs"]]
    return ended.stdout, plan, {id.rpartition("-")[0]: made[id] for id in ids}


def test_every_arm_is_run_and_has_its_title(arms):
    printed, plan, runs = arms
    assert "8 of 8 runs done" in printed
    kinds = {f"target-squad-after-{name}-s0" for name in plan["arms"]}
    kinds |= {f"intermediate-{name}-s0" for name in plan["arms"] if name != "none"}
    assert kinds | {"encoder-xlmr-tiny-s0"} == set(runs)
    titles = {name: arm["title"] for name, arm in plan["arms"].items()}
    assert titles["sham_squad"] == "sham of SQuAD" and titles["sham_qqp"] == "sham_qqp"


def test_a_sham_is_scored_on_answers_of_its_own(arms, smoke):
    """Its dev score says whether the sham was learnt, so its gold answers are not the true ones."""
    _, _, runs = arms

    def gold(arm: str, name: str) -> list[str]:
        folder = smoke.outputs / "runs" / runs[f"intermediate-{arm}-s0"]["id"]
        return pd.read_parquet(folder / "predictions" / f"{name}.dev.parquet")["gold"].tolist()

    for name in ("squad", "qqp"):
        assert gold(f"sham_{name}", name) != gold("shuffled", name)
    assert sorted(set(gold("sham_qqp", "qqp"))) == sorted(set(gold("shuffled", "qqp")))
