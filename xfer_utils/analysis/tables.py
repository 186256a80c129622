"""The paper's main table, from a table of gains, as a great_tables object.

Rows are arms, columns are target tasks. The baseline shows scores, every other row its gain over
it. All text is taken to be data and is escaped. table_files writes other formats.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from great_tables import GT, loc, style
from great_tables import html as raw_html

from xfer_utils.analysis.stats import ARM, BASELINE, ITEMS, MEAN, MEAN_OTHER, MEANS, SEEDS
from xfer_utils.study.tasks import registry

TITLE = "title"  # the column of the scores table that says how an arm is called in print
TITLES = {"multi": "multi-task", MEAN: "mean", MEAN_OTHER: "mean without same data"}
NOT_RUN = "not run"
DETAILS = ["low", "high", "interval", "n_seeds", "n_items", "p", "p_adjusted"]
MARKS = {"same_data": False, "above_chance": True}  # and what goes without saying
GAIN, HARM, GREY = (33, 102, 172), (178, 88, 6), "#e3e3e3"
PAPER, NIGHT, NIGHT_GREY = (255, 255, 255), (22, 27, 34), "#34383e"


@dataclass(frozen=True)
class MainTable:
    """One model's table: `cells` has a row per cell, `heads` one per column."""

    cells: pd.DataFrame
    heads: pd.DataFrame
    title: str
    subtitle: str = ""
    notes: tuple[str, ...] = ()


def task_title(name: str) -> str:
    """How a task or a mean is called in print."""
    return registry()[name].title if name in registry() else TITLES.get(name, name)


def arm_titles(scores: pd.DataFrame, planned: Iterable[str] = ()) -> dict[str, str]:
    """Titles of the arms, the `planned` ones first: rows keep the order of the study file."""
    known = dict(zip(scores[ARM], scores[TITLE], strict=True)) if TITLE in scores else {}
    names = dict.fromkeys([*planned, *scores[ARM]])
    return {name: known.get(name) or task_title(name) for name in names}


def main_table(
    gains: pd.DataFrame, arms: Mapping[str, str], reasons: Mapping[tuple[str, str], str],
    title: str, subtitle: str = "", notes: Sequence[str] = (),
) -> MainTable:  # fmt: skip
    """The table of one model: a row per arm that has a gain or a reason, in the order of `arms`.

    `gains` is what stats.gains returns, `arms` names each arm's title, `reasons` says why a pair
    (arm, target) was not run. Columns stand in the registry's order, then the means.
    """
    models = set(gains["model"])
    if len(models) > 1:
        raise ValueError(f"gains: {len(models)} models; make one table for each of {models}.")
    named = {*gains[ARM], *(arm for arm, _ in reasons)}
    rows = sorted(named, key=list(arms).index)
    targets = {*gains["target"], *(target for _, target in reasons)} - set(MEANS)
    unknown = sorted(targets - set(registry()))
    columns = [*(name for name in registry() if name in targets), *unknown, *MEANS]
    cells = _cells(gains, rows, columns)
    cells["row"], cells["column"] = cells[ARM].map(arms), cells["target"].map(task_title)
    pairs = zip(cells[ARM], cells["target"], strict=True)
    usual = dict.fromkeys(MEANS, "cells of this row are missing")
    why = [reasons.get(pair, usual.get(pair[1], "not in the study")) for pair in pairs]
    cells["reason"] = np.where(cells["state"] == NOT_RUN, why, "")
    heads = pd.DataFrame([_head(gains, column) for column in columns])
    return MainTable(cells, heads, title, subtitle, (*_own_notes(cells), *notes))


