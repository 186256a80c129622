"""Published figures that can be traced, each with its source.

`kind` is `seen` (read in the named source) or `derived` (computed from such figures; `source` says how). The
paper's own table of gains on dev was not available: its cells say so.
These figures never share a panel with those of a made-up world.
"""

from pathlib import Path

import pandas as pd

from xfer_utils.study.tasks import registry

FOLDER = Path(__file__).parent / "published_figures"
NOT_AVAILABLE = "not available"
COLUMNS = ["panel", "system", "task", "language", "metric", "split", "value", "kind", "source"]
MEAN = "mean of 9 tasks"
GROUP_MEAN = "mean of 7 tasks in 3 groups"
TARGETS = ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba")
ROWS = (
    "none",
    "anli_plus",
    "mnli",
    "qqp",
    "squad_v2",
    "squad",
    "hellaswag",
    "ccg",
    "cosmos_qa",
    "commonsense_qa",
)


def figures() -> pd.DataFrame:
    """Every published figure, one row each; `panel` is the file it stands in. Values run from 0 to 100."""
    frames = [
        pd.read_csv(path, keep_default_na=False, dtype={"value": float}).assign(panel=path.stem)
        for path in sorted(FOLDER.glob("*.csv"))
    ]
    return pd.concat(frames, ignore_index=True)[COLUMNS]


def _one(frame: pd.DataFrame, **where: str) -> str:
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return f"{frame.value.iloc[0]:.1f}" if len(frame) else ""


def _test_cell(frame: pd.DataFrame, task: str) -> str:
    """Span answering shows `F1 / EM` as published; nothing is averaged here."""
    accuracy, f1, em = (
        _one(frame, task=task, metric=metric) for metric in ("accuracy", "f1", "em")
    )
    if em:
        return f"{f1} / {em}"
    return accuracy or f1 or NOT_AVAILABLE


def xtreme_panel() -> pd.DataFrame:
    """XTREME test scores of published systems, ready to show: a row for each system, a column for each task.

    The mean is the one its source prints, over three groups of tasks without retrieval; question answering
    shows F1 / EM.
    """
    frame = figures().query("panel == 'xtreme_test'")
    rows = []
    for system, own in frame.groupby("system", sort=False):
        cells = {registry()[task].title: _test_cell(own, task) for task in TARGETS}
        mean = _one(own, task=GROUP_MEAN) or NOT_AVAILABLE
        rows.append({"system": system} | cells | {"mean, 3 groups": mean})
    return pd.DataFrame(rows)


def gains_panel() -> pd.DataFrame:
    """What is known of the paper's main table: XLM-R Large on dev, and gains over it.

    The scores in the row `none` are of a replication by the paper's first author, not of the paper's table.
    Unknown cells say `not available`.
    """
    frame = figures()
    base = frame.query("panel == 'retrieval_dev' and language == 'mean'")
    gains = frame[(frame.panel == "gains") & (frame.task == MEAN) & (frame.split == "dev")]
    titles = [(registry()[name].title if name != "none" else "none (score)", name) for name in ROWS]
    extra = [name for name in gains.system if name not in {title for title, _ in titles}]
    rows = []
    for title, name in [*titles, *((system, "") for system in extra)]:
        cells = {
            registry()[task].title: (_one(base, task=task) if name == "none" else "")
            or NOT_AVAILABLE
            for task in TARGETS
        }
        gain = _one(gains, system=title)
        rows.append(
            {"intermediate task": title} | cells | {"mean": f"+{gain}" if gain else NOT_AVAILABLE}
        )
    return pd.DataFrame(rows)


def xtreme_notes() -> list[str]:
    """Where the XTREME test scores are from."""
    frame = figures().query("panel == 'xtreme_test'")
    return [
        f"{'; '.join(dict.fromkeys(own.system))}: {source}."
        for source, own in frame.groupby("source", sort=False)
    ]


def gains_notes() -> list[str]:
    """Where the figures of the panel of gains are from, and the published gains that are of no single row."""
    frame = figures()
    base = frame.query("panel == 'retrieval_dev' and language == 'mean'")
    gains = frame[frame.panel == "gains"]
    notes = [f"none: {source}." for source in dict.fromkeys(base.source)]
    for source, own in gains[gains.split == "dev"].groupby("source", sort=False):
        notes.append(f"{'; '.join(own.system)}: {source}.")
    for line in gains[gains.split != "dev"].itertuples():
        split = line.split or "split not stated"
        notes.append(
            f"Not in the table: {line.system}, +{line.value:.1f} ({split}; {line.source})."
        )
    return notes
