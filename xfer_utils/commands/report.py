"""The report: one front page, and every executed notebook as a page of its own.

Notebooks hold text from data sets, so their HTML is not trusted. Three things keep it harmless:
whatever a notebook brings passes one allow-list of tags, attributes and styles; no script runs but
the front page's own, which the content security policy knows by its hash; and that policy lets the
browser fetch nothing, pictures and downloads are embedded.
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
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import bleach
import nbformat
from bleach.css_sanitizer import CSSSanitizer
from jinja2 import Environment, FileSystemLoader, Template
from pygments.formatters import HtmlFormatter

from xfer_utils.analysis import tables
from xfer_utils.runs.cost import duration
from xfer_utils.runs.kinds import KINDS

HERE = Path(__file__).parent
TAGS = """a abbr b blockquote br caption code col colgroup dd del details div dl dt em h1 h2 h3 h4
h5 h6 hr i img ins kbd li mark ol p pre s small span strong sub summary sup table tbody td tfoot th
thead tr u ul math mrow mi mn mo mtext mspace msup msub msubsup mfrac msqrt mroot mover munder
munderover mtable mtr mtd mstyle"""
ATTRIBUTES = """class id style title alt width height colspan rowspan scope headers start display
xmlns stretchy fence form accent linethickness columnalign displaystyle scriptlevel mathvariant"""
PICTURES = ("data:image/png;", "data:image/jpeg;", "data:image/svg+xml;")
TITLES = {"summary": "Summaries", **{kind.name: kind.title for kind in KINDS.values()}}
DOWNLOADS = {".csv": "CSV", ".tex": "LaTeX", ".md": "Markdown"}
WIDGET = "application/vnd.jupyter.widget-view+json"  # controls, which need a kernel


@dataclass(frozen=True, eq=False)
class Page:
    """What the report says of one notebook.

    `files` are a summary's tables and figures, or a run's record and predictions; `cells` name the
    table cells that rest on a run, as `model.arm.target`.
    """

    title: str
    kind: str
    status: str
    path: Path | None = None  # None: not executed yet
    id: str = ""
    score: str = ""
    seconds: float | None = None
    error: str = ""
    files: tuple[Path, ...] = ()
    cells: tuple[str, ...] = ()
    arm: str = ""
    made: Mapping[str, Any] = field(default_factory=dict)  # a record's environment and timing


def build(study_dir: Path, study: Mapping[str, Any], pages: Sequence[Page], **about: Any) -> Path:
    """Writes `study_dir/report/`, `about` the study's coverage; the path of its front page."""
    root = study_dir / "report"
    folder = root / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        paths = pool.map(_render, pages, repeat(folder), chunksize=8)
        written = dict(zip(pages, paths, strict=True))
    for old in set(folder.glob("*.html")) - set(written.values()):
        old.unlink()
    links = {page: path and path.relative_to(root).as_posix() for page, path in written.items()}
    files = {file for page in pages if page.kind == "summary" for file in page.files}
    about |= {"study": study, "links": links, "kinds": TITLES, **_parts(files)}
    index, page = root / "index.html", _template().render(about, title=study["title"], folder=root)
    index.write_text(page, encoding="utf-8")
    return index


def clean(markup: str | bytes) -> str:
    """HTML reduced to what can do no harm; other tags are shown as text, style sheets left out."""
    text = markup.decode() if isinstance(markup, bytes) else str(markup)
    text = re.sub(r"<style\b.*?</style\s*>", "", text, flags=re.IGNORECASE | re.DOTALL)
    return CLEANER.clean(text)


def _parts(written: set[Path]) -> dict[str, list]:
    """What the summaries wrote: tables, figures, findings."""
    files = sorted((path for path in written if path.exists()), key=lambda path: path.name)
    stored = [json.loads(path.read_text("utf-8")) for path in files if path.suffix == ".json"]
    return {
        "tables": [_table(path, files) for path in files if path.suffix == ".html"],
        "figures": [_figure(path) for path in files if path.suffix == ".svg"],
        "findings": [finding for findings in stored for finding in findings],
    }


