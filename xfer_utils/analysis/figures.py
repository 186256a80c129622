"""A heat map of gains; scores and gains by language. The same data gives the same bytes."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import linregress

from xfer_utils.analysis.stats import ARM, BASELINE, main_rows
from xfer_utils.analysis.tables import GAIN, GREY, HARM, MEANS, MainTable, value
from xfer_utils.study.languages import FEATURES

STYLE = {
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],  # as wide as one another, nearly
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.edgecolor": GREY,
    "svg.hashsalt": "xfer",
    "svg.fonttype": "none",  # text as text, a third smaller; the reader's browser has the fonts
    "text.parse_math": False,  # names from data may hold dollar signs
}


def heat_map(table: MainTable) -> Figure:
    """Gains as colours and numbers. Grey and hatched: cannot be told from chance; †: same data."""
    cells = table.cells[table.cells[ARM] != BASELINE]
    rows, columns = list(cells["row"].unique()), list(cells["column"].unique())
    clear = cells.assign(value=cells["value"].where(cells["above_chance"]))
    values = clear.pivot(index="row", columns="column", values="value").loc[rows, columns]
    limit = max([2.0, *clear["value"].abs().dropna()])
    with plt.rc_context(STYLE):
        size = (2.2 + 0.82 * len(columns), 1.5 + 0.46 * len(rows))
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        sns.heatmap(
            values, ax=axes, cmap=sns.blend_palette([HARM, "#f7f7f7", GAIN], as_cmap=True),
            vmin=-limit, vmax=limit, linewidths=1, linecolor="white",
            cbar_kws={"label": "gain over none, points", "shrink": 0.8},
        )  # fmt: skip
        for cell in clear.assign(text=cells.apply(value, axis=1)).to_dict("records"):
            x, y = columns.index(cell["column"]), rows.index(cell["row"])
            if not cell["above_chance"]:
                look = {"facecolor": "#ececec", "edgecolor": "white", "hatch": "////"}
                axes.add_patch(plt.Rectangle((x, y), 1, 1, **look))
            colour = "white" if abs(cell["value"]) > 0.6 * limit else "#262626"
            centre = {"ha": "center", "va": "center", "fontsize": 9}
            axes.text(x + 0.5, y + 0.5, cell["text"], color=colour, **centre)
        names = [name.replace(" without ", " without\n") for name in columns]
        axes.set(xlabel="", ylabel="")
        axes.set_xticks(axes.get_xticks(), names, rotation=40, ha="right")
        axes.set_yticks(axes.get_yticks(), rows, rotation=0)
        targets = table.heads.loc[~table.heads["target"].isin(MEANS), "target"]
        axes.axvline(len(targets), color="white", linewidth=5)
    return figure


def by_language(scores: pd.DataFrame, languages: pd.DataFrame, arm: str = BASELINE) -> pd.DataFrame:
    """One model's main scores by target and language, with the features of each language.

    Of the baseline the value is the zero-shot score; of another arm its gain over the baseline (the
    mean over seeds of each). Languages that `languages` lacks keep empty features.
    """
    means = main_rows(scores).groupby([ARM, "target", "language"])["value"].mean()
    points = means[arm] if arm == BASELINE else (means[arm] - means[BASELINE]).dropna()
    features = languages[["name", "family", "script", *FEATURES]]
    return points.reset_index().merge(features, left_on="language", right_index=True, how="left")


def _panel(axes: Axes, points: pd.DataFrame, feature: str) -> None:
    """One target: codes, a fitted line and its correlation; the line leaves English out."""
    known = points.dropna(subset=[feature, "value"])
    is_english = known["language"] == "en"  # the training language
    (x, y), english = (
        (known.loc[~is_english, name] for name in (feature, "value")),
        known[is_english],
    )
    axes.scatter(x, y, color=GAIN, s=12, linewidth=0)
    axes.scatter(english[feature], english["value"], s=26, facecolors="none", edgecolors=HARM)
    for code, *place in known[["language", feature, "value"]].itertuples(index=False):
        axes.annotate(code, place, (2, 2), textcoords="offset points", fontsize=7)
    note = f"n = {len(x)}"
    if len(x) > 2 and x.nunique() > 1 and y.nunique() > 1:
        fit, ends = linregress(x, y), np.array([x.min(), x.max()])
        axes.plot(ends, fit.intercept + fit.slope * ends, color=GREY, linewidth=1.2, zorder=0)
        note = f"r = {fit.rvalue:.2f}, ".replace("-", "−") + note
    axes.set_title(note, loc="right", fontsize=8.5, color="#4a515c", fontweight="normal")


def scatter(
    points: pd.DataFrame, feature: str, titles: dict[str, str], label: str, baseline: bool = False
) -> Figure:
    """Small multiples, one target each: value against a feature of the languages.

    `baseline` draws the line of no gain. Each target has its own languages, so panels do not share
    y and values are never averaged over targets.
    """
    targets = [target for target in titles if target in set(points["target"])]
    across = 2 if len(targets) == 4 else min(3, len(targets))
    with plt.rc_context(STYLE):
        layout = {"col_order": targets, "col_wrap": across, "height": 2.65, "aspect": 1.25}
        grid = sns.FacetGrid(points, col="target", sharey=False, **layout)
        for target, axes in grid.axes_dict.items():
            _panel(axes, points[points["target"] == target], feature)
            axes.set_title("")  # seaborn's own
            axes.set_title(titles[target], loc="left")
            if baseline:
                axes.axhline(0, color="#d5d8dd", linewidth=1, zorder=0)
        grid.set_axis_labels(FEATURES[feature], label).tight_layout()
    return grid.figure


def save(figure: Figure, folder: Path, stem: str, caption: str) -> Path:
    """Writes the figure as SVG and PNG, and its caption as text for the report; the SVG's path."""
    folder.mkdir(parents=True, exist_ok=True)
    undated = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    with plt.rc_context(STYLE):
        for kind, metadata in undated.items():
            figure.savefig(folder / f"{stem}.{kind}", dpi=160, metadata=metadata)
    plt.close(figure)
    (folder / f"{stem}.txt").write_text(caption + "\n", encoding="utf-8")
    return folder / f"{stem}.svg"
