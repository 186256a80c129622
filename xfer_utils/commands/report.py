"""The report: one front page, and every executed notebook as a page of its own.

Notebooks hold text from data sets, so their HTML is not trusted. Three things keep it harmless: whatever a
notebook brings passes one allow-list of tags, attributes and styles; the pages carry no script; and their
content security policy lets the browser fetch nothing at all, pictures are embedded.
"""

import base64
import functools
import hashlib
import html
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bleach
import nbformat
from bleach.css_sanitizer import CSSSanitizer

CSS = Path(__file__).parent / "report.css"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
TAGS = """a abbr b blockquote br caption code col colgroup dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i
img ins kbd li ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr u ul"""
ATTRIBUTES = "class id style title alt width height colspan rowspan scope headers start"
TOY_NOTE = (
    "This study ran in a generated world of made-up languages. It is a controlled model of the phenomenon: "
    "what it shows holds in that world, and is no evidence about real languages."
)
PUBLISHED = "published"  # how the names of tables of published figures begin
READINGS = "readings"  # the table of the data that was read: whoever checks wants it, nobody begins with it
PUBLISHED_NOTE = (
    "Of large models on real languages, each with its source. They are no part of this study."
)
STATES = ("done", "failed", "stale")
RUN_HEADS = "<th>run</th><th>status</th><th>score</th><th>time</th><th>id</th>"
KINDS = {
    "summary": "Summaries",
    "encoder": "Encoders",
    "intermediate": "Intermediate training",
    "target": "Target training and evaluation",
    "retrieval": "Retrieval",
}


def _allowed(tag: str, name: str, value: str) -> bool:
    """Pictures only from the page itself; links to other sites may stand, a reader has to click them."""
    if name in ATTRIBUTES.split():
        return True
    if (tag, name) == ("img", "src"):
        return value.startswith(("data:image/png;", "data:image/jpeg;", "data:image/svg+xml;"))
    return (tag, name) == ("a", "href") and value.startswith(("#", "https://", "http://"))


@functools.cache
def _cleaner() -> bleach.Cleaner:
    return bleach.Cleaner(
        tags=frozenset(TAGS.split()),
        attributes=_allowed,
        protocols=["http", "https", "data"],
        css_sanitizer=CSSSanitizer(),
    )


def clean(markup: object) -> str:
    """HTML reduced to what can do no harm; other tags are shown as text, style sheets are left out."""
    text = markup.decode() if isinstance(markup, bytes) else str(markup)
    text = re.sub(r"<style\b.*?</style\s*>", "", text, flags=re.IGNORECASE | re.DOTALL)
    return _cleaner().clean(text)


@functools.cache
def _exporter() -> Any:
    """nbconvert's exporter, made once; its import takes a second, so it waits until a page is due."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="basic",
        sanitize_html=True,
        exclude_anchor_links=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    exporter.register_filter("clean_html", clean)
    exporter.log.setLevel(logging.ERROR)
    return exporter


@functools.cache
def _style() -> str:
    """The style sheet, with colours for code in light and dark."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="friendly").get_style_defs(".highlight")
    dark = HtmlFormatter(style="nord").get_style_defs(".highlight")
    own = CSS.read_text(encoding="utf-8")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"


def _page(title: str, body: str, mark: str = "") -> str:
    """A whole page. `mark` says what it was made from, so that it is made again only when that changes."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="made-from" content="{mark}">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>
{_style()}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def _badge(status: str) -> str:
    kind = status if status in STATES else "other"
    return f'<span class="badge {kind}">{html.escape(status)}</span>'


def _bare(content: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without default parameters that a run replaced, and without the outputs' metadata.

    The template would copy that metadata into tags unquoted.
    """
    tags = [set(cell.metadata.get("tags", [])) for cell in content.cells]
    if any("injected-parameters" in own for own in tags):
        content.cells = [
            cell for cell, own in zip(content.cells, tags, strict=True) if "parameters" not in own
        ]
    for cell in content.cells:
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = nbformat.NotebookNode()
    return content


