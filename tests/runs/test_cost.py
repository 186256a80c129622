"""Expected time, sizes and detectable gains, against figures worked out by hand."""

import json

import pytest

from xfer_utils.commands import needs
from xfer_utils.runs import cost, records
from xfer_utils.runs import plan as study
from xfer_utils.runs.counts import BYTES_PER_TOKEN, Counts
from xfer_utils.runs.plan import Run
from xfer_utils.sources import hub
from xfer_utils.study import params, paths
from xfer_utils.study.tasks import task

SMOKE = paths.PARAMS / "smoke.yaml"
MNLI = {
    "tasks": ["mnli"],
    "epochs": 2,
    "max_examples": 0,
    "max_steps": 0,
    "batch_size": 32,
    "max_length": 256,
}


def result(seconds: float, **more) -> records.Result:
    """A done run as a record holds it; `more` replaces fields."""
    content = {
        "id": "x", "kind": "target", "labels": {"model": "m"}, "identity": {"parameters": {}}, "scores": [],
        "files": {}, "training": {}, "data": [], "environment": records.environment(), "timing": {"total": seconds},
    }  # fmt: skip
    return records.Result(**{**content, **more})


def put(run: Run, seconds: float, id: str = "", parameters: dict | None = None) -> None:
    """Stores a run as done."""
    given = {**run.parameters, **(parameters or {})}
    identity = {"parameters": given, "parents": list(run.parents)}
    done = result(seconds, id=id or run.id, kind=run.kind, labels=run.labels, identity=identity)
    scores = [
        {
            "task": "t",
            "language": "en",
            "split": "dev",
            "metric": "accuracy",
            "value": 1.0,
            "n": 1,
            "main": True,
        }
    ]
    folder = study.runs_folder() / (id or run.id)
    content = {**done.model_dump(), "scores": scores}
    records.write_json(folder / records.RESULT, content)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The smoke study's plan, with its encoder done."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    made = study.make_plan(SMOKE)
    put(encoder_of(made), 10.0)
    return made


def encoder_of(plan) -> Run:
    return next(run for run in plan.runs.values() if run.kind == "encoder")


def target(plan, train_task: str = "mnli", intermediate: str = "none") -> Run:
    return next(
        run
        for run in plan.runs.values()
        if run.kind == "target"
        and (run.labels["train_task"], run.labels["intermediate"]) == (train_task, intermediate)
    )


# ----- work -----
def test_lora_needs_two_thirds_of_the_work():
    full, lora = (
        cost.effort("intermediate", {**MNLI, "tuning": how}, Counts()) for how in ("full", "lora")
    )
    assert lora / full == pytest.approx(4 / 6)


def test_predicting_masked_tokens_is_work_too():
    given = {
        "load": "",
        "steps": 10,
        "batch_size": 4,
        "max_length": 50,
        "masked": 0.2,
        "vocabulary": 120,
    }
    shape = {"layers": 1, "width": 10, "feedforward": 20}  # 4 x 10 x 10 + 2 x 10 x 20 = 800 weights
    assert cost.effort("encoder", given | shape, Counts()) == pytest.approx(
        6 * 10 * 4 * 25 * (1 + 0.2 * 1200 / 800)
    )


# ----- sizes -----
def test_sizes_of_models(tmp_path):
    shape = params.Pretraining(layers=2, width=32, feedforward=128, vocabulary=400)
    assert cost.size(params.Model(pretrain=shape)).body == 12 * 2 * 32**2
    large = cost.size(params.Model(load="FacebookAI/xlm-roberta-large"))
    assert (large.parameters, large.body, large.download, large.licence) == (
        560e6,
        304e6,
        2.24e9,
        "MIT",
    )
    assert not cost.size(params.Model(load="someone/else")).known
    (tmp_path / "model.safetensors").write_bytes(b"0" * 4000)
    assert cost.size(params.Model(load=str(tmp_path))).parameters == 1000


