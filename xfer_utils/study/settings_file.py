"""Reading a settings file strictly: duplicate keys and YAML 1.1's surprises are refused, with the line.

YAML 1.1 reads `1e-5` as text and `no` as False; both have silently changed studies before.
"""

import difflib
import re
from pathlib import Path
from typing import Any

import yaml

EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?[0-9]*\.[0-9]*[eE][0-9]+")
SWITCH = re.compile(r"yes|no|on|off|y|n", re.IGNORECASE)


class SettingsError(ValueError):
    """A wrong request, worded for the person who made it."""


class StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses what YAML would read differently from what was meant."""


def _where(node: yaml.Node) -> str:
    return f"{node.start_mark.name}, line {node.start_mark.line + 1}"


def _mapping(loader: StrictLoader, node: yaml.MappingNode, deep: bool = False) -> dict:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise SettingsError(
                f"{_where(key_node)}: the key `{key}` stands twice (first in line {seen[key]}). Keep one."
            )
        seen[key] = key_node.start_mark.line + 1
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


def _scalar(loader: StrictLoader, node: yaml.ScalarNode) -> Any:
    if node.style is None and SWITCH.fullmatch(node.value):
        raise SettingsError(
            f"{_where(node)}: `{node.value}` would be read as true or false. "
            f'Write "{node.value}" in quotes for text (the language code), or true/false for a switch.'
        )
    if node.style is None and EXPONENT.fullmatch(node.value):
        raise SettingsError(
            f"{_where(node)}: `{node.value}` would be read as text, not as a number. Write {_with_point(node.value)}."
        )
    return yaml.SafeLoader.yaml_constructors[node.tag](loader, node)


def _with_point(text: str) -> str:
    mantissa, exponent = re.split("[eE]", text)
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"


StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
for _tag in ("bool", "str", "int", "float"):
    StrictLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _scalar)


def load(path: Path) -> dict:
    """One settings file as a dict; a SettingsError names file and line of whatever is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file.{_nearest_file(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as UTF-8 text ({error}).") from None
    try:
        loader = StrictLoader(text)
        loader.name = str(path)
        content = loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(
            f"{path}{line}: not valid YAML ({getattr(error, 'problem', error)})."
        ) from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: a settings file is a list of `key: value` lines.")
    return content


def line_of(path: Path, keys: tuple) -> tuple[int, int | None]:
    """How many of some nested keys stand in a file, and the line of the last of those."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for depth, key in enumerate(keys):
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(key)]
            if not found:
                return depth, line
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            return depth, line
    return len(keys), line


def closest(word: str, known: list[str]) -> str:
    """A closing sentence that offers the closest valid spelling, or the list where it is short."""
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    if near:
        return f" Did you mean `{near[0]}`?"
    return f" Known: {', '.join(known)}." if len(known) <= 45 else ""


def _nearest_file(path: Path) -> str:
    siblings = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    return closest(path.name, siblings) if siblings else ""