def _notebook_body(notebook: Mapping, source: bytes, up: str) -> str:
    try:
        content = _bare(nbformat.reads(source.decode("utf-8"), as_version=4))
        rendered, _ = _exporter().from_notebook_node(content)
    except Exception as error:  # a page that says what is wrong serves better than no report
        rendered = f"<p>This notebook cannot be read: {html.escape(repr(error))}</p>"
    head = f'<nav><a href="../index.html">&larr; report</a> <a href="{html.escape(up)}">notebook file</a></nav>'
    facts = [_badge(str(notebook["status"])), html.escape(str(notebook["kind"]))]
    facts += [f"<code>{html.escape(str(notebook['id']))}</code>"] if notebook.get("id") else []
    return (
        f'<header class="bar">{head}<p class="facts">{" ".join(facts)}</p></header>\n'
        f'<main class="notebook">\n{rendered}\n</main>'
    )


def _render(notebook: Mapping, folder: Path) -> Path | None:
    """The page of one notebook; it is left alone if it was made from the same notebook by the same code."""
    path = Path(notebook["path"]) if notebook.get("path") else None
    if path is None or not path.is_file():
        return None
    source = path.read_bytes()
    facts = repr([notebook.get(key) for key in ("title", "kind", "status", "id")]).encode()
    mark = hashlib.sha256(
        source + facts + Path(__file__).read_bytes() + _style().encode()
    ).hexdigest()
    name = str(notebook.get("id") or path.parent.name)
    page = folder / (re.sub(r"[^\w.-]+", "_", f"{name}-{path.stem}") + ".html")
    if page.is_file() and mark in page.read_text(encoding="utf-8")[:400]:
        return page
    up = Path(os.path.relpath(path, folder)).as_posix()
    page.write_text(
        _page(str(notebook["title"]), _notebook_body(notebook, source, up), mark), encoding="utf-8"
    )
    return page


def duration(seconds: float | None) -> str:
    """A duration as people say it; nothing where it is not known."""
    if seconds is None or seconds != seconds:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _run_row(notebook: Mapping, page: Path | None, root: Path) -> str:
    title = html.escape(str(notebook["title"]))
    link = f'<a href="{page.relative_to(root).as_posix()}">{title}</a>' if page else title
    error = (
        f'<div class="error">{html.escape(str(notebook["error"]))}</div>'
        if notebook.get("error")
        else ""
    )
    cells = [
        ("run", link + error),
        ("status", _badge(str(notebook["status"]))),
        ("score", html.escape(notebook.get("score") or "")),
        ("time", duration(notebook.get("seconds"))),
        ("id", f"<code>{html.escape(str(notebook.get('id') or ''))}</code>"),
    ]
    return "<tr>" + "".join(f'<td class="{name}">{cell}</td>' for name, cell in cells) + "</tr>"


def _runs(notebooks: Sequence[Mapping], pages: Sequence[Path | None], root: Path) -> str:
    """The list of runs, by kind of job. What failed stands open, so that it is seen."""
    parts = []
    for kind in sorted(
        {str(n["kind"]) for n in notebooks}, key=lambda kind: [*KINDS, kind].index(kind)
    ):
        own = [
            (n, page) for n, page in zip(notebooks, pages, strict=True) if str(n["kind"]) == kind
        ]
        rows = "\n".join(_run_row(notebook, page, root) for notebook, page in own)
        states = [str(notebook["status"]) for notebook, _ in own]
        counts = ", ".join(
            f"{states.count(state)} {html.escape(state)}" for state in dict.fromkeys(states)
        )
        title = html.escape(KINDS.get(kind, kind))
        opened = " open" if len(own) <= 12 or "failed" in states else ""
        parts.append(
            f"<details{opened}><summary>{title} <small>{counts}</small></summary>"
            f'<div class="wide"><table class="runs"><thead><tr>{RUN_HEADS}</tr></thead>\n'
            f"<tbody>\n{rows}\n</tbody></table></div></details>"
        )
    return "\n".join(parts)


