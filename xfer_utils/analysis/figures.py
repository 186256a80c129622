"""Figures: a heat map of gains, and scores and gains by language. The same data gives the same bytes."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import linregress

from xfer_utils.analysis.stats import MEAN, MEAN_OTHER
from xfer_utils.analysis.tables import NOT_RUN, MainTable, number
from xfer_utils.study.languages import FEATURES
from xfer_utils.study.tasks import registry

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
}


def _text(value: object) -> str:
    """Text from data with the dollar signs that matplotlib would read as formulas made plain."""
    return str(value).replace("$", r"\$")


def heat_map(table: MainTable) -> Figure:
    """Gains as colours and numbers. Grey and hatched: cannot be told from chance; †: same data."""
    gains = table.cells[table.cells.intermediate != "none"]
    rows = list(dict.fromkeys(gains.row))
    columns = list(dict.fromkeys(gains.column))
    values = gains.pivot(index="row", columns="column", values="value").loc[rows, columns]
    gains = gains.assign(label=[_label(cell) for cell in gains.itertuples()])
    labels = gains.pivot(index="row", columns="column", values="label").loc[rows, columns]
    hidden = ~gains.pivot(index="row", columns="column", values="above_chance").loc[
        rows, columns
    ].astype(bool)
    values = values.mask(hidden)
    limit = max(2.0, float(np.nanmax(np.abs(values.to_numpy()), initial=0.0)))
    with plt.rc_context(STYLE):
        size = (2.2 + 0.82 * len(columns), 1.5 + 0.46 * len(rows))
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        palette = sns.blend_palette([ORANGE, "#f7f7f7", BLUE], as_cmap=True)
        bar = {"label": "gain over none, points", "shrink": 0.8}
        look = {
            "cmap": palette,
            "vmin": -limit,
            "vmax": limit,
            "linewidths": 1,
            "linecolor": "white",
        }
        sns.heatmap(
            values, annot=labels, fmt="", ax=axes, cbar_kws=bar, annot_kws={"size": 9}, **look
        )
        for cell in gains[gains.value.isna() | ~gains.above_chance].itertuples():
            x, y = columns.index(cell.column), rows.index(cell.row)
            if not cell.above_chance:
                look = {
                    "facecolor": "#ececec",
                    "edgecolor": "white",
                    "hatch": "////",
                    "linewidth": 1,
                }
                axes.add_patch(plt.Rectangle((x, y), 1, 1, **look))
            axes.text(
                x + 0.5,
                y + 0.5,
                _label(cell),
                ha="center",
                va="center",
                fontsize=8.5,
                color="#5d6470",
            )
        axes.set(xlabel="", ylabel="")
        names = [name.replace(" without ", " without\n") for name in columns]
        axes.set_xticks(axes.get_xticks(), [_text(name) for name in names], rotation=40, ha="right")
        axes.set_yticks(axes.get_yticks(), [_text(name) for name in rows], rotation=0)
        first_mean = sum(target not in (MEAN, MEAN_OTHER) for target in dict.fromkeys(gains.target))
        axes.axvline(first_mean, color="white", linewidth=5)
    return figure


def _label(cell: tuple) -> str:
    if pd.isna(cell.value):
        return "–" if cell.target in (MEAN, MEAN_OTHER) else NOT_RUN
    return number(cell.value, signed=True) + "†" * bool(cell.same_data)


def _shown(target: str, split: str) -> bool:
    """Whether the tables show this split of the target; a split bears our name or the data set's."""
    task = registry()[target]
    return split in (task.evaluate, task.splits.get(task.evaluate))


def by_language(
    scores: pd.DataFrame, languages: pd.DataFrame, intermediate: str | None = None
) -> pd.DataFrame:
    """Main scores by target and language, with the features of each language: the points of a scatter plot.

    Without `intermediate` the value is the zero-shot score of `none`; with it, the gain of that task over
    `none` (the mean over seeds of each). Languages that `languages` lacks keep empty features.
    """
    main = scores[scores.main.astype(bool)]
    several = main.groupby("target").split.transform("nunique") > 1
    shown = np.array(
        [_shown(*pair) for pair in zip(main.target, main.split, strict=True)], dtype=bool
    )
    main = main[~several | shown]
    if "model" in main and main.model.nunique() > 1:
        raise ValueError(
            f"scores: {main.model.nunique()} models; choose one of {sorted(set(main.model))}."
        )
    keys = ["target", "language"]
    means = main.groupby(["intermediate", *keys]).value.mean()
    wanted = {"none", *([intermediate] if intermediate else [])}
    absent = wanted - set(main.intermediate)
    if absent:
        raise ValueError(
            f"scores: no rows for the intermediate task {sorted(absent)[0]!r}. Run it first."
        )
    points = means["none"] if intermediate is None else means[intermediate] - means["none"]
    features = languages[["name", "family", "script", *FEATURES]]
    return (
        points.dropna()
        .reset_index()
        .merge(features, left_on="language", right_index=True, how="left")
    )


