"""From items to rows: an item spoken in a language as one row of its task's hub schema."""

from typing import Any

from xfer_utils.sources.toy.grammar import KIND_OF, NP, Clause, Words, phrase, speak
from xfer_utils.sources.toy.lexicon import Lexicon
from xfer_utils.sources.toy.meaning import Universe, fact_clause
from xfer_utils.sources.toy.pairs import Pair
from xfer_utils.sources.toy.questions import Choice, Mention, Span

Row = dict[str, Any]
NER_LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
TITLED = ("squad", "squad_v2", "tydiqa")  # tasks whose rows name the page


def text(lexicon: Lexicon, *clauses: Clause) -> str:
    """Clauses as running text, words parted by spaces."""
    return " ".join(word.form for clause in clauses for word in speak(lexicon, clause))


def row(task: str, lexicon: Lexicon, split: str, index: int, item: Any) -> Row:
    """The row of an item, whose type and task tell its columns."""
    if isinstance(item, Pair):
        first, second = text(lexicon, *item.first), text(lexicon, item.second)
        if task == "qqp":
            return {"idx": index, "question1": first, "question2": second, "label": item.label}
        if task == "pawsx":
            return {"id": index, "sentence1": first, "sentence2": second, "label": item.label}
        return {"premise": first, "hypothesis": second, "label": item.label}
    if isinstance(item, Span):
        return _span(task, lexicon, split, index, item)
    if isinstance(item, Choice):
        return CHOICES[task](lexicon, index, item)
    if isinstance(item, Mention):
        name = f"mewslix-{lexicon.language.code}-{split}-{index:05d}"
        return {"example_id": name, "mention": _marked(lexicon, item), "entity_id": item.entity}
    words = speak(lexicon, item)
    tokens = [word.form for word in words]
    if task == "udpos":
        return {"tokens": tokens, "upos": [word.tag for word in words]}
    if task == "ccg":
        return {"tokens": tokens, "supertags": [word.category for word in words]}
    return {"tokens": tokens, "ner_tags": [NER_LABELS.index(word.entity) for word in words]}


def _span(task: str, lexicon: Lexicon, split: str, index: int, item: Span) -> Row:
    """The answer is all words of the asked role in the sentence that tells it."""
    answers: Row = {"text": [], "answer_start": []}
    if item.told >= 0:
        words = speak(lexicon, item.context[item.told])
        places = _places(words, item.role)
        forms = [word.form for word in words]
        before = [text(lexicon, said) for said in item.context[: item.told]] + forms[: places[0]]
        answers["text"] = [" ".join(forms[places[0] : places[-1] + 1])]
        answers["answer_start"] = [sum(len(part) + 1 for part in before)]
    name = f"{task}-{lexicon.language.code}-{split}" if task == "tydiqa" else f"{task}-{split}"
    title = {"title": f"{name}-page-{index // 4:04d}"} if task in TITLED else {}
    texts = {"context": text(lexicon, *item.context), "question": text(lexicon, item.question)}
    return {"id": f"{name}-{index:05d}", **title, **texts, "answers": answers}


def _places(words: Words, role: str) -> list[int]:
    return [place for place, word in enumerate(words) if word.role == role]


def _hellaswag(lexicon: Lexicon, index: int, item: Choice) -> Row:
    first = text(lexicon, *item.context)
    second = f"{lexicon.forms['then']} {phrase(lexicon, item.options[0].subject)}"
    endings = [option._replace(subject=None) for option in item.options]
    return {
        "ind": index, "activity_label": item.context[0].verb,
        "ctx_a": first, "ctx_b": second, "ctx": f"{first} {second}",
        "endings": [text(lexicon, ending) for ending in endings], "label": str(item.label),
    }  # fmt: skip


def _option(lexicon: Lexicon, word: str) -> str:
    return phrase(lexicon, NP(word)) if word in KIND_OF else lexicon.forms[word]


def _cosmos_qa(lexicon: Lexicon, index: int, item: Choice) -> Row:
    answers = {f"answer{n}": _option(lexicon, option) for n, option in enumerate(item.options)}
    texts = {"context": text(lexicon, *item.context), "question": text(lexicon, item.question)}
    return {"id": f"cosmos-{index:05d}", **texts, **answers, "label": item.label}


def _commonsense_qa(lexicon: Lexicon, index: int, item: Choice) -> Row:
    options = [_option(lexicon, option) for option in item.options]
    return {
        "id": f"commonsense-{index:05d}", "question": text(lexicon, item.question),
        "question_concept": lexicon.forms[item.question.subject.head],
        "choices": {"label": list("ABCDE"), "text": options}, "answerKey": "ABCDE"[item.label],
    }  # fmt: skip


def _copa(lexicon: Lexicon, index: int, item: Choice) -> Row:
    first, second = (text(lexicon, option) for option in item.options)
    return {
        "premise": text(lexicon, *item.context), "choice1": first, "choice2": second,
        "question": item.question, "idx": index, "label": item.label,
    }  # fmt: skip


def _social_i_qa(lexicon: Lexicon, index: int, item: Choice) -> Row:
    answers = zip("ABC", item.options, strict=True)
    return {
        "context": text(lexicon, *item.context), "question": f"{lexicon.forms['then']} ?",
        **{f"answer{name}": text(lexicon, option) for name, option in answers},
        "label": str(item.label + 1),
    }  # fmt: skip


def _marked(lexicon: Lexicon, item: Mention) -> str:
    """A sentence with braces around what is mentioned."""
    words = speak(lexicon, item.said)
    places, forms = _places(words, item.role), [word.form for word in words]
    forms[places[0]] = "{ " + forms[places[0]]
    forms[places[-1]] += " }"
    return " ".join(forms)


def described(lexicon: Lexicon, universe: Universe, entity: str) -> str:
    """All that the world knows of a thing, in a language."""
    facts = [fact_clause(*key, value) for key, value in universe.facts.items() if key[0] == entity]
    return text(lexicon, *facts)


CHOICES = {
    "copa": _copa, "xcopa": _copa, "social_i_qa": _social_i_qa, "hellaswag": _hellaswag,
    "cosmos_qa": _cosmos_qa, "commonsense_qa": _commonsense_qa,
}  # fmt: skip
