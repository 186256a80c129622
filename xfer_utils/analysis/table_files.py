"""The main table as Markdown, LaTeX, CSV and HTML files. Text is escaped for the format it is written in."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from great_tables import GT, loc, style

from xfer_utils.analysis.published import NOT_AVAILABLE
from xfer_utils.analysis.tables import NOT_RUN, MainTable, colours, great_table, plain

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
}


def wide(table: MainTable) -> pd.DataFrame:
    """The table as text: a row for each intermediate task, above them what each column was measured on."""
    names = dict(zip(table.heads.target, table.heads.column, strict=True))
    heads = [
        {"row": label} | dict(zip(table.heads.column, table.heads[key], strict=True))
        for label, key in (("split", "split"), ("items", "items"), ("chance", "chance"))
    ]
    body = [
        {"row": own.row.iloc[0]} | {names[cell.target]: plain(cell) for _, cell in own.iterrows()}
        for _, own in table.cells.groupby("intermediate", sort=False)
    ]
    return pd.DataFrame(heads + body).rename(columns={"row": "intermediate task"})


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
    """Markup in the text is shown, not obeyed. Brackets of intervals are left alone, `](` is not."""
    text = re.sub(r"([\\`*_|#])", r"\\\1", html.escape(" ".join(str(text).split()), quote=False))
    return text.replace("](", r"]\(")


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters made harmless."""
    return "".join(LATEX.get(c, "\\" + c if c in "&%$#_{}" else c) for c in str(text))


def latex(table: MainTable) -> str:
    """A table that needs the packages booktabs, caption and xcolor (option table)."""
    frame = wide(table).map(latex_text)
    names = dict(zip(table.heads.target, table.heads.column, strict=True))
    for (row, column), (light, _) in colours(table).items():
        position = 3 + list(dict.fromkeys(table.cells.intermediate)).index(row)
        here = (position, frame.columns.get_loc(names[column]))
        frame.iloc[here] = rf"\cellcolor[HTML]{{{light[1:].upper()}}}{frame.iloc[here]}"
    built = GT(frame, rowname_col="intermediate task", id="main-table")
    built = built.fmt_passthrough(columns=list(frame.columns), escape=False)
    built = built.tab_header(title=table.title, subtitle=table.subtitle or None)
    for note in table.notes:
        built = built.tab_source_note(note)
    return "% \\usepackage{booktabs,caption} \\usepackage[table]{xcolor}\n" + built.as_latex()


def save(table: MainTable, folder: Path, stem: str = "main") -> dict[str, Path]:
    """Write the table in every form; the paths by form: html, md, tex, tidy and wide (both CSV)."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "html": (f"{stem}.html", _page(table.title, great_table(table))),
        "md": (f"{stem}.md", markdown(table)),
        "tex": (f"{stem}.tex", latex(table)),
        "tidy": (
            f"{stem}.tidy.csv",
            table.cells.merge(table.heads, on=["target", "column"]).to_csv(index=False),
        ),
        "wide": (f"{stem}.wide.csv", wide(table).to_csv(index=False)),
    }
    for name, text in texts.values():
        (folder / name).write_text(text, encoding="utf-8")
    return {form: folder / name for form, (name, _) in texts.items()}


def save_plain(
    frame: pd.DataFrame, folder: Path, stem: str, title: str, notes: Sequence[str] = ()
) -> GT:
    """Write a frame of ready text as HTML and CSV, its first column as row labels; the table, to be shown."""
    built = GT(frame, rowname_col=frame.columns[0], id=stem.replace("_", "-")).tab_header(
        title=title
    )
    built = built.cols_align("right", columns=list(frame.columns[1:])).tab_options(
        table_font_size="14px"
    )
    for column in frame.columns[1:]:
        rows = [
            place for place, text in enumerate(frame[column]) if text in (NOT_RUN, NOT_AVAILABLE)
        ]
        built = built.tab_style(
            style.css("color: #767b84; font-size: 80%;"), loc.body(columns=column, rows=rows)
        )
    for note in notes:
        built = built.tab_source_note(note)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.html").write_text(_page(title, built), encoding="utf-8")
    frame.to_csv(folder / f"{stem}.csv", index=False)
    return built


def _page(title: str, table: GT) -> str:
    head = f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
    return head + table.as_raw_html() + "\n</html>\n"
