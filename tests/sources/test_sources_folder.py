"""Local folders: file formats, what is missing, revisions, text, CCG, real data where there are."""

import gzip
import json
import lzma
from pathlib import Path

import pytest
from datasets import Dataset

from xfer_utils.sources.catalogue import MalformedRow, MissingData, open_source
from xfer_utils.sources.folder import FolderSource
from xfer_utils.study.tasks import registry, task

SHARED = Path(__file__).parents[2] / "shared" / "data"
ROW = {"premise": "p", "hypothesis": "h", "label": 0}


def put(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# ----- formats -----
def test_three_formats_give_the_same_rows(tmp_path):
    rows = [ROW | {"label": n % 3} for n in range(3)]
    put(tmp_path / "a", "mnli/en.train.jsonl", lines(*rows))
    put(tmp_path / "b", "mnli/en.train.jsonl.gz", gzip.compress(lines(*rows).encode()))
    (tmp_path / "c/mnli").mkdir(parents=True)
    Dataset.from_list(rows).to_parquet(tmp_path / "c/mnli/en.train.parquet")
    found = [list(FolderSource(tmp_path / name).read("mnli", "train")) for name in "abc"]
    assert found[0] == found[1] == found[2] and len(found[0]) == 3


def test_the_same_data_twice_is_refused(tmp_path):
    put(tmp_path, "mnli/en.train.jsonl", lines(ROW))
    put(tmp_path, "mnli/en.train.jsonl.gz", gzip.compress(lines(ROW).encode()))
    with pytest.raises(ValueError, match=r"more than once \(en.train.jsonl.gz, en.train.jsonl\)"):
        FolderSource(tmp_path).read("mnli", "train")


def test_several_splits_are_one_role_and_their_rows_keep_apart(tmp_path):
    for part in (1, 2, 3):
        put(tmp_path, f"anli/en.train_r{part}.jsonl", lines(ROW))
    assert FolderSource(tmp_path).read("anli", "train")["id"][:] == [
        "train_r1:0",
        "train_r2:0",
        "train_r3:0",
    ]


def test_anli_plus_joins_its_parts(tmp_path):
    for name in (
        "anli/en.train_r1",
        "anli/en.train_r2",
        "anli/en.train_r3",
        "mnli/en.train",
        "snli/en.train",
    ):
        put(tmp_path, f"{name}.jsonl", lines(ROW))
    source = FolderSource(tmp_path)
    rows = source.read("anli_plus", "train")
    assert rows["id"][:] == [
        "anli:train_r1:0",
        "anli:train_r2:0",
        "anli:train_r3:0",
        "mnli:0",
        "snli:0",
    ]
    assert source.label_names("anli_plus") == ["entailment", "neutral", "contradiction"]
    (tmp_path / "snli/en.train.jsonl").unlink()
    assert not source.has("anli_plus", "train")
    with pytest.raises(MissingData, match="SNLI"):
        source.read("anli_plus", "train")


def test_the_study_may_name_other_splits(tmp_path):
    put(
        tmp_path,
        "pawsx/en.validation.jsonl",
        lines({"id": 1, "sentence1": "a", "sentence2": "b", "label": 1}),
    )
    assert not FolderSource(tmp_path).has("pawsx", "train")
    source = open_source(
        f"folder:{tmp_path}", data_dir=tmp_path, splits={"pawsx": {"train": "validation"}}
    )
    assert len(source.read("pawsx", "train")) == 1


def test_languages_are_those_with_data_for_the_split_that_is_evaluated(tmp_path):
    row = {"tokens": ["a"], "upos": ["X"]}
    for name in ("sw.validation", "en.validation", "af.validation", "th.test"):
        put(tmp_path, f"udpos/{name}.jsonl", lines(row))
    source = FolderSource(tmp_path)
    assert source.languages("udpos") == ["en", "af", "sw"]
    assert source.languages("udpos", "test") == ["th"]
    assert source.languages("xnli") == []


# ----- what is missing -----
def test_missing_data_says_what_where_and_what_to_do(tmp_path):
    put(tmp_path, "xnli/en.validation.jsonl", lines(ROW))
    with pytest.raises(MissingData) as error:
        FolderSource(tmp_path).read("xnli", "dev", "sw")
    for part in (
        "XNLI (xnli)",
        "validation",
        "'sw'",
        str(tmp_path / "xnli"),
        "there are files for: en",
    ):
        assert part in str(error.value)
    with pytest.raises(MissingData, match="it trains on mnli"):
        FolderSource(tmp_path).read("xnli", "train")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(MissingData, match="there is no folder"):
        open_source(f"folder:{tmp_path}/none", data_dir=tmp_path)
    with pytest.raises(ValueError, match="unknown source 'huub'"):
        open_source("huub", data_dir=tmp_path)


def test_a_table_with_other_columns(tmp_path):
    put(tmp_path, "mnli/en.train.jsonl", lines({"premise": "p", "text": "h", "label": 0}))
    with pytest.raises(
        ValueError, match=r"MNLI needs the column hypothesis; the table has premise, text, label"
    ):
        FolderSource(tmp_path).read("mnli", "train")


# ----- revisions -----
def test_a_revision_changes_with_the_data_of_its_task_alone(tmp_path):
    put(tmp_path, "mnli/en.train.jsonl", lines(ROW))
    put(tmp_path, "text/en.txt", "one\n")
    source = FolderSource(tmp_path)
    before = {name: source.revision(name) for name in ("mnli", "anli_plus", "qqp")} | {
        "text": source.text_revision()
    }
    put(tmp_path, "mnli/en.train.jsonl", lines(ROW, ROW))
    after = {name: source.revision(name) for name in ("mnli", "anli_plus", "qqp")} | {
        "text": source.text_revision()
    }
    assert {name for name in before if before[name] != after[name]} == {"mnli", "anli_plus"}
    put(tmp_path, "qqp/en.train.jsonl", "")
    assert source.revision("qqp") != after["qqp"]


# ----- text -----
def test_text_in_every_packing_and_from_parallel_sets(tmp_path):
    put(tmp_path, "text/en.txt", " one \n\ntwo\n")
    put(tmp_path, "text/sw.txt.xz", lzma.compress(b"moja\n"))
    put(tmp_path, "text/parallel/news/sw.txt.xz", lzma.compress(b"mbili\n\n"))
    put(tmp_path, "text/parallel/news/ids.txt.xz", lzma.compress(b"a\nb\n"))
    put(tmp_path, "text/de.txt.gz", gzip.compress(b"eins\n"))
    source = FolderSource(tmp_path)
    assert source.text_languages() == ["de", "en", "sw"]
    assert [list(source.text(code)) for code in ("en", "sw", "de")] == [
        ["one", "two"],
        ["moja", "mbili"],
        ["eins"],
    ]
    with pytest.raises(MissingData, match="no text for 'fr'"):
        list(source.text("fr"))


# ----- CCG -----
CCG = {
    "tsv": "Ada sleeps\tNP S\\NP\n\nBob|x runs\tNP (S\\NP)/PP\n",
    "auto": "ID=wsj_0001.1 PARSER=GOLD\n"
    "(<T S 0 2> (<L NP NNP NNP Ada NP>) (<L S\\NP VBZ VBZ sleeps S\\NP_1>) )\n"
    "ID=wsj_0001.2 PARSER=GOLD\n"
    "(<T S 0 2> (<L NP NNP NNP Bob|x NP>) (<L (S\\NP)/PP VBZ VBZ runs (S\\NP)/PP_1>) )\n",
    "jsonl": lines(
        {"tokens": ["Ada", "sleeps"], "supertags": ["NP", "S\\NP"]},
        {"tokens": ["Bob|x", "runs"], "supertags": ["NP", "(S\\NP)/PP"]},
    ),
}


@pytest.mark.parametrize("ending", CCG)
def test_ccg_in_every_format(tmp_path, ending):
    put(tmp_path, f"ccg/en.train.{ending}", CCG[ending])
    put(tmp_path, f"ccg/en.validation.{ending}", CCG[ending].replace("/PP", "/XX"))
    source = FolderSource(tmp_path)
    names = source.label_names("ccg")
    assert source.languages("ccg", "train") == ["en"]
    assert names == ["(S\\NP)/PP", "NP", "S\\NP"]
    rows = list(source.read("ccg", "train"))
    assert [row["tokens"] for row in rows] == [["Ada", "sleeps"], ["Bob|x", "runs"]]
    assert [[names[tag] for tag in row["tags"]] for row in rows] == [
        ["NP", "S\\NP"],
        ["NP", "(S\\NP)/PP"],
    ]
    assert [row["tags"] for row in source.read("ccg", "dev")] == [[1, 2], [1, -100]]
    assert source.report()[-1]["odd"] == {"tags ignored": 1}


@pytest.mark.parametrize(
    ("ending", "line", "problem"),
    [
        ("tsv", "Ada sleeps NP", "there is no tab"),
        ("tsv", "Ada sleeps\tNP", "1 supertags for 2 tokens"),
        ("auto", "(<T S 0 2> (<L NP NNP>) )", "a derivation with leaves"),
    ],
)
def test_malformed_ccg_names_file_and_line(tmp_path, ending, line, problem):
    put(tmp_path, f"ccg/en.train.{ending}", CCG[ending] + line + "\n")
    with pytest.raises(MalformedRow) as error:
        FolderSource(tmp_path).read("ccg", "train")
    assert problem in str(error.value)
    assert f"en.train.{ending}, line {CCG[ending].count(chr(10)) + 1}, column 1" in str(error.value)


def test_without_ccg_it_says_that_it_is_licensed_and_where_it_would_be_read(tmp_path):
    with pytest.raises(MissingData) as error:
        FolderSource(tmp_path).read("ccg", "train")
    for part in ("LDC2005T13", "licensed", str(tmp_path / "ccg"), ".auto", ".tsv"):
        assert part in str(error.value)


# ----- real data, where there are some -----
@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder of real data beside the project")
@pytest.mark.parametrize("name", registry())
def test_every_task_with_real_files_loads(name):
    source = FolderSource(SHARED)
    roles = [role for role in ("train", "dev", "test") if source.languages(name, role)]
    if not roles:
        pytest.skip(f"the folder has no files for {name}")
    for role in roles:
        for code in source.languages(name, role)[:3]:
            rows = source.read(name, role, code)
            assert len(rows) and len(set(rows["id"])) == len(rows)
    for report in source.report():
        assert report["rows"] > 0
        assert sum(report["odd"].values()) <= 0.02 * report["rows"], report


@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder of real data beside the project")
def test_complete_real_sets_have_the_official_number_of_rows():
    source = FolderSource(SHARED)
    for name in (
        "xnli",
        "xquad",
        "tydiqa",
        "mlqa",
        "hellaswag",
        "commonsense_qa",
        "social_i_qa",
        "xcopa",
        "tatoeba",
    ):
        for role in task(name).splits:
            for code in source.languages(name, role):
                source.read(name, role, code)
    wrong = [report for report in source.report() if report["as_expected"] is False]
    assert wrong == []
    assert sum(report["as_expected"] is True for report in source.report()) > 80
