"""Arms of every kind, run by the real command: each is a few words in a study file."""

import json

import pandas as pd
import pytest
from conftest import records_of, study_file, xfer

pytestmark = pytest.mark.slow

ARMS = """intermediate: [none]
targets: [xquad]
arms:
  sham_squad: {tasks: [squad], transform: sham, title: sham of SQuAD}
  sham_qqp: {tasks: [qqp], transform: sham}
  shuffled: {tasks: [qqp, squad], transform: shuffled}
  spoken: {tasks: [squad], languages: [en, qaa], corrupted: 0.2, title: SQuAD in two languages}
  with_text: {tasks: [squad], text: {rate: 1.0, batch_size: 16}}
  text: {text: {rate: 1.0, languages: [en]}, steps: 3}
  joint: {tasks: [squad, mnli], together: true, training: {epochs: 3}, text: 0.5}
  longer: {target_training: {default: {more_steps: 4}}}
  chosen: {target_training: {default: {checkpoints: 2, epochs: 2}}}
  tokens: {tasks: [mnli, squad], training: {max_tokens: 9000}}
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
    assert f"{len(runs)} of {len(runs)} runs done" in printed
    without = {"none", "joint", "longer", "chosen"}
    names = {f"target-squad-after-{name}-s0" for name in plan["arms"]}
    names |= {f"intermediate-{name}-s0" for name in plan["arms"].keys() - without}
    assert {name for name in runs if not name.startswith("encoder")} == names
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


def test_text_is_learnt_beside_a_task_or_alone(arms):
    """Beside SQuAD a row of text for each of its 64 rows, in batches of 16; alone for 3 steps."""
    _, _, runs = arms
    beside, alone = (runs[f"intermediate-{arm}-s0"] for arm in ("with_text", "text"))
    assert beside["training"]["steps"] == 64 // 32 + 64 // 16
    assert beside["scores"][0]["task"] == "squad"
    assert alone["training"]["steps"] == 3 and alone["scores"] == []
    assert alone["identity"]["data"].keys() == {"text"} < beside["identity"]["data"].keys()


def test_both_sets_are_learnt_together(arms):
    """64 rows of SQuAD as ever, and MNLI's 64 thrice, as three epochs of phase 2 would have had."""
    _, _, runs = arms
    training = runs["target-squad-after-joint-s0"]["training"]
    assert training["steps"] == 64 // 32 + 3 * 64 // 32 + 3 * 64 // 2 // 32
    assert "intermediate-joint-s0" not in runs
    assert {"mnli", "squad", "text"} <= runs["target-squad-after-joint-s0"]["identity"][
        "data"
    ].keys()


def test_equal_tokens_and_more_steps(arms):
    _, _, runs = arms
    plain = runs["target-squad-after-none-s0"]["training"]
    longer = runs["target-squad-after-longer-s0"]["training"]
    assert longer["steps"] == plain["steps"] + 4
    tokens = runs["intermediate-tokens-s0"]["training"]["tokens"]
    assert abs(tokens - 9000) < 1000


def test_four_ways_to_choose_a_checkpoint(arms):
    _, _, runs = arms
    scores = pd.DataFrame(runs["target-squad-after-chosen-s0"]["scores"])
    main, ways = scores[scores["main"]], scores.dropna(subset="checkpoint")
    assert not ways["main"].any()
    table = ways.pivot(index="language", columns="checkpoint", values="value")
    assert set(table) == {"last", "english_dev", "averaged", "oracle"}
    assert (table["last"] == main.set_index("language")["value"]).all()
    assert (table["oracle"] >= table[["last", "english_dev"]].max(axis=1)).all()
