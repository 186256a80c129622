"""Fixed tiny inputs must give recorded values, or a version must have been raised.

Code is no part of a run's id, so a change that moves results needs a new version, which makes the
runs concerned again. `python tests/runs/test_golden.py OUTPUTS` records the values anew, with OUTPUTS
the folder of a finished smoke study.

Token ids, batch order and defaults are compared exactly. Losses and logits are those of a tiny
model after three steps and allow for another processor's rounding.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import XLMRobertaTokenizer

from xfer_utils.formats import base, features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches, encoders
from xfer_utils.learning.task_model import TaskModel
from xfer_utils.runs.kinds import KINDS
from xfer_utils.sources.toy.world import VERSION, World
from xfer_utils.study.sections import Pretraining

FILE = Path(__file__).with_name("golden.json")
WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "saw",
    "red",
    "birds",
    "fly",
    "over",
    "old",
    "houses",
    "while",
    "it",
    "rained",
    "all",
    "day",
]
SHAPE = Pretraining(layers=1, width=16, heads=2, feedforward=32, positions=64, vocabulary=100)
LABELS = {"sequence": 3, "token": 4}
NAMES = [f"n{n}" for n in range(8)]


def words(start: int, count: int) -> str:
    return " ".join(WORDS[(start + 3 * n) % len(WORDS)] for n in range(count))


def text_columns() -> dict[str, dict]:
    """Eight canonical rows of each format that is trained."""
    rows = range(8)
    long = [words(n, 30 + n) for n in rows]
    answers = [
        {"text": [text.split()[4]], "answer_start": [text.index(text.split()[4])]} for text in long
    ]
    first, second = [words(n, 4 + n) for n in rows], [words(n + 5, 3) for n in rows]
    labels = [n % 3 for n in rows]
    tagged = [text.split() for text in first]
    return {
        "sequence": {"text_a": first, "text_b": second, "label": labels},
        "token": {"tokens": tagged, "tags": [[n % 4 for n, _ in enumerate(s)] for s in tagged]},
        "span": {"question": second, "context": long, "answers": answers},
        "choice": {"text_a": first, "choices": [[words(n, 2), words(n + 1, 3)] for n in rows],
                   "label": [n % 2 for n in rows]},
        "pair": {"question": second, "passage": first, "context": [""] * 8},
        "sentence": {"side": ["source"] * 8, "text": first, "match": NAMES, "context": [""] * 8},
    }  # fmt: skip


def tokenizer() -> XLMRobertaTokenizer:
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0)]
    pieces += [(f"▁{word}", -2.0) for word in WORDS] + [
        (letter, -6.0) for letter in "▁abcdefghilmnorstuwvy"
    ]
    return XLMRobertaTokenizer(vocab=pieces)


def examples(name: str) -> features.Features:
    if name == "mlm":
        return features.of_text([words(n, 6 + n) for n in range(8)], tokenizer(), 24)
    ids = dict.fromkeys(("id", "item", "cluster"), NAMES)
    rows = Dataset.from_dict(ids | text_columns()[name], features=base.of(name).schema)
    return features.of_examples(name, rows, tokenizer(), 24, 8)


def exact(content: object) -> str:
    """A hash of what must not differ by a bit."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def of_format(name: str) -> dict:
    """What a format makes of its rows, and what a tiny model learns from them in three steps."""
    part = examples(name)
    arrays = {key: values.tolist() for key, values in sorted(part.arrays.items())}
    golden = {"version": base.of(name).VERSION, "arrays": exact(arrays)}
    if name == "sentence":  # searched, not trained
        return golden
    order = list(batches.Batches([part], 4, seed=1))
    masking = Masking.of(tokenizer(), 0.3)
    units = [unit for _, unit in order[0]]
    batch = batches.collate("x", part, units, 1, masking)
    torch.manual_seed(0)
    encoder = encoders.new_encoder(tokenizer(), SHAPE)
    model = TaskModel(encoder, {"x": name}, {"x": LABELS.get(name, 0)})
    optimiser, losses = torch.optim.SGD(model.parameters(), 0.1), []
    for _ in range(3):
        loss = model(**batch)["loss"]
        losses.append(round(loss.item(), 5))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    plain = {key: value.tolist() for key, value in batch.items() if torch.is_tensor(value)}
    return golden | {"order": exact(order), "batch": exact(plain), "losses": losses}


