"""Where models come from: broken folders, refusals, full disks and interrupted downloads, told in one sentence each."""

import errno
import json
import os
import subprocess
import sys

import pytest
import torch
from mini_hub import MiniHub
from tiny_models import make

from xfer_utils.learning import encoders, origins
from xfer_utils.learning.encoders import ModelProblem


def test_a_broken_or_partial_folder_is_not_trusted(tmp_path):
    model = make(tmp_path / "model", "bert")
    weights = (model / "model.safetensors").read_bytes()
    run = tmp_path / "run" / "encoder"
    for content in (weights[:-100], b"", b"<html>"):
        (model / "model.safetensors").write_bytes(content)
        with pytest.raises(ModelProblem, match="broken or cut short"):
            encoders.save_pointer(run, str(model), "main")
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelProblem, match="cannot be loaded"):
        encoders.save_pointer(run, str(model), "main")
    assert not (run / origins.POINTER).exists()


def test_missing_weights_are_not_made_up(tmp_path):
    model = make(tmp_path / "model", "bert")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(
        ModelProblem, match=r"not a whole bert model: 16 weights are missing \(encoder.layer.2"
    ):
        encoders.save_pointer(tmp_path / "run" / "encoder", str(model), "main")


def test_a_folder_that_is_no_model_is_told_from_a_hub_id(tmp_path):
    with pytest.raises(ModelProblem, match=r"holds no model: a folder with config.json"):
        origins.local_folder(str(tmp_path))
    assert origins.local_folder("FacebookAI/xlm-roberta-base") is None


def test_weights_are_read_from_safetensors_and_a_pickle_is_not_run(tmp_path):
    model = make(tmp_path / "model", "bert")
    (model / "model.safetensors").unlink()
    mark = tmp_path / "executed"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    torch.save({"embeddings.word_embeddings.weight": Evil()}, model / "pytorch_model.bin")
    with pytest.raises(ModelProblem, match=r"no file named model\.safetensors"):
        encoders.save_pointer(tmp_path / "run" / "encoder", str(model), "main")
    assert not mark.exists()


def test_a_model_with_code_of_its_own_is_refused(tmp_path):
    model = make(tmp_path / "model", "bert")
    content = {
        "model_type": "homemade",
        "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"},
    }
    (model / "config.json").write_text(json.dumps(content))
    with pytest.raises(ModelProblem, match="code of its own, which is never run"):
        encoders.save_pointer(tmp_path / "run" / "encoder", str(model), "main")


def test_a_fingerprint_follows_content(tmp_path):
    first = origins.fingerprint(str(make(tmp_path / "a", "gpt2")))
    assert first == origins.fingerprint(str(make(tmp_path / "b", "gpt2"))) != ""
    config = tmp_path / "b" / "config.json"
    config.write_text(config.read_text() + "\n")
    assert origins.fingerprint(str(tmp_path / "b")) != first
    assert origins.fingerprint("owner/name") == ""


def test_a_full_disk_and_a_missing_network_are_told_apart():
    full = OSError(errno.ENOSPC, "No space left on device")
    for error, said in (
        (full, "disk is full"),
        (OSError("We couldn't connect to the hub"), "cannot reach the hub"),
    ):
        with pytest.raises(ModelProblem, match=said), origins.explained("owner/name"):
            try:
                raise error
            except OSError as inner:
                raise RuntimeError("while fetching") from inner
    with pytest.raises(KeyError), origins.explained("owner/name"):
        raise KeyError("a mistake of ours is not explained away")


SCRIPT = """
import sys
from pathlib import Path
from xfer_utils.learning import encoders, origins
try:
    encoders.save_pointer(Path(sys.argv[1]) / "encoder", sys.argv[2], sys.argv[3])
    print(encoders.load_encoder(Path(sys.argv[1])).config.model_type, origins.of_run(Path(sys.argv[1])).revision)
except origins.ModelProblem as error:
    print("PROBLEM", error)
"""


def _fetch(environment: dict, run, model: str, revision: str = "main") -> str:
    command = [sys.executable, "-c", SCRIPT, str(run), model, revision]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.slow
def test_a_published_model_is_pinned_to_its_commit_and_the_hubs_refusals_are_told(tmp_path):
    for name in ("fine", "closed"):
        make(tmp_path / "hub" / "models" / "owner" / name / "main", "xlm-roberta")
    with MiniHub(tmp_path / "hub", gated=("owner/closed",)) as hub:
        env = hub.env(tmp_path / "cache")
        kind, commit = _fetch(env, tmp_path / "fine", "owner/fine").split()
        assert kind == "xlm-roberta" and len(commit) == 40
        assert "is gated" in _fetch(env, tmp_path / "closed", "owner/closed")
        assert "not on the hub" in _fetch(env, tmp_path / "gone", "owner/gone")
        assert "no such revision" in _fetch(env, tmp_path / "rev", "owner/fine", "v9")
    assert _fetch(env, tmp_path / "fine2", "owner/fine").endswith(commit), (
        "the cache serves without the hub"
    )
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "empty")}
    said = _fetch({**env, **nowhere}, tmp_path / "off", "owner/fine")
    assert (
        "cannot reach the hub for owner/fine" in said and "name a local folder in `load:`" in said
    )
    assert not list(tmp_path.glob("off/encoder/*"))


@pytest.mark.slow
def test_an_interrupted_download_is_not_trusted_and_the_next_try_succeeds(tmp_path):
    make(tmp_path / "hub" / "models" / "owner" / "name" / "main", "xlm-roberta")
    with MiniHub(tmp_path / "hub", broken=("model.safetensors",)) as hub:
        assert "PROBLEM" in _fetch(hub.env(tmp_path / "cache"), tmp_path / "run", "owner/name")
        assert not list(tmp_path.glob("run/encoder/*"))
    with MiniHub(tmp_path / "hub") as hub:
        assert _fetch(hub.env(tmp_path / "cache"), tmp_path / "run", "owner/name").startswith(
            "xlm-roberta "
        )