def test_layers_and_width(tmp_path):
    shapes = [cost.size(params.Model(load=load)) for load in ("google/mt5-small", "someone/else")]
    assert [(size.layers, size.width) for size in shapes] == [(8, 512), cost.UNKNOWN_SHAPE]
    (tmp_path / "model.safetensors").write_bytes(b"0" * 4000)
    (tmp_path / "config.json").write_text('{"n_layer": 3, "n_embd": 48, "d_ff": 7}')
    local = cost.size(params.Model(load=str(tmp_path)))
    assert (local.layers, local.width) == (3, 48)
    assert all(
        {"parameters", "body", "layers", "width"} <= set(row) for row in cost.published().values()
    )


def test_disk_holds_what_every_kernel_keeps_while_it_trains(monkeypatch, tmp_path):
    """Two checkpoints of 12 bytes a parameter, and twice the best weights so far where a checkpoint is chosen."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    for name, bytes_each in (("paper", 560e6 * (24 + 8)), ("base", 278e6 * 24)):
        made = study.make_plan(paths.PARAMS / f"{name}.yaml")
        needed = []
        for workers in (1, 3):
            made.study = made.study.model_copy(update={"workers": workers})
            needed.append(needs.outputs_bytes(made))
        assert needed[1] - needed[0] == pytest.approx(2 * bytes_each)


@pytest.mark.parametrize(("role", "added"), [("dev", False), ("test", True)])
def test_repositories_that_xtreme_r_adds_are_named_where_their_languages_are_scored(role, added):
    made = params.load(paths.PARAMS / "paper.yaml").model_copy(
        update={"targets": ["udpos"], "evaluate": {"udpos": [role]}}
    )
    assert ("izhx/xtreme-r-udpos" in {hub.id for _, hub in needs.hub_entries(made)}) == added
    assert ("one per treebank," in f"{needs._licences(made)},") == added


def test_every_split_of_a_configuration_is_fetched_read_or_not():
    """A known size comes first; PAWS-X by its rows: 7 languages of 49,401 + 2,000 + 2,000, of 60 tokens."""
    made = params.load(paths.PARAMS / "paper.yaml").model_copy(update={"intermediate": ["none"]})
    fetched = {
        name: needs.download_bytes(made.model_copy(update={"targets": [name]}))[1]
        for name in ("pawsx", "xnli", "xquad")
    }
    mnli = (392702 + 9815 + 9832) * 40 * BYTES_PER_TOKEN
    assert fetched["pawsx"] == pytest.approx(7 * 53401 * 60 * BYTES_PER_TOKEN)
    assert fetched["xnli"] == pytest.approx(950e6 + mnli)
    assert fetched["xquad"] == pytest.approx(
        ((87599 + 10570) * 190 + 11 * 1190 * 220) * BYTES_PER_TOKEN
    )


def test_a_data_set_that_two_tasks_read_is_fetched_once():
    made = params.load(paths.PARAMS / "paper.yaml").model_copy(update={"intermediate": ["none"]})
    alone, both = (
        made.model_copy(update={"targets": targets})
        for targets in (["lareqa"], ["lareqa", "xquad"])
    )
    added = needs.download_bytes(both)[1] - needs.download_bytes(alone)[1]
    assert added == pytest.approx(11 * 1190 * 220 * BYTES_PER_TOKEN), "both train on SQuAD"


def test_a_known_size_is_in_no_run_id():
    entry = task("xnli").hub
    assert entry.megabytes and "megabytes" in hub.PROSE and "hub" in study.UNHASHED_ROW_FIELDS
    assert hub._entry(entry) == hub._entry(entry.model_copy(update={"megabytes": 1}))


@pytest.mark.parametrize("name", ["smoke", "toy", "toy-seeds"])
def test_what_the_toy_world_needs(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    text = "\n".join(
        needs.lines(
            made := study.make_plan(paths.PARAMS / f"{name}.yaml"), {}, cost.expected(made, [])
        )
    )
    assert "GPU: none needed." in text and "Licences" not in text


def test_a_folder_has_the_licences_of_the_official_releases(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    mini = (paths.PARAMS / "mini.yaml").read_text().replace("folder:data", f"folder:{tmp_path}")
    (tmp_path / "mini.yaml").write_text(mini)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "en.txt").write_text("a line\n")
    made = study.make_plan(tmp_path / "mini.yaml")
    text = "\n".join(needs.lines(made, {}, cost.expected(made, list(made.runs))))
    assert "GPU: none needed." in text
    assert (
        "Licences of the official releases (the folder's own may differ): not for commercial use: XNLI"
        in text
    )


# ----- time -----
def test_what_was_measured_comes_before_what_is_assumed(plan):
    run = target(plan)
    other = target(plan, intermediate="mnli")
    todo = [run.id, other.id]
    before = cost.expected(plan, todo)
    assert (before.measured, before.scaled, before.assumed) == (0, 0, 2)
    assert "assumed rate" in before.basis
    put(run, 120.0, id="target-mnli-after-none-s0-0123456789")
    after = cost.expected(plan, todo)
    # Same settings on another parent: what the training costs does not depend on where the encoder is from.
    assert after.seconds == {run.id: 120.0, other.id: 120.0}
    assert (after.measured, after.scaled, after.assumed) == (2, 0, 0)


def test_speed_is_scaled_by_work(plan):
    run = target(plan)
    counts = Counts(study.source_of(plan.study))
    half = {"max_examples": 32, "max_eval_items": 10}
    put(run, 51.0, id="target-mnli-after-none-s0-0123456789", parameters=half)
    expected = cost.expected(plan, [run.id])
    ratio = cost.effort("target", run.parameters, counts) / cost.effort(
        "target", {**run.parameters, **half}, counts
    )
    assert 1.2 < ratio < 2.5
    assert expected.scaled == 1 and expected.seconds[run.id] == pytest.approx(1.0 + 50 * ratio)


def test_runs_on_another_device_tell_nothing(plan):
    run = target(plan)
    put(run, 120.0, id="target-mnli-after-none-s0-0123456789")
    file = study.runs_folder() / "target-mnli-after-none-s0-0123456789" / records.RESULT
    file.write_text(file.read_text().replace(records.environment()["device"], "another card"))
    assert cost.expected(plan, [run.id]).assumed == 1


def test_a_resumed_run_tells_nothing(plan):
    """What is known of its time is that of its last part alone."""
    run = target(plan)
    put(run, 120.0, id="target-mnli-after-none-s0-0123456789")
    file = study.runs_folder() / "target-mnli-after-none-s0-0123456789" / records.RESULT
    record = json.loads(file.read_text())
    record["training"] = {"resumed_from": "checkpoint-9"}
    file.write_text(json.dumps(record))
    assert cost.expected(plan, [run.id]).assumed == 1


def test_a_model_of_another_size_and_equal_name_tells_nothing(plan, tmp_path):
    """Settings of a run do not hold its encoder's size, and a study may give any name to any model."""
    done = target(plan)
    put(done, 120.0)
    text = SMOKE.read_text().replace("width: 32", "width: 64")
    (tmp_path / "smoke.yaml").write_text(text)
    other = study.make_plan(tmp_path / "smoke.yaml")
    found = cost.expected(other, [target(other).id])
    assert target(other).parameters == done.parameters and target(other).labels == done.labels
    assert (found.measured, found.scaled, found.assumed) == (0, 0, 1)
    (study.runs_folder() / encoder_of(plan).id / records.RESULT).unlink()
    assert cost.expected(plan, [target(plan, intermediate="mnli").id]).assumed == 1, (
        "its size is not known any more"
    )


