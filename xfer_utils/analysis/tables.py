"""The paper's main table, from a table of gains, as a great_tables object.

Rows are arms, columns are target tasks. The baseline shows scores, every other row its gain over
it. Intervals are over seeds; a cell with one run has none. All text is taken to be data and is
escaped. table_files writes other formats.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from great_tables import GT, loc, style
from great_tables import html as raw_html

from xfer_utils.analysis import stats
from xfer_utils.analysis.stats import ARM, BASELINE, MEAN, MEAN_OTHER, SEEDS
from xfer_utils.study.tasks import registry, task

TITLE = "title"  # the column of the scores table that says how an arm is called in print
OTHERS, ENGLISH, PRIMARY = "others", "english", "primary"  # means over a part of the languages
TITLES = {
    "multi": "multi-task", MEAN: "mean", ENGLISH: "English", OTHERS: "other languages",
    PRIMARY: "other languages without same data",
}  # fmt: skip
MEANS = (MEAN, ENGLISH, OTHERS, PRIMARY)
ONE_RUN = "one run"
NO_ITEMS = {"item_bound": 100.0, "n_items": 1, "degenerate": False}
NOT_RUN = "not run"
GAIN, HARM, GREY = "#2166ac", "#b25806", "#8a8f98"  # told apart by the colour-blind too


@dataclass(frozen=True)
class MainTable:
    """One model's table: `cells` has a row per cell, `heads` one per column."""

    cells: pd.DataFrame
    heads: pd.DataFrame
    title: str
    subtitle: str = ""
    notes: tuple[str, ...] = ()


def task_title(name: str) -> str:
    """The printed name of a task or of a mean."""
    return registry()[name].title if name in registry() else TITLES.get(name, name)


def arm_titles(scores: pd.DataFrame, planned: Iterable[str] = ()) -> dict[str, str]:
    """Titles of the arms, the `planned` ones first: rows keep the order of the study file."""
    known = dict(zip(scores[ARM], scores[TITLE], strict=True))
    return {name: known.get(name) or task_title(name) for name in dict.fromkeys([*planned, *known])}


def headline(scores: pd.DataFrame, examples: stats.Examples | None, **how: int) -> pd.DataFrame:
    """stats.gains with four means of each arm, of which the last answers the study's question.

    XTREME's mean counts English as one of the languages. Beside it stand the means over English
    and over the other languages; PRIMARY is the latter, over the targets without same data.
    """
    english = scores["language"] == "en"
    whole = stats.gains(scores, examples, **how)
    parts = [whole[~whole["target"].isin(stats.MEANS)]]
    names = ({MEAN: MEAN}, {MEAN: ENGLISH}, {MEAN: OTHERS, MEAN_OTHER: PRIMARY})
    for rows, wanted in zip((english | ~english, english, ~english), names, strict=True):
        if rows.any():  # items need no counting here, so those of a mean count its targets
            own = stats.gains(scores[rows].assign(**NO_ITEMS), None)
            parts.append(own.assign(target=own["target"].map(wanted)).dropna(subset="target"))
    return pd.concat(parts, ignore_index=True)


def main_table(
    gains: pd.DataFrame, arms: Mapping[str, str], reasons: Mapping[tuple[str, str], str],
    title: str, subtitle: str = "", notes: Sequence[str] = (), covered: Mapping[str, str] = {},
) -> MainTable:  # fmt: skip
    """The table of one model: a row per arm that has a gain or a reason, in the order of `arms`.

    `gains` is what headline returns, `arms` names each arm's title, `reasons` says why a pair
    (arm, target) was not run, `covered` by target how many languages of how many, if some are
    missing. Columns stand in the registry's order, then the means.
    """
    rows = [arm for arm in arms if arm in {*gains[ARM], *(arm for arm, _ in reasons)}]
    targets = {*gains["target"], *(target for _, target in reasons)}
    columns = [name for name in (*registry(), *MEANS) if name in targets]
    grid = pd.MultiIndex.from_product([rows, columns], names=[ARM, "target"])
    cells = gains.set_index([ARM, "target"]).reindex(grid).reset_index()  # refuses duplicates
    cells = cells.drop(columns=["split", "chance"])  # they stand above the columns
    is_score, is_missing = cells[ARM] == BASELINE, cells["score"].isna()
    cells["state"] = np.select([is_missing, is_score], [NOT_RUN, "score"], "gain")
    cells["value"] = cells["gain"].mask(is_score, cells["score"]).astype(float)
    for mark in ("same_data", "degenerate"):
        cells[mark] = cells[mark].eq(True)
    cells["above_chance"] = cells["above_chance"].ne(False)
    cells["model"] = next(iter(gains["model"]), "")
    cells["row"], cells["column"] = cells[ARM].map(arms), cells["target"].map(task_title)
    cells["reach"] = list(map(bounds, cells["low"], cells["high"]))
    one_run = ~is_missing & (cells["interval"] != SEEDS)
    cells.loc[one_run, ["low", "high", "reach"]] = [np.nan, np.nan, ONE_RUN]
    why = [reasons.get(pair, "not in the study") for pair in grid]
    cells["reason"] = np.where(is_missing, why, "")
    heads = pd.DataFrame([_head(gains, column, covered) for column in columns])
    return MainTable(cells, heads, title, subtitle, (*_own_notes(cells), *notes))


