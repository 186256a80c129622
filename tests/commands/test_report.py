import base64
import json
import os
import re
import shutil

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from xfer_utils.commands import report
from xfer_utils.commands.report import Page

STUDY = {
    "name": "toy",
    "title": "A <study>",
    "question": "Does it & help?",
    "estimand": "the mean",
    "source": "toy",
    "note": "",
}
ATTACK = (
    '<script>document.title = "owned"</script><img src="{site}/a.png" onerror="document.title=1">'
    '<iframe src="{site}/b"></iframe><link rel="stylesheet" href="{site}/c.css">'
    '<svg onload="document.title=2"></svg>'
    '<a href="javascript:document.title=3">x</a><form action="{site}"><input></form>'
    "<style>body {{ display: none }}</style>"
    '<td style="background-color: red; position: fixed; background-image: url({site}/d.png)">'
    "cell</td>"
)


def notebook(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


def shown(data, **metadata):
    return new_code_cell("show()", outputs=[new_output("display_data", data, metadata=metadata)])


def page(tmp_path, *cells, **more):
    path = notebook(tmp_path / "runs" / "r1" / "executed.ipynb", *cells)
    run = Page(
        **{"title": "Run", "path": path, "kind": "target", "status": "done", "id": "r1"} | more
    )
    index = report.build(tmp_path / "study", STUDY, [run])
    return (index.parent / "notebooks" / "r1-executed.html").read_text()


def body(text):
    return text[text.index("<body>") :]


@pytest.fixture
def written(tmp_path):
    """What summaries of a study wrote."""
    study = tmp_path / "study"
    for name, text in {
        "tables/main.html": "<style>x</style><table><tr><td>+1.2</td></tr></table>",
        "tables/main.tidy.csv": "a,b\n1,2\n",
        "tables/main.tex": "\\toprule",
        "tables/learnt.html": "<table><tr><td>66.6</td></tr></table>",
        "tables/published_x.html": "<table><tr><td>77.7</td></tr></table>",
        "tables/readings.html": "<table><tr><td>392,702</td></tr></table>",
        "figures/map.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "figures/map.txt": 'A "map" <b>',
    }.items():
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        (study / name).write_text(text)
    return study


def front(study, *runs, findings=(), **about):
    """The front page's body."""
    (study / "findings.json").write_text(json.dumps(list(findings)))
    files = tuple(path for path in study.rglob("*") if path.is_file())
    pages = [Page("Main table", "summary", "done", files=files), *runs]
    made = report.build(study, {**STUDY, "note": "Not <real>."}, pages, **about)
    return body(made.read_text())


def finding(estimate, verdict, **more):
    told = f"<{estimate}> points."
    known = {"estimate": estimate, "verdict": verdict, "sentence": told, "estimand": "the mean"}
    return {**known, "interval": [-1.0, 9.0], **more}


def test_the_front_page_holds_study_runs_tables_and_figures(tmp_path, written):
    done = notebook(tmp_path / "runs" / "r1" / "executed.ipynb", new_markdown_cell("# Hello"))
    text = front(
        written,
        Page("one", "target", "done", done, "r1", "XNLI 71.2", 200),
        Page("two", "target", "failed", error="ValueError: <b>"),
        findings=[finding(2.5, "gain")],
    )
    order = ("&lt;2.5&gt; points.", "+1.2", "66.6", "392,702", "one</a>", "77.7")
    assert [*map(text.index, order)] == sorted(map(text.index, order))
    assert "no evidence about real languages" in text
    for part in (
        "A &lt;study&gt;",
        "Does it &amp; help?",
        "Not &lt;real&gt;.",
        "<td>+1.2</td>",
        "71.2",
        "3.3 min",
    ):
        assert part in text
    assert 'href="notebooks/r1-executed.html"' in text
    assert 'alt="A &#34;map&#34; &lt;b&gt;" src="data:image/svg+xml;base64,' in text
    assert "1 done, 1 failed" in text and "ValueError: &lt;b&gt;" in text
    assert "<style" not in text and 'class="banner"' not in text


def test_the_five_questions_stand_between_the_claims_and_the_other_tables(written):
    row = {"question": "Is it <so>?", "estimand": "E", "estimate": "+2.0 points [1.0, 3.0]"}
    row |= {"covers": "seeds", "p": "0.010", "verdict": "holds", "published": "published"}
    text = front(written, findings=[finding(2.5, "gain")], answers=[row])
    order = ("&lt;2.5&gt; points.", "Is it &lt;so&gt;?", "+2.0 points [1.0, 3.0]", "66.6")
    assert [*map(text.rindex, order)] == sorted(map(text.rindex, order))
    assert '<a href="#questions">' in text and "(published)" in text
    shutil.rmtree(written / "report")
    assert "questions" not in front(written)


def test_a_table_can_be_saved_in_other_forms(written):
    text = front(written)
    (link,) = re.findall(r'<a href="([^"]+)" download="main.tidy.csv">CSV</a>', text)
    assert base64.b64decode(link.partition("base64,")[2]) == b"a,b\n1,2\n"
    assert 'download="main.tex">LaTeX</a>' in text and 'download="learnt' not in text


@pytest.mark.parametrize(
    ("verdicts", "opens_with"),
    [
        (["gain", "not shown", "loss"], [0, 2]),  # the best row and the worst
        (["not shown"], [0]),
        ([], []),
    ],
)
def test_the_page_opens_with_both_ends_of_the_first_summary(written, verdicts, opens_with):
    findings = [finding(number, verdict) for number, verdict in enumerate(verdicts)]
    findings += [finding(8, "gain") | {"summary": "60"}] * bool(findings)
    verdicts = [*verdicts, "gain"] if findings else []
    text = front(written, findings=findings)
    lead = re.findall(r'<p class="finding">&lt;(\d)&gt; points.</p>', text)
    assert lead == [str(number) for number in opens_with]
    assert text.count("&gt; points.") == len(lead) + len(verdicts), "and all of them in the table"


def test_what_was_declared_opens_the_page_whatever_came_of_it(written):
    findings = [finding(number, "gain") for number in range(3)]
    declared = [
        finding(7, "not shown") | {"declared": "0a"},
        finding(8, "gain") | {"declared": "0a"},
    ]
    text = front(written, findings=findings + declared)
    assert re.findall(r'<p class="finding">&lt;(\d)&gt; points.</p>', text) == ["7", "8"]


def test_findings_of_any_summary_are_shown(written):
    claim = {"question": "Does <MNLI> help?", "sentence": "Not run.", "verdict": "not run"}
    text = front(written, findings=[finding(1, "gain", question=""), {**claim, "estimand": "x"}])
    assert "<th>question</th>" in text and "<td>Does &lt;MNLI&gt; help?</td>" in text
    assert "[−1.0, 9.0]" in text


def test_coverage_and_provenance_are_those_of_the_runs(written):
    made = {"device": "cpu", "torch": "2.0", "cpu": 30.0, "date": "2026-01-02"}
    runs = [
        Page("a", "target", "done", arm="none", seconds=60, made={**made, "torch": "2.1"}),
        Page("b", "target", "done", arm="mnli", seconds=90, made=made),
        Page("c", "target", "failed", arm="mnli"),
    ]
    about = {"arms": {"none": {"title": "none"}, "mnli": {"title": "MNLI"}}, "commit": "abc-dirty"}
    reasons = {("mnli", "xnli"): "the run failed", ("mnli", "pawsx"): "no <data>"}
    text = front(written, *runs, not_run=reasons, left_out={"mnli": {"ccg": "licensed"}}, **about)
    row = text.partition("<td>MNLI</td>")[2].partition("</tr>")[0]
    assert re.findall(r'number">(\d)<', row) == ["1", "1", "2"], "done, failed, planned"
    for part in ("the run failed: xnli", "no &lt;data&gt;: pawsx", "without ccg: licensed"):
        assert part in row
    facts = text.partition('id="provenance"')[2]
    assert "<code>abc-dirty</code>" in facts and "<dt>machine</dt><dd>cpu" in facts
    assert "2.0 (1 runs)" in facts and "2.1 (1 runs)" in facts
    assert "2.5 min of kernels in 2\nruns" in facts and "60 s of processor\ntime" in facts


def test_a_run_leads_to_its_files_and_cells_lead_to_runs(tmp_path, written):
    folder = tmp_path / "runs" / "r1"
    done = notebook(folder / "executed.ipynb", new_markdown_cell("# Hello"))
    for name in ("result.json", "xnli.dev.parquet"):
        (folder / name).write_text("{}")
    files = (folder / "result.json", folder / "xnli.dev.parquet", folder / "gone.parquet")
    cells = ("m.mnli.xnli", "m.mnli.mean")
    known = {"files": files, "cells": cells}
    runs = [Page(f"s{n}", "target", "done", done, f"r{n}", **known) for n in (1, 2)]
    text = front(written, *runs)
    assert text.count('id="m.mnli.xnli"') == 1 and text.count('data-cells="m.mnli.xnli m.') == 2
    assert 'href="../../runs/r1/xnli.dev.parquet">xnli dev</a>' in text and "gone" not in text
    page = body((written / "report" / "notebooks" / "r1-executed.html").read_text())
    assert 'href="../../../runs/r1/result.json">settings and scores</a>' in page


def test_formulas_need_nothing_from_elsewhere(tmp_path):
    formula = r"Is $a_1 < b$ and `$not$`? $$\\frac{1}{N} \\sum_n [\\hat y_n = y_n]$$ $\\frac{$"
    text = body(page(tmp_path, new_markdown_cell(formula.replace("\\\\", "\\"))))
    assert text.count("<math") == 2 and 'display="block"' in text and "<mfrac>" in text
    assert "<code>$not$</code>" in text and "&lt;" in text.partition("<math")[2]
    assert r"<code>\\frac{</code>".replace("\\\\", "\\") in text, "what cannot be read stays LaTeX"


def test_controls_are_left_out(tmp_path):
    view = {
        "application/vnd.jupyter.widget-view+json": {},
        "text/plain": "interactive(children=())",
    }
    text = body(page(tmp_path, shown(view), shown({"text/plain": "kept"})))
    assert "interactive(" not in text and "kept" in text


def test_attacks_in_any_kind_of_cell_are_disarmed(tmp_path):
    attack = ATTACK.format(site="https://evil.example")
    text = body(
        page(
            tmp_path,
            new_markdown_cell(
                attack + "\n\n![i](https://evil.example/e.png) [l](javascript:alert(1))"
            ),
            new_code_cell("'" + attack + "'"),
            shown({"text/html": attack}),
            shown({"text/markdown": attack}),
            shown({"text/latex": attack}),
            shown({"application/javascript": "document.title = 4"}),
            shown({"text/html": attack}, **{"text/html": {"isolated": True}}),
            shown({"image/png": "aGk="}, **{"image/png": {"width": "1 onload=document.title=5"}}),
            new_code_cell("x", outputs=[new_output("stream", name="stdout", text=attack)]),
            new_code_cell(
                "x", outputs=[new_output("error", ename="E", evalue="v", traceback=[attack])]
            ),
            title=attack,
        )
    )
    assert not re.search(
        r"<(script|iframe|link|form|input|svg|style|object|embed|base|meta)\b", text, re.IGNORECASE
    )
    for tag in re.findall(r"<[a-z][^>]*>", text):
        assert not re.search(
            r"\son\w+\s*=|javascript:|evil\.example.*src|src=.?https?:|position|url\(", tag
        ), tag
    assert "&lt;script&gt;" in text and "document.title = 4" not in text


def test_what_is_harmless_stays(tmp_path):
    cell = '<td style="background-color: light-dark(#fff, #000);">1</td>'
    table = f'<table class="dataframe"><tr>{cell}</tr></table>'
    text = body(
        page(
            tmp_path,
            new_markdown_cell(
                "## Title\n\n*Prose* with [a link](https://arxiv.org/abs/2005.13013).\n\n- item"
            ),
            shown({"text/html": table}),
            shown({"image/png": "aGVsbG8="}),
        )
    )
    assert 'style="background-color: light-dark(#fff, #000);"' in text
    assert 'src="data:image/png;base64,aGVsbG8="' in text
    assert (
        "<em>Prose</em>" in text
        and 'href="https://arxiv.org/abs/2005.13013"' in text
        and "<li>item</li>" in text
    )


def test_pages_carry_a_policy_that_allows_nothing_from_elsewhere(tmp_path):
    text = page(tmp_path, new_markdown_cell("# Hello"))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert "default-src 'none'" in policy and "script" not in policy and "http" not in policy
    assert not re.search(r"@import|url\(|<script|<link(?! rel=\"icon\" href=\"data:,\")", text)


def test_errors_are_shown_with_their_colours(tmp_path):
    trace = "\x1b[0;31mZeroDivisionError\x1b[0m: division by <zero>"
    cell = new_code_cell(
        "1/0", outputs=[new_output("error", ename="Z", evalue="z", traceback=[trace])]
    )
    text = body(page(tmp_path, cell, status="failed"))
    assert '<span class="ansi-red-fg">ZeroDivisionError</span>: division by &lt;zero&gt;' in text
    assert '<span class="badge failed">failed</span>' in text


def test_a_notebook_that_cannot_be_read_has_a_page_that_says_so(tmp_path):
    path = tmp_path / "executed.ipynb"
    path.write_text('{"cells": [')
    run = Page("Run", "target", "failed", path, "r1")
    index = report.build(tmp_path / "study", STUDY, [run])
    assert "cannot be read" in (index.parent / "notebooks" / "r1-executed.html").read_text()


def test_pages_are_made_again_only_when_their_notebook_changes(tmp_path):
    paths = [
        notebook(tmp_path / name / "executed.ipynb", new_markdown_cell(f"# {name}"))
        for name in ("r1", "r2")
    ]
    runs = [Page(p.parent.name, "target", "done", p, p.parent.name) for p in paths]
    pages = report.build(tmp_path / "study", STUDY, runs).parent / "notebooks"
    for made in pages.iterdir():
        os.utime(made, (1, 1))
    notebook(paths[1], new_markdown_cell("# changed"))
    report.build(tmp_path / "study", STUDY, runs)
    assert (pages / "r1-executed.html").stat().st_mtime == 1
    assert "changed" in (pages / "r2-executed.html").read_text()
    report.build(tmp_path / "study", STUDY, runs[:1])
    assert [made.name for made in pages.iterdir()] == ["r1-executed.html"]
