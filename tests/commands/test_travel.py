"""Finished runs travel: packed here, checked and added there."""

import io
import json
import shutil
import tarfile

import pytest
from conftest import SMOKE, records_of, scores_of, study_file, xfer

RUNS = 20


@pytest.fixture
def archive(smoke, command, tmp_path):
    """The smoke study's runs, without weights."""
    path = tmp_path / "there" / "smoke.tar.gz"
    code, printed = command("pack", SMOKE, path, outputs=smoke.outputs)
    assert (code, printed.out) == (0, f"{RUNS} runs packed.\n")
    return path


def test_a_study_comes_home(smoke, archive, command, tmp_path):
    home = tmp_path / "home"
    code, printed = command("unpack", archive, outputs=home)
    assert (code, printed.out) == (0, f"{RUNS} added, 0 already here, 0 refused.\n")
    assert scores_of(home) == scores_of(smoke.outputs)
    assert not list(home.rglob("*.safetensors")) and not list((home / "claims").glob("*.json"))
    assert {path.name for path in (home / "runs").iterdir()} == set(records_of(home))
    for path in smoke.outputs.glob("runs/*/predictions/*.parquet"):
        assert (home / path.relative_to(smoke.outputs)).read_bytes() == path.read_bytes()
    for path in smoke.outputs.glob("runs/*/notebook.ipynb"):
        assert (home / path.relative_to(smoke.outputs)).exists()
    shutil.copytree(smoke.outputs / "data", home / "data")
    code, status = command("status", SMOKE, outputs=home)
    assert status.out.startswith(f"Smoke study: {RUNS} done")
    code, printed = command("unpack", archive, outputs=home)
    assert (code, printed.out) == (0, f"0 added, {RUNS} already here, 0 refused.\n")


def test_weights_travel_when_they_are_asked_for_and_then_replace_what_has_none(
    smoke, archive, command, tmp_path
):
    home, heavy = tmp_path / "home", tmp_path / "heavy.tar.gz"
    command("unpack", archive, outputs=home)
    command("pack", SMOKE, heavy, "--weights", outputs=smoke.outputs)
    code, printed = command("unpack", heavy, outputs=home)
    kept = {record["id"] for record in records_of(home).values() if not record["left"]}
    assert code == 0 and len(kept) == RUNS
    made = [path.parts[-3] for path in home.glob("runs/*/encoder/model.safetensors")]
    assert f"{len(made)} added, {RUNS - len(made)} already here" in printed.out and made


def changed(archive, edit):
    """The archive with its members edited: a function from name and content to both, or None."""
    path = archive.with_name("changed.tar.gz")
    with tarfile.open(archive) as old, tarfile.open(path, "w:gz") as new:
        for member in old:
            if (made := edit(member.name, old.extractfile(member).read())) is not None:
                entry = tarfile.TarInfo(made[0])
                entry.size = len(made[1])
                new.addfile(entry, io.BytesIO(made[1]))
    return path


def test_what_was_changed_on_the_way_is_refused(archive, command, tmp_path):
    def edit(name, content):
        if name.startswith("target-mnli-after-none") and name.endswith(".parquet"):
            return name, content[:-9] + bytes(9)
        if name.startswith("retrieval-after-none") and name.endswith("result.json"):
            record = json.loads(content)
            record["scores"][0]["value"] = 99.0
            return name, json.dumps(record).encode()
        if name.startswith("target-udpos-after-none") and name.endswith("result.json"):
            return None
        return name, content

    home = tmp_path / "home"
    code, printed = command("unpack", changed(archive, edit), outputs=home)
    assert code == 1 and printed.out == f"{RUNS - 3} added, 0 already here, 3 refused.\n"
    for told in ("not as the run has left it", "was changed after it", "has no result.json"):
        assert told in printed.err
    assert len(records_of(home)) == RUNS - 3


@pytest.mark.parametrize("name", ["../../outside", "/outside"])
def test_nothing_is_written_outside(archive, command, tmp_path, name):
    evil = changed(archive, lambda old, content: (name if old.endswith(".log") else old, content))
    code, printed = command("unpack", evil, outputs=tmp_path / "home")
    assert not list(tmp_path.rglob("outside")) or code == 0
    assert not (tmp_path / "outside").exists() and "Traceback" not in printed.err


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_what_is_no_archive_is_refused_in_a_sentence(archive, command, tmp_path, content):
    half = archive.read_bytes()[: archive.stat().st_size // 2]
    path = tmp_path / "bad.tar.gz"
    path.write_bytes(half if content is None else content)
    code, printed = command("unpack", path, outputs=tmp_path / "home")
    assert code == 2 and "is no whole archive of `xfer pack`" in printed.err
    assert not list((tmp_path / "home" / "runs").iterdir())


@pytest.mark.slow
def test_runs_without_weights_are_made_again_where_something_builds_on_them(
    smoke, archive, tmp_path, command
):
    home = tmp_path / "home"
    command("unpack", archive, outputs=home)
    (gone,) = (home / "runs").glob("retrieval-after-mnli-*")
    shutil.rmtree(gone)
    study = study_file(tmp_path, "intermediate: [none, mnli]\n")
    ended = xfer("run", study, outputs=home)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert scores_of(home) == scores_of(smoke.outputs)
    made = {
        path.parts[-3].split("-s0")[0] for path in home.glob("runs/*/encoder/model.safetensors")
    }
    assert made == {"encoder-xlmr-tiny", "intermediate-mnli"}, "and no others"