def of_kind(name: str) -> dict:
    """A kind's parameters at their off values, which identities leave out."""
    fields = KINDS[name].job.model_fields.items()
    defaults = {key: repr(field.default) for key, field in fields if not field.is_required()}
    return {"version": KINDS[name].version, "defaults": defaults}


def of_run(name: str, outputs: Path) -> dict:
    """What the first run of a kind in the smoke study gave: losses, and mean scores by task."""
    record = json.loads(next(iter(sorted(outputs.glob(f"runs/{name}-*/result.json")))).read_text())
    scores: dict[str, list[float]] = {}
    for score in record["scores"]:
        if score["main"]:
            scores.setdefault(score["task"], []).append(score["value"])
    losses = [loss for _, loss in record["training"].get("losses", ())]
    means = [round(float(np.mean(values)), 2) for _, values in sorted(scores.items())]
    return {"version": KINDS[name].version, "losses": losses, "means": means}


def of_world() -> dict:
    dials = {key: repr(field.default) for key, field in World.model_fields.items()}
    return {"version": VERSION, "defaults": dials}


SMOKED = [name for name in KINDS if name != "few_shot"]  # tests/runs/test_few_shot.py has its own
FORMATS = ("sequence", "token", "span", "choice", "pair", "sentence", "mlm")


def recorded() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8"))


def fits(now: dict, before: dict) -> bool:
    """Whether values are the recorded ones; what is new and off concerns no finished run."""
    if "losses" in before and not np.allclose(now["losses"], before["losses"], atol=2e-3):
        return False
    if "means" in before and not np.allclose(now["means"], before["means"], atol=5):  # few items
        return False
    close = ("losses", "means", "defaults")
    plain = {key: value for key, value in before.items() if key not in close}
    kept = {key: now.get("defaults", {}).get(key) for key in before.get("defaults", {})}
    return all(now[key] == value for key, value in plain.items()) and kept == before.get(
        "defaults", {}
    )


def check(what: str, now: dict) -> None:
    before = recorded()[what]
    message = (
        f"{what} gives other values than those recorded: raise its version (it is {now['version']}), "
        "record them with `python tests/runs/test_golden.py OUTPUTS`, and say in the commit message which "
        "finished runs are made again"
    )
    raised = now["version"] > before["version"]
    assert raised or fits(now, before), message
    assert not raised, "the version was raised: record the values with this file"


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_gives_what_it_gave(name):
    check(f"format {name}", of_format(name))


@pytest.mark.parametrize("name", KINDS)
def test_a_kinds_off_values_stay(name):
    check(f"kind {name}", of_kind(name))


@pytest.mark.parametrize("name", SMOKED)
def test_a_kind_gives_what_it_gave(name, smoke):
    check(f"run {name}", of_run(name, smoke.outputs))


def test_the_toy_worlds_off_values_stay():
    check("toy world", of_world())


def test_a_change_is_noticed():
    before = recorded()["format sequence"]
    assert not fits({**before, "losses": [loss + 0.01 for loss in before["losses"]]}, before)
    assert not fits({**before, "arrays": "other"}, before)
    kind = recorded()["kind target"]
    other = {**kind, "defaults": {**kind["defaults"], "epochs": "3"}}
    assert not fits(other, kind) and fits(
        {**kind, "defaults": {**kind["defaults"], "new": "0"}}, kind
    )


if __name__ == "__main__":
    values = {f"format {name}": of_format(name) for name in FORMATS}
    values |= {f"kind {name}": of_kind(name) for name in KINDS}
    values |= {f"run {name}": of_run(name, Path(sys.argv[1])) for name in SMOKED}
    values |= {"toy world": of_world()}
    FILE.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