def _table(path: Path, files: Sequence[Path]) -> dict[str, Any]:
    """The table inside a file that great_tables wrote, and the same in other forms to download."""
    table = re.search(r"<table\b.*</table>", path.read_text(encoding="utf-8"), re.DOTALL)
    if not table:
        raise ValueError(f"{path} holds no table. Run the notebook that writes it again.")
    own = [file for file in files if file.name.split(".")[0] == path.stem]
    forms = {file: DOWNLOADS[file.suffix] for file in own if file.suffix in DOWNLOADS}
    downloads = [(form, file.name, address(file.read_bytes())) for file, form in forms.items()]
    return {"name": path.stem, "html": clean(table[0]), "downloads": downloads}


def _figure(path: Path) -> tuple[str, str]:
    """A picture as an address, and its caption from the text file beside it."""
    beside = path.with_suffix(".txt")
    caption = beside.read_text(encoding="utf-8").strip() if beside.is_file() else path.stem
    return address(re.sub(rb"\s+", b" ", path.read_bytes()), "image/svg+xml"), caption


def address(content: bytes, kind: str = "text/plain") -> str:
    """Content as an address of its own."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


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
        path.write_text(_template().render(about, folder=folder), encoding="utf-8")
    return path


def _notebook(source: bytes) -> str:
    """An executed notebook as HTML, without the defaults of its parameters and without widgets."""
    try:
        notebook = nbformat.reads(source.decode("utf-8"), as_version=4)
        for cell in notebook.cells:
            outputs = [out for out in cell.get("outputs", ()) if WIDGET not in out.get("data", ())]
            for output in outputs:
                output.metadata = nbformat.NotebookNode()  # nbconvert copies it into tags unquoted
            cell.update({"outputs": outputs} if cell.cell_type == "code" else {})
        body = _exporter().from_notebook_node(notebook)[0]
        return re.sub(r'href="#(?=[^".]+\.[^".]+\.)', 'href="../index.html#', body)  # to runs
    except Exception as error:  # a page that says what is wrong serves better than no report
        return f"<p>This notebook cannot be read: {html.escape(repr(error))}</p>"


@functools.cache
def _exporter() -> Any:
    """nbconvert's exporter; its import takes a second, so it waits until a page is due."""
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
    from nbconvert.preprocessors import TagRemovePreprocessor

    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    renderer.inline_math, renderer.block_math = mathml, functools.partial(mathml, display="block")
    shown_less = ("exclude_anchor_links", "exclude_input_prompt", "exclude_output_prompt")
    options = dict.fromkeys(("sanitize_html", *shown_less), True)
    exporter = HTMLExporter(template_name="basic", **options)
    exporter.register_filter("clean_html", clean)
    render = MarkdownWithMath(renderer=renderer).render
    exporter.register_filter("markdown2html", render)
    exporter.register_preprocessor(TagRemovePreprocessor(remove_cell_tags={"parameters"}), True)
    exporter.log.setLevel(logging.ERROR)
    return exporter


def mathml(latex: str, display: str = "inline") -> str:
    """A formula as browsers show it without fetching anything; one that fails stays LaTeX."""
    from latex2mathml.converter import convert

    try:
        return convert(latex, display=display)
    except Exception:  # the library's errors have no common class
        return f"<code>{html.escape(latex)}</code>"


def _allowed(tag: str, name: str, value: str) -> bool:
    """Pictures only from the page itself; links to other sites may stay, a reader has to click."""
    if (tag, name) == ("img", "src"):
        return value.startswith(PICTURES)
    if (tag, name) == ("a", "href"):
        return value.startswith(("#", "https://", "http://"))
    return name in ATTRIBUTES.split()


CLEANER = bleach.Cleaner(
    tags=frozenset(TAGS.split()), attributes=_allowed, protocols=["http", "https", "data"],
    css_sanitizer=CSSSanitizer(),
)  # fmt: skip


@functools.cache
def _template() -> Template:
    """The template of every page, with style sheet, script and its hash, and colours for code."""
    styles = (HtmlFormatter(style=name) for name in ("vs", "github-dark"))
    light, dark = (style.get_style_defs(".highlight") for style in styles)
    own, script = ((HERE / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True)
    environment.filters |= {"duration": duration, "number": tables.number, "link": link}
    style = f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"
    mark = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    known = {"style": style, "script": script, "script_hash": mark}
    return environment.get_template("report.html.j2", globals=known)


def link(path: Path, folder: Path) -> str:
    """A file's link on a page in a folder; empty where there is no such file."""
    return Path(os.path.relpath(path, folder)).as_posix() if path.is_file() else ""
