"""From gold and prediction to counts of items, and from their sums to scores (0..100).

Sums are numbers, or arrays with one entry per draw of a bootstrap; `n` is the number of items.
"""

import json
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from xfer_utils.study.tasks import Task

Sums = Mapping[str, ArrayLike]
Scores = dict[str, np.ndarray]
CELLS = ("gold class ", "predicted class ", "right class ")  # how columns begin, one per class
PAIRS = ("tp", "n_pred", "n_gold")
TAGS = (*PAIRS, "n_tokens", "n_correct")
ANSWERS = ("em", "f1")
TOP = 20  # ranks that count
ARTICLES = {
    "en": r"\b(?:an?|the)\b",
    "es": r"\b(?:el|las?|los|un|unas?|unos)\b",
    "vi": r"\b(?:cái|chiếc|của|là|những)\b",
    "de": r"\b(?:das|de[mnrs]|die|ein|eine[mnrs]?)\b",
    "ar": "ال",  # wherever it stands in a word, as in the official evaluation
}


def percent(part: ArrayLike, whole: ArrayLike, n: ArrayLike = 0) -> np.ndarray:
    """100 * part / whole; nothing in nothing is NaN, or 0 where n > 0 items were scored (F1)."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((whole == 0) & (np.asarray(n) > 0), 0.0, 100 * part / whole)


def correct_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """Whether gold and prediction are the same."""
    return pd.DataFrame({"correct": (frame["gold"] == frame["prediction"]).astype(int)})


def always_commonest(frame: pd.DataFrame) -> pd.DataFrame:
    """The same items, all answered with the commonest gold class: what a score has to exceed."""
    return frame[["gold", "language"]].assign(prediction=frame["gold"].mode().iloc[0])


def accuracy(sums: Sums) -> Scores:
    """Share of right items; of right tokens where items are tagged sentences."""
    if "n_tokens" in sums:
        return {"accuracy": percent(sums["n_correct"], sums["n_tokens"])}
    return {"accuracy": percent(sums["correct"], sums["n"])}


def class_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """For each class, whether an item is of it, was taken for it, and both."""
    columns: dict[str, pd.Series] = {}
    for name in sorted({*frame["gold"], *frame["prediction"]}):
        gold, predicted = frame["gold"] == name, frame["prediction"] == name
        for start, cell in zip(CELLS, (gold, predicted, gold & predicted), strict=True):
            columns[f"{start}{name}"] = cell.astype(int)
    return pd.DataFrame(columns, index=frame.index)


def macro_f1(sums: Sums) -> Scores:
    """Mean F1 over the classes that occur in gold or prediction."""
    gold, predicted, right = (
        np.array([sums[name] for name in sorted(sums.keys()) if name.startswith(start)])
        for start in CELLS
    )
    f1 = percent(2 * right, gold + predicted, n=1).sum(axis=0)
    return {"macro_f1": percent(f1 / 100, (gold + predicted > 0).sum(axis=0))}


def chunks(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Chunks (type, first, last) of one sentence by the rules of conlleval, as XTREME has them.

    A tag's first letter is its prefix; what follows its last hyphen, or the whole tag, is its type.
    So a run of equal POS tags is one chunk, but SCONJ and SYM ("single") are one chunk a token. Not
    seqeval's since 1.0: it cuts a letter off tags without hyphen, so that CCONJ and SCONJ are one.
    """
    result, first = set(), None
    types = [tag.rsplit("-", 1)[-1] for tag in tags]
    for i, tag in enumerate([*tags, "O"]):
        if first is not None:
            inside = tag[0] not in "BSO" and tags[i - 1][0] not in "ES"
            if inside and types[i] == types[i - 1]:
                continue
            result.add((types[i - 1], first, i - 1))
        first = None if tag[0] == "O" else i
    return result


def tag_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """Chunks and right tokens of each sentence; gold and prediction are lists of tags as JSON."""
    counts = []
    for columns in zip(frame["gold"], frame["prediction"], strict=True):
        gold, predicted = map(json.loads, columns)
        ours, theirs = chunks(predicted), chunks(gold)
        right = sum(a == b for a, b in zip(gold, predicted, strict=True))
        counts.append((len(ours & theirs), len(ours), len(theirs), len(gold), right))
    return pd.DataFrame(counts, frame.index, TAGS)


def tag_scores(sums: Sums) -> Scores:
    """F1 of chunks, and accuracy of tokens."""
    f1 = percent(2 * sums["tp"], sums["n_pred"] + sums["n_gold"], sums["n"])
    return {"f1": f1, **accuracy(sums)}