def _head(gains: pd.DataFrame, column: str, covered: Mapping[str, str]) -> dict:
    """What stands beneath a column's name: split, languages, items, chance; or how many targets."""
    own = gains[gains["target"] == column]
    split = "/".join(own["split"].unique())
    head = {"target": column, "column": task_title(column), "split": split}
    head |= {"languages": covered.get(column, ""), "items": "", "chance": ""}
    items = f"{int(own['n_items'].max()):,}" if len(own) else ""
    if column in MEANS or not items:
        return head | {"split": items and f"{items} targets"}
    chance = own["chance"].dropna()
    return head | {"items": items, "chance": f"{chance.iloc[0]:.1f}" if len(chance) else "n/a"}


def _own_notes(cells: pd.DataFrame) -> list[str]:
    """The notes that the cells themselves call for."""
    columns = set(cells["column"])
    metrics = {task(name).metric for name in cells["target"].unique() if name not in MEANS}
    notes = {
        "Intervals (95%) are t intervals over seeds.": SEEDS in set(cells["interval"]),
        "One run: another training, or another machine, may well give another sign.":
            ONE_RUN in set(cells["reach"]),
        "The mean is XTREME's, with English among the languages of a target. The study's question "
        "is about the other languages: its answer is the last column.":
            TITLES[PRIMARY] in columns,
        "No interval: the same gap in all seeds, so that their spread says nothing.":
            (cells["interval"].eq(SEEDS) & cells["low"].isna()).any(),
        "Bold, or * in plain text: p below 0.05 after Holm's correction within its family of "
        "comparisons (targets; each of the four means). Where nothing has any effect, about one "
        "table in seven has such a mark in one of the five.": cells["p_adjusted"].lt(0.05).any(),
        "† same data: the intermediate task holds the target's own training data.":
            cells["same_data"].any(),
        "‡ degenerate: in some language a run gives all items one label.":
            cells["degenerate"].any(),
        "Grey: the score cannot be told from chance, so its gain means little.":
            not cells["above_chance"].all(),
        "Mining: where no mined pair of the development set is right, no pair is extracted; "
        "XTREME's script would extract every pair.":
            "mining_f1" in metrics,
        "Retrieval: of equally near sentences the first counts; XTREME's index may take another.":
            "retrieval_accuracy" in metrics,
    }  # fmt: skip
    first = "The row none shows scores (0 to 100); every other row its gain over none, in points."
    own = [*_seeds(cells), *_languages(cells), *filter(notes.get, notes)]
    return [first, *own, *_missing(cells)]


def _languages(cells: pd.DataFrame) -> list[str]:
    """Whether English is one of the languages that a score is the mean of."""
    known = cells.dropna(subset="languages").drop_duplicates("target")
    own = known[~known["target"].isin(MEANS)]
    lacking = own.loc[[("en" not in codes.split(",")) for codes in own["languages"]], "column"]
    if own.empty:
        return []
    without = f" (but not in {', '.join(lacking)})" if len(lacking) else ""
    said = "without English" if len(lacking) == len(own) else f"English included{without}"
    return [f"A target's score is the mean over its languages, {said}."]


def _seeds(cells: pd.DataFrame) -> list[str]:
    """How many seeds each row has."""
    seeds = cells.groupby("row", sort=False)["n_seeds"].max().dropna().astype(int)
    by_count = seeds.groupby(seeds, sort=False)
    groups = [f"{count} for {', '.join(own.index)}" for count, own in by_count]
    if len(groups) == 1:
        groups = [f"{seeds.iloc[0]} for every row"]
    return [f"Seeds: {'; '.join(groups)}."] if groups else []


