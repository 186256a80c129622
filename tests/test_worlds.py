"""A question in another world: docs/worlds.py runs its study there, and keeps what it finds."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import SMOKE
from test_docs import script

from xfer_utils.study import paths

QUESTION = """extends: smoke.yaml
name: scaling
models:
  small:
    pretrain: {layers: 1, width: 32, heads: 2, feedforward: 96, vocabulary: 400, steps: 20, batch_size: 32}
  large:
    pretrain: {layers: 2, width: 48, heads: 2, feedforward: 96, vocabulary: 400, steps: 20, batch_size: 32}
intermediate: [none, steps_1]
arms: {sham-depth: {tasks: [steps_1], transform: sham}}
targets: [xnli]
summaries: [61_scaling]
"""


@pytest.mark.slow
def test_a_study_is_run_in_another_world_and_its_line_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setattr(paths, "PARAMS", tmp_path)
    monkeypatch.setattr(paths, "SAMPLES", tmp_path)
    (tmp_path / "smoke.yaml").write_text(Path(SMOKE).read_text())
    (tmp_path / "scaling.yaml").write_text(QUESTION)
    (tmp_path / "worlds.csv").write_text(
        "question,world,estimate,declared\nscaling,7,99.0,old\ntypology,7,1.0,x\n"
    )
    script("worlds").main("scaling", "7")
    lines = pd.read_csv(tmp_path / "worlds.csv").set_index("question")
    assert len(lines) == 2 and lines.loc["typology", "estimate"] == 1.0
    assert lines.loc["scaling", "declared"] != "old" and abs(lines.loc["scaling", "estimate"]) < 99
    (data,) = (tmp_path / "outputs" / "data").iterdir()
    assert (data / "languages.csv").exists()
