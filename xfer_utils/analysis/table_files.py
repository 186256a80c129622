"""The main table as Markdown, LaTeX, CSV and HTML files. Text is escaped for its format."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from great_tables import GT, loc, style

from xfer_utils.analysis.published import NOT_AVAILABLE
from xfer_utils.analysis.stats import ARM
from xfer_utils.analysis.tables import NOT_RUN, MainTable, colours, framed, great_table, plain

LATEX = {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "−": "$-$",
}


def wide(table: MainTable) -> pd.DataFrame:
    """The table as text: a row for each arm, above them what each column was measured on."""
    heads = table.heads.set_index("column")[["split", "items", "chance"]].T
    cells = table.cells.assign(text=table.cells.apply(plain, axis=1))
    body = cells.pivot(index=ARM, columns="column", values="text")
    order = cells.drop_duplicates(ARM)
    body = body.loc[order[ARM], heads.columns].set_axis(order["row"])
    return pd.concat([heads, body]).rename_axis("intermediate task").reset_index()


def markdown(table: MainTable) -> str:
    """A pipe table with its title and notes."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_markdown_text(cell) for cell in cells) + " |"

    frame = wide(table)
    lines = [f"**{_markdown_text(table.title)}**", ""]
    lines += [_markdown_text(table.subtitle), ""] if table.subtitle else []
    lines += [line(frame.columns), "|---" + "|---:" * (len(frame.columns) - 1) + "|"]
    lines += [line(cells) for cells in frame.to_numpy()]
    return "\n".join([*lines, "", *(f"- {_markdown_text(note)}" for note in table.notes)]) + "\n"


def _markdown_text(text: str) -> str:
    """Markup is shown, not obeyed: `](` is broken up, brackets of intervals are left alone."""
    text = re.sub(r"([\\`*_|#])", r"\\\1", html.escape(" ".join(str(text).split()), quote=False))
    return text.replace("](", r"]\(")


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters made harmless."""
    return "".join(LATEX.get(c, "\\" + c if c in "&%$#_{}" else c) for c in str(text))


def latex(table: MainTable) -> str:
    """A table that needs the packages booktabs, caption and xcolor (option table)."""
    frame = wide(table).map(latex_text)
    rows, columns = list(dict.fromkeys(table.cells[ARM])), list(table.heads["target"])
    for (arm, column), (light, _) in colours(table).items():
        place = (3 + rows.index(arm), 1 + columns.index(column))
        frame.iloc[place] = rf"\cellcolor[HTML]{{{light[1:].upper()}}}{frame.iloc[place]}"
    shown = GT(frame, rowname_col="intermediate task", id="main-table")
    shown = shown.fmt_passthrough(columns=list(frame.columns), escape=False)
    shown = framed(shown, table.title, table.subtitle, table.notes)
    return "% \\usepackage{booktabs,caption} \\usepackage[table]{xcolor}\n" + shown.as_latex()


def save(table: MainTable, folder: Path, stem: str = "main") -> dict[str, Path]:
    """Write the table in every form; the paths by form: html, md, tex, tidy and wide (both CSV)."""
    folder.mkdir(parents=True, exist_ok=True)
    tidy = table.cells.merge(table.heads, on=["target", "column"])
    texts = {
        "html": _page(table.title, great_table(table)),
        "md": markdown(table),
        "tex": latex(table),
        "tidy.csv": tidy.to_csv(index=False),
        "wide.csv": wide(table).to_csv(index=False),
    }
    for ending, text in texts.items():
        (folder / f"{stem}.{ending}").write_text(text, encoding="utf-8")
    return {ending.removesuffix(".csv"): folder / f"{stem}.{ending}" for ending in texts}


def save_plain(
    frame: pd.DataFrame, folder: Path, stem: str, title: str, notes: Sequence[str] = ()
) -> GT:
    """Write a frame of ready text as HTML and CSV, its first column as row labels; the table."""
    labels, *columns = frame.columns
    shown = GT(frame, rowname_col=labels, id=stem.replace("_", "-"))
    shown = shown.cols_align("right", columns=columns).tab_options(table_font_size="14px")
    for column in columns:
        rows = np.flatnonzero(frame[column].isin([NOT_RUN, NOT_AVAILABLE])).tolist()
        grey = style.css("color: #767b84; font-size: 80%;")
        shown = shown.tab_style(grey, loc.body(columns=column, rows=rows))
    shown = framed(shown, title, "", notes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.html").write_text(_page(title, shown), encoding="utf-8")
    frame.to_csv(folder / f"{stem}.csv", index=False)
    return shown


def _page(title: str, table: GT) -> str:
    head = '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8">'
    return f"{head}<title>{html.escape(title)}</title>\n{table.as_raw_html()}\n</html>\n"
