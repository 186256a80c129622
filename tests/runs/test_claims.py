"""Claims between real processes: one holder at a time, and the dead hold nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PROJECT, environment

from xfer_utils.runs import claims
from xfer_utils.runs.claims import Claims

TAKE = """
import sys, time
from pathlib import Path
from xfer_utils.runs.claims import Claims
folder, begin = Path(sys.argv[1]), float(sys.argv[2])
with Claims(folder) as claims:
    time.sleep(max(0, begin - time.time()))
    print(" ".join(run for run in sys.argv[3:] if claims.take(run)), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def launcher(tmp_path):
    """Starts a process that takes claims and holds them until its input ends."""
    started = []

    def start(*runs, begin=0.0):
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE, str(tmp_path), str(begin), *runs],
            env=environment(PROJECT),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def taken(process):
    return process.stdout.readline().split()


def test_one_of_several_processes_gets_each_run(launcher):
    runs = [f"run-{n}" for n in range(40)]
    begin = time.time() + 1.0
    processes = [launcher(*runs, begin=begin) for _ in range(4)]
    got = [taken(process) for process in processes]
    assert sorted(run for part in got for run in part) == sorted(runs)


def test_a_living_holder_is_passed_by_and_gives_back_at_its_end(launcher, tmp_path):
    process = launcher("a")
    assert taken(process) == ["a"]
    with Claims(tmp_path) as ours:
        assert not ours.take("a") and ours.running("a") and ours.take("b")
        assert ours.holder("a")["process"] == process.pid
        process.communicate("")
        assert ours.holder("a") is None and ours.take("a")
    assert not list(tmp_path.glob("*.json"))


def test_a_killed_holder_loses_its_claim(launcher, tmp_path):
    process = launcher("a")
    assert taken(process) == ["a"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "a.json").exists()
    with Claims(tmp_path) as ours:
        assert not ours.running("a") and ours.take("a")
        assert ours.holder("a")["process"] == os.getpid()


def test_of_several_heirs_one_inherits(launcher):
    dead = launcher("a")
    assert taken(dead) == ["a"]
    dead.kill()
    dead.wait()
    begin = time.time() + 1.0
    got = [taken(process) for process in [launcher("a", begin=begin) for _ in range(4)]]
    assert sorted(map(len, got)) == [0, 0, 0, 1]


def write(folder, age=0.0, **holder):
    path = folder / "a.json"
    path.write_text(json.dumps({**claims._process(os.getpid()), **holder}))
    os.utime(path, (time.time() - age,) * 2)


@pytest.mark.parametrize("age", [0.0, 10_000.0, -10_000.0])
def test_another_host_lives_while_its_heartbeat_changes(tmp_path, monkeypatch, age):
    """By our own clock: its clock, by which its files are dated, may be hours away from ours."""
    clock = [500.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: clock[0])
    with Claims(tmp_path) as ours:
        for beat in range(5):
            write(tmp_path, host="elsewhere", process=1, age=age - beat)
            for _ in range(3):
                assert ours.running("a") and not ours.take("a")
                clock[0] += claims.STALE_AFTER / 3
        clock[0] += 1
        assert not ours.running("a") and ours.take("a")


def test_another_host_that_takes_over_from_another_is_given_its_time(tmp_path, monkeypatch):
    clock = [500.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: clock[0])
    with Claims(tmp_path) as ours:
        write(tmp_path, host="elsewhere", process=1)
        assert ours.running("a")
        clock[0] += claims.STALE_AFTER + 1
        write(tmp_path, host="a third", process=1)
        assert ours.running("a"), "another holder"


def test_on_this_host_the_process_is_asked_and_not_the_clock(tmp_path):
    """A suspended laptop sends no heartbeat; its processes live all the same."""
    with Claims(tmp_path) as ours:
        write(tmp_path, age=10_000)
        assert ours.running("a") and not ours.take("a")


def test_a_recycled_process_number_holds_nothing(tmp_path):
    born = claims._process(os.getpid())["born"]
    with Claims(tmp_path) as ours:
        write(tmp_path, born=born)
        assert ours.running("a")
        write(tmp_path, born=str(int(born) - 1))
        assert not ours.running("a") and ours.take("a")


def test_a_process_that_cannot_exist(tmp_path):
    with Claims(tmp_path) as ours:
        write(tmp_path, process=2**22 + 1)
        assert not ours.running("a") and ours.take("a")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"host": "h"}'])
def test_a_torn_claim_holds_nothing(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with Claims(tmp_path) as ours:
        assert not ours.running("a") and ours.take("a")


def test_a_claim_that_another_took_over_is_left_alone(tmp_path):
    with Claims(tmp_path) as ours:
        ours.take("a")
        write(tmp_path, host="elsewhere", process=1)
    assert (tmp_path / "a.json").exists()


def test_the_heartbeat_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT", 0.05)
    with Claims(tmp_path) as ours:
        ours.take("a")
        os.utime(tmp_path / "a.json", (0, 0))
        until = time.time() + 5
        while (tmp_path / "a.json").stat().st_mtime < 1 and time.time() < until:
            time.sleep(0.02)
        assert time.time() - (tmp_path / "a.json").stat().st_mtime < 5


def test_the_heartbeat_survives_a_claim_that_was_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT", 0.02)
    with Claims(tmp_path) as ours:
        ours.take("a"), ours.take("b")
        (tmp_path / "a.json").unlink()
        time.sleep(0.2)
        os.utime(tmp_path / "b.json", (0, 0))
        time.sleep(0.3)
        assert (tmp_path / "b.json").stat().st_mtime > 1


def test_a_killed_holder_that_nobody_has_waited_for_holds_nothing(launcher, tmp_path):
    """Its number is still taken, by a zombie."""
    process = launcher("a")
    assert taken(process) == ["a"]
    process.kill()
    until = time.time() + 10
    while ") Z " not in Path(f"/proc/{process.pid}/stat").read_text() and time.time() < until:
        time.sleep(0.02)
    with Claims(tmp_path) as ours:
        assert not ours.running("a") and ours.take("a")
