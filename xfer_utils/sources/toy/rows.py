"""From items to rows: an item spoken in a language as one row of its task's hub schema."""

from typing import Any

import pyarrow as pa

from xfer_utils.sources.toy.grammar import NP, Utterance, Word, ending, phrase, speak
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.pairs import Pair, Said
from xfer_utils.sources.toy.questions import Choice, Span

Row = dict[str, Any]
NER_LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
PAIR_COLUMNS = {"qqp": ("question1", "question2"), "pawsx": ("sentence1", "sentence2")}
TAG_COLUMNS = {"udpos": "upos", "ccg": "supertags", "panx": "ner_tags"}
_ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
SCHEMAS = {  # of the tasks whose lists may all be empty; the others' types show in the rows
    task: pa.schema([*((name, pa.string()) for name in columns.split()), ("answers", _ANSWERS)])
    for tasks, columns in (
        ("squad squad_v2 tydiqa", "id title context question"),
        ("xquad mlqa", "id context question"),
    )
    for task in tasks.split()
}


def text(lexicon: Lexicon, utterances: Said) -> str:
    """Several utterances as running text, words parted by spaces."""
    return " ".join(word.form for one in utterances for word in speak(lexicon, one))


def said(lexicon: Lexicon, utterance: Utterance) -> str:
    """One utterance as text."""
    return text(lexicon, (utterance,))


def meaning(item: Any) -> Any:
    """What makes two items the same: all but the label and the order of options."""
    if isinstance(item, Choice):
        return item.context, item.question, tuple(sorted(map(repr, item.options)))
    return item


def row(task: str, lexicon: Lexicon, split: str, index: int, item: Any) -> Row:
    """The row of an item, whose type and task tell its columns."""
    name = f"{task}-{split}" if task != "tydiqa" else f"{task}-{lexicon.language.code}-{split}"
    if isinstance(item, Pair):
        first, second = PAIR_COLUMNS.get(task, ("premise", "hypothesis"))
        number = {"qqp": {"idx": index}, "pawsx": {"id": index}}.get(task, {})
        return {
            **number,
            first: text(lexicon, item.first),
            second: text(lexicon, item.second),
            "label": item.label,
        }
    if isinstance(item, Span):
        title = {} if task in ("xquad", "mlqa") else {"title": f"{name}-page-{index // 4:04d}"}
        return {"id": f"{name}-{index:05d}", **title, **_span(lexicon, item)}
    if isinstance(item, Choice):
        makers = {
            "hellaswag": _hellaswag,
            "cosmos_qa": _cosmos_qa,
            "commonsense_qa": _commonsense_qa,
        }
        return makers[task](lexicon, index, item)
    words = speak(lexicon, item)
    return {
        "tokens": [word.form for word in words],
        TAG_COLUMNS[task]: [_tag(task, word) for word in words],
    }


def _tag(task: str, word: Word) -> str | int:
    return {"udpos": word.tag, "ccg": word.category}.get(task) or NER_LABELS.index(word.entity)


def _span(lexicon: Lexicon, item: Span) -> Row:
    """Context, question and answers; the answer is all words of the asked role in the sentence that tells it."""
    before: list[str] = []
    answers: Row = {"text": [], "answer_start": []}
    for number, one in enumerate(item.context):
        words = speak(lexicon, one)
        forms = [word.form for word in words]
        if number == item.told:
            inside = [i for i, word in enumerate(words) if word.role == item.role]
            answers["text"] = [" ".join(forms[inside[0] : inside[-1] + 1])]
            answers["answer_start"] = [sum(len(form) + 1 for form in before + forms[: inside[0]])]
        before += forms
    return {
        "context": " ".join(before),
        "question": said(lexicon, item.question),
        "answers": answers,
    }


def _hellaswag(lexicon: Lexicon, index: int, item: Choice) -> Row:
    first = text(lexicon, item.context)
    second = f"{lexicon.forms['then']} {phrase(lexicon, item.options[0].subject)}"
    return {
        "ind": index, "activity_label": item.context[0].clause.verb, "ctx_a": first, "ctx_b": second,
        "ctx": f"{first} {second}", "endings": [ending(lexicon, option) for option in item.options],
        "label": str(item.label),
    }  # fmt: skip


def _option(lexicon: Lexicon, option: NP | str) -> str:
    return lexicon.forms[option] if isinstance(option, str) else phrase(lexicon, option)


def _cosmos_qa(lexicon: Lexicon, index: int, item: Choice) -> Row:
    answers = {f"answer{i}": _option(lexicon, option) for i, option in enumerate(item.options)}
    asked = {"context": text(lexicon, item.context), "question": said(lexicon, item.question)}
    return {"id": f"cosmos-{index:05d}", **asked, **answers, "label": item.label}


def _commonsense_qa(lexicon: Lexicon, index: int, item: Choice) -> Row:
    return {
        "id": f"commonsense-{index:05d}", "question": said(lexicon, item.question),
        "question_concept": lexicon.forms[item.question.clause.subject.head],
        "choices": {"label": list("ABCDE"), "text": [_option(lexicon, option) for option in item.options]},
        "answerKey": "ABCDE"[item.label],
    }  # fmt: skip
