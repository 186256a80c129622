"""Tagged sentences: chunks as conlleval and XTREME count them, and right tokens."""

import json
from collections.abc import Sequence

import pandas as pd

from xfer_utils.study.tasks import Task

COLUMNS = ("tp", "n_pred", "n_gold", "n_tokens", "n_correct")


def chunks(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Chunks (type, first, last) of one sentence by the rules of conlleval, as XTREME has them.

    A tag's first letter is its prefix; what follows its last hyphen, or the whole tag, is its type.
    POS tags have no prefix, so a run of equal tags is one chunk, except that SCONJ and SYM, which
    begin with S ("single"), are one chunk a token. This is seqeval 0.0.12, of XTREME's time. Since
    1.0 the first letter is cut off a tag without hyphen, which makes CCONJ and SCONJ one type and
    loses X at the end of a sentence.
    """
    result, first = set(), None
    for i, tag in enumerate([*tags, "O"]):
        kind = tag.rsplit("-", 1)[-1]
        if first is not None:
            before = tags[i - 1]
            if kind == before.rsplit("-", 1)[-1] and tag[0] not in "BSO" and before[0] not in "ES":
                continue
            result.add((before.rsplit("-", 1)[-1], first, i - 1))
        first = None if tag[0] == "O" else i
    return result


def tag_counts(gold: Sequence[str], prediction: Sequence[str]) -> dict[str, int]:
    """Chunks and tokens of one sentence, POS or names, under the names of COLUMNS."""
    if len(gold) != len(prediction):
        raise ValueError(f"a sentence has {len(gold)} gold tags but {len(prediction)} predicted.")
    ours, theirs = chunks(prediction), chunks(gold)
    right = sum(a == b for a, b in zip(gold, prediction, strict=True))
    counts = (len(ours & theirs), len(ours), len(theirs), len(gold), right)
    return dict(zip(COLUMNS, counts, strict=True))


def tag_items(row: Task, frame: pd.DataFrame) -> pd.DataFrame:
    """The counts of each sentence; gold and prediction are lists of tags as JSON."""
    pairs = zip(frame["gold"].map(json.loads), frame["prediction"].map(json.loads), strict=True)
    return pd.DataFrame([tag_counts(gold, tags) for gold, tags in pairs], index=frame.index)
