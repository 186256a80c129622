"""The report: one front page, and every executed notebook as a page of its own.

Notebooks hold text from data sets, so their HTML is not trusted. Three things keep it harmless:
whatever a notebook brings passes one allow-list of tags, attributes and styles; the pages carry
no script; and their content security policy lets the browser fetch nothing, pictures are embedded.
"""

import base64
import functools
import hashlib
import html
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bleach
import nbformat
from bleach.css_sanitizer import CSSSanitizer
from jinja2 import Environment, FileSystemLoader, Template
from pygments.formatters import HtmlFormatter

from xfer_utils.runs.cost import duration
from xfer_utils.runs.kinds import KINDS

HERE = Path(__file__).parent
TAGS = """a abbr b blockquote br caption code col colgroup dd del details div dl dt em h1 h2 h3 h4
h5 h6 hr i img ins kbd li ol p pre s small span strong sub summary sup table tbody td tfoot th thead
tr u ul"""
ATTRIBUTES = "class id style title alt width height colspan rowspan scope headers start"
PICTURES = ("data:image/png;", "data:image/jpeg;", "data:image/svg+xml;")
TITLES = {"summary": "Summaries", **{kind.name: kind.title for kind in KINDS.values()}}


@dataclass(frozen=True)
class Page:
    """What the report says of one notebook; a summary's `files` are its tables and figures."""

    title: str
    kind: str
    status: str
    path: Path | None = None  # None: not executed yet
    id: str = ""
    score: str = ""
    seconds: float | None = None
    error: str = ""
    files: tuple[Path, ...] = ()


def build(study_dir: Path, study: Mapping[str, Any], pages: Sequence[Page]) -> Path:
    """Writes `study_dir/report/`; the path of its front page."""
    root = study_dir / "report"
    folder = root / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    written = {page: _render(page, folder) for page in pages}
    for old in set(folder.glob("*.html")) - set(written.values()):
        old.unlink()
    rows = [(page, path and path.relative_to(root).as_posix()) for page, path in written.items()]
    groups = [(name, [row for row in rows if row[0].kind == key]) for key, name in TITLES.items()]
    failed = [page for page in pages if page.kind == "summary" and page.status == "failed"]
    index = root / "index.html"
    parts = _parts({file for page in pages for file in page.files if file.exists()})
    about = {"title": study["title"], "study": study, "failed": failed, "groups": groups}
    index.write_text(_template().render(about, **parts), encoding="utf-8")
    return index


def clean(markup: str | bytes) -> str:
    """HTML reduced to what can do no harm; other tags are shown as text, style sheets left out."""
    text = markup.decode() if isinstance(markup, bytes) else str(markup)
    text = re.sub(r"<style\b.*?</style\s*>", "", text, flags=re.IGNORECASE | re.DOTALL)
    return _cleaner().clean(text)


def _parts(written: set[Path]) -> dict[str, list]:
    """What the summaries wrote, the main table first."""
    files = sorted(written, key=lambda path: (path.stem != "main", path.name))
    tables = {path.stem: _table(path) for path in files if path.suffix == ".html"}
    findings = [path for path in files if path.name == "findings.json"]
    published = [name for name in tables if name.startswith("published")]
    return {
        "findings": [row for path in findings for row in json.loads(path.read_text("utf-8"))],
        "figures": [_figure(path) for path in files if path.suffix == ".svg"],
        "published": [tables.pop(name) for name in published],
        "readings": [tables.pop("readings")] if "readings" in tables else [],
        "tables": list(tables.values()),
    }


def _table(path: Path) -> str:
    """The table inside a file that great_tables wrote; our own style sheet dresses it."""
    table = re.search(r"<table\b.*</table>", path.read_text(encoding="utf-8"), re.DOTALL)
    if not table:
        raise ValueError(f"{path} holds no table. Run the notebook that writes it again.")
    return clean(table[0])


def _figure(path: Path) -> tuple[str, str]:
    """A picture as an address, and its caption from the text file beside it."""
    beside = path.with_suffix(".txt")
    caption = beside.read_text(encoding="utf-8").strip() if beside.is_file() else path.stem
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}", caption


def _render(page: Page, folder: Path) -> Path | None:
    """The page of one notebook; left alone if the same notebook and the same code made it."""
    if page.path is None or not page.path.is_file():
        return None
    source, code = page.path.read_bytes(), [part.read_bytes() for part in HERE.glob("report.*")]
    mark = hashlib.sha256(b"".join([source, repr(page).encode(), *sorted(code)])).hexdigest()
    name = f"{page.id or page.path.parent.name}-{page.path.stem}"
    path = folder / (re.sub(r"[^\w.-]+", "_", name) + ".html")
    if not path.is_file() or mark not in path.read_text(encoding="utf-8")[:400]:
        about = {"title": page.title, "mark": mark, "page": page, "notebook": _notebook(source)}
        file = Path(os.path.relpath(page.path, folder)).as_posix()
        path.write_text(_template().render(about, file=file), encoding="utf-8")
    return path


def _notebook(source: bytes) -> str:
    """An executed notebook as HTML, without the defaults of its parameters."""
    try:
        notebook = nbformat.reads(source.decode("utf-8"), as_version=4)
        for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
            output.metadata = nbformat.NotebookNode()  # nbconvert copies it into tags unquoted
        return _exporter().from_notebook_node(notebook)[0]
    except Exception as error:  # a page that says what is wrong serves better than no report
        return f"<p>This notebook cannot be read: {html.escape(repr(error))}</p>"


@functools.cache
def _exporter() -> Any:
    """nbconvert's exporter; its import takes a second, so it waits until a page is due."""
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import TagRemovePreprocessor

    shown_less = ("exclude_anchor_links", "exclude_input_prompt", "exclude_output_prompt")
    options = dict.fromkeys(("sanitize_html", *shown_less), True)
    exporter = HTMLExporter(template_name="basic", **options)
    exporter.register_filter("clean_html", clean)
    exporter.register_preprocessor(TagRemovePreprocessor(remove_cell_tags={"parameters"}), True)
    exporter.log.setLevel(logging.ERROR)
    return exporter


@functools.cache
def _cleaner() -> bleach.Cleaner:
    return bleach.Cleaner(
        tags=frozenset(TAGS.split()), attributes=_allowed, protocols=["http", "https", "data"],
        css_sanitizer=CSSSanitizer(),
    )  # fmt: skip


def _allowed(tag: str, name: str, value: str) -> bool:
    """Pictures only from the page itself; links to other sites may stay, a reader has to click."""
    if (tag, name) == ("img", "src"):
        return value.startswith(PICTURES)
    if (tag, name) == ("a", "href"):
        return value.startswith(("#", "https://", "http://"))
    return name in ATTRIBUTES.split()


@functools.cache
def _template() -> Template:
    """The template of every page, with its style sheet and colours for code in light and dark."""
    styles = (HtmlFormatter(style=name) for name in ("friendly", "nord"))
    light, dark = (style.get_style_defs(".highlight") for style in styles)
    own = (HERE / "report.css").read_text(encoding="utf-8")
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True)
    environment.filters["duration"] = duration
    style = f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"
    return environment.get_template("report.html.j2", globals={"style": style})