def normalise_squad(text: str) -> str:
    """SQuAD 1.1: in every language no ASCII punctuation and no English articles."""
    letters = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(ARTICLES["en"], " ", letters).split())


def normalise_mlqa(text: str, language: str) -> str:
    """MLQA: no Unicode punctuation, no articles of the language, a token per Chinese character."""
    letters = (char for char in text.lower() if char not in string.punctuation)
    text = "".join(char for char in letters if unicodedata.category(char)[0] != "P")
    if language in ARTICLES:
        text = re.sub(ARTICLES[language], " ", text)
    if language == "zh":
        text = re.sub(r"([\u4e00-\u9fa5])", r" \1 ", text)
    return " ".join(text.split())


def token_f1(prediction: str, gold: str) -> float:
    """F1 of the bags of tokens of two normalised answers; 0 where they share none, as in SQuAD."""
    ours, theirs = prediction.split(), gold.split()
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


def answer_counts(
    prediction: str, golds: Sequence[str], metric: str = "squad", language: str = "en"
) -> dict[str, float]:
    """`em` and `f1` (0..1) of one answer: for each the best over the gold answers."""
    ours, *theirs = (
        normalise_mlqa(text, language) if metric == "mlqa" else normalise_squad(text)
        for text in (prediction, *golds)
    )
    if not theirs:  # unanswerable questions of SQuAD 2.0
        return {"em": int(not ours), "f1": float(not ours)}
    return {"em": int(ours in theirs), "f1": max(token_f1(ours, gold) for gold in theirs)}


def answer_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """The counts of each question; gold is a list of answers as JSON."""
    rows = zip(frame["prediction"], frame["gold"].map(json.loads), frame["language"], strict=True)
    counts = [answer_counts(text, gold, row.metric, language) for text, gold, language in rows]
    return pd.DataFrame(counts, index=frame.index)


def answer_scores(sums: Sums) -> Scores:
    """F1, exact match, and `qa`, the mean of the two."""
    f1, em = (percent(sums[name], sums["n"]) for name in ("f1", "em"))
    return {"f1": f1, "em": em, "qa": (f1 + em) / 2}


def mining_counts(pairs: Iterable[tuple], gold: set[tuple]) -> pd.DataFrame:
    """An item per pair, mined or gold, with its counts (0 or 1)."""
    ours, partner, rows = set(pairs), dict(gold), []
    for pair in sorted(ours | gold):
        mined, right, name = int(pair in ours), int(pair in gold), pair[0]
        counts = (mined * right, mined, right)
        rows.append((*counts, name, name, name, partner.get(name, ""), pair[1]))
    return pd.DataFrame(rows, columns=[*PAIRS, "id", "item", "cluster", "gold", "prediction"])


def pair_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """The counts as they stand: that a gold pair was not mined is written nowhere else."""
    return frame[[*PAIRS]]


def pair_scores(sums: Sums) -> Scores:
    """F1, precision and recall of the mined pairs."""
    right, mined, gold, n = (sums[name] for name in (*PAIRS, "n"))
    precision, recall = percent(right, mined, n), percent(right, gold, n)
    return {"f1": percent(2 * right, mined + gold, n), "precision": precision, "recall": recall}


def average_precision(ranked: Sequence[str], gold: Iterable[str]) -> float:
    """Average precision (0..1) of the first ranks, divided by the number of gold items there."""
    gold, hits, total = set(gold), 0, 0.0
    for rank, item in enumerate(ranked[:TOP], start=1):
        if item in gold and item not in ranked[: rank - 1]:  # a second time counts nothing
            hits += 1
            total += hits / rank
    return total / min(len(gold), TOP)


def random_precision(n_gold: int, n_pool: int) -> float:
    """Expected average precision (0..100) of a pool in random order with n_gold right items."""
    ranks = np.arange(1, min(TOP, n_pool) + 1)
    right_before = (ranks - 1) * (n_gold - 1) / max(1, n_pool - 1)
    mean = float(((1 + right_before) / ranks).sum())
    return 100 * n_gold / n_pool * mean / min(n_gold, TOP)


def ranked_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """Average precision of each query; gold and prediction are lists of ids as JSON."""
    pairs = zip(frame["prediction"].map(json.loads), frame["gold"].map(json.loads), strict=True)
    return pd.DataFrame({"ap": [average_precision(*pair) for pair in pairs]}, index=frame.index)


def ranked_scores(sums: Sums) -> Scores:
    """Mean average precision of the first 20."""
    return {"map_at_20": percent(sums["ap"], sums["n"])}
