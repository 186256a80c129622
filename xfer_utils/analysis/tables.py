"""The paper's main table, from a table of gains, as a great_tables object. table_files writes other formats.

Rows are intermediate tasks, columns are target tasks. `none` shows scores, every other row its gain over
`none`. All text is taken to be data and is escaped.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from great_tables import GT, loc, style
from great_tables import html as raw_html

from xfer_utils.analysis import published
from xfer_utils.analysis.stats import MEAN, MEAN_OTHER
from xfer_utils.study.tasks import registry

ROWS = (*published.ROWS, "multi")
TITLES = {"none": "none", "multi": "multi-task", MEAN: "mean", MEAN_OTHER: "mean without same data"}
NOT_RUN = "not run"
UNMARKED = {"same_data": False, "above_chance": True, "stale": False}
GAIN, HARM, GREY = (33, 102, 172), (178, 88, 6), "#e3e3e3"
PAPER, NIGHT, NIGHT_GREY = (255, 255, 255), (22, 27, 34), "#34383e"


@dataclass(frozen=True)
class MainTable:
    """One model's table: `cells` has a row per cell, `heads` one per column (split, items, chance)."""

    cells: pd.DataFrame
    heads: pd.DataFrame
    title: str
    subtitle: str = ""
    notes: tuple[str, ...] = field(default=())


def task_title(name: str) -> str:
    """How a task, `none`, `multi` or a mean is called in print."""
    return TITLES.get(name) or (registry()[name].title if name in registry() else name)


def _ordered(names: Iterable[str], order: Sequence[str]) -> list[str]:
    names = set(names)
    return [name for name in order if name in names] + sorted(names - set(order))


def _cell(row: str, column: str, found: pd.DataFrame, reason: str) -> dict:
    """One cell from the gains that were found for it: at most one line, else the table would hide one."""
    cell = {
        "intermediate": row,
        "target": column,
        "row": task_title(row),
        "column": task_title(column),
    }
    if len(found) > 1:
        raise ValueError(
            f"gains: {len(found)} rows for {row} -> {column}. Keep one score, split and metric a task."
        )
    if found.empty:
        return cell | {"state": NOT_RUN, "value": math.nan, "reason": reason} | UNMARKED
    line = found.iloc[0]
    state, value = ("score", line.score) if row == "none" else ("gain", line.gain)
    names = ("low", "high", "interval", "n_seeds", "n_items", "p", "p_adjusted")
    details = {name: line.get(name) for name in names}
    marks = {name: _flag(line.get(name), default) for name, default in UNMARKED.items()}
    return cell | {"state": state, "value": float(value), "reason": ""} | details | marks


def _flag(value: object, default: bool) -> bool:
    return default if value is None or pd.isna(value) else bool(value)


def main_table(
    gains: pd.DataFrame,
    reasons: Mapping[tuple[str, str], str] | None = None,
    title: str = "Gain over no intermediate training",
    subtitle: str = "",
    notes: Sequence[str] = (),
) -> MainTable:
    """The table of one model. Rows and columns are all that `gains` and `reasons` name, in the paper's order.

    `gains` is what stats.gains returns; `reasons` says why a pair (intermediate, target) was not run. A mean
    is shown where `gains` has one, which is where none of its cells is missing.
    """
    reasons = dict(reasons or {})
    if "model" in gains and gains.model.nunique() > 1:
        raise ValueError(
            f"gains: {gains.model.nunique()} models; make one table for each of {set(gains.model)}."
        )
    means = [MEAN, MEAN_OTHER]
    rows = _ordered([*gains.intermediate, *(row for row, _ in reasons)], ROWS)
    named = {*gains.target, *(column for _, column in reasons)} - set(means)
    columns = [*_ordered(named, tuple(registry())), *means]
    reasons |= {(row, mean): "cells of this row are missing" for row in rows for mean in means}
    cells = [
        _cell(
            row,
            column,
            gains[(gains.intermediate == row) & (gains.target == column)],
            reasons.get((row, column), "not in the study"),
        )
        for row in rows
        for column in columns
    ]
    frame, heads = pd.DataFrame(cells), pd.DataFrame([_head(gains, column) for column in columns])
    return MainTable(frame, heads, title, subtitle, (*_own_notes(frame), *notes))


