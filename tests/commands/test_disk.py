"""A disk in trouble: one clear sentence, nothing that is finished is lost, and the same command continues."""

import shutil
import subprocess

import pytest
from conftest import SMOKE, scores_of, start, xfer
from kills import until

CONTINUES = "What is finished is kept, and the same command continues."


def one_sentence(text: str) -> str:
    assert "Traceback" not in text and CONTINUES in text and len(text.strip().splitlines()) == 1
    return text


@pytest.fixture
def outputs(smoke, tmp_path):
    """Outputs in which only the data are there."""
    shutil.copytree(smoke.outputs / "data", tmp_path / "outputs" / "data")
    return tmp_path / "outputs"


@pytest.mark.parametrize("name", ["runs", "claims", "cache", "smoke", "claims/.lock"])
def test_something_else_in_a_folders_place(outputs, command, name):
    path = outputs / name
    if name == "claims/.lock":
        path.mkdir(parents=True)
    else:
        path.write_text("not a folder")
    code, printed = command("run", SMOKE, "--limit", "1", outputs=outputs)
    said = one_sentence(printed.err)
    assert code == 1 and str(path) in said and "something else stands there: move it away" in said


def test_outputs_that_cannot_be_written(command, tmp_path):
    (tmp_path / "file").write_text("")
    for place, told in (
        (tmp_path / "file" / "out", "Not a directory"),
        ("/proc/out", "No such file"),
    ):
        code, printed = command("run", SMOKE, outputs=place)
        assert code == 1 and told in one_sentence(printed.err) and str(place) in printed.err


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a few megabytes, and a way to make it larger."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True).returncode == 0

    if not shutil.which("mount") or not mount("size=2500k"):
        pytest.skip("no disk can be mounted here")
    yield place, mount
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.faults
def test_a_full_disk(smoke, small_disk):
    place, mount = small_disk
    shutil.copytree(smoke.outputs / "data", place / "data")
    ended = xfer("run", SMOKE, outputs=place)
    said = one_sentence(ended.stderr)
    assert (
        ended.returncode == 1 and "No space left on device" in said and "free space there" in said
    )
    done, wanted = scores_of(place), scores_of(smoke.outputs)
    assert len(done) < len(wanted) and done == {run: wanted[run] for run in done}
    assert mount("remount", "size=100m")
    ended = xfer("run", SMOKE, outputs=place)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert scores_of(place) == wanted


@pytest.mark.faults
def test_outputs_that_are_lost_or_become_read_only(smoke, small_disk):
    place, mount = small_disk
    assert mount("remount", "size=100m")
    shutil.copytree(smoke.outputs / "data", place / "data")
    process = start("run", SMOKE, outputs=place)
    until(lambda: list(place.glob("runs/*/result.json")))
    # A disk with files open for writing does not become read-only, but one can be mounted over it.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], check=True)
    out, err = process.communicate(timeout=120)
    subprocess.run(["umount", "-l", str(place)], check=True)
    # What fails first depends on the moment: a file is written, or its folder looked for.
    assert process.returncode == 1 and "can be written" in one_sentence(err), out + err
    ended = xfer("run", SMOKE, outputs=place)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert scores_of(place) == scores_of(smoke.outputs)
    assert [path.name for path in (place / "claims").iterdir()] == [".lock"]
