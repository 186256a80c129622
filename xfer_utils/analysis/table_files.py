"""The main table as HTML, Markdown, LaTeX and CSV files. Text is escaped for its format."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from great_tables import GT, loc, style

from xfer_utils.analysis import tables
from xfer_utils.analysis.stats import ARM
from xfer_utils.analysis.tables import NOT_RUN, MainTable, framed, great_table, value


def _plain(cell: pd.Series) -> str:
    """A cell as plain text: value, marks and interval."""
    if cell["state"] == NOT_RUN:
        return value(cell)
    text = value(cell)
    if cell["p_adjusted"] < 0.05:
        digits = text.rstrip("†‡")
        text = digits + "*" + text.removeprefix(digits)
    parts = (text, cell["reach"])
    return " ".join([*filter(None, parts), *([] if cell["above_chance"] else ["(chance)"])])


def wide(table: MainTable) -> pd.DataFrame:
    """The table as text: a row for each arm, above them what each column was measured on."""
    heads = table.heads.set_index("column")[["split", "languages", "items", "chance"]].T
    heads = heads.drop(index=[] if heads.loc["languages"].any() else "languages")
    cells = table.cells.assign(text=table.cells.apply(_plain, axis=1))
    body = cells.pivot(index=ARM, columns="column", values="text")
    body = body.loc[cells[ARM].unique(), heads.columns].set_axis(cells["row"].unique())
    return pd.concat([heads, body]).rename_axis("intermediate task").reset_index()


def markdown(table: MainTable) -> str:
    """A pipe table with its title and notes."""
    frame = wide(table)
    rows = [list(frame.columns), *frame.to_numpy().tolist()]
    lines = ["| " + " | ".join(map(_markdown_text, row)) + " |" for row in rows]
    lines.insert(1, "|---" + "|---:" * (len(frame.columns) - 1) + "|")
    head = [f"**{_markdown_text(table.title)}**", _markdown_text(table.subtitle)]
    notes = [f"- {_markdown_text(note)}" for note in table.notes]
    return "\n\n".join([*filter(None, head), "\n".join(lines), "\n".join(notes)]) + "\n"


def _markdown_text(text: str) -> str:
    """Markup is shown, not obeyed: `](` is broken up, brackets of intervals are left alone."""
    text = re.sub(r"([\\`*_|#])", r"\\\1", html.escape(" ".join(str(text).split()), quote=False))
    return text.replace("](", r"]\(")


def latex(table: MainTable) -> str:
    """The table, and its title and notes beneath it; needs the package booktabs."""
    frame, notes = wide(table), pd.DataFrame([table.title, table.subtitle, *table.notes])
    body = frame.to_latex(index=False, escape=True, column_format="l" + "r" * frame.shape[1])
    beneath = notes.to_latex(index=False, header=False, escape=True, column_format=r"p{\linewidth}")
    return f"{body}\n{beneath}".replace("−", "$-$")


def save(table: MainTable, folder: Path, stem: str = "main") -> dict[str, Path]:
    """Writes the table in every form; the paths by form: html, md, tex and tidy.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "html": great_table(table).as_raw_html(make_page=True),
        "md": markdown(table),
        "tex": latex(table),
        "tidy.csv": table.cells.merge(table.heads, on=["target", "column"]).to_csv(index=False),
    }
    for ending, text in texts.items():
        (folder / f"{stem}.{ending}").write_text(text, encoding="utf-8")
    return {ending: folder / f"{stem}.{ending}" for ending in texts}


def save_plain(
    frame: pd.DataFrame, folder: Path, stem: str, title: str, notes: Sequence[str] = (),
    links: Sequence[tuple[str, str, str]] = (),
) -> GT:  # fmt: skip
    """Writes a frame of ready text as HTML, CSV and LaTeX, its first column as row labels.

    `links` are model, arm and target of each row: its cells lead to their runs in the report.
    """
    labels, *columns = frame.columns
    body = frame.copy()
    for column in columns if links else ():
        texts = zip(links, map(html.escape, frame[column]), strict=True)
        body[column] = [tables.runs_link(*where, text) if text else "" for where, text in texts]
    shown = GT(body, rowname_col=labels, id=stem.replace("_", "-"))
    shown = shown.fmt_passthrough(columns=columns, escape=False) if links else shown
    for column in columns:
        rows = np.flatnonzero(frame[column].eq(NOT_RUN)).tolist()
        grey = style.css("color: #767b84; font-size: 80%;")
        shown = shown.tab_style(grey, loc.body(columns=column, rows=rows))
    words = [name for name in columns if frame[name].astype(str).str.match("[A-Za-z]{4}").any()]
    shown = framed(shown, columns, title, notes).cols_align("left", columns=words)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.html").write_text(shown.as_raw_html(make_page=True), encoding="utf-8")
    frame.to_csv(folder / f"{stem}.csv", index=False)
    text = frame.to_latex(index=False, escape=True).replace("−", "$-$")
    (folder / f"{stem}.tex").write_text(text, encoding="utf-8")
    return shown