def _head(gains: pd.DataFrame, column: str) -> dict:
    """What stands beneath a column's name: split, items, chance level; of the mean, how many targets."""
    own = gains[gains.target == column]
    head = {"target": column, "column": task_title(column), "split": "", "items": "", "chance": ""}
    if column in (MEAN, MEAN_OTHER):
        covered = set(gains.target[gains.intermediate == "none"]) - {MEAN, MEAN_OTHER}
        return head | {"split": f"{len(covered)} targets" if column == MEAN else ""}
    if own.empty:
        return head
    chance = own.chance.dropna()
    return head | {
        "split": "/".join(dict.fromkeys(own.split.astype(str))),
        "items": f"{int(own.n_items.max()):,}",
        "chance": f"{chance.iloc[0]:.1f}" if len(chance) else "n/a",
    }


def _own_notes(cells: pd.DataFrame) -> list[str]:
    """The notes that the cells themselves call for."""
    kinds = set(cells.get("interval", pd.Series(dtype=str)).dropna())
    notes = ["The row none shows scores (0 to 100); every other row its gain over none, in points."]
    if "n_seeds" in cells:
        seeds = cells.dropna(subset="n_seeds").groupby("row", sort=False).n_seeds.max().astype(int)
        groups = [
            f"{count} for {', '.join(seeds.index[seeds == count])}"
            for count in dict.fromkeys(seeds)
        ]
        if len(groups) == 1:
            groups = [f"{seeds.iloc[0]} for every row"]
        notes.append(f"Seeds: {'; '.join(groups)}.")
    if "test items" in kinds:
        notes.append(
            "Intervals (95%) of cells with one run cover the choice of test items only, not training."
        )
    if "seeds" in kinds:
        notes.append("Intervals (95%) of cells with several seeds are t intervals over seeds.")
    if cells.get("p_adjusted", pd.Series(dtype=float)).lt(0.05).any():
        notes.append(
            "Bold, or * in plain text: p below 0.05 after Holm's correction within its family of comparisons."
        )
    if cells.same_data.any():
        notes.append("† same data: the intermediate task holds the target's own training data.")
    if not cells.above_chance.all():
        notes.append("Grey: the score cannot be told from chance, so its gain means little.")
    if cells.stale.any():
        notes.append("‡ made by an older version of the code.")
    missing = cells[(cells.state == NOT_RUN) & ~cells.target.isin([MEAN, MEAN_OTHER])]
    width = cells.target.nunique() - 2
    for reason, own in missing.groupby("reason", sort=False):
        rows = [
            row if len(part) == width else f"{row} on {', '.join(part.column)}"
            for row, part in own.groupby("row", sort=False)
        ]
        notes.append(f"Not run: {'; '.join(rows)}. Reason: {reason.rstrip('.')}.")
    return notes


def number(value: float, signed: bool = False) -> str:
    """One decimal, a true minus sign, no negative zero."""
    text = f"{abs(value):.1f}"
    if text == "0.0":
        return text
    return ("−" if value < 0 else "+" if signed else "") + text


def _interval(cell: pd.Series) -> str:
    low, high = cell.get("low"), cell.get("high")
    return "" if pd.isna(low) or pd.isna(high) else f"[{number(low)}, {number(high)}]"


def _holds(cell: pd.Series) -> bool:
    """Whether the gain's p value is below 0.05 after correction."""
    adjusted = cell.get("p_adjusted")
    return bool(pd.notna(adjusted) and adjusted < 0.05)


