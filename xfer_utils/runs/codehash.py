"""What code a notebook's results depend on, as one hash per module; comments and docstrings do not count."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

from xfer_utils.study.paths import PROJECT

PACKAGE = "xfer_utils"
UNCOUNTED_TAGS = {"parameters", "injected-parameters", "show"}


def of_cells(notebook: Path) -> str:
    """A hash of the notebook's counted cells: a user who edits one wants it run again."""
    source = "\n".join(_counted_cells(notebook))
    return _digest(ast.parse(source, filename=str(notebook)))


def of_notebook(notebook: Path) -> dict[str, str]:
    """Hashes of every xfer_utils module that the counted cells import, transitively."""
    tree = ast.parse("\n".join(_counted_cells(notebook)), filename=str(notebook))
    return {module: _module(module)[0] for module in sorted(_closure(_imports(tree)))}


def of_package(name: str) -> str:
    """One hash over a package's modules and what they import: the version of code that generates data."""
    folder = PROJECT / name.replace(".", "/")
    start = {f"{name}.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"} or {
        name
    }
    text = json.dumps({module: _module(module)[0] for module in sorted(_closure(start))})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _counted_cells(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code"
        and not UNCOUNTED_TAGS & set(cell["metadata"].get("tags", []))
    ]


def _closure(start: set[str]) -> set[str]:
    found, waiting = set(), set(start)
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= _module(module)[1] - found
    return found


def _module(name: str) -> tuple[str, set[str]]:
    path = _file(name)
    assert path is not None, name
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, _mtime: int) -> tuple[str, set[str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return _digest(tree), _imports(tree)


def _file(name: str) -> Path | None:
    base = PROJECT / name.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(tree: ast.AST) -> set[str]:
    """The xfer_utils modules that a piece of code imports, wherever the import stands."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    inside = {name for name in names if name.split(".")[0] == PACKAGE and _file(name)}
    return {name for name in inside if _file(name).name != "__init__.py"}


def _digest(tree: ast.AST) -> str:
    return hashlib.sha256(json.dumps(_plain(tree)).encode()).hexdigest()[:16]


def _plain(node: object) -> object:
    """A syntax tree as lists, without positions, docstrings and empty fields.

    ast.dump would do, but its text differs between Python versions, and ids must not.
    """
    if isinstance(node, ast.AST):
        fields = [
            (name, _plain(value))
            for name, value in ast.iter_fields(node)
            if name not in ("kind", "ctx")
        ]
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            fields = [(name, _without_docstring(node, value)) if name == "body" else (name, value)
                      for name, value in fields]  # fmt: skip
        return [
            type(node).__name__,
            [[name, value] for name, value in fields if value not in (None, [])],
        ]
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return repr(node) if node is not None else None


def _without_docstring(node: ast.AST, body: list) -> list:
    return body[1:] if ast.get_docstring(node, clean=False) is not None else body