def _cells(gains: pd.DataFrame, rows: list[str], columns: list[str]) -> pd.DataFrame:
    """Every cell of the grid: its state, value, details and marks."""
    twice = gains[gains.duplicated([ARM, "target"])]
    if len(twice):
        arm, target = twice.iloc[0][[ARM, "target"]]
        raise ValueError(
            f"gains: two rows for {arm} -> {target}. Keep one score, split and metric a task."
        )
    grid = pd.MultiIndex.from_product([rows, columns], names=[ARM, "target"])
    cells = gains.set_index([ARM, "target"]).reindex(grid).reset_index()
    is_score = cells[ARM] == BASELINE
    state = np.where(is_score, "score", "gain")
    cells["state"] = np.where(cells["score"].isna(), NOT_RUN, state)
    cells["value"] = cells["gain"].mask(is_score, cells["score"]).astype(float)
    for mark, usual in MARKS.items():
        cells[mark] = np.where(cells["score"].isna(), usual, cells[mark]).astype(bool)
    return cells[[ARM, "target", "state", "value", *DETAILS, *MARKS]]


def _head(gains: pd.DataFrame, column: str) -> dict:
    """What stands beneath a column's name: split, items, chance; of the mean, how many targets."""
    own = gains[gains["target"] == column]
    head = {"target": column, "column": task_title(column), "split": "", "items": "", "chance": ""}
    if column == MEAN:
        count = gains.loc[(gains[ARM] == BASELINE) & ~gains["target"].isin(MEANS)].shape[0]
        return head | {"split": f"{count} targets"}
    if own.empty or column in MEANS:
        return head
    chance = own["chance"].dropna()
    return head | {
        "split": "/".join(dict.fromkeys(own["split"].astype(str))),
        "items": f"{int(own['n_items'].max()):,}",
        "chance": f"{chance.iloc[0]:.1f}" if len(chance) else "n/a",
    }


def _own_notes(cells: pd.DataFrame) -> list[str]:
    """The notes that the cells themselves call for."""
    kinds = set(cells["interval"])
    marked = {
        "Intervals (95%) of cells with one run cover the choice of test items only, not training.":
            ITEMS in kinds,
        "Intervals (95%) of cells with several seeds are t intervals over seeds.": SEEDS in kinds,
        "Bold, or * in plain text: p below 0.05 after Holm's correction within its family of "
        "comparisons.": cells["p_adjusted"].lt(0.05).any(),
        "† same data: the intermediate task holds the target's own training data.":
            cells["same_data"].any(),
        "Grey: the score cannot be told from chance, so its gain means little.":
            not cells["above_chance"].all(),
    }  # fmt: skip
    first = "The row none shows scores (0 to 100); every other row its gain over none, in points."
    return [
        first,
        *_seeds_note(cells),
        *(note for note in marked if marked[note]),
        *_missing(cells),
    ]


def _seeds_note(cells: pd.DataFrame) -> list[str]:
    """How many seeds each row has."""
    seeds = cells.dropna(subset="n_seeds").groupby("row", sort=False)["n_seeds"].max().astype(int)
    rows = {count: ", ".join(seeds.index[seeds == count]) for count in dict.fromkeys(seeds)}
    if len(rows) == 1:
        rows = dict.fromkeys(rows, "every row")
    groups = "; ".join(f"{count} for {names}" for count, names in rows.items())
    return [f"Seeds: {groups}."] if groups else []


def _missing(cells: pd.DataFrame) -> list[str]:
    """By reason, the rows that were not run, or the columns of a row that were not."""
    own = cells[~cells["target"].isin(MEANS)]
    width = own["target"].nunique()
    by_reason: dict[str, list[str]] = {}
    missing = own[own["state"] == NOT_RUN]
    for (reason, row), part in missing.groupby(["reason", "row"], sort=False):
        where = "" if len(part) == width else f" on {', '.join(part['column'])}"
        by_reason.setdefault(reason, []).append(row + where)
    return [
        f"Not run: {'; '.join(rows)}. Reason: {reason.rstrip('.')}."
        for reason, rows in by_reason.items()
    ]


def number(value: float, signed: bool = False) -> str:
    """One decimal, a true minus sign, no negative zero."""
    text = f"{abs(value):.1f}"
    if text == "0.0":
        return text
    return ("−" if value < 0 else "+" if signed else "") + text


def bounds(low: float, high: float) -> str:
    """Bounds in print; nothing where there are none."""
    return "" if pd.isna(low) or pd.isna(high) else f"[{number(low)}, {number(high)}]"


