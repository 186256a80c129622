"""How figures look, and their files. The same data gives the same bytes."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xfer_utils.analysis.tables import GREY

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


def name_points(axes: Axes, x: pd.Series, y: pd.Series) -> None:
    """Writes each point's name beside it, higher up where names would cover one another."""
    axes.figure.draw_without_rendering()  # so that places on the page are known
    points = 72 / axes.figure.dpi
    taken: list[np.ndarray] = []
    for name in y.sort_values().index:
        spot = axes.transData.transform((x[name], y[name])) * points
        place = spot + np.array([4.0, 3.0])
        while any((np.abs(place - other) < (15, 7)).all() for other in taken):
            place[1] += 2
        taken.append(place)
        offset = {"xytext": place - spot, "textcoords": "offset points"}
        axes.annotate(name, (x[name], y[name]), fontsize=7, **offset)
