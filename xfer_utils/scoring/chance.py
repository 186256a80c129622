"""The score of guessing."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from xfer_utils.scoring import answers, formulas, metrics, tags
from xfer_utils.study.tasks import Task


def chance(row: Task, rows: Sequence[Mapping] | None = None, language: str = "en") -> float:
    """The main score (0..100) of guessing in one language.

    1/labels and 1/choices; for F1 of tags the shuffled gold tags; for tagging by accuracy the
    majority tag; for questions random spans; for retrieval one in the pool of target sentences; for
    pairs a random order. NaN where it needs canonical `rows` and has none.
    """
    if row.format == "sequence":
        return 100 / len(row.labels)
    if row.format == "choice":
        return 100 / row.choices
    rows = list(rows or [])
    if not rows:
        return float("nan")
    if row.format == "pair":
        return formulas.random_precision(1, len(rows))
    if row.format == "span":
        return random_spans(row, rows, language)
    if row.format == "sentence":
        return 100 / max(1, sum(line["side"] == "target" for line in rows))
    gold = [[_name(row, tag) for tag in line["tags"] if tag != -100] for line in rows]
    return majority_rate(gold) if row.metric == "accuracy" else random_tags(row, gold)


def _name(row: Task, tag: int | str) -> str:
    return row.labels[tag] if row.labels and not isinstance(tag, str) else str(tag)


def majority_rate(gold: Iterable[Sequence]) -> float:
    """Accuracy (0..100) of giving every token the commonest gold tag."""
    counts = Counter(tag for sentence in gold for tag in sentence)
    return 100 * max(counts.values()) / counts.total()


def random_tags(row: Task, gold: Sequence[Sequence[str]], seed: int = 0) -> float:
    """The score of the gold tags shuffled over all tokens: a tagger that knows frequencies."""
    pool = [tag for sentence in gold for tag in sentence]
    random.Random(seed).shuffle(pool)
    rest = iter(pool)
    counts = [tags.tag_counts(sentence, [next(rest) for _ in sentence]) for sentence in gold]
    return metrics.scores(row, pd.DataFrame(counts))[metrics.main_metric(row.metric)]


def random_spans(row: Task, rows: Sequence[Mapping], language: str = "en", seed: int = 0) -> float:
    """The score of random spans, each as long in words as the answer of some random question.

    Words are what stands between spaces; where a text has hardly any (Thai, Chinese), characters.
    """
    draw, counts = random.Random(seed), []
    for line in rows:
        other = draw.choice(rows)["answers"]["text"]
        spaced = len(line["context"].split()) * 15 > len(line["context"])
        matches = re.finditer(r"\S+" if spaced else r"\S", line["context"])
        words = [match.span() for match in matches] or [(0, 0)]
        length = len(other[0].split() if spaced else other[0]) if len(other) else 1
        first = draw.randrange(max(1, len(words) - length + 1))
        last = min(first + max(1, length), len(words)) - 1
        text = line["context"][words[first][0] : words[last][1]]
        counts.append(answers.answer_counts(text, line["answers"]["text"], row.metric, language))
    return metrics.scores(row, pd.DataFrame(counts))[metrics.main_metric(row.metric)]