def test_assumed_time_by_hand(plan):
    encoder = encoder_of(plan)
    (study.runs_folder() / encoder.id / records.RESULT).unlink()
    given = encoder.parameters
    weights = given["layers"] * (
        4 * given["width"] ** 2 + 2 * given["width"] * given["feedforward"]
    )
    predicted = given["masked"] * given["vocabulary"] * given["width"]
    tokens = (
        given["steps"]
        * given["batch_size"]
        * Counts(study.source_of(plan.study)).line_tokens(given["max_length"])
    )
    seconds = cost.expected(plan, [encoder.id]).seconds[encoder.id]
    assert seconds == pytest.approx(1.0 + 6 * tokens * (weights + predicted) / 4e10)


def test_wall_time_is_work_over_kernels_or_the_longest_chain(plan):
    encoder, run = next(iter(plan.runs)), target(plan)
    others = [
        r.id
        for r in plan.runs.values()
        if r.kind == "target" and r.labels["intermediate"] == "none"
    ]
    seconds = {encoder: 10.0, **dict.fromkeys(others, 6.0)}
    assert len(others) == 3
    assert cost.wall_seconds(plan, seconds, 1) == 28.0
    assert cost.wall_seconds(plan, seconds, 2) == 19.0
    assert cost.wall_seconds(plan, {encoder: 10.0, run.id: 6.0}, 8) == 16.0


