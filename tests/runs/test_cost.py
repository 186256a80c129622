"""Expected time and sizes, against figures worked out by hand."""

import json
import math

import pytest

from xfer_utils.runs import cost, records
from xfer_utils.runs import plan as study
from xfer_utils.runs.counts import Counts
from xfer_utils.runs.plan import Run
from xfer_utils.study import paths, sections
from xfer_utils.study.jobs import IntermediateJob

START = cost.START_SECONDS
SMOKE = paths.PARAMS / "smoke.yaml"
JOB = IntermediateJob(run_dir="", source="hub", encoder_dir="", tasks=["mnli"])
MNLI = JOB.model_dump()
BASE = cost.Size(278e6, 86e6, layers=12, width=768)
SCORE = {"task": "t", "language": "en", "split": "dev", "metric": "accuracy", "value": 1.0, "n": 1}


def put(run: Run, seconds: float, id: str = "", parameters: dict | None = None) -> None:
    """Stores a run as done."""
    content = {
        "id": id or run.id, "kind": run.kind.name, "labels": run.labels, "identity": {}, "code": {},
        "parameters": run.parameters | (parameters or {}), "parents": list(run.parents.values()),
        "scores": [{**SCORE, "main": True}], "files": {}, "training": {}, "data": [],
        "environment": records.environment(), "timing": {"total": seconds},
    }  # fmt: skip
    records.write_json(study.runs_folder() / (id or run.id) / records.RESULT, content)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The smoke study's plan, with its encoder done, on a machine of a known rate."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(cost, "machine_rate", lambda width, dropout: 3e10)
    plan = study.make_plan(SMOKE)
    put(encoder_of(plan), 10.0)
    return plan


def encoder_of(plan) -> Run:
    return next(run for run in plan.runs.values() if run.kind.name == "encoder")


def target(plan, train_task: str = "mnli", intermediate: str = "none") -> Run:
    return next(
        run
        for run in plan.runs.values()
        if run.kind.name == "target"
        and (run.labels["train_task"], run.labels["arm"]) == (train_task, intermediate)
    )


# ----- work -----
def test_lora_needs_two_thirds_of_the_work():
    full, lora = (cost.effort({**MNLI, "tuning": how}, Counts(), BASE) for how in ("full", "lora"))
    assert lora / full == pytest.approx(4 / 6)


def test_frozen_layers_are_only_read():
    """Embeddings, that is no layer, or half of the layers: 6 x 6 and 6 x 2 in place of 12 x 6."""
    full, words, half = (
        cost.effort({**MNLI, "freeze": states}, Counts(), BASE) for states in (0, 1, 7)
    )
    assert words == full and half / full == pytest.approx((6 * 6 + 6 * 2) / (12 * 6))


# ----- sizes -----
def test_sizes_of_models(tmp_path):
    shape = sections.Pretraining(layers=2, width=32, feedforward=128, vocabulary=400)
    assert cost.size(sections.Model(pretrain=shape)).body == 12 * 2 * 32**2
    large = cost.size(sections.Model(load="FacebookAI/xlm-roberta-large"))
    assert (large.parameters, large.body, large.download) == (560e6, 304e6, 2.24e9)
    assert (large.layers, large.width) == (24, 1024)
    assert not cost.size(sections.Model(load="someone/else")).known
    (tmp_path / "model.safetensors").write_bytes(b"0" * 4000)
    assert not cost.size(sections.Model(load=str(tmp_path))).known
    config = {"num_hidden_layers": 2, "hidden_size": 8, "vocab_size": 50}
    (tmp_path / "config.json").write_text(json.dumps(config))
    folder = cost.size(sections.Model(load=str(tmp_path)))
    assert (folder.parameters, folder.body, folder.layers, folder.width) == (1000, 600, 2, 8)
    whole = {"parameters", "body", "layers", "width"}
    assert all(whole <= set(row) for row in cost.published().values())


def test_activations_are_those_that_were_counted():
    """1.75 MB a token with XLM-R Large and 0.65 MB with base, in bf16."""
    for load, measured in (("large", 1.75e6), ("base", 0.65e6)):
        size = cost.size(sections.Model(load=f"FacebookAI/xlm-roberta-{load}"))
        counted = cost.ACTIVATION_BYTES["bf16"] * size.layers * size.width
        assert counted == pytest.approx(measured, rel=0.03)


# ----- time -----
def test_finished_runs_of_the_same_kind_and_encoder_are_scaled_by_work(plan):
    run, other = target(plan), target(plan, intermediate="mnli")
    before = cost.expected(plan, [run.id, other.id])
    assert (before.measured, len(before.rates)) == (0, 2)
    assert "2 from FLOPs at 30 GFLOP/s, as measured on this machine" in before.basis
    half = {"max_examples": 32, "max_eval_items": 10}
    put(run, 51.0, id="target-mnli-after-none-s0-0123456789", parameters=half)
    after = cost.expected(plan, [run.id, other.id])
    counts = Counts(study.source_of(plan.study))
    tiny = cost.size(plan.study.models["xlmr-tiny"])
    ratio = cost.effort(run.parameters, counts, tiny)
    ratio /= cost.effort(run.parameters | half, counts, tiny)
    assert 1.2 < ratio < 2.5
    assert after.seconds == pytest.approx(
        dict.fromkeys((run.id, other.id), START + (51 - START) * ratio)
    )
    assert (after.measured, after.rates) == (2, [])


