"""Reading a settings file strictly: YAML 1.2, so that `1e-5` is a number and `no` is text.

Whatever is wrong is told with file, line and key. Lines come from YAML's own nodes, read again
only when there is something to tell.
"""

import difflib
import reprlib
from itertools import chain
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, MappingNode, Node, SequenceNode
from ruamel.yaml.error import YAMLError

MOST = 100_000  # values of a settings file


class SettingsError(Exception):
    """A wrong request, worded for the person who made it.

    No ValueError: pydantic would blame it on the value that was being validated.
    """


def load(path: Path) -> dict[str, Any]:
    """One settings file; a SettingsError names file and line of whatever is wrong."""
    text = _read(path)
    try:
        if "*" in text and _expanded(_yaml().compose(text), {}) > MOST:
            raise SettingsError(f"{path}: its aliases (*) stand for more than {MOST:,} values.")
        content = _yaml().load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SettingsError(f"{path}{line}: not valid YAML ({problem}).") from None
    except RecursionError:
        raise SettingsError(f"{path}: nested too deeply.") from None
    except (ValueError, ArithmeticError, LookupError) as error:  # the last: `%YAML 3.0`
        raise SettingsError(f"{path}: a value cannot be read ({error}).") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: a settings file is a list of `key: value` lines.")
    return content


def extended(path: Path) -> tuple[dict[str, Any], list[Path]]:
    """A file's content over that of the file it `extends:`, and the files it came from."""
    content = load(path)
    base_name = content.pop("extends", None)
    if base_name is None:
        return content, [path]
    if not isinstance(base_name, str) or Path(base_name).name != base_name:
        problem = f"`extends: {reprlib.repr(base_name)}` is not the name of a file beside this one"
        raise SettingsError(f"{path}: {problem}.")
    base_path = path.parent / base_name
    base = load(base_path)
    if "extends" in base:
        problem = f"`extends: {base_name}` extends another file itself"
        raise SettingsError(f"{path}: {problem}; one level is allowed.")
    if "name" not in content:
        advice = f"Write `name: {path.stem}`, or the study overwrites the report of {base_name}."
        raise SettingsError(f"{path}: the key `name` is missing. {advice}")
    return _merge(base, content), [path, base_path]


def line_of(path: Path, keys: tuple) -> tuple[int, int | None]:
    """How many of some nested keys are in a file, and the line of the last of those."""
    node, line = _yaml().compose(path.read_text(encoding="utf-8")), None
    for depth, key in enumerate(keys):
        pair = _child(node, key)
        if pair is None:
            return depth, line
        line, node = pair[0].start_mark.line + 1, pair[1]
    return len(keys), line


def place(keys: tuple, files: list[Path]) -> str:
    """File and line of the file that holds most of the keys; of equal ones, the first."""
    lines = [(*line_of(file, keys), file) for file in files]
    _, line, file = max(lines, key=lambda row: row[0])
    return f"{file}, line {line}" if line else str(file)


def closest(word: str, known: list[str]) -> str:
    """A closing sentence that offers the closest valid spelling, or the list where it is short."""
    names = {name.removesuffix(".yaml"): name for name in known}  # or the ending makes files alike
    near = difflib.get_close_matches(str(word).removesuffix(".yaml"), names, n=1, cutoff=0.5)
    if near:
        return f" Did you mean `{names[near[0]]}`?"
    return f" Known: {', '.join(known)}." if 0 < len(known) <= 45 else ""


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _expanded(node: Node | None, sizes: dict[int, int]) -> int:
    """Values that a node stands for once its aliases are written out; too many if it holds itself.

    Twenty lines can stand for a million values, which would take for ever to read.
    """
    if id(node) not in sizes:
        sizes[id(node)] = MOST + 1
        parts = chain.from_iterable(node.value) if isinstance(node, MappingNode) else ()
        parts = node.value if isinstance(node, SequenceNode) else parts
        sizes[id(node)] = 1 + sum(_expanded(part, sizes) for part in parts)
    return sizes[id(node)]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file.{closest(path.name, _files(path))}") from None
    except IsADirectoryError:
        advice = f"Name a study file in it.{closest('', _files(path / '*'))}"
        raise SettingsError(f"{path}: is a folder. {advice}") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as UTF-8 text ({error}).") from None


def _files(path: Path) -> list[str]:
    """The settings files beside a path."""
    return sorted(file.name for file in path.parent.glob("*.yaml"))


def _child(node: Node, key: str | int) -> tuple[Node, Node] | None:
    """The node on a key's line and the node of its value; None where there is no such key."""
    if isinstance(node, MappingNode):
        return next((pair for pair in node.value if pair[0].value == str(key)), None)
    if isinstance(node, SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key], node.value[key]
    return None


def _merge(base: dict, over: dict) -> dict:
    """Section by section; `models` is one value, so that a study does not inherit models."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both and key != "models" else value
    return merged
