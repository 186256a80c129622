"""Training: it learns, it repeats itself bit for bit, also across a break, and its losses are the textbook's."""

import json
import math

import numpy as np
import pytest
import torch
from conftest import FakeData, Table, classification, dataset
from transformers import TrainerCallback

from xfer_utils.formats import features
from xfer_utils.formats.features import Features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches, selection, training
from xfer_utils.learning.training import Settings
from xfer_utils.scoring import evaluation

SETTINGS = {"learning_rate": 3e-3, "epochs": 3, "batch_size": 16, "seed": 0}
LABELS = ["fine", "poor", "odd"]


class Halted(Exception):
    """The break in the middle."""


class Halt(TrainerCallback):
    """Breaks a training off at a step, before that step's checkpoint."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise Halted


@pytest.fixture(scope="session")
def rows():
    return classification(96)


@pytest.fixture(scope="session")
def sequence(rows, tokenizer):
    return features.of_examples("sequence", rows, tokenizer, 32)


@pytest.fixture(scope="session")
def text(sequence):
    """The same sentences as plain text."""
    return Features("mlm", {name: sequence.arrays[name] for name in ("ids", "starts", "example")})


@pytest.fixture
def train(new_model, tokenizer, tmp_path):
    """Trains a fresh tiny model on some tasks; its weights and the trainer's account."""

    def run(tasks, folder="run", callbacks=(), model=None, seed=0, **more):
        formats = {name: part.format for name, part in tasks.items()}
        model = model or new_model(formats, dict.fromkeys(tasks, 3), seed)
        settings = Settings(**{**SETTINGS, "seed": seed, **more})
        done = training.train(model, tasks, tokenizer, settings, tmp_path / folder, list(callbacks))
        return {name: value.clone() for name, value in model.state_dict().items()}, done

    return run


