"""The report in a real browser: what it fetches and says, how it sorts, prints, and fits a screen."""

import csv
import http.server
import re
import threading

import nbformat
import pandas as pd
import pytest
from browser import BROWSER, NARROW, PAPER, WIDE, Browser
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from xfer_utils.analysis import table_files, tables
from xfer_utils.commands import report
from xfer_utils.commands.report import Page

pytestmark = pytest.mark.skipif(not BROWSER, reason="no chromium here")
STUDY = {"name": "toy", "title": "A study", "question": "Does it help?", "estimand": "the mean"}
STUDY |= {"source": "toy", "note": ""}
ARMS = {"none": "none", "mnli": "MNLI", "squad": "SQuAD v1.1", "qqp": "QQP", "multi": "multi-task"}
TARGETS = ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"]
LINKS = """[...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href"))"""
SHOWN = """[...document.querySelector("#main tbody").rows].filter((row) => !row.hidden)
  .map((row) => row.cells[0].innerText)"""
# Names of tables that reach beyond the page, and whether the page itself does.
CUT = """[...document.querySelectorAll("table, figure img")].filter((part) =>
  part.getBoundingClientRect().right > innerWidth + 1).map((part) => part.className || part.alt)"""
# The lowest contrast of a text with what is behind it, and that text.
CONTRAST = """(() => {
  const parse = (text) => {
    const parts = text.match(/-?[\\d.]+(e-?\\d+)?/g).map(Number);
    const scale = text.startsWith("color(") ? 1 : 255;
    return [...parts.slice(0, 3).map((part) => part / scale), parts[3] ?? 1];
  };
  const over = (top, under) => top.slice(0, 3).map((c, n) => c * top[3] + under[n] * (1 - top[3]));
  const behind = (part) => {
    if (!part) return parse(getComputedStyle(document.body).backgroundColor).slice(0, 3);
    const own = parse(getComputedStyle(part).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, behind(part.parentElement));
  };
  const light = (rgb) => rgb.map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  let worst = [99, ""];
  for (const part of document.querySelectorAll("body *")) {
    const text = [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !part.checkVisibility() || part.tagName === "SCRIPT") continue;
    const under = behind(part), style = getComputedStyle(part);
    const ink = parse(style.color);
    ink[3] *= Number(style.opacity);
    const [a, b] = [light(over(ink, under)), light(under)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, part.outerHTML.slice(0, 120)];
  }
  return worst;
})()"""
CODE = """from os import path
@path
def name(x: int = 2, *y) -> None:
    \'\'\'Doc.\'\'\'
    return [f"s{x}", 2.5, None, True and not y, len(y), "\\n"]  # comment
"""
ATTACK = (
    '<script>document.title = "owned"</script><img src="{site}/a.png" onerror="document.title=1">'
    '<iframe src="{site}/b"></iframe><link rel="stylesheet" href="{site}/c.css">'
    '<td style="background-image: url({site}/d.png)">cell</td>'
)


