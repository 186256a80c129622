import http.server
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from xfer_utils.commands import report
from xfer_utils.commands.report import Page

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
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


def test_the_front_page_holds_study_runs_tables_and_figures(tmp_path):
    study = tmp_path / "study"
    (study / "tables").mkdir(parents=True)
    (study / "figures").mkdir()
    (study / "tables" / "main.html").write_text(
        "<style>x</style><table><tr><td>+1.2</td></tr></table>"
    )
    (study / "tables" / "published_x.html").write_text("<table><tr><td>77.7</td></tr></table>")
    (study / "tables" / "readings.html").write_text("<table><tr><td>392,702</td></tr></table>")
    (study / "figures" / "map.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (study / "figures" / "map.txt").write_text('A "map" <b>')
    (study / "findings.json").write_text('[{"sentence": "It helps by <1> point."}]')
    files = tuple(path for path in study.rglob("*") if path.is_file())
    done = notebook(tmp_path / "runs" / "r1" / "executed.ipynb", new_markdown_cell("# Hello"))
    pages = [
        Page("Main table", "summary", "done", files=files),
        Page("one", "target", "done", done, "r1", "XNLI 71.2", 200),
        Page("two", "target", "failed", error="ValueError: <b>"),
    ]
    text = body(report.build(study, {**STUDY, "note": "Not <real>."}, pages).read_text())
    assert (
        text.index("+1.2")
        < text.index("Published figures")
        < text.index("77.7")
        < text.index("392,702")
    )
    assert "no evidence about real languages" in text
    for part in (
        "A &lt;study&gt;",
        "Does it &amp; help?",
        "Not &lt;real&gt;.",
        "<td>+1.2</td>",
        "71.2",
        "3.3 min",
        "It helps by &lt;1&gt; point.",
    ):
        assert part in text
    assert 'href="notebooks/r1-executed.html"' in text
    assert 'alt="A &#34;map&#34; &lt;b&gt;" src="data:image/svg+xml;base64,' in text
    assert "1 done, 1 failed" in text and "ValueError: &lt;b&gt;" in text
    assert "<style" not in text and "banner" not in text


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


# ----- in a browser -----


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


def browse(path: Path, profile: Path) -> str:
    """The document as the browser has it after its scripts have run."""
    quiet = ("gpu", "quic", "background-networking", "component-update", "sync", "extensions")
    options = [
        "--headless",
        "--no-sandbox",
        "--no-first-run",
        *(f"--disable-{name}" for name in quiet),
    ]
    command = [
        BROWSER,
        *options,
        f"--user-data-dir={profile}",
        "--virtual-time-budget=2000",
        "--dump-dom",
        path.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def _with(attack: str) -> str:
    """A notebook's page whose content has passed no allow-list."""
    about = {"title": "Run", "page": Page("Run", "target", "done"), "notebook": attack}
    return report._template().render(about, file="")


@pytest.mark.skipif(not BROWSER, reason="no chromium here")
def test_a_browser_asks_for_nothing_and_runs_nothing(tmp_path, site):
    address, asked = site
    attack = ATTACK.format(site=address)
    page(tmp_path, new_markdown_cell(attack), shown({"text/html": attack}))
    made = tmp_path / "study" / "report" / "notebooks" / "r1-executed.html"
    assert "<title>Run</title>" in browse(made, tmp_path / "profile1")
    assert asked == []

    # the policy alone holds too, were the allow-list ever to let something through
    made.write_text(_with(attack))
    assert "<title>Run</title>" in browse(made, tmp_path / "profile2")
    assert asked == []

    made.write_text(re.sub(r"<meta http-equiv[^>]*>", "", _with(attack)))
    assert "<title>Run</title>" not in browse(made, tmp_path / "profile3")
    assert "/a.png" in asked
