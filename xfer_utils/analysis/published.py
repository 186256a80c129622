"""Published figures that can be traced, each with its source.

`kind` is `seen` (read in the named source) or `derived` (computed from such figures; `source` says
how). The paper's own table of gains was not available, so it is not shown. These figures never
share a panel with those of a made-up world.
"""

from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent / "published_figures"


def figures(panel: str) -> pd.DataFrame:
    """The published figures of one panel, from 0 to 100, a row each."""
    return pd.read_csv(FOLDER / f"{panel}.csv", keep_default_na=False, dtype={"value": float})


def gains_panel() -> pd.DataFrame:
    """What is known of the paper's main result; the scores of none are from a replication."""
    frame = figures("gains")
    pairs = zip(frame["value"], frame["metric"], strict=True)
    frame["points"] = [format(value, "+.1f" if name == "gain" else ".1f") for value, name in pairs]
    frame["measured"] = frame["metric"] + ", " + frame["task"]
    frame["split"] = frame["split"].replace("", "not stated")
    shown = frame[["system", "measured", "split", "points", "source"]]
    return shown.rename(columns={"system": "intermediate task"})