def _marks(cell: pd.Series) -> str:
    return "†" * bool(cell.same_data) + "‡" * bool(cell.stale)


def plain(cell: pd.Series) -> str:
    """A cell as plain text: value, marks and interval."""
    if cell.state == NOT_RUN:
        return NOT_RUN if cell.target not in (MEAN, MEAN_OTHER) else "–"
    text = number(cell.value, signed=cell.state == "gain") + "*" * _holds(cell) + _marks(cell)
    chance = " (chance)" if not cell.above_chance else ""
    return " ".join(part for part in (text, _interval(cell)) if part) + chance


def _mix(paper: tuple[int, int, int], ink: tuple[int, int, int], share: float) -> str:
    return "#" + "".join(
        f"{round(p + (i - p) * share):02x}" for p, i in zip(paper, ink, strict=True)
    )


def shade(value: float, limit: float) -> tuple[str, str]:
    """A gain's colours on a light and on a dark page: blue helps, orange harms, for colour-blind eyes too."""
    share = min(abs(value) / limit, 1.0)
    ink = GAIN if value > 0 else HARM
    return _mix(PAPER, ink, 0.5 * share), _mix(NIGHT, ink, 0.75 * share)


def colours(table: MainTable) -> dict[tuple[str, str], tuple[str, str]]:
    """Colours by (row, target) for the cells that have one."""
    gains = table.cells[table.cells.state == "gain"]
    shown = gains[gains.above_chance]
    limit = max(2.0, shown.value.abs().max()) if len(shown) else 2.0
    found = {(c.intermediate, c.target): shade(c.value, limit) for c in shown.itertuples()}
    below = table.cells[~table.cells.above_chance]
    return found | {(c.intermediate, c.target): (GREY, NIGHT_GREY) for c in below.itertuples()}


def _html_cell(cell: pd.Series) -> str:
    if cell.state == NOT_RUN:
        return f'<span class="not-run" title="{html.escape(cell.reason, quote=True)}">{plain(cell)}</span>'
    value = number(cell.value, signed=cell.state == "gain") + _marks(cell)
    strong = f"<b>{value}</b>" if _holds(cell) else value
    interval = _interval(cell)
    return strong + (f"<br><small>{interval}</small>" if interval else "")


def _html_head(head: pd.Series) -> str:
    title = html.escape(head.column)
    lines = [f"<b>{'mean without<br>same data' if head.target == MEAN_OTHER else title}</b>"]
    if head["items"]:
        facts = (head.split, f"n {head['items']}", f"chance {head.chance}")
        lines += [f"<small>{html.escape(fact)}</small>" for fact in facts]
    elif head.split:
        lines += [f"<small>{html.escape(head.split)}</small>"]
    return "<br>".join(lines)


def great_table(table: MainTable) -> GT:
    """The table as a great_tables object, ready to be shown in a notebook."""
    lines = []
    for _, own in table.cells.groupby("intermediate", sort=False):
        first = own.iloc[0]
        lines.append(
            {"row": first.row} | {cell.target: _html_cell(cell) for _, cell in own.iterrows()}
        )
    frame = pd.DataFrame(lines)
    columns = list(table.heads.target)
    built = GT(frame, rowname_col="row", id="main-table").fmt_passthrough(
        columns=columns, escape=False
    )
    built = built.tab_header(title=table.title, subtitle=table.subtitle or None)
    built = built.cols_label(
        **{head.target: raw_html(_html_head(head)) for _, head in table.heads.iterrows()}
    )
    built = built.cols_align("right", columns=columns).tab_options(table_font_size="14px")
    order = list(dict.fromkeys(table.cells.intermediate))
    for (row, column), (light, dark) in colours(table).items():
        css = f"background-color: {light}; background-color: light-dark({light}, {dark});"
        built = built.tab_style(style.css(css), loc.body(columns=column, rows=[order.index(row)]))
    for note in table.notes:
        built = built.tab_source_note(note)
    return built
