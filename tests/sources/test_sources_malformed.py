"""Rows and files that cannot be read are reported with file, line and column."""

import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_sources_folder import ROW, lines, put

from xfer_utils.sources.catalogue import MalformedRow
from xfer_utils.sources.folder import FolderSource


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ('{"premise": "p", "hypothesis": }', r"line 2, column 32: not JSON"),
        ('["p", "h", 0]', r"line 2, column 1: an object was expected, not list"),
        (
            '{"premise": "p", "label": 0}',
            r"line 2, column 'hypothesis': missing; the row has premise, label",
        ),
        (
            '{"premise": "p", "hypothesis": null, "label": 0}',
            r"line 2, column 'hypothesis': text was expected, not None",
        ),
        (
            '{"premise": "p", "hypothesis": "h", "label": 9}',
            r"line 2, column 'label': label 9 is not one of",
        ),
        (b'{"premise": "\xff"}', r"line 2, column 14: not UTF-8"),
    ],
)
def test_a_malformed_row_is_reported_with_file_line_and_column(tmp_path, second, problem):
    second = second if isinstance(second, bytes) else second.encode()
    put(tmp_path, "mnli/en.train.jsonl", lines(ROW).encode() + second + b"\n")
    with pytest.raises(MalformedRow, match=rf"en\.train\.jsonl, {problem}"):
        FolderSource(tmp_path).read("mnli", "train")


def test_line_numbers_count_empty_lines_and_earlier_batches(tmp_path):
    good = "\n" + lines(*[ROW] * 6000)
    put(tmp_path, "mnli/en.train.jsonl", good + lines(ROW | {"label": "x"}))
    with pytest.raises(MalformedRow, match="line 6002, column 'label'"):
        FolderSource(tmp_path).read("mnli", "train")


def test_a_file_cut_short_is_noticed(tmp_path):
    whole = gzip.compress(lines(*[ROW | {"premise": str(n) * 50} for n in range(500)]).encode())
    put(tmp_path, "mnli/en.train.jsonl.gz", whole[: len(whole) // 2])
    with pytest.raises(MalformedRow, match="the file ends or breaks here"):
        FolderSource(tmp_path).read("mnli", "train")
    put(tmp_path, "snli/en.train.parquet", b"PAR1 and no more")
    with pytest.raises(MalformedRow, match="no whole parquet file"):
        FolderSource(tmp_path).read("snli", "train")


SQUAD = {"id": "1", "title": "T", "context": "Ada came.", "question": "Who?"}


def answered(answers: object) -> bytes:
    """Two rows of SQuAD, the second with these answers."""
    good = {"text": ["Ada"], "answer_start": [0]}
    return lines(SQUAD | {"answers": good}, SQUAD | {"id": "2", "answers": answers}).encode()


def damaged_page() -> bytes:
    """A parquet file with a broken page in its last column."""
    table = pa.table({"premise": ["p"] * 9, "label": [0] * 9, "hypothesis": ["rain" * 90] * 9})
    pq.write_table(table, file := io.BytesIO(), compression="snappy", use_dictionary=False)
    whole, column = file.getvalue(), pq.read_metadata(file).row_group(0).column(2)
    end = column.data_page_offset + column.total_compressed_size
    return whole[: end - 20] + bytes(20) + whole[end:]


LISTS = "lists 'text' and 'answer_start' were expected"


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        (
            "squad/en.train.jsonl",
            answered({"text": "Ada", "answer_start": 0}),
            rf"line 2, column 'answers': {LISTS}",
        ),
        (
            "squad/en.train.jsonl",
            answered({"text": None, "answer_start": [0]}),
            rf"line 2, column 'answers': {LISTS}",
        ),
        ("squad/en.train.jsonl", answered("Ada"), rf"line 2, column 'answers': {LISTS}"),
        ("squad/en.train.jsonl", answered(["Ada"]), rf"line 2, column 'answers': {LISTS}"),
        (
            "squad/en.train.jsonl",
            answered([{"text": "Ada"}]),
            rf"line 2, column 'answers': {LISTS}",
        ),
        (
            "squad/en.train.jsonl",
            answered({"text": ["Ada"], "answer_start": [2**31]}),
            rf"line 2, column 'answers': {LISTS}",
        ),
        (
            "mnli/en.train.parquet",
            damaged_page(),
            r"is no whole parquet file .*: copy it again",
        ),
        (
            "ccg/en.train.tsv",
            b"Ada sleeps\tNP S\\NP\nAd\xe1 sleeps\tNP S\\NP\n",
            r"line 2, column 3: not UTF-8",
        ),
    ],
)
def test_what_cannot_be_read_is_reported_with_its_place(tmp_path, file, content, problem):
    path = put(tmp_path, file, content)
    with pytest.raises(MalformedRow, match=rf"{path.name},? {problem}"):
        FolderSource(tmp_path).read(path.parent.name, "train")


def test_an_empty_table_is_no_rows_and_a_note(tmp_path):
    put(tmp_path, "mnli/en.train.jsonl", "")
    source = FolderSource(tmp_path)
    assert len(source.read("mnli", "train")) == 0
    assert "the table is empty" in source.report()[0]["notes"]
