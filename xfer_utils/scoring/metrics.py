"""Scores as XTREME counts them, from the counts of single items: predictions on disk give every score again.

Item functions return the columns that an examples table keeps per item; `scores` adds them up for one
language. Each main score is a ratio of two sums over items (`ratio_parts`): the bootstrap resamples those.
"""

import random
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from xfer_utils.study.tasks import Task

MAIN = {
    "accuracy": "accuracy",
    "tag_f1": "f1",
    "span_f1": "f1",
    "squad": "qa",
    "mlqa": "qa",
    "mining_f1": "f1",
    "retrieval_accuracy": "accuracy",
    "map_at_20": "map_at_20",
}
ARTICLES = {
    "en": r"\b(?:an?|the)\b",
    "es": r"\b(?:el|las?|los|un|unas?|unos)\b",
    "vi": r"\b(?:cái|chiếc|của|là|những)\b",
    "de": r"\b(?:das|de[mnrs]|die|ein|eine[mnrs]?)\b",
    "ar": "ال",  # wherever it stands in a word, as in the official evaluation
}
HAN = re.compile(r"([\u4e00-\u9fa5])")


def main_metric(task_metric: str) -> str:
    """The name of the score that the tables show for a task with this metric."""
    return MAIN[task_metric]


# ----- answers to questions -----


def normalise_squad(text: str) -> str:
    """SQuAD 1.1, in every language: lower case, no ASCII punctuation, no English articles, single spaces."""
    kept = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(ARTICLES["en"], " ", kept).split())


def normalise_mlqa(text: str, language: str) -> str:
    """MLQA: all Unicode punctuation goes, articles are the language's own, each Chinese character is a token.

    A language that MLQA does not cover has no articles and is split at spaces.
    """
    kept = "".join(
        c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P"
    )
    if language in ARTICLES:
        kept = re.sub(ARTICLES[language], " ", kept)
    if language == "zh":
        kept = HAN.sub(r" \1 ", kept)
    return " ".join(kept.split())


def token_f1(prediction: str, gold: str) -> float:
    """F1 of the bags of tokens of two normalised answers; 0 where they share none, as in SQuAD 1.1."""
    ours, theirs = prediction.split(), gold.split()
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


def answer_counts(
    prediction: str, golds: Sequence[str], metric: str = "squad", language: str = "en"
) -> dict:
    """`em` and `f1` (0..1) of one answer: for each the best over the gold answers.

    Without gold answers (the unanswerable questions of SQuAD 2.0) only the empty prediction is right.
    """

    def normalise(text: str) -> str:
        return normalise_mlqa(text, language) if metric == "mlqa" else normalise_squad(text)

    ours = normalise(prediction)
    if not len(golds):
        return {"em": int(not ours), "f1": float(not ours)}
    theirs = [normalise(gold) for gold in golds]
    return {"em": int(ours in theirs), "f1": max(token_f1(ours, gold) for gold in theirs)}


# ----- tags and spans -----