def edit_record(id: str, **fields) -> None:
    file = study.runs_folder() / id / records.RESULT
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"training": {"resumed_from": "checkpoint-9"}},  # its time is that of its last part
        {"environment": {"device": "another card"}},
        {"kind": "retrieval"},
    ],
)
def test_runs_that_tell_nothing(plan, fields):
    run = target(plan)
    put(run, 120.0, id="target-mnli-after-none-s0-0123456789")
    assert cost.expected(plan, [run.id]).measured == 1
    edit_record("target-mnli-after-none-s0-0123456789", **fields)
    assert cost.expected(plan, [run.id]).measured == 0


def test_so_does_a_run_of_a_task_that_has_left_the_registry(plan):
    run = target(plan)
    name = next(key for key, value in run.parameters.items() if value == "mnli")
    put(run, 120.0, id="target-gone-after-none-s0-0123456789", parameters={name: "gone"})
    assert cost.expected(plan, [run.id]).measured == 0


def test_a_model_of_another_size_and_equal_name_tells_nothing(plan, tmp_path):
    """A run's settings do not hold its encoder's size; a study names its models as it likes."""
    done = target(plan)
    put(done, 120.0)
    text = SMOKE.read_text().replace("width: 32", "width: 64")
    (tmp_path / "smoke.yaml").write_text(text)
    other = study.make_plan(tmp_path / "smoke.yaml")
    folders = {"run_dir": "", "encoder_dir": ""}
    assert target(other).parameters | folders == done.parameters | folders
    assert target(other).labels == done.labels
    assert cost.expected(other, [target(other).id]).measured == 0
    (study.runs_folder() / encoder_of(plan).id / records.RESULT).unlink()
    assert cost.expected(plan, [done.id]).measured == 0, "its size is not known any more"


def test_time_from_flops_by_hand(plan):
    encoder = encoder_of(plan)
    (study.runs_folder() / encoder.id / records.RESULT).unlink()
    parameters, counts = encoder.parameters, Counts(study.source_of(plan.study))
    width, hidden = parameters["width"], parameters["feedforward"]
    weights = parameters["layers"] * (4 * width * width + 2 * width * hidden)
    weights += parameters["masked"] * parameters["vocabulary"] * width  # where tokens are guessed
    lines = parameters["steps"] * parameters["batch_size"]
    flops = 6 * lines * counts.line_tokens(parameters["max_length"]) * weights
    for threads in (1, 2):
        seconds = cost.expected(plan, [encoder.id], threads).seconds[encoder.id]
        assert seconds == pytest.approx(START + flops / (3e10 * threads))


def test_the_rate_of_this_machine_is_measured():
    assert 1e8 < cost.machine_rate(64) < 1e15


def test_wall_time_is_that_of_kernels_which_take_what_can_start(plan):
    """An encoder of 10 s, then three runs of 6 s: one after another, or two and one."""
    encoder, run = next(iter(plan.runs)), target(plan)
    runs = [run for run in plan.runs.values() if run.kind.name == "target"]
    others = [run.id for run in runs if run.labels["arm"] == "none"]
    seconds = {encoder: 10.0, **dict.fromkeys(others, 6.0)}
    assert len(others) == 3
    assert cost.wall_seconds(plan, seconds, 1) == 28.0
    assert cost.wall_seconds(plan, seconds, 2) == 22.0
    assert cost.wall_seconds(plan, {encoder: 10.0, run.id: 6.0}, 8) == 16.0
    assert cost.wall_seconds(plan, {run.id: 6.0}, 8) == 6.0, "the encoder is done"
    assert cost.wall_seconds(plan, {}, 8) == 0.0


def test_encoders_are_made_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    plan = study.make_plan(paths.PARAMS / "toy-encoder.yaml")
    seconds = dict.fromkeys(plan.runs, 300.0)
    assert len(seconds) == 10
    assert [cost.wall_seconds(plan, seconds, lanes) for lanes in (1, 2, 4)] == [3000, 1500, 900]


def test_a_published_model_takes_as_long_as_this_machine_needs(plan):
    """86 million parameters at a measured 30 GFLOP/s, beside a card at an assumed 20 TFLOP/s."""
    loaded = study.make_plan(paths.PARAMS / "base.yaml")
    runs = [run for run in loaded.runs.values() if run.labels.get("train_task") == "mnli"]
    expected = cost.expected(loaded, [runs[0].id])
    tokens = min(392702, 100000) * 40 * 2  # two epochs of the capped training set
    flops = 86e6 * (6 * tokens + 2 * 15 * 500 * 45)
    assert expected.seconds[runs[0].id] == pytest.approx(START + flops / 3e10)
    assert expected.card_seconds == pytest.approx(START + flops / 2e13)
    assert expected.seconds[runs[0].id] > 36 * 3600


def test_kernels_on_one_gpu_share_its_measured_rate():
    assert cost.Expected(rates=[1e14], cards=1).lanes(2) == 1
    assert cost.Expected(measured=3, cards=1).lanes(2) == 2
    assert cost.Expected(rates=[1e10]).lanes(2) == 2


# ----- in words -----
@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (math.nan, ""),
        (3.21, "3.2 s"),
        (59.9, "60 s"),
        (200, "3.3 min"),
        (2400, "40 min"),
        (7260, "2.0 h"),
        (86400, "24 h"),
        (25e6, "289 days"),
    ],
)
def test_durations(seconds, text):
    assert cost.duration(seconds) == text


def test_quantities():
    numbers = ((999, ""), (1234, "B"), (2.24e9, "B"), (1.95e12, ""))
    shown = [cost.quantity(number, unit) for number, unit in numbers]
    assert shown == ["999", "1.23 kB", "2.24 GB", "1.95 T"]