def _table(path: Path) -> str:
    """The table inside a file that great_tables wrote; our own style sheet dresses it."""
    found = re.search(r"<table\b.*</table>", path.read_text(encoding="utf-8"), re.DOTALL)
    if not found:
        raise ValueError(
            f"{path}: there is no table in this file. Run the notebook that writes it again."
        )
    return f'<div class="wide">{clean(found[0])}</div>'


def _figure(path: Path) -> str:
    """A picture and its caption, which stands in a text file of the same name beside it."""
    beside = path.with_suffix(".txt")
    caption = (
        html.escape(beside.read_text(encoding="utf-8").strip()) if beside.is_file() else path.stem
    )
    kind = "svg+xml" if path.suffix == ".svg" else path.suffix[1:]
    data = base64.b64encode(path.read_bytes()).decode()
    picture = f'<img alt="{caption}" src="data:image/{kind};base64,{data}">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _front(study: Mapping, tables: Sequence[Path], figures: Sequence[Path], runs: str) -> str:
    title = html.escape(str(study["title"]))
    parts = [
        f'<header class="front"><p class="kicker">{html.escape(str(study["name"]))}</p><h1>{title}</h1>'
    ]
    for key, label in (("question", "Question"), ("estimand", "Primary estimand")):
        if study.get(key):
            parts.append(
                f'<p class="{key}"><span>{label}</span> {html.escape(str(study[key]))}</p>'
            )
    notes = [note for note in (study["note"], TOY_NOTE if study["source"] == "toy" else "") if note]
    parts += [f'<p class="note">{html.escape(str(note))}</p>' for note in notes]
    parts.append("</header>\n<main>")
    known = [path for path in tables if path.stem.startswith(PUBLISHED)]
    read = [path for path in tables if path.stem == READINGS]
    own = [path for path in tables if path not in (*known, *read)]
    if own:
        parts += [
            '<section><h2 id="tables">Tables</h2>',
            *(_table(path) for path in own),
            "</section>",
        ]
    else:
        parts.append(
            "<section><p>There is no table yet: the summary notebook has not run.</p></section>"
        )
    if figures:
        parts += [
            '<section><h2 id="figures">Figures</h2>',
            *(_figure(path) for path in figures),
            "</section>",
        ]
    if known:
        parts += [f'<section><h2 id="published">Published figures</h2><p>{PUBLISHED_NOTE}</p>']
        parts += [*(_table(path) for path in known), "</section>"]
    if read:
        parts += [
            '<section><h2 id="data">Data</h2>',
            *(_table(path) for path in read),
            "</section>",
        ]
    parts.append(f'<section><h2 id="runs">Runs and their notebooks</h2>\n{runs}</section></main>')
    return "\n".join(parts)


def _listed(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.glob(f"*{suffix}"), key=lambda path: (path.stem != "main", path.name))


def build(study_dir: Path, study: Mapping, notebooks: Sequence[Mapping]) -> Path:
    """Write `study_dir/report/` with the tables and figures of `study_dir`; the path of its index.html.

    `study` has name, title, question, estimand, source and note. Each of `notebooks` has title, path (None where it
    has not run), kind and status, and may have id, score, seconds and error.
    """
    root = Path(study_dir) / "report"
    pages_dir = root / "notebooks"
    pages_dir.mkdir(parents=True, exist_ok=True)
    tables, figures = (
        _listed(Path(study_dir) / "tables", ".html"),
        _listed(Path(study_dir) / "figures", ".svg"),
    )
    pages = [_render(notebook, pages_dir) for notebook in notebooks]
    for old in set(pages_dir.glob("*.html")) - set(pages):
        old.unlink()
    index = root / "index.html"
    front = _front(study, tables, figures, _runs(notebooks, pages, root))
    index.write_text(_page(str(study["title"]), front), encoding="utf-8")
    return index
