"""The encoders that come with the package: whose they are, and that studies take them."""

import json

import pytest
import torch

from xfer_utils.formats import features
from xfer_utils.learning import encoders, pretraining
from xfer_utils.learning.origins import Origin
from xfer_utils.runs import plan as study
from xfer_utils.runs import shipped
from xfer_utils.sources.catalogue import open_source
from xfer_utils.study import params, paths
from xfer_utils.study.sections import Pretraining

NAMES = list(shipped.records())
STUDIES = {
    "toy0": "toy",
    "toy": "scaling",
    "many0": "similarity",
}  # who takes the encoders of which world
REUSING = {"multilingual": 18, "few_shot": 6}  # and how many runs of the toy study they take
TOY = params.load(paths.PARAMS / "toy.yaml")
PRETRAINING = TOY.models["xlmr-toy"].pretrain


def of_world(name):
    """The shipped encoders of a world."""
    return [own for own in NAMES if own.startswith(f"{name}-")]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """The published worlds, by the names of their encoders."""
    folder = tmp_path_factory.mktemp("data")
    asked = {name: params.load(paths.PARAMS / f"{own}.yaml").world for name, own in STUDIES.items()}
    return {
        name: open_source("toy", world=world, data_dir=folder)
        for name, world in asked.items() if of_world(name)
    }  # fmt: skip


@pytest.fixture(scope="module")
def source(worlds):
    """The published world of the toy study."""
    return worlds["toy0"]


def test_every_folder_has_its_record_and_all_are_small():
    assert sorted(NAMES) == sorted(path.name for path in shipped.FOLDER.iterdir() if path.is_dir())
    files = [path for path in shipped.FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20e6
    assert {path.name for path in files} == {
        "records.json", "config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    for record in shipped.records().values():
        assert {"recipe", "command", "run", "seconds", "held_out_loss"} <= set(record)
        assert record["environment"]["torch"] and "host" not in record["environment"]


def test_the_toy_studies_take_them_for_every_seed(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    for name, seeds in (("toy", 3), ("toy-seeds", 10)):
        runs = study.make_plan(paths.PARAMS / f"{name}.yaml").runs.values()
        loaded = [run.job.load for run in runs if run.kind.name == "encoder"]
        assert loaded == [f"xfer_utils/encoders/toy0-s{seed}" for seed in range(seeds)]
    made = params.load(paths.PARAMS / "toy-encoder.yaml").models["xlmr-toy"]
    assert made.pretrain == PRETRAINING and not made.shipped


def test_another_seed_setting_or_world_is_pretrained(source, tmp_path):
    assert shipped.find(PRETRAINING, 0, source)
    longer = PRETRAINING.model_copy(update={"steps": PRETRAINING.steps + 1})
    other = open_source("toy", world={"family": "tiny", "sizes": "tiny"}, data_dir=tmp_path)
    assert not shipped.find(longer, 0, source)
    assert not shipped.find(PRETRAINING, 99, source)
    assert not shipped.find(PRETRAINING, 0, other)
    assert not shipped.find(Pretraining(), 0, source)


@pytest.mark.skipif(len(of_world("many0")) < 3, reason="`make encoders` has not shipped all yet")
def test_the_questions_take_them_too(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    made = params.load(paths.PARAMS / "many-encoder.yaml")
    plans = {n: study.make_plan(paths.PARAMS / f"{n}.yaml") for n in ("similarity", "typology")}
    assert [*plans["similarity"].runs] == [*plans["typology"].runs] and len(
        plans["typology"].runs
    ) == 54
    for asked in plans.values():
        loaded = [run.job.load for run in asked.runs.values() if run.kind.name == "encoder"]
        assert loaded == [f"xfer_utils/encoders/many0-s{seed}" for seed in range(3)]
        assert asked.study.models["xlmr-many"].pretrain == made.models["xlmr-many"].pretrain
        assert asked.study.world == made.world


@pytest.mark.parametrize("world", STUDIES)
def test_they_belong_to_the_worlds_text(world, worlds):
    """Its tokenizer, trained again as notebook 10 trains it, is theirs."""
    if not of_world(world):
        pytest.skip("`make encoders` has not shipped them yet")
    model, *_ = params.load(paths.PARAMS / f"{STUDIES[world]}.yaml").models.values()
    text, _ = pretraining.sample_text(worlds[world], model.pretrain.lines_per_language)
    lines = [line for part in text.values() for n, line in enumerate(part) if n % 100]
    sizes = (model.pretrain.vocabulary, model.pretrain.positions)
    tokenizer = pretraining.train_tokenizer(lines, *sizes)
    again = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    for name in of_world(world):
        kept = (shipped.FOLDER / name / "tokenizer.json").read_text(encoding="utf-8")
        assert json.loads(kept)["model"] == again


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_whole_masked_lm_that_reads_the_worlds_english(name, worlds):
    from transformers import AutoModelForMaskedLM

    folder = shipped.FOLDER / name
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    words = encoders.load_tokenizer(Origin(str(folder)))
    lines = [
        line for line, _ in zip(worlds[name.split("-")[0]].text("en"), range(40), strict=False)
    ]
    rows = features.of_text(lines, words, 64)
    losses = []
    for number in range(len(rows)):
        ids = torch.tensor(rows.slice("ids", number)).long()
        if len(ids) < 5:
            continue
        gaps = ids.clone()
        gaps[2] = words.mask_token_id
        with torch.no_grad():
            logits = model(gaps[None]).logits[0, 2]
        losses.append(torch.nn.functional.cross_entropy(logits, ids[2]).item())
    assert sum(losses) / len(losses) < 3.5  # guessing has 7.6


def test_the_questions_take_the_toy_studys_runs_where_they_serve():
    plans = {n: study.make_plan(paths.PARAMS / f"{n}.yaml").runs for n in ("toy", *REUSING)}
    assert {n: len(plans["toy"].keys() & plans[n]) for n in REUSING} == REUSING
