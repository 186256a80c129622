"""Mutated study files and registries: refused with file, key and reason, or a valid plan; never a traceback."""

import os

import pytest
from conftest import SMOKE
from hypothesis import HealthCheck, Phase, given, settings
from mutations import mutated
from pydantic import ValidationError

from xfer_utils.commands import cli
from xfer_utils.runs import plan as study
from xfer_utils.sources.toy.world import World
from xfer_utils.study import params

# `make test-faults` asks for a thousand of each; here a few show that nothing obvious is wrong.
COUNT = int(os.environ.get("XFER_MUTATIONS", "60"))
MANY = settings(
    max_examples=COUNT,
    deadline=None,
    database=None,
    derandomize=COUNT < 1000,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
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
            if asked.world != params.load(SMOKE).world:
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
    assert not said or str(path) in said or path.name not in said, said
    assert len(said) < 20_000


def test_the_file_that_is_mutated_is_valid(folder):
    (folder / "valid.yaml").write_text(STUDY)
    assert outcome(folder / "valid.yaml") == ""


@MANY
@given(text=mutated(STUDY))
def test_a_mutated_study_file_is_refused_or_planned(folder, text):
    check(folder / "mine.yaml", text)
