"""The committed report in outputs/sample: whole, small, and of today's code; and how it is made."""

import json
import re
import shutil

import nbformat
import pytest
from conftest import PROJECT, SMOKE
from test_docs import script

from xfer_utils.commands import summary
from xfer_utils.runs.plan import make_plan
from xfer_utils.study import paths

REPORTS = sorted((PROJECT / "outputs" / "sample").glob("*/report/index.html"))


def check(index):
    """What must hold of a sample's report."""
    study = index.parents[1].name
    for page in index.parent.rglob("*.html"):
        for link in re.findall(r'href="([^"]*)"', page.read_text(encoding="utf-8")):
            file = link.partition("#")[0]
            if file and not file.startswith(("data:", "http")):
                assert (page.parent / file).is_file(), f"{page}: {link}"
    files = [path for path in index.parents[2].rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 5_000_000
    planned = set(make_plan(paths.PARAMS / f"{study}.yaml").runs)
    shown = set(re.findall(r'<div class="id"><code>([^<]+)', index.read_text(encoding="utf-8")))
    assert shown - {""} <= planned, "settings or code have changed since: `make sample`"
    records = list((index.parents[2] / "runs").glob("*/result.json"))
    kinds = {json.loads(path.read_text(encoding="utf-8"))["kind"] for path in records}
    assert {"intermediate", "target", "retrieval"} <= kinds
    for path in index.parents[1].glob("notebooks/*.ipynb"):
        assert code(path) == code(PROJECT / "notebooks" / path.name), f"{path}: `make sample`"


def code(path):
    """A notebook's code, without its parameters."""
    cells = nbformat.read(path, as_version=4).cells
    own = {"parameters", "injected-parameters"}
    return [
        c.source for c in cells if c.cell_type == "code" and not own & {*c.metadata.get("tags", ())}
    ]


@pytest.mark.skipif(not REPORTS, reason="no report is in the sample yet: `make sample`")
@pytest.mark.parametrize("index", REPORTS, ids=lambda path: path.parents[1].name)
def test_the_committed_report_is_whole_and_of_todays_code(index, monkeypatch, tmp_path):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    check(index)


@pytest.mark.slow
def test_a_sample_is_made_and_passes(own_outputs, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XFER_OUTPUTS", str(own_outputs))
    summary.build(make_plan(SMOKE))
    sample = script("sample")
    monkeypatch.setattr(paths, "SAMPLES", tmp_path / "sample")
    sample.main(SMOKE)
    index = tmp_path / "sample" / "smoke" / "report" / "index.html"
    check(index)
    text = index.read_text(encoding="utf-8")
    assert "one run of each kind has its page" in text
    assert len(list(index.parent.glob("notebooks/*.html"))) < len(list(own_outputs.glob("runs/*")))
    assert len(list((tmp_path / "sample" / "runs").iterdir())) >= 3
    again = {path: path.read_bytes() for path in index.parents[2].rglob("*") if path.is_file()}
    sample.main(SMOKE)
    assert again == {
        path: path.read_bytes() for path in index.parents[2].rglob("*") if path.is_file()
    }

    one = next(index.parents[1].glob("notebooks/*.ipynb"))
    changed = json.loads(one.read_text(encoding="utf-8"))
    changed["cells"][-1]["source"] = "1 + 1"
    one.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(AssertionError, match="make sample"):
        check(index)
    shutil.copy(index, index.parents[1] / "large.html")
    monkeypatch.setattr(sample, "FILE", 10)
    with pytest.raises(SystemExit, match="Too large"):
        sample.check(index.parents[2])
