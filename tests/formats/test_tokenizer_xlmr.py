"""Alignment of words and answers with the real XLM-R tokenizer, where its file is there."""

import gzip
import json
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from datasets import Dataset
from transformers import XLMRobertaTokenizer

from xfer_utils.formats import features
from xfer_utils.scoring.formulas import answer_counts
from xfer_utils.study import paths

DATA = paths.PROJECT.parent / "shared" / "data"
FILE = DATA / "tokenizers" / "xlm-roberta" / "tokenizer.json"
pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="needs the published XLM-R tokenizer.json beside the project"
)

SENTENCES = {
    "Thai": ["ผม", "ชอบ", "กิน", "ข้าวผัด", "มาก", "ๆ"],
    "Chinese": ["我", "喜欢", "自然", "语言", "处理", "。"],
    "Arabic": ["أحب", "قراءة", "الكُتُب", "العربيّة", "."],
    "Hindi": ["मुझे", "हिन्दी", "बोलना", "अच्छा", "लगता", "है", "।"],
    "emoji": ["I", "❤️", "👩‍👩‍👧‍👦", "🇩🇪", "!"],
    "combining": ["Cafe\u0301", "nai\u0308ve", "e\u0323", "A\u030a"],
    "full width": ["ＡＢＣ", "①", "ﬁn", "㎏"],
}
ANSWERS = {
    "Thai": ("ใครชอบข้าวผัด", "ผมชื่อสมชายและผมชอบกินข้าวผัดมาก", "ข้าวผัด"),
    "Chinese": ("他住在哪里?", "王先生住在北京市,工作在上海。", "北京市"),
    "Arabic": ("أين يسكن؟", "يسكن أحمد في مدينة القاهرة، ويعمل فيها.", "القاهرة"),
    "Hindi": ("राजधानी क्या है?", "भारत की राजधानी नई दिल्ली है।", "नई दिल्ली"),
    "emoji": ("Which?", "She sent 👩‍👩‍👧‍👦 and then ❤️ to us.", "❤️"),
    "combining": ("Where?", "They met at Cafe\u0301 Noir, nai\u0308vely.", "Cafe\u0301 Noir"),
}
MAY_CROSS = (
    "Thai",
    "Chinese",
)  # no spaces: a piece may hold the answer's last character and what follows it


@pytest.fixture(scope="module")
def words():
    return XLMRobertaTokenizer(tokenizer_file=str(FILE), model_max_length=512)


def test_it_is_the_published_tokenizer(words):
    """Ids of a sentence that the XLM-R paper's release documents: fairseq's Hello world! is 0 35378 8999 38 2."""
    assert words("Hello world!")["input_ids"] == [0, 35378, 8999, 38, 2]
    assert (len(words), words.pad_token_id, words.mask_token_id) == (250002, 1, 250001)
    pair = words("a", "b")["input_ids"]
    assert pair[0] == 0 and pair.count(2) == 3 and pair[2:4] == [2, 2]


@pytest.mark.parametrize("script", SENTENCES)
def test_each_word_carries_its_tag_on_its_first_piece(words, script):
    tokens = SENTENCES[script]
    tags = list(range(len(tokens)))
    rows = Dataset.from_dict({"id": ["1"], "tokens": [tokens], "tags": [tags]})
    part = features.of_examples("token", rows, words, 64)
    labels, ids = part.arrays["labels"], part.arrays["ids"]
    assert labels[labels >= 0].tolist() == tags, "a word lost its tag, or has two"
    assert part.arrays["words"][labels >= 0].tolist() == tags
    starts = [*np.flatnonzero(labels >= 0), len(ids) - 1]
    for word, (first, last) in zip(tokens, pairwise(starts), strict=True):
        text = words.decode(ids[first:last].tolist())
        assert _plain(text) == _plain(word) or words.unk_token in text


def _plain(text: str) -> str:
    """What the tokenizer keeps of a text: compatibility forms folded, no spaces, no joiners or variation signs."""
    kept = [c for c in unicodedata.normalize("NFKC", text) if c not in "\u200d\ufe0f"]
    return "".join("".join(kept).split())


def test_a_long_sentence_goes_on_in_the_next_row_without_losing_a_word(words):
    tokens = SENTENCES["Thai"] * 30
    rows = Dataset.from_dict({"id": ["1"], "tokens": [tokens], "tags": [list(range(len(tokens)))]})
    part = features.of_examples("token", rows, words, 32)
    labels = part.arrays["labels"]
    assert len(part) > 5 and part.lengths.max() <= 32
    assert labels[labels >= 0].tolist() == list(range(len(tokens)))


@pytest.mark.parametrize("script", ANSWERS)
def test_an_answer_comes_back_from_its_tokens(words, script):
    question, context, answer = ANSWERS[script]
    row = {"id": "1", "question": question, "context": context}
    row["answers"] = {"text": [answer], "answer_start": [context.index(answer)]}
    part = features.of_examples("span", Dataset.from_list([row]), words, 128)
    begin, end = _character_span(part, 0)
    assert context[begin:end].strip() == answer or script in MAY_CROSS
    assert context[begin:end].count(answer) == 1 and end - begin <= len(answer) + 2


def _character_span(part: features.Features, row: int) -> tuple[int, int]:
    first, last = part.arrays["target"][row]
    offsets = part.slice("offsets", row)
    return int(offsets[first][0]), int(offsets[last][1])


def _official(task: str, language: str, most: int) -> list[dict]:
    path = DATA / task / f"{language}.validation.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {task} in {language} beside the project")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][:most]
    return [{key: row[key] for key in ("id", "question", "context", "answers")} for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "de", "ru", "ar", "hi", "vi", "zh", "th"])
def test_answers_of_xquad_come_back_from_features(words, language):
    """Every answer stands in some window; its text comes back exactly unless a piece crosses its border.

    Such pieces join figures and punctuation (`2017.`), which the metric's normalisation mostly takes off again.
    """
    rows = _official("xquad", language, 1190)
    part = features.of_examples("span", Dataset.from_list(rows), words, 384, 128)
    found = np.zeros(len(rows), bool)
    exact, right = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for row, example in enumerate(part.arrays["example"]):
        if part.arrays["target"][row][0] == 0:
            continue
        begin, end = _character_span(part, row)
        answer = rows[example]["answers"]["text"][0]
        text = rows[example]["context"][begin:end]
        assert answer in text or answer.strip() == text.strip(), (answer, text)
        found[example] = True
        exact[example] |= text.strip() == answer.strip()
        right[example] |= answer_counts(text.strip(), [answer], "squad", language)["em"] == 1
    print(
        f"{language}: of {len(rows)} answers {exact.sum()} exact, {right.sum()} an exact match as scored"
    )
    assert found.all()
    assert exact.mean() > 0.95 and right.mean() > 0.985
