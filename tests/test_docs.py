"""Generated pages are up to date, the change log names the version, and the online path works."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from conftest import PROJECT
from test_project import PYPROJECT, lock

from xfer_utils.study import settings_file
from xfer_utils.study.params import Study
from xfer_utils.study.tasks import registry


def script(name):
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", PROJECT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATED = [
    "study_file.md",
    "licences.md",
    "../README.md",
    "../outputs/sample/toy/report/index.html",
]


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_are_up_to_date(name):
    stored = (PROJECT / "docs" / name).read_text(encoding="utf-8")
    make = script("make")
    assert sorted(make.PAGES) == sorted(GENERATED)
    assert stored == make.PAGES[name](), "`make docs` writes it again"
    if "sample" in name or "README" in name:
        assert stored.count("Does the complexity of the intermediate task matter more") == 1


def test_the_pages_name_every_key_and_every_data_set():
    page = (PROJECT / "docs" / "study_file.md").read_text(encoding="utf-8")
    assert all(f"| `{key}` |" in page for key in Study.model_fields)
    assert "| `learning_rate` | number | `1e-05` |" in page
    assert "| `name` | text | needed |" in page
    licences = (PROJECT / "docs" / "licences.md").read_text(encoding="utf-8")
    assert all(
        f"`{row.hub.id}` | {row.hub.licence} |" in licences
        for row in registry().values()
        if row.hub
    )


def test_a_key_without_a_meaning_is_told(monkeypatch):
    make = script("make")
    meanings = settings_file.load(PROJECT / "docs" / "keys.yaml")
    del meanings["seeds"]["other"]
    monkeypatch.setattr(make.settings_file, "load", lambda path: meanings)
    with pytest.raises(KeyError, match="seeds: other"):
        make.keys_page()


def test_the_change_log_knows_this_version():
    headings = re.findall(r"^## (.+)$", (PROJECT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert PYPROJECT["project"]["version"] in headings and headings[0] == "Unreleased"


def test_commits_are_checked_by_the_locked_tools(tmp_path):
    config = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (hooks,) = [repo["hooks"] for repo in config["repos"] if repo["repo"] == "local"]
    assert len(config["repos"]) == 1, "nothing is fetched that the lock does not have"
    for hook in hooks:
        program, *arguments = shlex.split(hook["entry"])
        name = program.rpartition("/")[2]
        assert name in lock()
        file = tmp_path / "x.py"
        file.write_text("import os\nx=1\n")
        if name == "ruff":
            command = [sys.executable, "-m", "ruff", *arguments, str(file)]
            assert subprocess.run(command, capture_output=True).returncode == 0
            assert file.read_text() != "import os\nx=1\n", "it is set right"
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    (strip,) = [hook["entry"] for hook in hooks if hook["id"] == "nbstripout"]
    assert strip.removeprefix(".venv/bin/") in makefile, "the same as `make format`"


def test_make_alone_says_what_there_is():
    told = subprocess.run(
        ["make", "--no-print-directory"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert [line.split()[1] for line in told.splitlines()] == targets


@pytest.mark.slow
def test_the_online_path_works_in_a_fresh_environment(tmp_path):
    """Its commands as they stand, with this project in place of its address."""
    page = (PROJECT / "docs" / "online.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    commands = block.replace("<this repository>", shlex.quote(str(PROJECT)))
    bare = ("VIRTUAL_ENV", "PYTHONPATH", "XFER_OUTPUTS")
    env = {key: value for key, value in os.environ.items() if key not in bare}
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "colab")], check=True)
    env["PATH"] = f"{tmp_path / 'colab' / 'bin'}:{env['PATH']}"
    ended = subprocess.run(
        ["bash", "-euc", commands], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert (tmp_path / "study" / "outputs" / "smoke" / "report" / "index.html").is_file()
