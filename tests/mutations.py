"""Mutated YAML files: a few values replaced, removed, renamed or nested, a few characters let in."""

import copy
import datetime
import math

import yaml
from hypothesis import strategies as st

NASTY = [
    None, True, -1, 0, 1, 8, 99, 2**31, 2**63, 10**12, 10**30, -(10**12), 1e-5, 0.5, 1.0, 1e308,
    math.inf, -math.inf, math.nan, "", " ", "x", "a" * 70, "a" * 5000, "../../x", "/", ".", "\x00",
    "\x1b[31m", "\u202e", "😀", "none", "multi", "mnli", "xnli", "tatoeba", "dev", "test", "toy",
    "hub", "folder:", "folder:/nowhere", "claims", "{language}", "{}", "%s", [], {}, [[]], ["x"],
    {"x": 1}, {"a": {"b": {}}}, {1: 2}, {None: None}, {True: []}, [1, 2, 2], ["en", "en"],
    ["xnli", "xnli"], list(range(3000)), b"bytes", datetime.date(2020, 2, 3),
]  # fmt: skip
VALUES = st.one_of(st.sampled_from(NASTY), st.integers(), st.floats(), st.text(max_size=9))
INSERTED = [
    "\x00", "\t", "\n", "\r", "\ufeff", "\x85", "\u2028", "&a ", "*a ", "&a [*a]", "!!float ",
    "!!int ", "!!set ", "!!binary ", "!!timestamp ", "!!omap ", "!!python/object:os.system ",
    "<<: ", "? ", "- ", ": ", "--- ", "...\n", "%YAML 3.0\n", "[", "]", "{", "}", "'", '"', "|", ">",
    "@", "`", "#", "9" * 5000, "[" * 2000, "{a: " * 2000, "- " * 2000, "1e999", "0x1f", "1_000",
]  # fmt: skip
CHANGES = st.tuples(
    st.sampled_from(["replace", "remove", "rename", "wrap", "add"]), st.integers(0, 10**6), VALUES
)
INSERTIONS = st.tuples(st.sampled_from(INSERTED), st.floats(0, 1))


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The paths of all that a nested value holds."""
    keys = value.items() if isinstance(value, dict) else ()
    keys = enumerate(value) if isinstance(value, list) else keys
    return [p for key, part in keys for p in ((*path, key), *places(part, (*path, key)))]


def change(content: dict, how: str, number: int, value: object) -> None:
    """One change of a nested value, in place."""
    known = places(content)
    if not known:
        return
    path = known[number % len(known)]
    for key in path[:-1]:
        content = content[key]
    old, last = content[path[-1]], path[-1]
    if how == "remove" or (how in ("rename", "add") and isinstance(content, list)):
        del content[last]
    elif how == "rename":
        content[_key(value)] = content.pop(last)
    elif how == "add":
        content[_key(value)] = old
    else:
        content[last] = value if how == "replace" else [old] if number % 2 else {"x": old}


def _key(value: object) -> object:
    return str(value) if isinstance(value, list | dict) else value


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """A YAML file with one to three changes of its content or of its characters."""
    content, kind = (
        yaml.safe_load(text),
        draw(st.sampled_from(["values", "values", "text", "both"])),
    )
    if kind != "text":
        for how, number, value in draw(st.lists(CHANGES, min_size=1, max_size=3)):
            change(content, how, number, copy.deepcopy(value))  # or it would come to hold itself
    made = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    if kind != "values":
        for inserted, where in draw(st.lists(INSERTIONS, min_size=1, max_size=2)):
            at = round(where * len(made))
            made = made[:at] + inserted + made[at:]
    return made
