"""The toy world's dials, files and features: determinism, schemas, sizes, distances."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from test_toy_reader import Reader

from xfer_utils.sources.toy import words as W
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.questions import Choice
from xfer_utils.sources.toy.world import (
    DEFAULT12,
    ENGLISH,
    MANY24,
    SIZES,
    VERSION,
    Language,
    Sizes,
    World,
)
from xfer_utils.sources.toy.write import Writer, write_world
from xfer_utils.study.settings_file import SettingsError

TINY = World(seed=1, family="tiny", sizes="tiny")
ROWS = SIZES["tiny"]
COLUMNS = {
    "mnli/en.train": "premise hypothesis label",
    "snli/en.validation": "premise hypothesis label",
    "anli/en.train_r1": "premise hypothesis label",
    "anli/en.dev_r3": "premise hypothesis label",
    "xnli/qcb.test": "premise hypothesis label",
    "qqp/en.validation": "question1 question2 label idx",
    "squad/en.train": "id title context question answers",
    "squad_v2/en.validation": "id title context question answers",
    "tydiqa/qaa.validation": "id title context question answers",
    "xquad/qcb.validation": "id context question answers",
    "mlqa/qaa.test": "id context question answers",
    "hellaswag/en.train": "activity_label ctx_a ctx_b ctx label ind endings",
    "ccg/en.train": "tokens supertags",
    "cosmos_qa/en.train": "id context question answer0 answer1 answer2 answer3 label",
    "commonsense_qa/en.train": "id question question_concept answerKey choices",
    "pawsx/qaa.validation": "id sentence1 sentence2 label",
    "udpos/qcb.validation": "tokens upos",
    "panx/qcb.test": "tokens ner_tags",
    "tatoeba/qaa.test": "source_sentence target_sentence source_lang target_lang",
    "bucc2018/qaa-en.qaa.validation": "id sentence",
    "bucc2018/qaa-en.en.test": "id sentence",
    "bucc2018/qaa-en.gold.test": "source_id target_id",
}


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    write_world(TINY, path)
    return path


def test_same_world_same_bytes_in_another_process(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from xfer_utils.sources.toy.world import World; "
        "from xfer_utils.sources.toy.write import Writer, write_world; "
        "write_world(World.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", code, TINY.model_dump_json(), str(tmp_path)]
    subprocess.run(arguments, check=True, env={**os.environ, "PYTHONHASHSEED": "77"})
    assert contents(tmp_path) == contents(folder)


# What version of the generator gives which tiny world: a change of the files needs a new number.
GOLDEN = {2: "805e0a2489925744"}


def test_other_files_need_another_version(folder: Path) -> None:
    mark = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.suffix == ".parquet":
            content = json.dumps(pq.read_table(path).to_pylist())
        else:
            content = path.read_text(encoding="utf-8")
        mark.update(f"{path.relative_to(folder)}\0{content}\n".encode())
    assert mark.hexdigest()[:16] == GOLDEN.get(VERSION), (
        "the toy world's files have changed: raise VERSION in toy/world.py and add its hash here"
    )


def test_another_seed_is_another_world(folder: Path, tmp_path: Path) -> None:
    write_world(TINY.model_copy(update={"seed": 2}), tmp_path)
    ours, others = contents(folder), contents(tmp_path)
    assert ours.keys() == others.keys()
    assert [name for name in ours if ours[name] == others[name]] == ["languages.csv"]


@pytest.mark.parametrize("name", COLUMNS)
def test_columns(folder: Path, name: str) -> None:
    rows = pd.read_parquet(folder / f"{name}.parquet")
    assert set(rows.columns) == set(COLUMNS[name].split())
    assert len(rows) >= 8 and not rows.isna().any().any()


def test_every_file_is_known(folder: Path) -> None:
    tasks = {path.name for path in folder.iterdir()} - {"text", "languages.csv"}
    assert tasks == {name.split("/")[0] for name in COLUMNS}
    assert {p.stem for p in (folder / "text").iterdir()} == {"en", "qaa", "qcb"}
    assert not (folder / "tatoeba" / "en.test.parquet").exists()


def test_sizes(folder: Path) -> None:
    expected = {
        "mnli/en.train": ROWS.intermediate_train, "qqp/en.validation": ROWS.intermediate_dev,
        "pawsx/en.train": ROWS.pawsx_train, "xnli/qaa.validation": ROWS.target_dev,
        "panx/qcb.test": ROWS.target_test, "tydiqa/en.train": ROWS.tydiqa_train,
        "bucc2018/qaa-en.en.validation": ROWS.bucc_pool,
        "bucc2018/qaa-en.gold.test": ROWS.bucc_pool // 3,
    }  # fmt: skip
    assert {name: len(pd.read_parquet(folder / f"{name}.parquet")) for name in expected} == expected
    lines = (folder / "text" / "qaa.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == ROWS.text_lines * 4 and all(lines)


def test_translations_are_aligned_and_tydiqa_is_not(folder: Path) -> None:
    for task, split in (("xnli", "test"), ("pawsx", "validation")):
        labels = [
            pd.read_parquet(folder / task / f"{c}.{split}.parquet").label.tolist()
            for c in ("en", "qaa", "qcb")
        ]
        assert labels[0] == labels[1] == labels[2]
    ids = [
        pd.read_parquet(folder / "xquad" / f"{c}.validation.parquet").id.tolist()
        for c in ("en", "qaa", "qcb")
    ]
    assert ids[0] == ids[1] == ids[2] and len(set(ids[0])) == len(ids[0])
    whole, part = (
        set(pd.read_parquet(folder / "mlqa" / f"{c}.test.parquet").id) for c in ("en", "qaa")
    )
    assert part < whole
    reads = {
        c: Reader(Lexicon(TINY, one))
        for c, one in zip(("en", "qaa"), TINY.tongues()[:2], strict=True)
    }
    events = []
    for code, reader in reads.items():
        rows = pd.read_parquet(folder / "tydiqa" / f"{code}.validation.parquet")
        events.append({m.core() for context in rows.context for m in reader.sentences(context)})
    assert events[0] != events[1]


def test_sentences_are_spoken_in_each_script(folder: Path) -> None:
    text = " ".join(pd.read_parquet(folder / "xnli" / "qcb.test.parquet").premise)
    letters = {letter for letter in text if letter.isalpha()}
    assert letters <= set(W.SCRIPTS["Cyrillic"]) and len(letters) > 15


def test_gold_pairs_of_comparable_corpora_are_the_only_translations(folder: Path) -> None:
    reader, english = Reader(Lexicon(TINY, TINY.tongues()[1])), Reader(Lexicon(TINY, ENGLISH))
    corpora = [
        pd.read_parquet(folder / "bucc2018" / f"qaa-en.{side}.test.parquet")
        for side in ("qaa", "en", "gold")
    ]
    own = {row.id: _said(reader, row.sentence) for row in corpora[0].itertuples()}
    other = {_said(english, row.sentence): row.id for row in corpora[1].itertuples()}
    found = {(mine, other[meaning]) for mine, meaning in own.items() if meaning in other}
    assert (
        found == set(corpora[2].itertuples(index=False, name=None))
        and len(found) == ROWS.bucc_pool // 3
    )


def _said(reader: Reader, sentence: str) -> tuple:
    (one,) = reader.sentences(sentence)
    return (
        one.verb,
        one.adverb,
        tuple(sorted((r, t.head, tuple(sorted(t.adjectives))) for r, t in one.roles.items())),
    )


def test_features_of_a_language_by_hand() -> None:
    one = Language(
        code="qtz", name="Test", family="Avian", word_order="SOV", adposition="post", case=True,
        script="Georgian",
        cognate_share=0.4, text_share=0.5,
    )  # fmt: skip
    row = one.features(500)
    assert (
        row["syntactic_distance"] == 0.5
        and row["lexical_distance"] == 0.6
        and row["resource_class"] == "low"
    )
    assert row["distance"] == pytest.approx((2 * 0.5 + 2 * 0.6 + 1) / 5)
    assert ENGLISH.features(10)["distance"] == 0


def dials_of(table: pd.DataFrame) -> pd.DataFrame:
    """The dials as numbers."""
    return pd.DataFrame({
        "order": table.word_order != "SVO", "final": table.word_order == "SOV",
        "first": table.word_order == "VSO",
        "adjective": table.adjective_order == "after", "adposition": table.adposition == "post",
        "determiners": table.determiners, "case": table.case, "number": table.number,
        "script": table.script != "Latin", "cognates": table.cognate_share,
        "text": np.log(table.text_share),
    }).astype(float)  # fmt: skip


@pytest.mark.parametrize("languages", [DEFAULT12, MANY24])
def test_shipped_languages(languages) -> None:
    """No two dials go together, so that their effects can be told apart."""
    table = pd.DataFrame([one.features(1) for one in languages])
    dials, same = dials_of(table), {"order", "final", "first"}
    for a, b in itertools.combinations(dials, 2):
        if not {a, b} <= same:
            assert abs(dials[a].corr(dials[b])) <= 0.3, (a, b, dials[a].corr(dials[b]))
    assert abs(table.distance.corr(np.log(table.text_share))) < 0.3
    assert table.cognate_share.min() >= 0.15 and table.script.nunique() >= 3
    assert (table.groupby("family").resource_class.nunique() == 3).all()


def test_families_of_twelve_lie_at_four_distances() -> None:
    table = pd.DataFrame([one.features(1) for one in DEFAULT12])
    assert (table.groupby("family").distance.mean().sort_index().diff().dropna() > 0.08).all()


def test_families_of_twenty_four_hold_near_and_far_languages() -> None:
    """So a distance is told from a family, and each measure of it from the others."""
    table = pd.DataFrame([one.features(1) for one in MANY24])
    by_family = table.groupby("family").syntactic_distance
    assert len(by_family) == 6 and (by_family.size() == 4).all()
    assert by_family.mean().std() < 0.05 and (by_family.max() - by_family.min()).min() >= 0.3
    measures = table[["syntactic_distance", "lexical_distance", "script_distance"]]
    assert np.linalg.cond(measures.assign(text=np.log(table.text_share)).corr()) < 2
    world = World(family="many25")
    assert [one.code for one in world.tongues()] == ["en", *table.code]
    for one in world.tongues():
        forms = Lexicon(world, one).forms
        assert len(set(forms.values())) == len(forms), "two concepts share a word"


BAD = [{"sed": 1}, {"seed": -1}, {"family": "huge"}, {"romanised": 9}, {"sizes": "big"}]


@pytest.mark.parametrize("bad", [*BAD, {"sizes": {"rows": 3}}])
def test_wrong_dials_are_refused(bad: dict) -> None:
    with pytest.raises(ValidationError):
        World(**bad)


def test_wrong_languages_are_refused() -> None:
    with pytest.raises(ValidationError, match="English"):
        World(languages=DEFAULT12[:2])
    with pytest.raises(ValidationError, match="family"):
        Language(code="qaa", name="x", family="Xian")
    with pytest.raises(ValidationError):
        Language(code="qaa", name="x", family="Avian", cognate_share=0.1)


def test_too_many_rows_is_said_plainly(tmp_path: Path) -> None:
    writer = Writer(TINY, tmp_path)
    with pytest.raises(
        SettingsError, match=r"toy world: few train has only 1 of 9 different items"
    ):
        writer.draw("few", "train", 9, lambda draw: [Choice((), None, (draw.pool,), 0)], "train")


DIALS = st.builds(
    Language,
    code=st.just("qzz".replace("z", "s")), name=st.just("Any"),
    family=st.sampled_from(sorted(W.SOUND_CHANGES)),
    word_order=st.sampled_from(["SVO", "SOV", "VSO"]),
    adjective_order=st.sampled_from(["before", "after"]),
    adposition=st.sampled_from(["pre", "post"]), determiners=st.booleans(), case=st.booleans(),
    number=st.booleans(),
    script=st.sampled_from(sorted(W.SCRIPTS)), cognate_share=st.floats(0.15, 1),
    text_share=st.floats(0.1, 2),
)  # fmt: skip


@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(dials=DIALS, seed=st.integers(1, 9))
def test_any_language_says_the_same_as_english(
    tmp_path_factory, dials: Language, seed: int
) -> None:
    """Whatever the dials, both sides of a parallel pair are read back as the same meaning."""
    sizes = Sizes(
        intermediate_train=12, intermediate_dev=9, pawsx_train=9, target_dev=12, target_test=9,
        tydiqa_train=9,
        bucc_pool=12, text_lines=10, choice_train=9, tagging_train=9,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("any")
    world = World(seed=seed, languages=(ENGLISH, dials), sizes=sizes)
    write_world(world, path)
    reader, english = Reader(Lexicon(world, dials)), Reader(Lexicon(world, ENGLISH))
    for row in pd.read_parquet(path / "tatoeba" / "qss.test.parquet").itertuples():
        assert _said(reader, row.source_sentence) == _said(english, row.target_sentence)
    lexicon = Lexicon(world, dials)
    assert len(set(lexicon.forms.values())) == len(lexicon.forms), "two concepts share a word"
