"""From items to rows: an item spoken in a language as one row of its task's hub schema."""

from typing import Any

import pyarrow as pa

from xfer_utils.sources.toy.grammar import NP, Utterance, Word, ending, phrase, speak
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.pairs import Pair
from xfer_utils.sources.toy.questions import Choice, Span

Row = dict[str, Any]
NER_LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
PAIR_COLUMNS = {"qqp": ("question1", "question2"), "pawsx": ("sentence1", "sentence2")}
NUMBER_COLUMNS = {"qqp": "idx", "pawsx": "id"}
SPAN_COLUMNS = {
    **dict.fromkeys(("squad", "squad_v2", "tydiqa"), ("id", "title", "context", "question")),
    **dict.fromkeys(("xquad", "mlqa"), ("id", "context", "question")),
}
ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
# Of the tasks whose lists may all be empty; the others' types show in the rows.
SCHEMAS = {
    task: pa.schema([*((name, pa.string()) for name in columns), ("answers", ANSWERS)])
    for task, columns in SPAN_COLUMNS.items()
}


def text(lexicon: Lexicon, *utterances: Utterance) -> str:
    """Utterances as running text, words parted by spaces."""
    return " ".join(word.form for said in utterances for word in speak(lexicon, said))


def meaning(item: Any) -> Any:
    """What makes two items the same: all but the label and the order of options."""
    if isinstance(item, Choice):
        return item.context, item.question, tuple(sorted(map(repr, item.options)))
    return item


def row(task: str, lexicon: Lexicon, split: str, index: int, item: Any) -> Row:
    """The row of an item, whose type and task tell its columns."""
    if isinstance(item, Pair):
        return _pair(task, lexicon, index, item)
    if isinstance(item, Span):
        return _span(task, lexicon, split, index, item)
    if isinstance(item, Choice):
        return CHOICES[task](lexicon, index, item)
    return _tagged(task, speak(lexicon, item))


def _pair(task: str, lexicon: Lexicon, index: int, item: Pair) -> Row:
    first, second = PAIR_COLUMNS.get(task, ("premise", "hypothesis"))
    number = {NUMBER_COLUMNS[task]: index} if task in NUMBER_COLUMNS else {}
    texts = {first: text(lexicon, *item.first), second: text(lexicon, *item.second)}
    return {**number, **texts, "label": item.label}


def _tagged(task: str, words: list[Word]) -> Row:
    tokens = {"tokens": [word.form for word in words]}
    if task == "udpos":
        return {**tokens, "upos": [word.tag for word in words]}
    if task == "ccg":
        return {**tokens, "supertags": [word.category for word in words]}
    return {**tokens, "ner_tags": [NER_LABELS.index(word.entity) for word in words]}


def _span(task: str, lexicon: Lexicon, split: str, index: int, item: Span) -> Row:
    """The answer is all words of the asked role in the sentence that tells it."""
    before: list[str] = []
    answers: Row = {"text": [], "answer_start": []}
    for number, utterance in enumerate(item.context):
        words = speak(lexicon, utterance)
        forms = [word.form for word in words]
        if number == item.told:
            places = [place for place, word in enumerate(words) if word.role == item.role]
            answers["text"] = [" ".join(forms[places[0] : places[-1] + 1])]
            answers["answer_start"] = [sum(len(form) + 1 for form in before + forms[: places[0]])]
        before += forms
    language = f"{lexicon.language.code}-" if task == "tydiqa" else ""
    name = f"{task}-{language}{split}"
    title = {"title": f"{name}-page-{index // 4:04d}"} if "title" in SPAN_COLUMNS[task] else {}
    texts = {"context": " ".join(before), "question": text(lexicon, item.question)}
    return {"id": f"{name}-{index:05d}", **title, **texts, "answers": answers}


def _hellaswag(lexicon: Lexicon, index: int, item: Choice) -> Row:
    first = text(lexicon, *item.context)
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


def _cosmos_qa(lexicon: Lexicon, index: int, item: Choice) -> Row:
    answers = {f"answer{n}": _option(lexicon, option) for n, option in enumerate(item.options)}
    texts = {"context": text(lexicon, *item.context), "question": text(lexicon, item.question)}
    return {"id": f"cosmos-{index:05d}", **texts, **answers, "label": item.label}


def _commonsense_qa(lexicon: Lexicon, index: int, item: Choice) -> Row:
    options = [_option(lexicon, option) for option in item.options]
    return {
        "id": f"commonsense-{index:05d}",
        "question": text(lexicon, item.question),
        "question_concept": lexicon.forms[item.question.clause.subject.head],
        "choices": {"label": list("ABCDE"), "text": options},
        "answerKey": "ABCDE"[item.label],
    }


CHOICES = {"hellaswag": _hellaswag, "cosmos_qa": _cosmos_qa, "commonsense_qa": _commonsense_qa}
