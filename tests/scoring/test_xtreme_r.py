"""What XTREME-R adds: a training before the training (XCOPA), and dual encoders (LAReQA, Mewsli-X)."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import FakeData, Table, dataset, study_file, xfer

from xfer_utils.analysis import results
from xfer_utils.formats import features
from xfer_utils.formats.features import Features
from xfer_utils.learning import batches
from xfer_utils.runs import plan as study
from xfer_utils.scoring import evaluation, ranking, search
from xfer_utils.sources.folder import FolderSource

SHARED = Path(__file__).parents[2] / "shared" / "data"
TARGETS = "[xcopa, lareqa, mewslix]"
CONTEXT = "Ada met Bob. Carl saw {n} ships! Did they leave? They stayed until day {n}."


# ----- a folder with all that these targets need -----
def put(folder: Path, name: str, rows: list[dict]) -> None:
    path = folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def copa(n: int, question: str = "cause") -> dict:
    row = {
        "premise": f"The king {n} fell.",
        "choice1": f"He slept {n}.",
        "choice2": f"Rain came {n}.",
    }
    return row | {"question": question, "label": n % 2, "idx": n}


def siqa(n: int) -> dict:
    row = {"context": f"Ada {n} met Bob.", "question": "Why?", "label": str(1 + n % 3)}
    return row | {f"answer{letter}": f"{letter} {n}" for letter in "ABC"}


def squad(n: int, name: str) -> dict:
    context = CONTEXT.format(n=n)
    answers = {"text": [f"{n} ships"], "answer_start": [context.index(f"{n} ships")]}
    return {
        "id": f"{name}{n}",
        "title": name,
        "question": f"What did {n} see?",
        "context": context,
        "answers": answers,
    }


def world(folder: Path) -> Path:
    """A few made-up rows of every set, in the schemas of the hub."""
    for split, first in (("train", 0), ("validation", 20), ("test", 30)):
        put(
            folder,
            f"xcopa/en.{split}",
            [copa(n, ("cause", "effect")[n % 2]) for n in range(first, first + 8)],
        )
    put(folder, "xcopa/et.test", [copa(n) | {"changed": False} for n in range(30, 38)])
    put(folder, "social_i_qa/en.train", [siqa(n) for n in range(9)])
    put(folder, "social_i_qa/en.validation", [siqa(n) for n in range(20, 26)])
    put(folder, "squad/en.train", [squad(n, "train") for n in range(10)])
    put(folder, "squad/en.validation", [squad(n, "dev") for n in range(20, 26)])
    for code in ("en", "de"):
        put(folder, f"xquad_r/{code}.validation", [squad(n, "x") for n in range(40, 46)])
        mentions = [
            {"example_id": f"{code}{n}", "mention": f"in {{Ulm {n}}}", "entity_id": f"Q{n}"}
            for n in range(5)
        ]
        put(folder, f"mewslix/{code}.validation", mentions)
        lines = [
            f"{code} {CONTEXT.format(n=n)} The king slept, rain came and he fell."
            for n in range(200)
        ]
        (folder / "text").mkdir(exist_ok=True)
        (folder / "text" / f"{code}.txt").write_text("\n".join(lines))
    put(
        folder,
        "mewslix/en.train",
        [{"mention": f"near {{Bonn {n}}}", "entity": f"Bonn {n}, a town"} for n in range(9)],
    )
    entities = [
        {"entity_id": f"Q{n}", "title": f"Ulm {n}", "description": f"Ulm {n}, a city"}
        for n in range(30)
    ]
    put(folder, "mewslix/candidates.test", entities)
    return folder


def file_of(tmp_path: Path, more: str = "") -> Path:
    model = "{layers: 2, width: 32, heads: 2, feedforward: 64, vocabulary: 100, positions: 66, steps: 20}"
    text = f"source: folder:{world(tmp_path / 'data')}\nworld: {{}}\ntargets: {TARGETS}\nintermediate: [none, squad]\n"
    return study_file(tmp_path, f"{text}models: {{tiny: {{pretrain: {model}}}}}\n{more}", "extra")


# ----- the plan -----
def test_xcopa_is_trained_on_social_iqa_first(tmp_path):
    path = file_of(tmp_path)
    text = path.read_text().replace("models:", "seeds: {none: [0, 1], other: [0]}\nmodels:")
    path.write_text(text + "target_training: {social_i_qa: {epochs: 5}, copa: {epochs: 7}}\n")
    plan = study.make_plan(path)
    slugs = {run.slug: run for run in plan.runs.values()}
    for row, above in (("none", "encoder-tiny-s0"), ("squad", "intermediate-squad-s0")):
        first, second = (
            slugs[f"intermediate-social_i_qa-after-{row}-s0"],
            slugs[f"target-copa-after-{row}-s0"],
        )
        assert [*first.parents.values(), *second.parents.values()] == [slugs[above].id, first.id]
        assert (first.parameters["tasks"], first.parameters["epochs"]) == (["social_i_qa"], 5)
        assert (second.parameters["targets"], second.parameters["epochs"]) == (["xcopa"], 7)
        assert second.parameters["evaluate"] == {"xcopa": ["test"]}
        for name in ("squad_answers", "mewslix_pairs"):
            assert slugs[f"target-{name}-after-{row}-s0"].parents == {
                "encoder_dir": slugs[above].id
            }
    assert "intermediate-social_i_qa-after-none-s1" in slugs and len(slugs) == 2 + 1 + 3 * 4
    assert not plan.not_run


def test_an_arm_can_leave_the_recipes_first_task_out(tmp_path):
    plan = study.make_plan(file_of(tmp_path, "arms: {alone: {tasks: [], first: false}}\n"))
    (run,) = [run for run in plan.runs.values() if "alone" in run.slug]
    parents = [plan.runs[parent].slug for parent in run.parents.values()]
    assert run.slug == "target-copa-after-alone-s0" and parents == ["encoder-tiny-s0"]
    reason = "nothing comes before it that could be left out"
    assert plan.not_run == {("alone", name): reason for name in ("lareqa", "mewslix")}


def test_without_social_iqa_xcopa_is_not_run(tmp_path):
    path = file_of(tmp_path)
    (tmp_path / "data/social_i_qa/en.train.jsonl").unlink()
    plan = study.make_plan(path)
    reason = f"no training data for social_i_qa in {plan.study.source}"
    assert plan.not_run == {(row, "xcopa"): reason for row in ("none", "squad")}
    assert not [run for run in plan.runs.values() if "copa" in run.id or "social" in run.id]


@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder of real data beside the project")
def test_real_sets_load_and_plan(tmp_path):
    source = FolderSource(SHARED)
    absent = [name for name in ("xcopa", "lareqa") if not source.languages(name)]
    if absent:
        pytest.skip(f"the folder has no files for {', '.join(absent)}")
    rows = source.read("squad_answers", "train")
    found = zip(rows["question"], rows["passage"], rows["context"], strict=True)
    assert len(rows) > 1000 and all(
        passage in context and question for question, passage, context in found
    )
    plan = study.make_plan(
        study_file(tmp_path, f"source: folder:{SHARED}\nworld: {{}}\ntargets: [xcopa, lareqa]\n")
    )
    assert not [pair for pair in plan.not_run if pair[1] != "*"]
    assert {name for run in plan.runs.values() for name in run.labels.get("targets", ())} == {
        "xcopa",
        "lareqa",
    }


# ----- pairs and their loss -----
def test_a_pair_is_a_question_and_the_sentence_that_holds_its_answer(tmp_path):
    without = squad(3, "none") | {"answers": {"text": [], "answer_start": []}}
    put(tmp_path, "squad/en.train", [squad(1, "t"), without, squad(2, "t")])
    source = FolderSource(tmp_path)
    rows = list(source.read("squad_answers", "train"))
    assert [(row["question"], row["passage"]) for row in rows] == [
        (f"What did {n} see?", f"Carl saw {n} ships! ") for n in (1, 2)
    ]
    assert [row["context"] for row in rows] == [CONTEXT.format(n=n) for n in (1, 2)]
    assert source.report()[0]["dropped"] == {"no answer": 1}


def test_the_loss_in_a_batch_by_hand(new_model, tokenizer):
    texts = [
        ("good day", "fine", "fine . a bit"),
        ("Ulm", "odd", ""),
        ("saw Anna", "the king", "the king was there"),
    ]
    rows = dataset(
        [dict(zip(("question", "passage", "context"), row, strict=True)) for row in texts]
    )
    part = features.of_examples("pair", rows, tokenizer, 32)
    model = new_model({"t": "pair"}).eval()
    assert not list(model.heads.parameters())

    def vector(row: int) -> np.ndarray:
        ids = torch.tensor(part.slice("ids", row).astype(np.int64))[None]
        with torch.no_grad():
            first = (
                model.encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
                .last_hidden_state[0, 0]
                .numpy()
            )
        return first / np.linalg.norm(first)

    units = [2, 0, 1]
    cosines = 20 * np.array([[vector(2 * i) @ vector(2 * j + 1) for j in units] for i in units])
    wanted = np.mean([np.log(np.exp(row).sum()) - row[n] for n, row in enumerate(cosines)])
    batch = batches.collate("t", part, units, tokenizer.pad_token_id)
    loss = model(**batch)["loss"]
    assert loss.item() == pytest.approx(wanted, rel=1e-4)
    (rows,) = evaluation.predict(model, "t", [part], tokenizer.pad_token_id)
    assert rows == pytest.approx(np.stack([vector(n) for n in range(6)]), abs=1e-5)


def test_a_checkpoint_can_be_chosen_on_development_pairs(new_model, tokenizer):
    texts = ["good day", "fine", "the king saw Anna", "Ulm"]
    rows = [{"question": text, "passage": text, "context": ""} for text in [*texts, texts[0]]]
    data = FakeData(Table({("mewslix_pairs", "dev", "en"): dataset(rows)}), tokenizer)
    model = new_model({"mewslix_pairs": "pair"})
    where = ("mewslix_pairs", data, "mewslix_pairs", "dev", ["en"])
    (score,), frame = evaluation.score(model, *where, max_length=32)
    assert (score["metric"], score["main"], score["n"]) == ("map_at_20", True, 5)
    assert score["value"] == 100 and frame["gold"].tolist()[-1] == '["0"]', (
        "equal texts are one passage"
    )
    assert score["chance"] == pytest.approx(20 * (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5))


# ----- rankings -----
class Placed:
    """A task whose sentences have vectors of their own: (side, id, item, match, angle in degrees)."""

    tokenizer = SimpleNamespace(pad_token_id=1)

    def __init__(self, rows: dict[str, list[tuple]]) -> None:
        self.given, self.source = rows, self

    def languages(self, *_):
        return [code for code in self.given if code != "candidates"]

    def rows(self, _name, _role, code):
        names = ("side", "id", "item", "match")
        return dataset(
            [
                {**dict(zip(names, row[:4], strict=True)), "cluster": row[2]}
                for row in self.given[code]
            ]
        )

    def features(self, _name, _role, code, max_length):
        angles = np.array([row[4] for row in self.given[code]], np.int32)
        return Features("sentence", {"ids": angles, "starts": np.arange(len(angles) + 1)})

    def split_name(self, *_):
        return "validation"


def of_angles(_model, _head, parts, _pad):
    """Vectors on the unit circle."""
    turned = [np.deg2rad(part.arrays["ids"]) for part in parts]
    return [np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32) for angle in turned]


@pytest.mark.parametrize("block", [1, 2, 100])
def test_answers_are_ranked_among_those_of_all_languages(tmp_path, monkeypatch, block):
    monkeypatch.setattr(evaluation, "predict", of_angles)
    monkeypatch.setattr(search, "BLOCK", (block, block))
    data = Placed({
        "en": [("target", "en:p#0", "en:p#0", None, 0), ("source", "q1", "q1", "en:p#0", 2),
               ("target", "en:p#1", "en:p#1", None, 30), ("source", "q2", "q2", "en:p#1", 31)],
        "de": [("target", "de:p#0", "de:p#0", None, 90), ("target", "de:p#1", "de:p#1", None, 40),
               ("source", "q1", "q1", "de:p#0", 88), ("source", "q2", "q2", "de:p#1", 70)],
    })  # fmt: skip
    scores = ranking.rank(None, "t", data, "lareqa", "dev", tmp_path, max_length=8)
    frame = pd.read_parquet(tmp_path / "predictions" / "lareqa.dev.parquet").set_index(
        ["language", "id"]
    )
    assert json.loads(frame.loc["en", "q1"].prediction) == ["en:p#0", "en:p#1", "de:p#1", "de:p#0"]
    assert json.loads(frame.loc["de", "q1"].gold) == ["de:p#0", "en:p#0"], "right in every language"
    # q2 in German looks from 70 degrees: de:p#0 (20 off), de:p#1 (30), en:p#1 (40), en:p#0
    wanted = {
        ("en", "q1"): (1 + 2 / 4) / 2,
        ("en", "q2"): 1.0,
        ("de", "q1"): (1 + 2 / 4) / 2,
        ("de", "q2"): 7 / 12,
    }
    assert frame["ap"].to_dict() == pytest.approx(wanted)
    assert {s["language"]: s["value"] for s in scores} == pytest.approx(
        {"en": 87.5, "de": 100 * (0.75 + 7 / 12) / 2}
    )
    assert {(s["metric"], s["main"], s["n"], s["split"]) for s in scores} == {
        ("map_at_20", True, 2, "validation")
    }
    assert 0 < scores[0]["chance"] < 100
    few = ranking.rank(None, "t", data, "lareqa", "dev", tmp_path, max_length=8, most=1)
    assert [s["n"] for s in few] == [1, 1] and few[0]["value"] == pytest.approx(75.0)


def test_mentions_look_among_the_entities(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "predict", of_angles)
    data = Placed({
        "ar": [("source", "ar-0-source", "ar-0-source", "Q7", 10)],
        "candidates": [("target", "Q5", "Q5", None, 12), ("target", "Q7", "Q7", None, 20)],
    })  # fmt: skip
    (score,) = ranking.rank(None, "t", data, "mewslix", "dev", tmp_path, max_length=8)
    assert (score["language"], score["value"], score["chance"]) == ("ar", 50.0, pytest.approx(75.0))


# ----- all of it -----
@pytest.mark.slow
def test_a_study_of_what_xtreme_r_adds(tmp_path, monkeypatch):
    path, outputs = file_of(tmp_path), tmp_path / "outputs"
    ended = xfer("run", path, outputs=outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    monkeypatch.setenv("XFER_OUTPUTS", str(outputs))
    frame = results.scores(outputs / "extra").query("main")
    assert set(frame["arm"]) == {"none", "squad"} and frame["value"].between(0, 100).all()
    found = frame.groupby("target").agg(
        {"metric": "first", "language": set, "train_task": "first", "n": "first"}
    )
    assert found.loc["xcopa"].tolist() == [
        "accuracy",
        {"et"},
        "copa",
        8,
    ]  # English is not one of XCOPA's languages
    assert found.loc["lareqa"].tolist() == ["map_at_20", {"en", "de"}, "squad_answers", 6]
    assert found.loc["mewslix"].tolist() == ["map_at_20", {"en", "de"}, "mewslix_pairs", 5]
    assert set(frame.query("same_data")[["arm", "target"]].itertuples(index=False, name=None)) == {
        ("squad", "lareqa")
    }
    assert set(results.intermediate_scores(outputs / "extra")["trained on"]) == {"squad"}
    read = results.examples(outputs / "extra")
    for target, run in frame.groupby("target")["run"].first().items():
        assert {"id", "item", "cluster", "gold", "prediction", "language", "split"} <= set(
            read(run, target)
        )
    ended = xfer("report", path, outputs=outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    table = (outputs / "extra" / "tables" / "main.tidy.csv").read_text()
    assert "Social IQa" not in table and all(
        name in table for name in ("xcopa", "lareqa", "mewslix")
    )
