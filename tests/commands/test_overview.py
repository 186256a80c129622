"""What `xfer run` says while it runs: steps, time left, a warning before days of work."""

import re
import sys
import time

import pytest
from conftest import SMOKE

from xfer_utils.commands import overview
from xfer_utils.runs import cost
from xfer_utils.runs import plan as study
from xfer_utils.runs.engines import Progress
from xfer_utils.study import paths


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Outputs of its own, on a machine of a known rate without a GPU."""
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(cost, "machine_rate", lambda width, dropout: 3e10)


@pytest.fixture
def plan():
    """Two runs of one kind and one of another that wait for the same encoder."""
    whole = study.make_plan(SMOKE)
    targets = [id for id, run in whole.runs.items() if run.labels.get("arm") == "none"]
    encoder = next(iter(whole.runs))
    whole.runs = {id: whole.runs[id] for id in (encoder, *targets)}
    assert [run.kind.name for run in whole.runs.values()] == [
        "encoder",
        *["target"] * 3,
        "retrieval",
    ]
    return whole


@pytest.fixture
def reporter(plan):
    """Ten seconds for every run, one after the other."""
    expected = cost.Expected(seconds=dict.fromkeys(plan.runs, 10.0))
    return overview.Reporter(plan, list(plan.runs), 1, expected)


def say(run_id, text):
    """What a training writes of its progress."""
    file = study.runs_folder() / run_id / paths.PROGRESS
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_what_runs_took_corrects_what_is_expected_of_their_kind(plan, reporter):
    encoder, first, second, third, search = plan.runs
    now = Progress(5)
    assert reporter.seconds_left(now) == 50.0
    now.done, now.seconds = {encoder}, {encoder: 30.0}
    assert reporter.seconds_left(now) == pytest.approx(4 * 30.0), (
        "all that is known of this machine"
    )
    now.done, now.seconds = {encoder, first}, {encoder: 30.0, first: 10.0}
    assert reporter.seconds_left(now) == pytest.approx(2 * 10.0 + 20.0), (
        "by kind where one is known"
    )
    now.done, now.failed, now.blocked = {encoder, first}, {second: "no"}, {third}
    assert reporter.seconds_left(now) == pytest.approx(20.0), "what failed is not waited for"
    now.done |= {search}
    assert reporter.seconds_left(now) == 0.0


def test_a_run_without_work_tells_nothing_of_others(plan, reporter):
    """A published encoder is only looked up: 17 s in place of 2 do not make all runs eight times as long."""
    encoder, *others = plan.runs
    reporter.expected.seconds[encoder] = cost.START_SECONDS
    now = Progress(5, done={encoder}, seconds={encoder: 17.0})
    assert reporter.seconds_left(now) == len(others) * 10.0


def test_a_training_knows_best_how_long_it_takes(plan, reporter):
    """Expected: 10 s; after a minute, by its own account, there are two more."""
    encoder, first, *_ = plan.runs
    now = Progress(5, done={encoder}, running={first: time.time() - 60})
    assert reporter.seconds_left(now) == pytest.approx(3 * 10.0, abs=1), (
        "over time, but surely over soon"
    )
    say(first, "step 10/30  loss 1.234  2 min 00 s left")
    assert reporter.seconds_left(now) == pytest.approx(120 + 3 * 180, abs=2)


def test_without_a_terminal_there_is_a_line_a_minute(plan, reporter, capsys):
    encoder, *_ = plan.runs
    say(encoder, "step 10/30  loss 1.234  0 min 04 s left")
    now = Progress(5, running={encoder: time.time()})
    reporter(now, "")
    assert capsys.readouterr().out == ""
    reporter.printed -= overview.MINUTE
    reporter(now, "")
    told = r"\[0/5\] about \d+ s left  running: encoder-xlmr-tiny-s0 step 10/30 0 min 04 s left\n"
    assert re.fullmatch(told, capsys.readouterr().out)
    reporter(now, "")
    assert capsys.readouterr().out == "", "not again for a minute"
    reporter(now, "done  encoder")
    assert re.fullmatch(r"\[0/5\] about \d+ s left  done  encoder\n", capsys.readouterr().out)


def test_in_a_terminal_the_last_line_is_always_new(plan, reporter, capsys, monkeypatch):
    encoder, *_ = plan.runs
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    reporter(Progress(5, running={encoder: time.time()}), "")
    told = r"\r\033\[K\[0/5\] about \d+ s left  running: encoder-xlmr-tiny-s0"
    assert re.fullmatch(told, capsys.readouterr().out)


@pytest.mark.parametrize(
    ("rate", "cards", "warned"), [(3e10, 0, True), (3e16, 0, False), (3e10, 1, False)]
)
def test_days_of_work_without_a_gpu_are_warned_of(monkeypatch, capsys, rate, cards, warned):
    monkeypatch.setattr(cost, "machine_rate", lambda width, dropout: rate)
    base = study.make_plan(paths.PARAMS / "base.yaml")
    known = cost.expected(base, list(base.runs))
    known.cards = cards
    monkeypatch.setattr(cost, "expected", lambda *_: known)
    overview.start(base, list(base.runs), 1, 1, Progress(len(base.runs)))
    out = capsys.readouterr().out
    assert ("WARNING: this machine has no GPU. On one card it takes about " in out) == warned
    assert f" to run, 1 at a time, about {cost.duration(sum(known.seconds.values()))}." in out
