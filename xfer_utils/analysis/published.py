"""Published figures that can be traced, each with its source.

`kind` is `seen` (read in the named source) or `derived` (computed from such figures; `source` says
how). The paper's own table of gains was not available, so it is not shown. These figures never
share a panel with those of a made-up world.
"""

from pathlib import Path

import pandas as pd

from xfer_utils.study.tasks import registry

FOLDER = Path(__file__).parent / "published_figures"
NOT_AVAILABLE = "not available"
GROUP_MEAN = "mean of 7 tasks in 3 groups"


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


def xtreme_panel() -> pd.DataFrame:
    """XTREME test scores of published systems; question answering shows F1 / EM, as published.

    The mean is the one its source prints, over three groups of tasks without retrieval.
    """
    scores = figures("xtreme_test").groupby(["system", "task"], sort=False)["value"]
    table = scores.agg(lambda values: " / ".join(map("{:.1f}".format, values))).unstack(sort=False)
    titles = {name: row.title for name, row in registry().items() if name in table}
    titles[GROUP_MEAN] = "mean, 3 groups"
    table = table[list(titles)].rename(columns=titles).fillna(NOT_AVAILABLE)
    return table.rename_axis(columns=None).reset_index()


def xtreme_notes() -> list[str]:
    """Where the XTREME test scores are from."""
    systems = figures("xtreme_test").groupby("source", sort=False)["system"].unique()
    return [f"{'; '.join(names)}: {source}." for source, names in systems.items()]