def _missing(cells: pd.DataFrame) -> list[str]:
    """By reason, the rows that were not run, or the columns of a row that were not."""
    own = cells[~cells["target"].isin(MEANS)]
    missing, width = own[own["state"] == NOT_RUN], own["target"].nunique()
    rows: dict[str, list[str]] = {}
    for (reason, row), part in missing.groupby(["reason", "row"], sort=False):
        where = "" if len(part) == width else f" on {', '.join(part['column'])}"
        rows.setdefault(reason.rstrip("."), []).append(row + where)
    return [f"Not run: {'; '.join(names)}. Reason: {reason}." for reason, names in rows.items()]


def number(value: float, signed: bool = False) -> str:
    """One decimal, a true minus sign, no negative zero."""
    text = f"{value:{'+' if signed else ''}.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def bounds(low: float, high: float) -> str:
    """Bounds in print; nothing where there are none."""
    return "" if pd.isna(low) or pd.isna(high) else f"[{number(low)}, {number(high)}]"


def value(cell: Mapping) -> str:
    """A cell's number with its marks, or why there is none."""
    if cell["state"] == NOT_RUN:
        return "–" if cell["target"] in MEANS else NOT_RUN
    marks = "†" * cell["same_data"] + "‡" * cell["degenerate"]
    return number(cell["value"], signed=cell["state"] == "gain") + marks


def colours(table: MainTable) -> dict[tuple[str, str], str]:
    """CSS colours by (arm, target): blue helps, orange harms, grey cannot be told from chance.

    They are mixed with the page's own, light or dark.
    """
    own = table.cells[(table.cells["state"] == "gain") | ~table.cells["above_chance"]]
    limit = max([2.0, *own.loc[own["above_chance"], "value"].abs()])
    mixed = {}
    for _, cell in own.iterrows():
        share, ink = 55 * abs(cell["value"]) / limit, GAIN if cell["value"] > 0 else HARM
        share, ink = (share, ink) if cell["above_chance"] else (25, GREY)
        mixed[cell[ARM], cell["target"]] = f"color-mix(in srgb, {ink} {share:.0f}%, transparent)"
    return mixed


def _html_cell(cell: pd.Series) -> str:
    if cell["state"] == NOT_RUN:
        return f'<span class="not-run" title="{html.escape(cell["reason"])}">{value(cell)}</span>'
    strong = f"<b>{value(cell)}</b>" if cell["p_adjusted"] < 0.05 else value(cell)
    shown = runs_link(cell["model"], cell[ARM], cell["target"], strong)
    return shown + (f"<br><small>{cell['reach']}</small>" if cell["reach"] else "")


def runs_link(model: str, arm: str, target: str, shown: str) -> str:
    """A cell's markup that leads, in the report, to the runs behind it."""
    return f'<a href="#{html.escape(f"{model}.{arm}.{target}")}">{shown}</a>'


def _html_head(head: pd.Series) -> str:
    title = html.escape(head["column"]).replace(" without ", " without<br>")
    facts = [head["split"], head["languages"] and f"{head['languages']} languages"]
    facts += [f"n {head['items']}", f"chance {head['chance']}"] if head["items"] else []
    small = [f"<small>{html.escape(fact)}</small>" for fact in facts if fact]
    return "<br>".join([f"<b>{title}</b>", *small])


def great_table(table: MainTable) -> GT:
    """The table as a great_tables object, ready to be shown in a notebook."""
    columns, order = list(table.heads["target"]), list(table.cells[ARM].unique())
    cells = table.cells.assign(text=table.cells.apply(_html_cell, axis=1))
    body = cells.pivot(index=ARM, columns="target", values="text").loc[order, columns]
    body.insert(0, "row", cells["row"].unique())
    heads = {head["target"]: raw_html(_html_head(head)) for _, head in table.heads.iterrows()}
    shown = GT(body, rowname_col="row", id="main-table")
    shown = shown.fmt_passthrough(columns=columns, escape=False).cols_label(**heads)
    for (arm, column), colour in colours(table).items():
        css = style.css(f"background-color: {colour};")
        shown = shown.tab_style(css, loc.body(columns=column, rows=[order.index(arm)]))
    return framed(shown, columns, table.title, table.notes, table.subtitle)


def framed(
    shown: GT, columns: list[str], title: str, notes: Sequence[str], subtitle: str = ""
) -> GT:
    """A table with numbers to the right, its title above and its notes beneath."""
    shown = shown.cols_align("right", columns=columns).tab_options(table_font_size="14px")
    shown = shown.tab_header(title=title, subtitle=subtitle or None)
    for note in notes:
        shown = shown.tab_source_note(note)
    return shown
