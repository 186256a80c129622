"""Notebook 95 from its first cell to its last, on a handful of examples."""

import nbformat
import pandas as pd
import pytest
from conftest import PROJECT


@pytest.mark.slow
def test_the_throughput_notebook_measures_every_loop(tmp_path, capsys):
    small = {"out_dir": str(tmp_path), "examples": 64, "repeats": 1, "mined": 1000}
    names: dict = {}
    for cell in nbformat.read(PROJECT / "notebooks" / "95_throughput.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= small
    table = pd.read_csv(tmp_path / "loops.csv", index_col=0)
    assert len(table) == 6 and (table > 0).all(axis=None)
    assert names["parts"]["share, %"].sum() == pytest.approx(100)
    assert "real tokens per second packed" in capsys.readouterr().out
