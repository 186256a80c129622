"""From items to rows: each task's hub schema, and an item spoken in a language as one row of it."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from xfer_utils.sources.toy.grammar import NP, Clause, Utterance, ending, phrase, speak, text
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.pairs import Pair
from xfer_utils.sources.toy.questions import Choice, Span

Row = dict[str, Any]
NER_LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")


def _schema(strings: str, integers: str = "", **others: pa.DataType) -> pa.Schema:
    fields = [(name, pa.string()) for name in strings.split()] + [(name, pa.int64()) for name in integers.split()]
    return pa.schema(fields + list(others.items()))


_WORDS = pa.list_(pa.string())
_NLI = _schema("premise hypothesis", "label")
_ANSWERS = pa.struct([("text", _WORDS), ("answer_start", pa.list_(pa.int32()))])
_TITLED = _schema("id title context question", answers=_ANSWERS)
_UNTITLED = _schema("id context question", answers=_ANSWERS)
SCHEMAS = {
    **dict.fromkeys(("mnli", "snli", "anli", "xnli"), _NLI),
    "qqp": _schema("question1 question2", "label idx"),
    "pawsx": _schema("sentence1 sentence2", "id label"),
    **dict.fromkeys(("squad", "squad_v2", "tydiqa"), _TITLED),
    **dict.fromkeys(("xquad", "mlqa"), _UNTITLED),
    "hellaswag": _schema("activity_label ctx_a ctx_b ctx label", "ind", endings=_WORDS),
    "ccg": _schema("", tokens=_WORDS, supertags=_WORDS),
    "cosmos_qa": _schema("id context question answer0 answer1 answer2 answer3", "label"),
    "commonsense_qa": _schema(
        "id question question_concept answerKey", choices=pa.struct([("label", _WORDS), ("text", _WORDS)])
    ),
    "udpos": _schema("", tokens=_WORDS, upos=_WORDS),
    "panx": _schema("", tokens=_WORDS, ner_tags=pa.list_(pa.int64())),
    "tatoeba": _schema("source_sentence target_sentence source_lang target_lang"),
    "bucc2018": _schema("id sentence"),
    "bucc2018.gold": _schema("source_id target_id"),
}


def plain(clause: Clause) -> Utterance:
    """A clause said plainly."""
    return Utterance(clause)


def said(lexicon: Lexicon, utterance: Utterance) -> str:
    """One utterance as text."""
    return text(lexicon, (utterance,))


def meaning(item: Any) -> Any:
    """What makes two items the same: all but the order of options and the label."""
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Choice):
        item = item[1]
    if isinstance(item, Choice):
        return item.context, item.question, tuple(sorted(map(repr, item.options)))
    return item


def nli(lexicon: Lexicon, index: int, item: Pair) -> Row:
    """A row of MNLI, SNLI, ANLI or XNLI."""
    return {"premise": text(lexicon, item.first), "hypothesis": text(lexicon, item.second), "label": item.label}


def qqp(lexicon: Lexicon, index: int, item: Pair) -> Row:
    """A row of QQP."""
    questions = {"question1": text(lexicon, item.first), "question2": text(lexicon, item.second)}
    return {**questions, "label": item.label, "idx": index}


def pawsx(lexicon: Lexicon, index: int, item: Pair) -> Row:
    """A row of PAWS-X."""
    sentences = {"sentence1": text(lexicon, item.first), "sentence2": text(lexicon, item.second)}
    return {"id": index, **sentences, "label": item.label}


def span(prefix: str, titled: bool = False) -> Callable[[Lexicon, int, Span], Row]:
    """Rows of SQuAD and its kin; four questions in a row share a title where there is one."""

    def row(lexicon: Lexicon, index: int, item: Span) -> Row:
        context, answers = "", {"text": [], "answer_start": []}
        for number, one in enumerate(item.context):
            words = speak(lexicon, one)
            if number == item.told:
                inside = [i for i, word in enumerate(words) if word.role == item.role]
                before = [*([context] if context else []), *(word.form for word in words[: inside[0]])]
                answers["text"] = [" ".join(words[i].form for i in inside)]
                answers["answer_start"] = [len(" ".join(before)) + bool(before)]
            context = " ".join([*([context] if context else []), *(word.form for word in words)])
        question = text(lexicon, (item.question,))
        title = {"title": f"{prefix}-page-{index // 4:04d}"} if titled else {}
        return {"id": f"{prefix}-{index:05d}", **title, "context": context, "question": question, "answers": answers}

    return row


def hellaswag(lexicon: Lexicon, index: int, item: Choice) -> Row:
    """A row of HellaSwag: the story so far, the start of its next sentence, four endings."""
    first = text(lexicon, item.context)
    second = f"{lexicon.forms['then']} {phrase(lexicon, item.options[0].subject)}"
    return {
        "ind": index,
        "activity_label": item.context[0].clause.verb,
        "ctx_a": first,
        "ctx_b": second,
        "ctx": f"{first} {second}",
        "endings": [ending(lexicon, option) for option in item.options],
        "label": str(item.label),
    }


def _option(lexicon: Lexicon, option: NP | str) -> str:
    return lexicon.forms[option] if isinstance(option, str) else phrase(lexicon, option)


def cosmos_qa(lexicon: Lexicon, index: int, item: Choice) -> Row:
    """A row of Cosmos QA."""
    answers = {f"answer{i}": _option(lexicon, option) for i, option in enumerate(item.options)}
    question = said(lexicon, item.question)
    return {
        "id": f"cosmos-{index:05d}", "context": text(lexicon, item.context), "question": question, **answers,
        "label": item.label,
    }  # fmt: skip


def commonsense_qa(lexicon: Lexicon, index: int, item: tuple[str, Choice]) -> Row:
    """A row of CommonsenseQA."""
    noun, choice = item
    texts = [_option(lexicon, option) for option in choice.options]
    return {
        "id": f"commonsense-{index:05d}",
        "question": said(lexicon, choice.question),
        "question_concept": lexicon.forms[noun],
        "choices": {"label": list("ABCDE"), "text": texts},
        "answerKey": "ABCDE"[choice.label],
    }


def udpos(lexicon: Lexicon, index: int, item: Utterance) -> Row:
    """A row of POS."""
    words = speak(lexicon, item)
    return {"tokens": [word.form for word in words], "upos": [word.tag for word in words]}


def ccg(lexicon: Lexicon, index: int, item: Utterance) -> Row:
    """A row of CCG supertags."""
    words = speak(lexicon, item)
    return {"tokens": [word.form for word in words], "supertags": [word.category for word in words]}


def panx(lexicon: Lexicon, index: int, item: Utterance) -> Row:
    """A row of NER."""
    words = speak(lexicon, item)
    tags = [NER_LABELS.index(word.entity) for word in words]
    return {"tokens": [word.form for word in words], "ner_tags": tags}


def tatoeba(lexicon: Lexicon, english: Lexicon, item: Utterance) -> Row:
    """A pair of parallel sentences."""
    sides = {"source_sentence": said(lexicon, item), "target_sentence": said(english, item)}
    return {**sides, "source_lang": lexicon.language.code, "target_lang": "en"}
