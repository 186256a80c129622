"""Stored values to canonical ones, column by column: texts, labels, tags, choices, answers."""

from collections import Counter
from collections.abc import Sequence

from xfer_utils.sources.raw import BadValue

IGNORE = -100
NO_LABEL = (None, "", "-", "-1", -1)
ANSWER = ("text", "answer_start")
LONGEST = 2**31 - 1  # answers are stored as 32-bit numbers


def texts(values: list, column: str) -> list[str]:
    """Strings as they are, without the line end that some files keep; anything else is a BadValue."""
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise BadValue(index, repr(column), f"text was expected, not {value!r}")
    return [value.rstrip("\r\n") for value in values]


def ids(values: list, column: str) -> list[str]:
    """Identifiers as strings."""
    for index, value in enumerate(values):
        if not isinstance(value, str | int):
            raise BadValue(index, repr(column), f"an id was expected, not {value!r}")
    return [str(value) for value in values]


def labels(
    values: list, column: str, names: Sequence[str], stored: Sequence[str] = ()
) -> list[int | None]:
    """Labels as positions in `names`; None for a row without a label (-1, or nothing).

    `stored` are the class names that came with integer labels: then the mapping goes by name.
    """
    table = _label_table(names, stored)
    found: list[int | None] = []
    for index, value in enumerate(values):
        if value in NO_LABEL:
            found.append(None)
        elif isinstance(value, bool) or not isinstance(value, str | int) or value not in table:
            known = ", ".join(map(str, table))
            raise BadValue(index, repr(column), f"label {value!r} is not one of {known}")
        else:
            found.append(table[value])
    return found


def _label_table(names: Sequence[str], stored: Sequence[str]) -> dict[str | int, int]:
    by_name: dict[str | int, int] = {name: position for position, name in enumerate(names)}
    if stored and set(stored) & set(names):
        by_number = {number: by_name[name] for number, name in enumerate(stored) if name in by_name}
    elif stored and not all(name.isdigit() for name in stored):
        raise ValueError(f"the stored classes {list(stored)} are none of {list(names)}")
    else:
        by_number = {int(name): int(name) for name in stored} or {n: n for n in range(len(names))}
    digits = {} if any(name.isdigit() for name in names) else {str(n): n for n in range(len(names))}
    return digits | by_name | by_number


def tags(
    tokens: list,
    values: list,
    column: str,
    names: Sequence[str],
    stored: Sequence[str],
    open_set: bool,
) -> tuple[list[list[int]], Counter]:
    """Tags as positions in `names`, and how many were set to ignore.

    Ignored are `_` (a token without a tag) and, in an open label set, tags that training does not have.
    """
    table: dict[str | int, int] = {name: position for position, name in enumerate(names)}
    numbers = stored or names
    table |= {number: table.get(name, IGNORE) for number, name in enumerate(numbers)}
    for number, name in enumerate(stored):
        if name not in table and name != "_":
            raise ValueError(
                f"column {column}: the stored tag {name!r} (number {number}) is none of {list(names)}"
            )
    table["_"] = IGNORE
    converted, ignored = [], Counter()
    for index, (words, row) in enumerate(zip(tokens, values, strict=True)):
        _check_pair(index, column, words, row)
        new = []
        for tag in row:
            if not isinstance(tag, str | int) or (tag not in table and not open_set):
                raise BadValue(index, repr(column), f"tag {tag!r} is not one of {', '.join(names)}")
            new.append(table.get(tag, IGNORE))
            if new[-1] == IGNORE:
                ignored[str(tag)] += 1
        converted.append(new)
    return converted, ignored


def _check_pair(index: int, column: str, words: object, row: object) -> None:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BadValue(index, "'tokens'", f"a list of strings was expected, not {words!r:.80}")
    if not isinstance(row, list):
        raise BadValue(index, repr(column), f"a list of tags was expected, not {row!r:.80}")
    if len(words) != len(row):
        raise BadValue(index, repr(column), f"{len(row)} tags for {len(words)} tokens")


def choices(
    batch: dict[str, list], columns: str | list[str], count: int
) -> tuple[list[list[str]], list]:
    """The choices of every row, and the letters that name them (None where they have none)."""
    if isinstance(columns, list):
        rows = [list(row) for row in zip(*(batch[column] for column in columns), strict=True)]
        letters = [None] * len(rows)
    else:
        stored = batch[columns]
        keyed = [isinstance(row, dict) for row in stored]
        rows = [row.get("text") if known else row for row, known in zip(stored, keyed, strict=True)]
        letters = [
            row.get("label") if known else None for row, known in zip(stored, keyed, strict=True)
        ]
    name = columns if isinstance(columns, str) else columns[0]
    for index, row in enumerate(rows):
        if not isinstance(row, list) or not all(isinstance(choice, str) for choice in row):
            raise BadValue(index, repr(name), f"a list of texts was expected, not {row!r:.80}")
        if len(row) != count:
            raise BadValue(index, repr(name), f"{len(row)} choices, {count} expected")
    return rows, letters


def lettered(values: list, column: str, letters: list[list[str]]) -> list[int | None]:
    """Answer keys as positions among the row's own letters, whatever order they come in."""
    found: list[int | None] = []
    for index, (value, names) in enumerate(zip(values, letters, strict=True)):
        if value in NO_LABEL:
            found.append(None)
        elif value not in names:
            raise BadValue(index, repr(column), f"key {value!r} is not one of {', '.join(names)}")
        else:
            found.append(names.index(value))
    return found


def answers(values: list, contexts: list[str], column: str) -> tuple[list[dict], int]:
    """Answers as {text: list, answer_start: list}, and how many do not stand where they say they do."""
    found, misplaced = [], 0
    for index, (value, context) in enumerate(zip(values, contexts, strict=True)):
        words, starts = _answer_lists(index, value, column)
        pairs = zip(words, starts, strict=True)
        misplaced += any(not context.startswith(word, start) for word, start in pairs)
        found.append({"text": words, "answer_start": starts})
    return found, misplaced


def _answer_lists(index: int, value: object, column: str) -> tuple[list[str], list[int]]:
    """Texts and starts of one row, which may have two lists or a list of answers."""
    if isinstance(value, list) and all(isinstance(answer, dict) for answer in value):
        value = {key: [answer.get(key) for answer in value] for key in ANSWER}
    words, starts = (value.get(key) for key in ANSWER) if isinstance(value, dict) else (None, None)
    if not isinstance(words, list) or not isinstance(starts, list):
        raise BadValue(
            index, repr(column), f"lists 'text' and 'answer_start' were expected, not {value!r:.80}"
        )
    if len(words) != len(starts):
        raise BadValue(index, repr(column), f"{len(words)} texts for {len(starts)} starts")
    if not all(isinstance(word, str) for word in words) or not all(
        isinstance(n, int) for n in starts
    ):
        raise BadValue(
            index, repr(column), f"texts and whole numbers were expected, not {value!r:.80}"
        )
    if far := [n for n in starts if abs(n) > LONGEST]:
        raise BadValue(index, repr(column), f"'answer_start' {far[0]} is no place in a text")
    return words, starts
