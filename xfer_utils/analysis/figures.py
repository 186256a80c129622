"""A heat map of gains; scores and gains by language. The same data gives the same bytes."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import linregress

from xfer_utils.analysis.stats import ARM, BASELINE, MEANS, main_rows
from xfer_utils.analysis.tables import NOT_RUN, MainTable, number
from xfer_utils.study.languages import FEATURES

BLUE, ORANGE, GREY = "#2166ac", "#b25806", "#8a8f98"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98",
    "svg.hashsalt": "xfer",
    "svg.fonttype": "path",
    "text.parse_math": False,  # names from data may hold dollar signs
}


def heat_map(table: MainTable) -> Figure:
    """Gains as colours and numbers. Grey and hatched: cannot be told from chance; †: same data."""
    cells = table.cells[table.cells[ARM] != BASELINE]
    rows, columns = (list(dict.fromkeys(cells[key])) for key in ("row", "column"))
    clear = cells.assign(value=cells["value"].where(cells["above_chance"]))
    values = clear.pivot(index="row", columns="column", values="value").loc[rows, columns]
    limit = max([2.0, *clear["value"].abs().dropna()])
    with plt.rc_context(STYLE):
        size = (2.2 + 0.82 * len(columns), 1.5 + 0.46 * len(rows))
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        sns.heatmap(
            values, ax=axes, cmap=sns.blend_palette([ORANGE, "#f7f7f7", BLUE], as_cmap=True),
            vmin=-limit, vmax=limit, linewidths=1, linecolor="white",
            cbar_kws={"label": "gain over none, points", "shrink": 0.8},
        )  # fmt: skip
        for cell in cells.to_dict("records"):
            _write(axes, columns.index(cell["column"]), rows.index(cell["row"]), cell, limit)
        names = [name.replace(" without ", " without\n") for name in columns]
        axes.set(xlabel="", ylabel="")
        axes.set_xticks(axes.get_xticks(), names, rotation=40, ha="right")
        axes.set_yticks(axes.get_yticks(), rows, rotation=0)
        means = cells["target"].isin(MEANS)
        axes.axvline(cells.loc[~means, "target"].nunique(), color="white", linewidth=5)
    return figure


def _write(axes: Axes, x: int, y: int, cell: dict, limit: float) -> None:
    """The text of one cell, over hatching where the score cannot be told from chance."""
    if not cell["above_chance"]:
        look = {"facecolor": "#ececec", "edgecolor": "white", "hatch": "////", "linewidth": 1}
        axes.add_patch(plt.Rectangle((x, y), 1, 1, **look))
    if pd.isna(cell["value"]):
        text = "–" if cell["target"] in MEANS else NOT_RUN
    else:
        text = number(cell["value"], signed=True) + "†" * cell["same_data"]
    plain = pd.isna(cell["value"]) or not cell["above_chance"]
    strong = not plain and abs(cell["value"]) > 0.6 * limit
    colour = "#5d6470" if plain else "white" if strong else "#262626"
    axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=9, color=colour)


def by_language(
    scores: pd.DataFrame, languages: pd.DataFrame, arm: str = BASELINE
) -> pd.DataFrame:  # fmt: skip
    """Main scores by target and language, with the features of each language.

    Of the baseline the value is the zero-shot score; of another arm its gain over the baseline (the
    mean over seeds of each). Languages that `languages` lacks keep empty features.
    """
    main = main_rows(scores)
    if main["model"].nunique() > 1:
        models = sorted(set(main["model"]))
        raise ValueError(f"scores: {len(models)} models; choose one of {models}.")
    absent = {BASELINE, arm} - set(main[ARM])
    if absent:
        raise ValueError(f"scores: no rows for the arm {min(absent)!r}. Run it first.")
    means = main.groupby([ARM, "target", "language"])["value"].mean()
    points = means[arm] if arm == BASELINE else (means[arm] - means[BASELINE]).dropna()
    features = languages[["name", "family", "script", *FEATURES]]
    return points.reset_index().merge(
        features, left_on="language", right_index=True, how="left"
    )  # fmt: skip


def _panel(axes: Axes, points: pd.DataFrame, feature: str) -> None:
    """One target: codes, a fitted line and its correlation; the line leaves English out."""
    known = points.dropna(subset=[feature, "value"])
    is_english = known["language"] == "en"  # the training language
    others, english = known[~is_english], known[is_english]
    crowded = len(known) > 20  # then codes are the markers: dots would hide one another
    size, offset, letters = (4, 1.5, 6.5) if crowded else (22, 3, 8)
    axes.scatter(others[feature], others["value"], color=BLUE, s=size, linewidth=0)
    ring = {"facecolors": "none", "edgecolors": ORANGE, "linewidths": 1.3}
    axes.scatter(english[feature], english["value"], s=26, **ring)
    for point in known.to_dict("records"):
        place = (point[feature], point["value"])
        shift = {"xytext": (offset, offset), "textcoords": "offset points", "fontsize": letters}
        axes.annotate(point["language"], place, **shift)
    note = f"n = {len(others)}"
    if len(others) > 2 and others[feature].nunique() > 1 and others["value"].nunique() > 1:
        fit = linregress(others[feature], others["value"])
        ends = np.array([others[feature].min(), others[feature].max()])
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
    if feature not in FEATURES:
        raise ValueError(f"unknown feature {feature!r}; known: {', '.join(FEATURES)}.")
    targets = [target for target in titles if target in set(points["target"])]
    if not targets:
        raise ValueError("points: none of the targets named in `titles` has a row.")
    across = 2 if len(targets) in (2, 4) else min(3, len(targets))
    down = -(-len(targets) // across)
    with plt.rc_context(STYLE):
        size = (3.3 * across + 0.4, 2.65 * down + 0.4)
        grid = {"squeeze": False, "sharex": True, "layout": "constrained"}
        figure, panels = plt.subplots(down, across, figsize=size, **grid)
        for place, axes in enumerate(panels.flat):
            if place >= len(targets):
                axes.remove()
                continue
            if baseline:
                axes.axhline(0, color="#d5d8dd", linewidth=1, zorder=0)
            _panel(axes, points[points["target"] == targets[place]], feature)
            axes.set_title(titles[targets[place]], loc="left")
            axes.tick_params(labelbottom=place + across >= len(targets))
        figure.supxlabel(FEATURES[feature], fontsize=10)
        figure.supylabel(label, fontsize=10)
    return figure


def save(figure: Figure, folder: Path, stem: str, caption: str) -> Path:
    """Write the figure as SVG and PNG, and its caption as text for the report; the SVG's path."""
    folder.mkdir(parents=True, exist_ok=True)
    undated = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    with plt.rc_context(STYLE):
        for kind, metadata in undated.items():
            figure.savefig(folder / f"{stem}.{kind}", dpi=160, metadata=metadata)
    plt.close(figure)
    (folder / f"{stem}.txt").write_text(caption + "\n", encoding="utf-8")
    return folder / f"{stem}.svg"