def gains():
    """A row for each arm and target, in which MNLI has the largest gains."""
    rows = []
    for place, arm in enumerate(ARMS):
        for number, target in enumerate([*TARGETS, *tables.MEANS]):
            gain = {"none": 0.0, "mnli": 9.5, "squad": 2.0, "qqp": -3.0, "multi": -12.0}[arm]
            rows.append({
                "model": "m", "arm": arm, "target": target, "score": 60.0 + gain + number,
                "base": 60.0 + number, "gain": gain, "low": gain - 12.3, "high": gain + 12.3, "p": 0.2,
                "p_adjusted": 0.01 if place == 1 else 0.5, "interval": "seeds", "n_seeds": 3,
                "n_base_seeds": 3, "n_items": 12345.0, "split": "dev", "same_data": place == 1,
                "degenerate": False, "languages": "de,en", "chance": 33.3, "above_chance": place != 2,
            })  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    """The front page of a study with all that a report can hold."""
    root = tmp_path_factory.mktemp("report")
    study, folder = root / "study", root / "study" / "tables"
    (study / "figures").mkdir(parents=True)
    table = tables.main_table(
        gains(), ARMS, {("multi", "xnli"): "left out"}, "Gains", "Toy", ["A note."]
    )
    table_files.save(table, folder)
    wide = {f"q{letter}a": ["61.2", "58.0 (−3.2)"] for letter in "abcdefghijklmn"}
    wide = pd.DataFrame({"arm": ["none", "MNLI"], **wide, "gap to English": ["−4.1", "−5.0"]})
    links = [("m", "none", "xnli"), ("m", "mnli", "xnli")]
    table_files.save_plain(wide, folder, "languages_01_xnli", "XNLI: 15 languages", links=links)
    text = {"data set": ["MNLI", "CCG"], "rows": ["392,702", "not run"]}
    text |= {"remarks": ["a remark of many words " * 9, ""]}
    table_files.save_plain(pd.DataFrame(text), folder, "readings", "What was read")
    (study / "figures" / "map.txt").write_text("Gains against distance from English.")
    (study / "figures" / "map.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300"><rect width="9" height="9"/></svg>'
    )
    sentence = '[{"sentence": "MNLI: +9.5 points over none.", "estimand": "mean gain", "estimate": 9.5, "interval": [1, 18], "verdict": "gain"}]'
    (study / "findings.json").write_text(sentence)
    pages = [
        Page("Main", "summary", "done", files=tuple(p for p in study.rglob("*") if p.is_file()))
    ]
    for arm in ARMS:
        for seed in range(3):
            path = root / "runs" / f"{arm}{seed}" / "notebook.ipynb"
            path.parent.mkdir(parents=True)
            cells = [
                new_markdown_cell("# A run\n\n$$a = \\frac{1}{2}$$"),
                new_code_cell(CODE),
            ]
            nbformat.write(new_notebook(cells=cells), path)
            names = tuple(f"m.{arm}.{target}" for target in (*TARGETS, *tables.MEANS))
            about = {"score": "xnli 61.2", "seconds": 60.0 * seed + 30, "arm": arm, "cells": names}
            made = {"device": "cpu", "cpu": 1.0}
            pages.append(
                Page(f"{arm}-s{seed}", "target", "done", path, f"{arm}{seed}", **about, made=made)
            )
    arms = {name: {"title": title} for name, title in ARMS.items()}
    row = {"question": "Does it depend on what? " * 3, "estimand": "a long estimand " * 20}
    row |= {"estimate": "+2.0 points [1.0, 3.0]", "covers": "other trainings (seeds)", "p": "0.010"}
    rows = [row | {"verdict": name, "published": "published"} for name in ("holds", "not run")]
    reasons = {("qqp", "xnli"): "no data"}
    return report.build(study, STUDY, pages, arms=arms, not_run=reasons, answers=rows)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def test_nothing_is_fetched_and_nothing_is_said(browser, front):
    for page in (front, front.parent / "notebooks" / "mnli0-notebook.html"):
        for dark in (False, True):
            browser.open(page, dark=dark)
            browser.pdf(front.parent / "page.pdf")
            assert browser.console == []
            assert {url.split(",")[0].split(":")[0] for url in browser.fetched} <= {"file", "data"}
            assert [url for url in browser.fetched if url.startswith("file")] == [page.as_uri()]


def test_every_link_leads_somewhere(browser, front):
    for page in (front, front.parent / "notebooks" / "mnli0-notebook.html"):
        browser.open(page)
        links = browser.ask(LINKS)
        assert len(links) > (60 if page == front else 1)
        for link in links:
            file, _, place = link.partition("#")
            if not link.startswith("data:"):
                assert not file or (page.parent / file).is_file(), link
                assert not place or browser.ask(f"!!document.getElementById({place!r})"), link


def test_a_click_sorts_by_number_and_none_stays_on_top(browser, front):
    browser.open(front)
    click = """[...document.querySelectorAll("#main thead tr:last-child button")][{}].click()"""
    browser.ask(click.format(2))
    assert browser.ask(SHOWN) == ["none", "MNLI", "SQuAD v1.1", "QQP", "multi-task"]
    browser.ask(click.format(2))
    assert browser.ask(SHOWN) == ["none", "multi-task", "QQP", "SQuAD v1.1", "MNLI"]
    assert browser.ask("document.querySelectorAll('#main [aria-sort=ascending]').length") == 1
    browser.ask(click.format(0))
    assert browser.ask(SHOWN) == ["none", "SQuAD v1.1", "QQP", "multi-task", "MNLI"]
    times = "[...document.querySelectorAll('details:has([data-cells*=none]) td.time')].map((cell) => cell.textContent)"
    browser.ask(
        "document.querySelector('details:has([data-cells*=none]) thead').querySelectorAll('button')[3].click()"
    )
    assert browser.ask(times)[:6] == ["2.5 min"] * 5 + ["90 s"], "by seconds, not by their name"


def test_rows_are_filtered_by_their_words(browser, front):
    browser.open(front)
    rows = "[...document.querySelectorAll('tr[data-cells]')].filter((r) => r.checkVisibility() && r.dataset.cells).length"
    browser.ask("document.querySelector('details:has([data-cells*=none])').open = true")
    assert browser.ask(rows) == 15
    for words, left in (("MNLI", 3), ("mnli s1", 1), ("nothing", 0), ("", 15)):
        browser.ask(f"""{{const field = document.querySelector("details:has([data-cells*=none]) input");
            field.value = "{words}"; field.dispatchEvent(new Event("input"))}}""")
        assert browser.ask(rows) == left


