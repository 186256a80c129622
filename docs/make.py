"""Writes what is generated: every key of a study file, the licences of the data sets, and the five
questions' published answers in the README and in the sample's front page.

`make docs` runs it; a test holds the pages against what it would write.
"""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel

from xfer_utils.analysis.answers import answers
from xfer_utils.commands.report import HERE as TEMPLATES
from xfer_utils.study import paths, sections, settings_file
from xfer_utils.study.params import Study
from xfer_utils.study.tasks import Task, registry

HERE = Path(__file__).parent
NOTE = "<!-- Made by `make docs`. Edit {}, not this page. -->\n\n"
PARTS = {  # by the name in keys.yaml: heading, class
    "study": ("The file", Study),
    "model": ("models", sections.Model),
    "pretrain": ("pretrain", sections.Pretraining),
    "training": ("training", sections.Training),
    "arm": ("arms", sections.Arm),
    "text": ("text", sections.Text),
    "seeds": ("seeds", sections.Seeds),
    "few_shot": ("few_shot", sections.FewShot),
    "contrast": ("primary", sections.Contrast),
    "relation": ("primary, over languages", sections.Relation),
}
INTRO = """# Every key of a study file

A study file is YAML and is read strictly: an unknown key, a wrong type or a value out of range is
refused with file, line and the closest spelling. `extends: FILE` takes over what another file in
the same folder says, section by section; the study then needs a `name:` of its own.
"""
LICENCES = """# Data sets and their licences

What the registry says of each data set where the hub keeps it. Nothing is shipped with this
project but made-up data; whoever fetches a data set accepts its licence. A licence that the
publishers do not state is given as `unknown`.
"""


def keys_page() -> str:
    """The page of keys: type, default and meaning of each."""
    meanings, parts = settings_file.load(HERE / "keys.yaml"), [INTRO]
    for name, (heading, model) in PARTS.items():
        parts.append(f"## {heading}\n")
        schema, own = model.model_json_schema(), meanings[name]
        if set(own) != set(model.model_fields):
            differing = set(own) ^ set(model.model_fields)
            raise KeyError(f"keys.yaml, {name}: {', '.join(differing)}")
        rows = [["key", "value", "default", "meaning"], ["---"] * 4]
        for key in model.model_fields:
            value = kind(schema["properties"][key], schema)
            rows.append([f"`{key}`", value, default(model, key), own[key]])
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n")
    return NOTE.format("keys.yaml or the code") + "\n".join(parts)


def kind(entry: dict, schema: dict) -> str:
    """A key's type in words."""
    if "$ref" in entry or "additionalProperties" in entry:
        return "section"
    if choices := entry.get("anyOf"):
        return " or ".join(dict.fromkeys(kind(one, schema) for one in choices))
    if "enum" in entry or "const" in entry:
        values = entry.get("enum") or [entry["const"]]
        return ", ".join(f"`{str(value) or chr(34) * 2}`" for value in values)
    if entry.get("type") == "array":
        return "list"
    names = {"integer": "whole number", "string": "text", "boolean": "`true`, `false`"}
    return names.get(entry.get("type"), "empty" if entry.get("type") == "null" else "number")


def default(model: type[BaseModel], key: str) -> str:
    """A key's default."""
    field = model.model_fields[key]
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
    return f"`{value}`" if value not in ("", [], {}, None) else ""


def licences_page() -> str:
    """The page of data sets: who holds each, under which licence."""
    rows = [["data set", "used as", "on the hub", "licence", "remark"], ["---"] * 5]
    for task in registry().values():
        for hub in filter(None, (task.hub, task.hub_xtreme_r)):
            rows.append([task.title, role(task), f"`{hub.id}`", hub.licence, hub.note])
    return (
        NOTE.format("the registry")
        + LICENCES
        + "\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in rows)
        + "\n"
    )


def role(task: Task) -> str:
    """What a data set serves for, in words."""
    names = {"xtreme_r": "target (XTREME-R)", "part": "part of a task", "translated": "translation"}
    return names.get(task.role, task.role)


def readme() -> str:
    """The README with the answers as they are published."""
    head = (
        "question",
        "estimate, 95% interval",
        "the interval covers",
        "other worlds, mean (range)",
    )
    rows = [[*head, "p (Holm)", "estimand"], ["---"] * 6]
    for row in answers(paths.SAMPLES):
        estimate = row["estimate"] or row["verdict"]
        told = (row["covers"], row["elsewhere"], row["p"], row["estimand"])
        rows.append([row["question"], estimate, *told])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    text = (HERE.parent / "README.md").read_text(encoding="utf-8")
    return re.sub(r"^\| question \|.*?^\n", lambda _: f"{table}\n\n", text, flags=re.M | re.S)


def front_page() -> str:
    """The sample's front page with the same answers; all else stays as `make sample` left it."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
    section = environment.get_template("answers.html.j2").render(answers=answers(paths.SAMPLES))
    text = (HERE / FRONT).read_text(encoding="utf-8")
    return re.sub(SECTION, lambda _: section, text, flags=re.DOTALL)


FRONT = "../outputs/sample/toy/report/index.html"
SECTION = '<section><h2 id="questions">.*?</section>'
PAGES = {
    "study_file.md": keys_page, "licences.md": licences_page, "../README.md": readme,
    FRONT: front_page,
}  # fmt: skip

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
        print(HERE / name)
