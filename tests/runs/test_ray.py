"""The Ray engine on a real cluster of several nodes on this machine; skipped where Ray is not installed."""

import os
import re
import subprocess
import time

import psutil
import pytest
from conftest import PROJECT, SMOKE, scores_of, start, study_file, xfer
from kills import until

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow
RUNS = 20


@pytest.fixture
def cluster(monkeypatch):
    """Three nodes of one CPU each; a node's processes know where the project is."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.nodes = [made.add_node(num_cpus=1, object_store_memory=10**8) for _ in range(2)]
    yield made
    made.shutdown()


def rays() -> set[int]:
    return {
        p.pid for p in psutil.process_iter() if "raylet" in p.name() or "gcs_server" in p.name()
    }


def test_a_cluster_of_its_own_gives_the_same_scores_and_leaves_nothing(smoke, tmp_path):
    before = rays()
    begun = time.monotonic()
    ended = xfer("run", SMOKE, "--engine", "ray", outputs=tmp_path)
    print(f"ray {time.monotonic() - begun:.1f} s, threads {smoke.seconds:.1f} s")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert scores_of(tmp_path) == scores_of(smoke.outputs)
    (logs,) = re.findall(r"Ray's logs: (\S+)", ended.stdout)
    assert "xfer-ray-" in logs
    until(lambda: rays() <= before, 30)


def test_a_node_that_is_lost_in_the_middle(smoke, cluster, tmp_path):
    outputs = tmp_path / "outputs"
    process = start("run", SMOKE, "--engine", "ray", "--address", cluster.address, outputs=outputs)
    until(lambda: len(list(outputs.glob("runs/*/result.json"))) >= 3)
    until(lambda: len(list((outputs / "claims").glob("*.json"))) == 2)
    cluster.remove_node(cluster.nodes.pop(), allow_graceful=False)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, out + err
    assert f"{RUNS} of {RUNS} runs done" in out and scores_of(outputs) == scores_of(smoke.outputs)
    assert not list((outputs / "claims").glob("*.json"))


def test_an_error_in_a_cell_is_told_and_not_tried_again(smoke, tmp_path):
    text = "intermediate: [none]\ntargets: [xquad]\ntarget_training: {squad: {max_length: 256}}\n"
    ended = xfer("run", study_file(tmp_path, text), "--engine", "ray", outputs=tmp_path / "outputs")
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    (failed,) = re.findall(r"^failed: (\S+): (.+)$", ended.stdout, re.MULTILINE)
    assert failed[0].startswith("target-squad") and "max_length 256 is more than" in failed[1]


def test_a_cluster_that_does_not_answer_is_a_wrong_request(tmp_path):
    ended = xfer("run", SMOKE, "--engine", "ray", "--address", "127.0.0.1:1", outputs=tmp_path)
    assert ended.returncode == 2 and "No Ray cluster answers at 127.0.0.1:1" in ended.stderr


def test_without_ray_the_engine_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['ray'] = None; from xfer_utils.runs import ray_engine"
    own = {**os.environ, "PYTHONPATH": str(PROJECT)}
    ended = subprocess.run([os.sys.executable, "-c", code], env=own, capture_output=True, text=True)
    assert "SettingsError: Ray is not installed: pip install .[ray]" in ended.stderr
