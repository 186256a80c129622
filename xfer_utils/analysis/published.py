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


def figures() -> pd.DataFrame:
    """Every published figure, one row each; `panel` names its file. Values run from 0 to 100."""
    frames = [
        pd.read_csv(path, keep_default_na=False, dtype={"value": float}).assign(panel=path.stem)
        for path in sorted(FOLDER.glob("*.csv"))
    ]
    return pd.concat(frames, ignore_index=True)


def gains_panel() -> pd.DataFrame:
    """What is known of the paper's main result, a figure and its source a row.

    The scores without an intermediate task are of a replication by the paper's first author.
    """
    frame = figures()
    gains = frame[frame["panel"] == "gains"]
    base = frame[(frame["panel"] == "retrieval_dev") & (frame["language"] == "mean")]
    titles = base["task"].map(lambda name: f"score on {registry()[name].title}")
    points = [*gains["value"].map("+{:.1f}".format), *base["value"].map("{:.1f}".format)]
    panel = pd.concat([gains, base], ignore_index=True)
    panel["measured"] = [*("gain, " + gains["task"]), *titles]
    panel["system"] = [*gains["system"], *("none: " + base["system"])]
    panel["split"] = panel["split"].replace("", "not stated")
    shown = panel[["system", "measured", "split"]].assign(points=points, source=panel["source"])
    return shown.rename(columns={"system": "intermediate task"})


def xtreme_panel() -> pd.DataFrame:
    """XTREME test scores of published systems: a row for each system, a column for each task.

    The mean is the one its source prints, over three groups of tasks without retrieval; question
    answering shows F1 / EM, as published: nothing is averaged here.
    """
    frame = figures().query("panel == 'xtreme_test'")
    names = dict.fromkeys(name for name in registry() if name in set(frame["task"]))
    rows = []
    for system, own in frame.groupby("system", sort=False):
        texts = own.groupby("task")["value"].agg(lambda v: " / ".join(map("{:.1f}".format, v)))
        cells = {registry()[name].title: texts.get(name, NOT_AVAILABLE) for name in names}
        mean = texts.get(GROUP_MEAN, NOT_AVAILABLE)
        rows.append({"system": system} | cells | {"mean, 3 groups": mean})
    return pd.DataFrame(rows)


def xtreme_notes() -> list[str]:
    """Where the XTREME test scores are from."""
    frame = figures().query("panel == 'xtreme_test'")
    return [
        f"{'; '.join(dict.fromkeys(own['system']))}: {source}."
        for source, own in frame.groupby("source", sort=False)
    ]
