"""The studies of alternatives: what they take over from the toy study, and one more control."""

from collections import Counter

import pytest
from conftest import PROJECT

from xfer_utils.runs import plan as study

WORLD = ("world: {seed: 0}", "world: {sizes: tiny}")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Plans the toy study, or what extends it, on a small world with the same languages."""
    folder, patch = tmp_path_factory.mktemp("params"), pytest.MonkeyPatch()
    patch.setenv("XFER_OUTPUTS", str(folder / "outputs"))

    def make(name: str, old: str = "", new: str = "") -> study.Plan:
        for file in ("toy.yaml", "alternatives.yaml", "alternatives-full.yaml"):
            text = (PROJECT / "params" / file).read_text(encoding="utf-8").replace(*WORLD)
            assert file != f"{name}.yaml" or old in text
            (folder / file).write_text(text.replace(old, new, 1) if old else text, "utf-8")
        return study.make_plan(folder / f"{name}.yaml")

    yield make
    patch.undo()


def test_the_toy_studys_runs_are_taken_over(plan):
    """All but the searches: the toy study searches BUCC's pools in the same run as Tatoeba's."""
    toy, alternatives = plan("toy").runs, plan("alternatives")
    rows, targets = {"none", "mnli", "squad"}, {"xnli", "tydiqa"}
    wanted = {
        id for id, run in toy.items()
        if run.labels.get("arm") in rows | {None} and set(run.labels.get("targets", ())) <= targets
    }  # fmt: skip
    assert wanted <= set(alternatives.runs)
    kinds = Counter(toy[id].kind.name for id in wanted)
    assert kinds == {"encoder": 3, "intermediate": 6, "target": 18}
    assert {arm for arm, _ in alternatives.not_run} == {
        "joint-mnli", "joint-squad", "longer", "chosen"
    }  # fmt: skip
    assert alternatives.not_run["joint-mnli", "xnli"] == "the two training sets are one"
    assert "no phase 2" in alternatives.not_run["longer", "tatoeba"]


def test_one_more_control_is_one_line(plan):
    """Half the examples: three seeds of one training, two targets and one search, nothing else."""
    before = plan("alternatives")
    line = "  half-mnli: {tasks: [mnli], training: {max_examples: 2000}}\n"
    after = plan("alternatives", "arms:\n", f"arms:\n{line}")
    assert set(before.runs) < set(after.runs)
    added = [after.runs[id] for id in after.runs.keys() - before.runs.keys()]
    assert {run.labels["arm"] for run in added} == {"half-mnli"}
    assert Counter(run.kind.name for run in added) == {
        "intermediate": 3, "target": 6, "retrieval": 3
    }  # fmt: skip
    jobs = [run.job for run in added if run.kind.name == "intermediate"]
    assert {job.max_examples for job in jobs} == {2000}


@pytest.mark.slow
def test_the_rest_has_every_task_with_its_sham(plan):
    full = plan("alternatives-full")
    tasks = [name for name, arm in full.arms.items() if arm.tasks == [name]]
    assert len(tasks) == 9 and not full.not_run
    for name in tasks:
        sham, leaves_out = full.arms[f"sham-{name}"], full.arms[f"without-{name}"]
        assert sham.tasks == [name] and sham.transform == "sham"
        assert sorted([*leaves_out.tasks, name]) == sorted(tasks)
