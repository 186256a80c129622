"""Mutated study files and registries: refused with file, key and reason, or a valid plan; never a traceback."""

import json
import os

import pytest
import yaml
from conftest import SMOKE
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError

from xfer_utils.commands import cli
from xfer_utils.runs import identity
from xfer_utils.runs import plan as study
from xfer_utils.sources.catalogue import MalformedRow
from xfer_utils.sources.folder import FolderSource
from xfer_utils.sources.toy.world import World
from xfer_utils.study import params, settings_file, tasks

# `make test-faults` asks for a thousand of each; here a few show that nothing obvious is wrong.
COUNT = int(os.environ.get("XFER_MUTATIONS", "60"))
MANY = settings(
    max_examples=COUNT,
    deadline=None,
    database=None,
    derandomize=COUNT < 1000,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
SMOKES_WORLD = params.load(SMOKE).world
WORLD = "{family: tiny, sizes: tiny, seed: 0, romanised: 0.3, bilingual: 0.15}"
STUDY = f"""\
name: mine
title: Mine
question: Does it?
estimand: the mean
source: toy
world: {WORLD}
models:
  small:
    pretrain: {{layers: 2, width: 32, heads: 2, vocabulary: 400, steps: 40, lines_per_language: 200}}
    layer: 1
    target_training: {{default: {{epochs: 1}}}}
intermediate: [none, mnli]
arms: {{half: {{tasks: [mnli], steps: 9, cap: 64, training: {{learning_rate: 1.0e-3}}}}}}
targets: [xnli, tatoeba]
languages: [en, qaa]
evaluate: {{xnli: [dev, test]}}
splits: {{xnli: {{dev: validation}}}}
seeds: {{none: [0, 1], other: [0]}}
intermediate_training: {{default: {{epochs: 1, max_length: 64}}}}
target_training: {{mnli: {{batch_size: 16, warmup: 0.1, weight_decay: 0.01, select: last}}}}
summaries: [50_main_table]
workers: 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where mutated files stand, with outputs in which the toy world has been written."""
    place = tmp_path_factory.mktemp("mutated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XFER_OUTPUTS", str(place / "outputs"))
        yield place


def outcome(path) -> str:
    """What is said of a study file; empty where it is a valid plan."""
    try:
        asked = params.load(path)
        if asked.source == "toy":
            World(**asked.world)
            if asked.world != SMOKES_WORLD:
                return ""  # another world would be written first
        study.make_plan(path)
    except cli.WRONG_REQUEST as error:
        return str(error)
    except ValidationError as error:
        return f"{path}: `world`: {error}"
    return ""


def check(path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
    said = outcome(path)
    assert said == "" or path.name in said, said
    assert len(said) < 20_000


def test_the_file_that_is_mutated_is_valid(folder):
    (folder / "valid.yaml").write_text(STUDY)
    assert outcome(folder / "valid.yaml") == ""


@MANY
@example(text=STUDY + "'[1, 2, 2]': mine\n")
@example(text=STUDY.replace("models:", "models:\n%YAML 3.0"))
@given(text=mutated(STUDY))
def test_a_mutated_study_file_is_refused_or_planned(folder, text):
    check(folder / "mine.yaml", text)


# ----- the registry of tasks -----
CHOSEN = (
    "mnli",
    "squad",
    "anli_plus",
    "anli",
    "snli",
    "xnli",
    "udpos",
    "xquad",
    "tatoeba",
    "_text",
)


def registry_text() -> str:
    """Some of the registry's rows, of all formats that the mutated study could use."""
    rows = settings_file.load(tasks.FILE)
    chosen = {name: rows[name] for name in CHOSEN}
    return yaml.safe_dump(chosen, allow_unicode=True, sort_keys=False)


def planned_with(folder, text: str) -> str:
    """What is said of the valid study with another registry."""
    path = folder / "tasks.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    (folder / "valid.yaml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "FILE", path)
        forget()
        try:
            return outcome(folder / "valid.yaml")
        finally:
            patch.undo()
            forget()


def forget() -> None:
    for cached in (tasks._file, tasks.registry, tasks.text_on_hub, identity._row_fields):
        cached.cache_clear()


def test_the_registry_that_is_mutated_is_valid(folder):
    assert planned_with(folder, registry_text()) == ""


@MANY
@given(text=mutated(registry_text()))
def test_a_mutated_registry_is_refused_or_planned(folder, text):
    said = planned_with(folder, text)
    assert said == "" or "tasks.yaml" in said or "valid.yaml" in said, said


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("train_on: mnli", "train_on: mnly", "`xnli.train_on`: `mnly` is no task. Did you mean"),
        ("format: token", "format: ../x", "`udpos`: unknown format '../x'"),
        ("role: target", "role: targte", "`xnli.role`: Input should be 'intermediate'"),
    ],
)
def test_a_wrong_registry_names_task_and_key(folder, old, new, told):
    said = planned_with(folder, registry_text().replace(old, new, 1))
    assert "tasks.yaml, line" in said and told in said


# ----- rows -----
HALF = ["\ud800", "\udfff!", "\x00", "\u202e", "entailment", "NOUN", "A", "1"]
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.integers(-(2**40), 2**40), st.floats(),
        st.text(max_size=12), st.sampled_from(HALF),
    ),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=4), part, max_size=3),
    max_leaves=6,
)  # fmt: skip
TEXTS = st.text(max_size=12)
ANSWERS = st.fixed_dictionaries(
    {"text": st.lists(TEXTS, max_size=2), "answer_start": st.lists(st.integers(), max_size=2)}
)
SHAPES = {
    "mnli": {"premise": TEXTS, "hypothesis": TEXTS, "label": st.integers(-1, 3)},
    "squad": {"id": TEXTS, "title": TEXTS, "context": TEXTS, "question": TEXTS, "answers": ANSWERS},
    "udpos": {"tokens": st.lists(TEXTS, max_size=3), "upos": st.lists(TEXTS, max_size=3)},
    "hellaswag": {"ctx": TEXTS, "endings": st.lists(TEXTS, max_size=4), "label": TEXTS},
    "tatoeba": {"source_sentence": TEXTS, "target_sentence": TEXTS},
}


@st.composite
def tables(draw):
    """A task, and rows of it in which some values are of any kind."""
    name = draw(st.sampled_from(sorted(SHAPES)))
    columns = {key: st.one_of(kind, kind, kind, JSON) for key, kind in SHAPES[name].items()}
    return name, draw(st.lists(st.fixed_dictionaries(columns), max_size=4))


@MANY
@given(table=tables())
def test_readers_survive_random_rows_with_a_named_error(folder, table):
    name, rows = table
    where = ("dev", "qaa", "test") if name == "tatoeba" else ("train", "en", "train")
    role, language, split = where
    path = folder / "rows" / name / f"{language}.{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        read = FolderSource(folder / "rows").read(name, role, language)
    except MalformedRow as error:
        assert str(path) in str(error)
    else:
        assert len(read) <= 2 * len(rows)
