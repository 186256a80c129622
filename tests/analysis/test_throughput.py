"""Notebook 95 from its first cell to its last, on a handful of examples."""

import nbformat
import pandas as pd
import pytest
from conftest import PROJECT, study_file


@pytest.mark.slow
def test_the_throughput_notebook_measures_every_loop(tmp_path, capsys):
    small = {"out_dir": str(tmp_path), "examples": 64, "repeats": 1, "mined": 1000}
    study = study_file(tmp_path, "intermediate: [none]\ntargets: [tatoeba]\n")
    small |= {"whole_study": str(study), "workers": [1, 2]}
    names: dict = {}
    for cell in nbformat.read(PROJECT / "notebooks" / "95_throughput.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= small
    table = pd.read_csv(tmp_path / "loops.csv", index_col=0)
    assert len(table) == 6 and (table > 0).all(axis=None)
    assert names["parts"]["share, %"].sum() == pytest.approx(100)
    studies = pd.read_csv(tmp_path / "workers.csv", index_col="workers")
    assert list(studies.index) == [1, 2] and (studies["threads"] > 1).all()
    said = capsys.readouterr().out
    assert "real tokens per second packed" in said and "A study of 2 runs takes" in said
