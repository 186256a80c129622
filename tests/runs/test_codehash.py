"""Comments and layout leave the hash of a notebook's cells alone; files are hashed as they are."""

import json
import subprocess
import sys

import nbformat
import pytest
from conftest import PROJECT, environment

from xfer_utils.runs import codehash

CODE = """\
from xfer_utils import low


class Thing:
    size = 3  # of it


async def later():
    return 'text'


def half(number):
    if number:
        from xfer_utils.deep import inner
    return number / 2
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A made-up package: high imports low and, in a function, deep.inner; nobody imports alone."""
    folder = tmp_path / "xfer_utils"
    (folder / "deep").mkdir(parents=True)
    files = {"__init__": "", "high": CODE, "low": "import json\nx = 1\n", "alone": "y = 2\n"}
    files |= {"deep/__init__": "", "deep/inner": "from xfer_utils.low import x\n"}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(codehash, "PROJECT", tmp_path)
    return folder


@pytest.fixture
def notebook(tmp_path):
    """Writes a notebook of (source, tags) cells and hashes it."""

    def hashes(*cells):
        content = nbformat.v4.new_notebook()
        for source, tags in cells:
            new = nbformat.v4.new_markdown_cell if tags == "prose" else nbformat.v4.new_code_cell
            content.cells.append(new(source, metadata={} if tags == "prose" else {"tags": tags}))
        path = tmp_path / "job.ipynb"
        nbformat.write(content, path)
        return {"cells": codehash.of_cells(path), **codehash.of_notebook(path)}

    return hashes


NOTHING = [
    CODE.replace("  # of it", "") + "# the end\n",
    CODE.replace("number / 2", "(\n        number\n        / 2\n    )"),
    CODE.replace("\n\n\n", "\n\n\n\n\n"),
    CODE.replace("'text'", '"text"'),
]
SOMETHING = [
    CODE.replace("number / 2", "number / 3"),
    CODE.replace("number / 2", "number // 2"),
    CODE.replace("number / 2", "number / 2.0"),
    CODE.replace("half(number)", "half(number=1)"),
    CODE.replace("size = 3", "size: int = 3"),
    CODE.replace("async def", "def"),
    CODE.replace("'text'", "'other text'"),
]


@pytest.mark.parametrize("text", NOTHING)
def test_what_says_nothing_to_the_machine_does_not_count(notebook, text):
    assert text != CODE and notebook((text, []))["cells"] == notebook((CODE, []))["cells"]


@pytest.mark.parametrize("text", SOMETHING)
def test_code_counts(notebook, text):
    assert text != CODE and notebook((text, []))["cells"] != notebook((CODE, []))["cells"]


def test_the_hash_of_cells_is_the_same_in_every_version_of_python(notebook):
    assert notebook((CODE, []))["cells"] == "ed100327ac64c008"


def test_imports_are_followed_wherever_they_stand(package, notebook):
    high = {"cells", "xfer_utils.high", "xfer_utils.low", "xfer_utils.deep.inner"}
    assert set(notebook(("from xfer_utils import high", []))) == high
    inner = {"cells", "xfer_utils.deep.inner", "xfer_utils.low"}
    assert set(notebook(("import xfer_utils.deep.inner", []))) == inner
    assert set(notebook(("import json", []))) == {"cells"}


def test_a_changed_module_changes_its_own_hash_only(package, notebook):
    before = notebook(("from xfer_utils import high", []))
    (package / "low.py").write_text("import json\nx = 2\n")
    after = notebook(("from xfer_utils import high", []))
    assert {name for name in before if before[name] != after[name]} == {"xfer_utils.low"}
    (package / "alone.py").write_text("y = 3\n")
    assert notebook(("from xfer_utils import high", [])) == after


def test_modules_may_import_each_other(package, notebook):
    (package / "low.py").write_text("def f():\n    from xfer_utils import high\n")
    assert "xfer_utils.low" in notebook(("from xfer_utils import high", []))


def test_which_cells_count(package, notebook):
    work, setting = ("from xfer_utils import low\nlow.x", []), ("seed = 0", ["parameters"])
    base = notebook(setting, work)
    assert base == notebook(("seed = 1  # other", ["parameters"]), work)
    assert base == notebook(setting, ("seed = 7", ["injected-parameters"]), work)
    assert base == notebook(
        ("# A title", "prose"), setting, work, ("from xfer_utils import alone", ["show"])
    )
    assert base == notebook(setting, ("from xfer_utils import low  # why\n\nlow.x", []))
    assert base == notebook(setting, ("from xfer_utils import low", []), ("low.x", []))
    assert base != notebook(setting, work, ("low.x", []))
    assert base != notebook(setting, ("from xfer_utils import low\nlow.y", []))


def test_hashes_do_not_depend_on_the_process():
    """Set order and the like differ between processes; ids must not."""
    code = (
        "import json; from xfer_utils.runs import codehash; from xfer_utils.study import paths;"
        "print(json.dumps(codehash.of_notebook(paths.NOTEBOOKS / '30_target.ipynb')))"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**environment(PROJECT), "PYTHONHASHSEED": seed},
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1] and "xfer_utils.learning.training" in json.loads(found[0])