def _parts(cell: pd.Series) -> tuple[str, str, bool, str]:
    """Value, marks, whether its corrected p value is below 0.05, and bounds."""
    value = number(cell["value"], signed=cell["state"] == "gain")
    marks = "†" * cell["same_data"]
    return value, marks, bool(cell["p_adjusted"] < 0.05), bounds(cell["low"], cell["high"])


def plain(cell: pd.Series) -> str:
    """A cell as plain text: value, marks and interval."""
    if cell["state"] == NOT_RUN:
        return "–" if cell["target"] in MEANS else NOT_RUN
    value, marks, is_clear, reach = _parts(cell)
    chance = "" if cell["above_chance"] else "(chance)"
    return " ".join(part for part in (value + "*" * is_clear + marks, reach, chance) if part)


def shade(value: float, limit: float) -> tuple[str, str]:
    """A gain's colours on a light and a dark page: blue helps, orange harms, colour-blind safe."""
    share = min(abs(value) / limit, 1.0)
    ink = np.array(GAIN if value > 0 else HARM)
    light, dark = PAPER + (ink - PAPER) * 0.5 * share, NIGHT + (ink - NIGHT) * 0.75 * share
    return tuple("#" + bytes(colour.round().astype(np.uint8)).hex() for colour in (light, dark))


def colours(table: MainTable) -> dict[tuple[str, str], tuple[str, str]]:
    """Colours by (arm, target) of the cells that have one; grey: cannot be told from chance."""
    own = table.cells[(table.cells["state"] == "gain") | ~table.cells["above_chance"]]
    limit = max([2.0, *own.loc[own["above_chance"], "value"].abs()])
    return {
        (cell[ARM], cell["target"]):
            shade(cell["value"], limit) if cell["above_chance"] else (GREY, NIGHT_GREY)
        for _, cell in own.iterrows()
    }  # fmt: skip


def _html_cell(cell: pd.Series) -> str:
    if cell["state"] == NOT_RUN:
        reason = html.escape(cell["reason"], quote=True)
        return f'<span class="not-run" title="{reason}">{plain(cell)}</span>'
    value, marks, is_clear, reach = _parts(cell)
    strong = f"<b>{value}{marks}</b>" if is_clear else value + marks
    return strong + (f"<br><small>{reach}</small>" if reach else "")


def _html_head(head: pd.Series) -> str:
    title = html.escape(head["column"]).replace(" without ", " without<br>")
    facts = [head["split"]]
    facts += [f"n {head['items']}", f"chance {head['chance']}"] if head["items"] else []
    small = [f"<small>{html.escape(fact)}</small>" for fact in facts if fact]
    return "<br>".join([f"<b>{title}</b>", *small])


def great_table(table: MainTable) -> GT:
    """The table as a great_tables object, ready to be shown in a notebook."""
    columns, order = list(table.heads["target"]), list(dict.fromkeys(table.cells[ARM]))
    cells = table.cells.assign(text=table.cells.apply(_html_cell, axis=1))
    body = cells.pivot(index=ARM, columns="target", values="text").loc[order, columns]
    body.insert(0, "row", cells.drop_duplicates(ARM)["row"].to_list())
    heads = {head["target"]: raw_html(_html_head(head)) for _, head in table.heads.iterrows()}
    shown = GT(body, rowname_col="row", id="main-table")
    shown = shown.fmt_passthrough(columns=columns, escape=False).cols_label(**heads)
    shown = shown.cols_align("right", columns=columns).tab_options(table_font_size="14px")
    for (arm, column), (light, dark) in colours(table).items():
        css = f"background-color: {light}; background-color: light-dark({light}, {dark});"
        shown = shown.tab_style(style.css(css), loc.body(columns=column, rows=[order.index(arm)]))
    return framed(shown, table.title, table.subtitle, table.notes)


def framed(shown: GT, title: str, subtitle: str, notes: Sequence[str]) -> GT:
    """A table with its title above and its notes beneath."""
    shown = shown.tab_header(title=title, subtitle=subtitle or None)
    for note in notes:
        shown = shown.tab_source_note(note)
    return shown
