"""Made-up studies with known truth, on disk as published ones are, and summaries run on them."""

import json
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT

from xfer_utils.analysis import results

matplotlib.use("Agg")
LANGUAGES = ["en", "de", "sw"]


def scores(
    arms: dict[str, float], targets: dict[str, float], seeds: int, noise: float, seed: int = 0
) -> pd.DataFrame:
    """A score per arm, target, language and seed: the arm's gain over the target's level."""
    rng, rows = np.random.default_rng(seed), []
    for arm, gain in arms.items():
        for target, level in targets.items():
            for number in range(seeds):
                moved = rng.normal(0, noise)
                for place, language in enumerate(LANGUAGES):
                    row = {
                        "run": f"{arm}-{target}-{number}",
                        "model": "m",
                        "arm": arm,
                        "title": arm,
                    }
                    row |= {"target": target, "language": language, "seed": number, "chance": 1.0}
                    row |= {"split": "validation", "metric": "accuracy", "main": True, "n": 50}
                    row |= {"value": level + gain - 2 * place + moved, "same_data": False}
                    rows.append(
                        row
                        | {
                            "train_task": "x",
                            "item_bound": 20.0,
                            "n_items": 150,
                            "degenerate": False,
                        }
                    )
    return pd.DataFrame(rows)


def write(folder: Path, table: pd.DataFrame, **study: object) -> Path:
    """A study's folder with its compact table and its plan."""
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / results.COMPACT, index=False)
    about = {"name": folder.name, "title": "T", "question": "Q", "estimand": "E", "primary": []}
    about |= {"source": "hub", "languages": [], "benchmark": "xtreme", "intermediate": ["none"]}
    plan = {"study": about | study, "arms": {}, "runs": [], "not_run": [], "left_out": {}}
    (folder / "plan.json").write_text(json.dumps(plan | {"languages_csv": None}))
    return folder


def summary(name: str, folder: Path, **given: object) -> dict:
    """Runs a summary notebook's cells on a study, within this process; its variables."""
    variables: dict = {}
    notebook = nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", lambda *_: None)
        for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
            exec(cell.source, variables)
            if "parameters" in cell.metadata.get("tags", []):
                variables |= {"study_dir": str(folder), **given}
    return variables