def test_every_table_can_be_saved(browser, front):
    browser.open(front)
    forms = "[...document.querySelectorAll('.table')].map((t) => [...t.querySelectorAll('a[download]')].map((a) => a.textContent))"
    assert [row for row in browser.ask(forms) if not {"CSV", "LaTeX"} <= set(row)] == []
    saved = "decodeURIComponent(document.querySelector('a[download=\"{}\"]').href.split(',').slice(1).join())"
    questions = list(csv.reader(browser.ask(saved.format("questions.csv")).splitlines()))
    assert questions[0][:2] == ["question", "estimate, 95% interval"] and len(questions) == 3
    assert questions[1][1] == "+2.0 points [1.0, 3.0] (published)"
    runs = list(
        csv.reader(browser.ask(saved.format("target training and evaluation.csv")).splitlines())
    )
    assert runs[1][:2] == ["none-s0 none0", "done"]
    tex = browser.ask(saved.format("coverage.tex")).splitlines()
    assert tex[0] == r"\begin{tabular}{lllll}" and tex[-1] == r"\end{tabular}"
    assert all(line.endswith(r" \\") and line.count("&") == 4 for line in tex[1:-1])


def test_a_cell_leads_to_its_runs(browser, front):
    browser.open(front)
    assert not browser.ask("document.querySelector('details:has([data-cells*=none])').open")
    browser.ask("document.querySelector('#main a[href=\"#m.mnli.panx\"]').click()")
    chosen = "[...document.querySelectorAll('tr.chosen td.run a')].map((run) => run.innerText)"
    assert (
        browser.ask("new Promise(requestAnimationFrame).then(() => location.hash)")
        == "#m.mnli.panx"
    )
    assert browser.ask(chosen) == ["mnli-s0", "mnli-s1", "mnli-s2"]
    assert browser.ask("document.querySelector('details:has([data-cells*=none])').open")


def test_terms_are_explained_where_they_stand(browser, front):
    browser.open(front)
    notes = "Object.fromEntries([...document.querySelectorAll('{} abbr')].map((a) => [a.innerText, a.title]))"
    assert browser.ask(notes.format("figcaption"))["distance from English"].startswith("How unlike")
    assert "Trained on" not in browser.ask(
        "document.querySelector('#terms ~ dl').innerHTML.split('<dd>')[2]"
    )
    claims = browser.ask("[...document.querySelectorAll('.front abbr')].map((a) => a.innerText)")
    assert len(claims) == len(set(claims)), "each once in a section"


def test_paper_and_small_screens_cut_nothing(browser, front):
    browser.open(front, PAPER)
    browser.show(PAPER, paper=True)
    assert browser.ask(CUT) == []
    assert browser.ask("getComputedStyle(document.querySelector('.top')).display") == "none"
    assert browser.ask(
        "document.querySelectorAll('#main thead tr:last-child th').length"
    ) == 10 + len(tables.MEANS)
    browser.open(front, NARROW)
    assert browser.ask("document.documentElement.scrollWidth") <= NARROW[0]
    inside = "[...document.querySelectorAll('table')].every((t) => t.closest('.wide'))"
    assert browser.ask(inside), "what is wider than the screen scrolls by itself"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read(browser, front, dark):
    for page in (front, front.parent / "notebooks" / "mnli0-notebook.html"):
        browser.open(page, WIDE, dark=dark)
        browser.ask("document.querySelectorAll('details').forEach((part) => (part.open = true))")
        ratio, text = browser.ask(CONTRAST)
        assert ratio >= 4.5, text


def test_formulas_are_drawn(browser, front):
    browser.open(front.parent / "notebooks" / "mnli0-notebook.html")
    assert browser.ask("document.querySelector('math mfrac').getBoundingClientRect().height") > 15


@pytest.fixture
def site():
    """A server on this machine that remembers what was asked of it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def test_a_browser_runs_and_fetches_nothing_of_a_notebooks(browser, tmp_path, site):
    address, asked = site
    attack = ATTACK.format(site=address)
    path, made = (
        tmp_path / "r" / "notebook.ipynb",
        tmp_path / "study" / "report" / "notebooks" / "r1-notebook.html",
    )
    path.parent.mkdir()
    output = new_output("display_data", {"text/html": attack})
    cells = [new_markdown_cell(attack), new_code_cell("show()", outputs=[output])]
    nbformat.write(new_notebook(cells=cells), path)
    report.build(tmp_path / "study", STUDY, [Page("Run", "target", "done", path, "r1")])
    browser.open(made)
    assert browser.ask("document.title") == "Run" and asked == [] and browser.console == []

    # the policy alone holds too, were the allow-list ever to let something through
    about = {"title": "Run", "page": Page("Run", "target", "done", path), "notebook": attack}
    passed = report._template().render(about, folder=made.parent)
    made.write_text(passed)
    browser.open(made)
    assert browser.ask("document.title") == "Run" and asked == []

    made.write_text(re.sub(r"<meta http-equiv[^>]*>", "", passed))
    browser.open(made)
    assert browser.ask("document.title") != "Run" and "/a.png" in asked