def test_kernels_on_one_gpu_share_its_assumed_rate(plan):
    assert cost.expected(plan, list(plan.runs)).lanes(2) == 2
    loaded = study.make_plan(paths.PARAMS / "base.yaml")
    expected = cost.expected(loaded, list(loaded.runs))
    assert expected.lanes(2) == 1
    runs = [run for run in loaded.runs.values() if run.labels.get("train_task") == "mnli"]
    tokens = min(392702, 100000) * 40 * 2  # two epochs of the capped training set
    evaluated = 15 * 500 * 45
    by_hand = 1.0 + 86e6 * (6 * 1.25 * tokens + 2 * evaluated) / 2e13
    assert expected.seconds[runs[0].id] == pytest.approx(by_hand)


# ----- what seeds can show -----
def done_with(values: dict[int, float]) -> dict:
    def scores(value: float) -> list[dict]:
        row = {"task": "xnli", "split": "dev", "metric": "accuracy", "n": 9, "main": True}
        return [
            {**row, "language": "en", "value": value + 10},
            {**row, "language": "de", "value": value - 10},
        ]

    labels = {"model": "m", "intermediate": "none"}
    return {
        str(seed): result(1, labels={**labels, "seed": seed}, scores=scores(v))
        for seed, v in values.items()
    }


def test_the_deviation_between_seeds_is_measured_where_it_can_be():
    sd, basis = needs.seed_sd(done_with({0: 50.0, 1: 52.0, 2: 54.0}))
    assert sd == pytest.approx(2.0) and "measured" in basis
    sd, basis = needs.seed_sd(done_with({0: 50.0}))
    assert sd == needs.ASSUMED_SD and "assuming" in basis


def test_the_detectable_gain_is_told():
    """3 against 3 seeds, 80% power at 5%: a t test with 4 degrees of freedom finds 3.07 standard deviations."""
    made = params.load(SMOKE).model_copy(
        update={"seeds": params.Seeds(none=[0, 1, 2], other=[0, 1, 2])}
    )
    assert "a gain of 3.1 points can be shown" in needs.detectable(made, {})
    assert "a gain of 6.1 points" in needs.detectable(made, done_with({0: 50.0, 1: 52.0, 2: 54.0}))
    one = made.model_copy(update={"seeds": params.Seeds(none=[0, 1, 2], other=[0])})
    assert (
        "no gain can be told from chance between seeds; 3 and 3 would show one of 3.1"
        in needs.detectable(one, {})
    )


def test_quantities():
    shown = [
        needs.quantity(n, u) for n, u in ((999, ""), (1234, "B"), (2.24e9, "B"), (1.95e12, ""))
    ]
    assert shown == ["999", "1.23 kB", "2.24 GB", "1.95 T"]