def equal(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_separable_problem_is_learnt(train, new_model, tokenizer, sequence):
    held_out = features.of_examples("sequence", classification(200, seed=9), tokenizer, 32)
    model = new_model({"mnli": "sequence"}, {"mnli": 3})

    def right():
        found = evaluation.predict(model, "mnli", [held_out], tokenizer.pad_token_id)[0].argmax(1)
        return float((found == held_out.arrays["target"]).mean())

    assert right() < 0.6
    _, done = train({"mnli": sequence}, model=model, epochs=20)
    assert right() > 0.97
    assert done["losses"][-1][1] < 0.3 < done["losses"][0][1]
    assert (done["steps"], done["examples"]) == (120, 120 * 16) and done["resumed_from"] == ""
    assert not model.training, "left ready for evaluation"


def test_the_same_seed_gives_the_same_weights(train, sequence):
    one, again = (train({"mnli": sequence}, folder)[0] for folder in "ab")
    assert equal(one, again)
    assert not equal(one, train({"mnli": sequence}, "c", seed=1)[0])


def test_what_came_before_does_not_matter(train, sequence):
    """Another kernel has drawn other random numbers before it comes to train."""
    one = train({"mnli": sequence}, "a", epochs=1)[0]
    torch.rand(1000), np.random.rand(1000)
    assert equal(one, train({"mnli": sequence}, "b", epochs=1)[0])


@pytest.mark.parametrize("names", [("mnli",), ("text",), ("mnli", "text")])
def test_resuming_gives_the_weights_of_an_undisturbed_training(
    train, sequence, text, names, tmp_path
):
    tasks = {name: {"mnli": sequence, "text": text}[name] for name in names}
    whole, done = train(tasks, "whole")
    stop = done["steps"] // 2 + 1
    assert stop % (done["steps"] // 3), "in the middle of an epoch"
    often = {"checkpoint_minutes": 1e-9}
    with pytest.raises(Halted):
        train(tasks, "broken", [Halt(stop)], **often)
    kept = [path.name for path in (tmp_path / "broken" / "checkpoints").glob("*/checkpoint-*")]
    assert kept == [f"checkpoint-{stop - 1}"], "the latest checkpoint only"
    resumed, account = train(tasks, "broken", **often)
    assert account["resumed_from"] == f"checkpoint-{stop - 1}" and account["steps"] == done["steps"]
    assert equal(whole, resumed)


def test_other_settings_or_data_resume_nothing(train, sequence, text):
    """A job notebook that is run again by hand finds the checkpoints of what it was run with before."""
    with pytest.raises(Halted):
        train({"mnli": sequence}, "broken", [Halt(6)], checkpoint_minutes=1e-9)
    for tasks, changed in (
        ({"mnli": sequence}, {"seed": 1}),
        ({"mnli": sequence}, {"epochs": 1}),
        ({"text": text}, {}),
    ):
        _, account = train(tasks, "broken", **{"checkpoint_minutes": 1e-9, **changed})
        assert account["resumed_from"] == ""


def test_tied_weights_stay_tied(train, new_model, text, tmp_path):
    with pytest.raises(Halted):
        train({"text": text}, callbacks=[Halt(5)], checkpoint_minutes=1e-9)
    model = new_model({"text": "mlm"})
    train({"text": text}, model=model)
    assert lm_head(model, "text").decoder.weight is model.encoder.get_input_embeddings().weight


def test_a_checkpoint_that_was_cut_off_is_passed_over(train, sequence, tmp_path):
    whole, _ = train({"mnli": sequence}, "whole")
    with pytest.raises(Halted):
        train({"mnli": sequence}, "broken", [Halt(8)], checkpoint_minutes=1e-9)
    (folder,) = (tmp_path / "broken" / "checkpoints").iterdir()
    torn = folder / "checkpoint-9"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    for state in (None, "", '{"global_step": '):
        if state is not None:
            (torn / "trainer_state.json").write_text(state)
        assert training.last_checkpoint(folder) == folder / "checkpoint-7"
    resumed, account = train({"mnli": sequence}, "broken")
    assert account["resumed_from"] == "checkpoint-7" and equal(whole, resumed)
    assert training.last_checkpoint(tmp_path / "nowhere") is None


def test_a_mixture_shares_its_batches_by_size(train, sequence, text):
    half = Features("sequence", features_of(sequence, 32))
    _, done = train({"mnli": half, "text": text}, epochs=1)
    assert done["steps"] == 2 + 6
    _, capped = train({"mnli": half, "text": text}, "capped", epochs=1, cap=16)
    assert capped["steps"] == 2
    _, weighted = train({"mnli": half, "text": text}, "weighted", epochs=1, weights=(1.0, 0.5))
    assert weighted["steps"] == 2 + 3


def features_of(part, rows):
    """The arrays of the first rows."""
    end = part.arrays["starts"][rows]
    cut = {
        name: array[:rows] for name, array in part.arrays.items() if name in ("example", "target")
    }
    return {**cut, "ids": part.arrays["ids"][:end], "starts": part.arrays["starts"][: rows + 1]}


def test_max_steps_and_accumulation(train, sequence):
    assert train({"mnli": sequence}, "a", max_steps=4)[1]["steps"] == 4
    assert train({"mnli": sequence}, "b", epochs=1, accumulation=3)[1] | {"seconds": 0} == {
        **train({"mnli": sequence}, "c", epochs=1, accumulation=3)[1],
        "seconds": 0,
    }
    assert train({"mnli": sequence}, "d", epochs=1, accumulation=3)[1]["steps"] == 2


# ----- choosing a checkpoint -----


class Scripted:
    """Stands in for the dev score: a made-up curve with its best look in the middle; keeps the weights of each look."""

    def __init__(self, values):
        self.values, self.seen = values, []

    def __call__(self, model, *_):
        self.seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return self.values[len(self.seen) - 1]


@pytest.fixture
def scripted(monkeypatch):
    def install(*values):
        made = Scripted(values)
        monkeypatch.setattr(selection, "dev_mean", made)
        return made

    return install


def chooser(model, patience=99, every=4):
    return selection.callbacks(
        "english_dev",
        model,
        None,
        ["mnli"],
        every=every,
        patience=patience,
        examples=9,
        max_length=32,
        doc_stride=8,
    )


def test_english_dev_restores_the_best(train, new_model, sequence, scripted):
    script = scripted(40.0, 70.0, 70.0, 60.0, 10.0)
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    weights, done = train({"mnli": sequence}, model=model, callbacks=chooser(model))
    assert done["steps"] == 18 and len(script.seen) == 5, "four looks on the way and one at the end"
    assert equal(weights, script.seen[1]), "of equal looks the first"
    assert not equal(weights, script.seen[3])


def test_english_dev_stops_without_gain(train, new_model, sequence, scripted):
    script = scripted(40.0, 30.0, 30.0)
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    weights, done = train({"mnli": sequence}, model=model, callbacks=chooser(model, patience=2))
    assert done["steps"] == 12 and equal(weights, script.seen[0])


@pytest.mark.parametrize("stop", [7, 11, 15])
def test_english_dev_after_a_break_chooses_as_undisturbed(
    train, new_model, sequence, scripted, stop
):
    values = (40.0, 70.0, 60.0, 10.0, 50.0)
    script = scripted(*values)
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    whole, _ = train({"mnli": sequence}, "whole", model=model, callbacks=chooser(model))
    assert equal(whole, script.seen[1])
    scripted(*values)
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    with pytest.raises(Halted):
        train(
            {"mnli": sequence},
            "b",
            [*chooser(model), Halt(stop)],
            model=model,
            checkpoint_minutes=1e-9,
        )
    scripted(*values[(stop - 1) // 4 :])
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    resumed, account = train(
        {"mnli": sequence}, "b", chooser(model), model=model, checkpoint_minutes=1e-9
    )
    assert account["resumed_from"] == f"checkpoint-{stop - 1}" and equal(whole, resumed)


def test_looking_at_dev_leaves_the_training_as_it_was(train, new_model, tokenizer, sequence, rows):
    """With a rising score the last look wins, and its weights are those of a training without any look."""
    data = FakeData(Table({("mnli", "dev", "en"): rows}, {"mnli": LABELS}), tokenizer)
    plain, _ = train({"mnli": sequence}, "plain")
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    last = {}

    class Keep(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            last.update({name: value.clone() for name, value in model.state_dict().items()})

    looks = selection.callbacks(
        "english_dev",
        model,
        data,
        ["mnli"],
        every=2,
        patience=99,
        examples=40,
        max_length=32,
        doc_stride=8,
    )
    train({"mnli": sequence}, "looked", [*looks, Keep()], model=model)
    assert equal(plain, last)


def test_dev_scores_are_kept_with_their_predictions(new_model, tokenizer, rows, tmp_path):
    data = FakeData(Table({("mnli", "dev", "en"): rows}, {"mnli": LABELS}), tokenizer)
    model = new_model({"mnli": "sequence"}, {"mnli": 3})
    found = selection.dev_scores(
        model, data, ["mnli"], tmp_path, max_length=32, doc_stride=8, most=50
    )
    main = [score for score in found if score["main"]]
    mean = selection.dev_mean(
        model, data, ["mnli"], {"max_length": 32, "doc_stride": 8, "most": 50}
    )
    assert [score["value"] for score in main] == [mean] and main[0]["n"] == 50
    assert (tmp_path / "predictions" / "mnli.parquet").exists()


# ----- losses, one row at a time and without padding -----


def cross_entropy(scores, label):
    scores = [float(score) for score in scores]
    top = max(scores)
    return math.log(sum(math.exp(score - top) for score in scores)) + top - scores[label]


def hidden(model, part, row):
    ids = torch.tensor(part.slice("ids", row).astype(np.int64))[None]
    with torch.no_grad():
        return model.encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[
            0
        ]


def classify(head, state):
    with torch.no_grad():
        return (
            head.out.weight @ torch.tanh(head.dense.weight @ state[0] + head.dense.bias)
            + head.out.bias
        )


def lm_head(model, task):
    """The architecture's own masked-LM head, wherever in the task's head it stands."""
    return next(part for part in model.heads[task].modules() if hasattr(part, "decoder"))


def loss_of(model, part, units, name="t"):
    model.eval()
    batch = batches.collate(name, part, units, pad=1)
    with torch.no_grad():
        return float(model(**batch)["loss"])


def test_loss_of_sequences(new_model, sequence):
    model = new_model({"t": "sequence"}, {"t": 3})
    units = [5, 0, 17]
    wanted = [
        cross_entropy(
            classify(model.heads["t"], hidden(model.eval(), sequence, u)),
            sequence.arrays["target"][u],
        )
        for u in units
    ]
    assert loss_of(model, sequence, units) == pytest.approx(np.mean(wanted), rel=1e-4)


def test_loss_of_choices(new_model, tokenizer):
    made = [
        {"text_a": "the day was", "choices": ["good", "poor and so", "a"], "label": n}
        for n in (2, 0)
    ]
    part = features.of_examples("choice", dataset(made), tokenizer, 32)
    model = new_model({"t": "choice"}).eval()
    scores = [float(classify(model.heads["t"], hidden(model, part, row))[0]) for row in range(6)]
    wanted = [cross_entropy(scores[:3], 2), cross_entropy(scores[3:], 0)]
    assert loss_of(model, part, [0, 1]) == pytest.approx(np.mean(wanted), rel=1e-4)


def test_loss_of_tags(new_model, tokenizer):
    made = [{"tokens": ["Anna", "Karenina", "was", "in", "Ulm"], "tags": [1, 2, 0, -100, 1]}]
    made.append({"tokens": ["so", "good"], "tags": [0, 0]})
    part = features.of_examples("token", dataset(made), tokenizer, 32)
    model = new_model({"t": "token"}, {"t": 3}).eval()
    wanted = []
    for row in (0, 1):
        states = hidden(model, part, row)
        with torch.no_grad():
            scores = states @ model.heads["t"].out.weight.T + model.heads["t"].out.bias
        labels = part.slice("labels", row)
        wanted += [
            cross_entropy(s, label) for s, label in zip(scores, labels, strict=True) if label >= 0
        ]
    assert len(wanted) == 6 and loss_of(model, part, [0, 1]) == pytest.approx(
        np.mean(wanted), rel=1e-4
    )


def test_loss_of_spans(new_model, tokenizer):
    answers = {"text": ["Ulm"], "answer_start": [8]}
    made = [
        {"question": "Who ?", "context": context, "answers": answers}
        for context in ("He is in Ulm", "was in a Ulm .")
    ]
    made[0]["answers"] = {"text": ["Ulm"], "answer_start": [9]}
    made[1]["answers"] = {"text": ["Ulm"], "answer_start": [9]}
    part = features.of_examples("span", dataset(made), tokenizer, 48, 8)
    assert (part.arrays["target"] > 0).all() and len(set(part.lengths)) == 2
    model = new_model({"t": "span"}).eval()
    wanted = []
    for row in (0, 1):
        with torch.no_grad():
            scores = (
                hidden(model, part, row) @ model.heads["t"].out.weight.T + model.heads["t"].out.bias
            )
        first, last = part.arrays["target"][row]
        wanted += [cross_entropy(scores[:, 0], first), cross_entropy(scores[:, 1], last)]
    assert loss_of(model, part, [0, 1]) == pytest.approx(np.mean(wanted), rel=1e-4)


def test_loss_of_masked_words(new_model, tokenizer, text):
    model = new_model({"t": "mlm"}).eval()
    head, units = lm_head(model, "t"), [3, 8]
    masking = Masking.of(tokenizer, 0.4)
    batch = batches.collate("t", text, units, tokenizer.pad_token_id, masking)
    width, wanted = batch["input_ids"].shape[1], []
    for place, label in zip(batch["positions"].tolist(), batch["labels"].tolist(), strict=True):
        row, column = divmod(place, width)
        ids = batch["input_ids"][row][batch["attention_mask"][row] > 0][None]
        with torch.no_grad():
            state = model.encoder(
                input_ids=ids, attention_mask=torch.ones_like(ids)
            ).last_hidden_state[0, column]
            state = head.layer_norm(torch.nn.functional.gelu(head.dense(state)))
            scores = model.encoder.get_input_embeddings().weight @ state + head.bias
        wanted.append(cross_entropy(scores, label))
    with torch.no_grad():
        loss = float(model(**batch)["loss"])
    assert len(wanted) > 1 and loss == pytest.approx(np.mean(wanted), rel=1e-4)


def test_the_account_is_json(train, sequence):
    json.dumps(train({"mnli": sequence}, epochs=1)[1])


def test_several_gpus_do_not_share_a_batch(tmp_path, monkeypatch):
    """Places of tokens count through the whole batch, so the Trainer must not cut it up."""
    for name, value in (("is_available", True), ("device_count", 2), ("set_device", None)):
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    made = training.arguments(
        Settings(learning_rate=1e-3, epochs=1, batch_size=4, seed=0), tmp_path, bf16=False
    )
    assert made.device.type == "cuda" and made.n_gpu == 1 and made.train_batch_size == 4
