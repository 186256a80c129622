"""Hashes of code: of a notebook's own cells, which enter a run's id, and of what they import."""

import ast
import hashlib
import json
import threading
from functools import cache
from pathlib import Path

from xfer_utils.study.paths import PROJECT

PACKAGE = "xfer_utils"
PARSING = threading.Lock()  # Python 3.11's parser fails now and then in two threads at once
UNCOUNTED_TAGS = {"parameters", "injected-parameters", "show"}


def of_cells(notebook: Path) -> str:
    """A hash of the notebook's counted cells, by syntax: comments and layout do not count."""
    return _digest(json.dumps(_plain(_parsed(_counted_source(notebook)))))


def of_notebook(notebook: Path) -> dict[str, str]:
    """Hashes of the package's files that the counted cells import, directly or through others."""
    hashes, waiting = {}, set(_imported_names(_counted_source(notebook)))
    while waiting:
        module = waiting.pop()
        path = PROJECT / f"{module.replace('.', '/')}.py"
        if module not in hashes and path.is_file():
            source = path.read_text(encoding="utf-8")
            hashes[module] = _digest(source)
            waiting |= _imported_names(source)
    return dict(sorted(hashes.items()))


def _parsed(source: str) -> ast.Module:
    with PARSING:
        return ast.parse(source)


def _counted_source(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    counted = [
        cell for cell in cells
        if cell["cell_type"] == "code" and not UNCOUNTED_TAGS & {*cell["metadata"].get("tags", ())}
    ]  # fmt: skip
    return "\n".join("".join(cell["source"]) for cell in counted)


@cache
def _imported_names(source: str) -> frozenset[str]:
    """Names in the package that a piece of code imports, wherever the import stands."""
    names = set()
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if name.split(".")[0] == PACKAGE)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(node: object) -> object:
    """A syntax tree as lists: the text of ast.dump differs between Python versions."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node) if node is not None else None
    fields = [[k, _plain(value)] for k, value in ast.iter_fields(node) if k not in ("kind", "ctx")]
    return [type(node).__name__, [pair for pair in fields if pair[1] not in (None, [])]]
