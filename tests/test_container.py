"""The container: a Dockerfile of known instructions that installs the one lock, and nothing beside it."""

import json
import re
import tomllib

from conftest import PROJECT
from packaging.requirements import Requirement

KNOWN = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """Instructions and their arguments, with continued lines joined and comments left out."""
    text = (PROJECT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]
    return [tuple(line.split(None, 1)) for line in lines]


def values(name: str) -> list[str]:
    return [value for word, value in instructions() if word == name]


def test_its_instructions_are_known_and_in_order():
    words = [word for word, _ in instructions()]
    assert words[0] == "FROM" and set(words) <= KNOWN and words.index("ARG") < words.index("RUN")
    for form in ("ENTRYPOINT", "CMD"):
        (value,) = values(form)
        assert all(isinstance(part, str) for part in json.loads(value))
    for source in (name for value in values("COPY") for name in value.split()[:-1]):
        assert (PROJECT / source).exists()


def test_it_installs_the_one_lock_and_the_project_without_looking_for_more():
    installs = [value for value in values("RUN") if "pip install" in value]
    assert len(installs) == len(values("RUN")) == 3
    assert "--no-deps --require-hashes -r requirements.hashes.txt" in installs[0]
    assert "-r requirements.txt ${PIP_ARGS}" in installs[1]
    assert "--no-deps --no-build-isolation -e ." in installs[2]
    assert values("ARG") == ['PIP_ARGS=""'], "an index for CUDA, where it is wanted"
    copied = [value.split()[:-1] for value in values("COPY")]
    assert copied == [["requirements.txt", "requirements.hashes.txt"], ["."]], (
        "code that changes installs nothing anew"
    )


def test_its_python_is_one_of_those_the_project_runs_on():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (version,) = re.findall(r"^python:([0-9.]+)-slim$", values("FROM")[0])
    assert Requirement(f"x{project['requires-python']}").specifier.contains(version)


def test_what_runs_make_stays_outside():
    ignored = (PROJECT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", "outputs"} <= set(ignored)
    assert values("ENV") == ["XFER_OUTPUTS=/outputs"] and values("VOLUME") == ["/outputs"]