def chunks(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Chunks (type, first, last) of one sentence by the rules of conlleval, as XTREME has them.

    A tag's first letter is its prefix; what follows its last hyphen, or the whole tag, is its type. POS tags
    have no prefix, so a run of equal tags is one chunk, except that SCONJ and SYM, which begin with S
    ("single"), are one chunk a token. This is seqeval 0.0.12, of XTREME's time. Since 1.0 the first letter is
    cut off a tag without hyphen, which makes CCONJ and SCONJ one type and loses X at the end of a sentence.
    """
    found, first = set(), None
    for i, tag in enumerate([*tags, "O"]):
        kind = tag.rsplit("-", 1)[-1]
        if first is not None:
            before = tags[i - 1]
            if kind == before.rsplit("-", 1)[-1] and tag[0] not in "BSO" and before[0] not in "ES":
                continue
            found.add((before.rsplit("-", 1)[-1], first, i - 1))
        first = None if tag[0] == "O" else i
    return found


def tag_counts(gold: Sequence[str], prediction: Sequence[str]) -> dict[str, int]:
    """Chunks and tokens of one sentence, POS or names: tp, n_pred, n_gold, n_tokens, n_correct."""
    if len(gold) != len(prediction):
        raise ValueError(
            f"a sentence has {len(gold)} gold tags but {len(prediction)} predicted ones."
        )
    ours, theirs = chunks(prediction), chunks(gold)
    right = sum(a == b for a, b in zip(gold, prediction, strict=True))
    counts = {"tp": len(ours & theirs), "n_pred": len(ours), "n_gold": len(theirs)}
    return counts | {"n_tokens": len(gold), "n_correct": right}


# ----- retrieval -----


def mining_counts(
    pairs: Iterable[tuple[str, str]], gold: Iterable[tuple[str, str]]
) -> pd.DataFrame:
    """One row per pair that is gold or predicted: source_id, target_id, tp, n_pred, n_gold (0 or 1 each)."""
    ours, theirs = set(pairs), set(gold)
    both = ours & theirs
    rows = [(*p, int(p in both), int(p in ours), int(p in theirs)) for p in sorted(ours | theirs)]
    return pd.DataFrame(rows, columns=["source_id", "target_id", "tp", "n_pred", "n_gold"])


def average_precision(ranked: Sequence[str], gold: Iterable[str], k: int = 20) -> float:
    """Average precision of the first k (0..1), divided by the number of gold items, at most k.

    An item ranked twice counts the first time.
    """
    gold, hits, total = set(gold), 0, 0.0
    for rank, item in enumerate(list(ranked)[:k], start=1):
        if item in gold and item not in ranked[: rank - 1]:
            hits += 1
            total += hits / rank
    return total / min(len(gold), k)


def random_precision(n_gold: int, n_pool: int, k: int = 20) -> float:
    """Expected average precision (0..100) of a pool in random order, of which n_gold items are right."""
    ranks = np.arange(1, min(k, n_pool) + 1)
    right_before = (ranks - 1) * (n_gold - 1) / max(1, n_pool - 1)
    return 100 * n_gold / n_pool * float(((1 + right_before) / ranks).sum()) / min(n_gold, k)


# ----- scores -----


def ratio_parts(task_metric: str, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator per item; the main score is 100 times the ratio of their sums."""
    ones = np.ones(len(frame))
    if task_metric.endswith("_f1"):
        top, bottom = 2 * frame["tp"], frame["n_pred"] + frame["n_gold"]
    elif task_metric in ("squad", "mlqa"):
        top, bottom = (frame["em"] + frame["f1"]) / 2, ones
    elif task_metric == "map_at_20":
        top, bottom = frame["ap"], ones
    elif "correct" in frame:
        top, bottom = frame["correct"], ones
    else:  # a tagging task that is scored by accuracy: CCG
        top, bottom = frame["n_correct"], frame["n_tokens"]
    return np.asarray(top, dtype=float), np.asarray(bottom, dtype=float)


def scores(task_metric: str, frame: pd.DataFrame) -> dict[str, float]:
    """All scores (0..100) of one language from its rows of the examples table; no rows give NaN.

    accuracy -> accuracy, and macro_f1 where gold and prediction are there; tag_f1, span_f1 -> f1, accuracy;
    squad, mlqa -> f1, em, qa; mining_f1 -> f1, precision, recall; retrieval_accuracy -> accuracy;
    map_at_20 (column `ap`) -> map_at_20.
    """
    top, bottom = (part.sum() for part in ratio_parts(task_metric, frame))
    found = {
        MAIN[task_metric]: _percent(
            top, bottom, empty=task_metric.endswith("_f1") and len(frame) > 0
        )
    }
    if task_metric == "accuracy" and {"correct", "gold", "prediction"} <= set(frame):
        found["macro_f1"] = macro_f1(frame["gold"], frame["prediction"])
    elif task_metric in ("tag_f1", "span_f1"):
        found["accuracy"] = _percent(frame["n_correct"].sum(), frame["n_tokens"].sum())
    elif task_metric in ("squad", "mlqa"):
        found = {
            "f1": 100 * float(frame["f1"].mean()),
            "em": 100 * float(frame["em"].mean()),
        } | found
    elif task_metric == "mining_f1":
        for name, whole in (("precision", "n_pred"), ("recall", "n_gold")):
            found[name] = _percent(frame["tp"].sum(), frame[whole].sum(), empty=len(frame) > 0)
    return found


def _percent(top: float, bottom: float, empty: bool = False) -> float:
    """100 * top / bottom; nothing in nothing is 0 for F1 of items that were scored, else NaN."""
    return 100 * float(top) / float(bottom) if bottom else (0.0 if empty else float("nan"))


def macro_f1(gold: Iterable, prediction: Iterable) -> float:
    """Mean F1 (0..100) over the classes that occur in gold or prediction."""
    pairs = Counter(zip(gold, prediction, strict=True))
    theirs, ours = Counter(), Counter()
    for (a, b), n in pairs.items():
        theirs[a] += n
        ours[b] += n
    classes = theirs.keys() | ours.keys()
    f1 = [2 * pairs[c, c] / (theirs[c] + ours[c]) for c in classes]
    return 100 * sum(f1) / len(f1) if f1 else float("nan")


# ----- chance -----


def majority_rate(gold: Iterable[Sequence]) -> float:
    """Accuracy (0..100) of giving every token the commonest gold tag."""
    counts = Counter(tag for tags in gold for tag in tags)
    return 100 * max(counts.values()) / counts.total()


def random_tags_f1(gold: Sequence[Sequence[str]], seed: int = 0) -> float:
    """Chunk F1 (0..100) of the gold tags shuffled over all tokens: a tagger that knows only frequencies."""
    pool = [tag for tags in gold for tag in tags]
    random.Random(seed).shuffle(pool)
    left = iter(pool)
    counts = [tag_counts(tags, [next(left) for _ in tags]) for tags in gold]
    return scores("span_f1", pd.DataFrame(counts))["f1"]


def random_span_qa(
    rows: Sequence[Mapping], metric: str = "squad", language: str = "en", seed: int = 0
) -> float:
    """(F1 + EM) / 2 of random spans, each as long (in words) as the gold answer of some random question.

    Words are what stands between spaces; where a text has hardly any (Thai, Chinese), its characters.
    """
    draw, counts = random.Random(seed), []
    for row in rows:
        other = draw.choice(rows)["answers"]["text"]
        spaced = len(row["context"].split()) * 15 > len(row["context"])
        words = [m.span() for m in re.finditer(r"\S+" if spaced else r"\S", row["context"])] or [
            (0, 0)
        ]
        length = len(other[0].split() if spaced else other[0]) if len(other) else 1
        first = draw.randrange(max(1, len(words) - length + 1))
        last = min(first + max(1, length), len(words)) - 1
        text = row["context"][words[first][0] : words[last][1]]
        counts.append(answer_counts(text, row["answers"]["text"], metric, language))
    return scores(metric, pd.DataFrame(counts))["qa"]


def chance(task: Task, rows: Sequence[Mapping] | None = None, language: str = "en") -> float:
    """The main score (0..100) of guessing in one language; NaN where it needs canonical `rows` and has none.

    1/labels and 1/choices; for F1 of tags the shuffled gold tags; for tagging by accuracy the majority tag;
    for questions random spans; for retrieval one in the pool of target sentences; for pairs a random order.
    """
    if task.format == "sequence":
        return 100 / len(task.labels)
    if task.format == "choice":
        return 100 / task.choices
    rows = list(rows or [])
    if not rows:
        return float("nan")
    if task.format == "pair":
        return random_precision(1, len(rows))
    if task.format == "span":
        return random_span_qa(rows, task.metric, language)
    if task.format == "sentence":
        return 100 / max(1, sum(row["side"] == "target" for row in rows))
    known = [[_name(task, tag) for tag in row["tags"] if tag != -100] for row in rows]
    return majority_rate(known) if task.metric == "accuracy" else random_tags_f1(known)


def _name(task: Task, tag: int | str) -> str:
    return task.labels[tag] if task.labels and not isinstance(tag, str) else str(tag)
