"""Answers to questions, as SQuAD 1.1 and MLQA compare them with the gold answers."""

import json
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from xfer_utils.study.tasks import Task

COLUMNS = ("em", "f1")
ARTICLES = {
    "en": r"\b(?:an?|the)\b",
    "es": r"\b(?:el|las?|los|un|unas?|unos)\b",
    "vi": r"\b(?:cái|chiếc|của|là|những)\b",
    "de": r"\b(?:das|de[mnrs]|die|ein|eine[mnrs]?)\b",
    "ar": "ال",  # wherever it stands in a word, as in the official evaluation
}
HAN = re.compile(r"([\u4e00-\u9fa5])")


def normalise_squad(text: str) -> str:
    """SQuAD 1.1: in every language no ASCII punctuation and no English articles."""
    letters = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(ARTICLES["en"], " ", letters).split())


def normalise_mlqa(text: str, language: str) -> str:
    """MLQA: no Unicode punctuation, no articles of the language, a token per Chinese character.

    A language that MLQA does not cover has no articles and is split at spaces.
    """
    letters = "".join(
        c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P"
    )
    if language in ARTICLES:
        letters = re.sub(ARTICLES[language], " ", letters)
    if language == "zh":
        letters = HAN.sub(r" \1 ", letters)
    return " ".join(letters.split())


def token_f1(prediction: str, gold: str) -> float:
    """F1 of the bags of tokens of two normalised answers; 0 where they share none, as in SQuAD."""
    ours, theirs = prediction.split(), gold.split()
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


def answer_counts(
    prediction: str, golds: Sequence[str], metric: str = "squad", language: str = "en"
) -> dict[str, float]:
    """`em` and `f1` (0..1) of one answer: for each the best over the gold answers.

    Without gold answers (unanswerable questions of SQuAD 2.0) only the empty prediction is right.
    """

    def normalise(text: str) -> str:
        return normalise_mlqa(text, language) if metric == "mlqa" else normalise_squad(text)

    ours = normalise(prediction)
    if not len(golds):
        return {"em": int(not ours), "f1": float(not ours)}
    theirs = [normalise(gold) for gold in golds]
    return {"em": int(ours in theirs), "f1": max(token_f1(ours, gold) for gold in theirs)}


def answer_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """The counts of each question; gold is a list of answers as JSON."""
    golds = frame["gold"].map(json.loads)
    rows = zip(frame["prediction"], golds, frame["language"], strict=True)
    counts = [answer_counts(text, gold, row.metric, language) for text, gold, language in rows]
    return pd.DataFrame(counts, index=frame.index)