def _panel(axes: Axes, points: pd.DataFrame, feature: str) -> None:
    """One target: codes, a fitted line and its correlation, both without English, the training language."""
    known = points.dropna(subset=[feature, "value"])
    others, english = known[known.language != "en"], known[known.language == "en"]
    crowded = (
        len(known) > 20
    )  # then the codes are the markers: dots beside them would hide one another
    size = 4 if crowded else 22
    sns.scatterplot(
        others, x=feature, y="value", ax=axes, color=BLUE, s=size, linewidth=0, legend=False
    )
    axes.scatter(
        english[feature], english.value, s=26, facecolors="none", edgecolors=ORANGE, linewidths=1.3
    )
    for point in known.itertuples():
        place = (getattr(point, feature), point.value)
        offset, letters = ((1.5, 1.5), 6.5) if crowded else ((3, 3), 8)
        axes.annotate(
            _text(point.language), place, offset, textcoords="offset points", fontsize=letters
        )
    note = f"n = {len(others)}"
    if len(others) > 2 and others[feature].nunique() > 1 and others.value.nunique() > 1:
        fit = linregress(others[feature], others.value)
        ends = np.array([others[feature].min(), others[feature].max()])
        axes.plot(ends, fit.intercept + fit.slope * ends, color=GREY, linewidth=1.2, zorder=0)
        note = f"r = {fit.rvalue:.2f}".replace("-", "−") + f", n = {len(others)}"
    axes.set_title(note, loc="right", fontsize=8.5, color="#4a515c", fontweight="normal")


def scatter(
    points: pd.DataFrame, feature: str, titles: dict[str, str], label: str, baseline: bool = False
) -> Figure:
    """Small multiples, one target each: value against a feature of the languages.

    `baseline` draws the line of no gain. Each target has its own languages, so panels do not share y;
    values are never averaged over targets that cover different languages.
    """
    if feature not in FEATURES:
        raise ValueError(f"unknown feature {feature!r}; known: {', '.join(FEATURES)}.")
    targets = [target for target in titles if target in set(points.target)]
    if not targets:
        raise ValueError("points: none of the targets named in `titles` has a row.")
    across = 2 if len(targets) in (2, 4) else min(3, len(targets))
    down = -(-len(targets) // across)
    with plt.rc_context(STYLE):
        size = (3.3 * across + 0.4, 2.65 * down + 0.4)
        figure, grid = plt.subplots(
            down, across, figsize=size, layout="constrained", squeeze=False, sharex=True
        )
        for axes, target in zip(grid.flat, targets, strict=False):
            if baseline:
                axes.axhline(0, color="#d5d8dd", linewidth=1, zorder=0)
            _panel(axes, points[points.target == target], feature)
            axes.set_title(_text(titles[target]), loc="left")
            axes.set(xlabel="", ylabel="")
        for place, axes in enumerate(grid.flat):
            if place >= len(targets):
                axes.remove()
            elif place + across >= len(targets):
                axes.tick_params(labelbottom=True)
        figure.supxlabel(FEATURES[feature], fontsize=10)
        figure.supylabel(_text(label), fontsize=10)
    return figure


def save(
    figure: Figure, folder: Path, stem: str, caption: str, formats: Sequence[str] = ("svg", "png")
) -> Path:
    """Write the figure, and its caption as `stem`.txt for the report; the path of the first format."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    with plt.rc_context(STYLE):
        for kind in formats:
            figure.savefig(folder / f"{stem}.{kind}", dpi=160, metadata=plain[kind])
    plt.close(figure)
    (folder / f"{stem}.txt").write_text(caption + "\n", encoding="utf-8")
    return folder / f"{stem}.{formats[0]}"
