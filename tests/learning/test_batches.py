"""Batches: every unit once an epoch, one task a batch, and an order that only seed and epoch decide."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import dataset, sentences
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_utils.formats import features
from xfer_utils.formats.features import Features
from xfer_utils.formats.mlm import Masking
from xfer_utils.learning import batches
from xfer_utils.learning.batches import Batches

KEPT = settings(max_examples=40, deadline=None, derandomize=True, database=None)
LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=80)


def made_up(lengths):
    """A sequence task with rows of these lengths; token ids say which row and column they are of."""
    starts = np.r_[0, np.cumsum(lengths)].astype(np.int64)
    ids = np.concatenate([100 * row + 5 + np.arange(length) for row, length in enumerate(lengths)])
    arrays = {
        "ids": ids.astype(np.int32),
        "starts": starts,
        "example": np.arange(len(lengths), dtype=np.int32),
    }
    return Features("sequence", {**arrays, "target": np.arange(len(lengths)) % 3})


def epoch(sampler, number):
    sampler.set_epoch(number)
    return list(sampler)


@KEPT
@given(
    sizes=st.lists(LENGTHS, min_size=1, max_size=3),
    size=st.integers(1, 9),
    seed=st.integers(0, 5),
    number=st.integers(0, 3),
)
def test_an_epoch(sizes, size, seed, number):
    tasks = [made_up(lengths) for lengths in sizes]
    sampler = Batches(tasks, size, seed)
    found = epoch(sampler, number)
    assert len(found) == len(sampler)
    seen = Counter(unit for batch in found for unit in batch)
    assert seen == {
        (task, unit): 1 for task, lengths in enumerate(sizes) for unit in range(len(lengths))
    }
    for batch in found:
        assert len({task for task, _ in batch}) == 1 and 1 <= len(batch) <= size
    assert found == epoch(Batches(tasks, size, seed), number), "a pure function of seed and epoch"
    epoch(sampler, number + 1)
    assert found == epoch(sampler, number), "whatever was asked before"


def test_seed_and_epoch_change_the_order():
    task = made_up([3, 4, 5] * 20)
    orders = [epoch(Batches([task], 4, seed), number) for seed in range(3) for number in range(3)]
    assert len({str(order) for order in orders}) == 9


@KEPT
@given(n=st.integers(1, 50), cap=st.integers(1, 60))
def test_caps(n, cap):
    sampler = Batches([made_up([3] * n), made_up([4] * 10)], 4, 0, cap=cap)
    seen = Counter(unit for batch in epoch(sampler, 0) for unit in batch)
    assert set(seen.values()) == {1}
    assert Counter(task for task, _ in seen) == {0: min(n, cap), 1: min(10, cap)}


def test_a_cap_draws_other_units_in_another_epoch():
    sampler = Batches([made_up([3] * 100)], 10, 0, cap=30)
    drawn = [{unit for batch in epoch(sampler, number) for unit in batch} for number in range(4)]
    assert all(len(units) == 30 for units in drawn) and len(set().union(*drawn)) > 60


@KEPT
@given(lengths=LENGTHS, data=st.data())
def test_collate_against_naive_padding(lengths, data):
    task = made_up(lengths)
    units = data.draw(st.lists(st.sampled_from(range(len(lengths))), min_size=1, max_size=8))
    batch = batches.collate("name", task, units, pad=1)
    width = max(lengths[unit] for unit in units)
    rows = [task.slice("ids", unit).tolist() for unit in units]
    assert batch["input_ids"].tolist() == [row + [1] * (width - len(row)) for row in rows]
    assert batch["attention_mask"].tolist() == [
        [1] * len(row) + [0] * (width - len(row)) for row in rows
    ]
    assert batch["labels"].tolist() == [unit % 3 for unit in units] and batch["task"] == "name"
    assert batch["input_ids"].dtype == torch.int64


def test_collate_choices(tokenizer):
    rows = [
        {"text_a": "the day", "choices": ["good", "poor and awful"], "label": n % 2}
        for n in range(4)
    ]
    task = features.of_examples("choice", dataset(rows), tokenizer, 32)
    batch = batches.collate("c", task, [3, 0], pad=1)
    assert batch["labels"].tolist() == [1, 0] and batch["input_ids"].shape[0] == 4
    ids = [task.slice("ids", row).tolist() for row in (6, 7, 0, 1)]
    assert [[i for i in row if i != 1] for row in batch["input_ids"].tolist()] == ids


def test_collate_spans(tokenizer):
    answers = {"text": ["day"], "answer_start": [4]}
    rows = [
        {"question": "Who ?", "context": "the day was " * n, "answers": answers} for n in (1, 9)
    ]
    task = features.of_examples("span", dataset(rows), tokenizer, 24, 6)
    batch = batches.collate("s", task, [1, 0], pad=1)
    assert batch["labels"].tolist() == task.arrays["target"][[1, 0]].tolist()


def test_collate_tags_names_the_places_of_the_tagged_tokens(tokenizer):
    rows = [{"tokens": ["Karenina", "was"], "tags": [2, 1]}]
    rows.append({"tokens": ["the", "day", "was", "so", "good"], "tags": [0] * 5})
    rows.append({"tokens": ["so", "Ulm"], "tags": [-100, 1]})
    task = features.of_examples("token", dataset(rows), tokenizer, 32)
    batch = batches.collate("t", task, [0, 1, 2], pad=1)
    width = batch["input_ids"].shape[1]
    wanted = [
        (row * width + column, int(label))
        for row in range(3)
        for column, label in enumerate(task.slice("labels", row))
        if label >= 0
    ]
    assert list(zip(batch["positions"].tolist(), batch["labels"].tolist(), strict=True)) == wanted
    assert [label for _, label in wanted] == [2, 1, 0, 0, 0, 0, 0, 1]


# ----- masking -----


@pytest.fixture
def text(tokenizer):
    return features.of_text([text for text, _ in sentences(400)], tokenizer, 32)


def masked(text, tokenizer, seed=(0, 0), share=0.2):
    masking = replace(Masking.of(tokenizer, share), seed=seed)
    return batches.collate("t", text, list(range(len(text))), tokenizer.pad_token_id, masking)


def test_shares_of_masked_kept_and_swapped(text, tokenizer):
    batch = masked(text, tokenizer)
    before = batches.padded(text, tokenizer.pad_token_id)
    mask, before = before["attention_mask"].ravel().bool(), before["input_ids"].ravel()
    after, places = batch["input_ids"].ravel(), batch["positions"]
    ordinary = mask & ~torch.isin(before, torch.tensor(tokenizer.all_special_ids))
    assert len(places) == len(set(places.tolist())) == round(0.2 * int(ordinary.sum()))
    assert ordinary[places].all(), "neither padding nor special tokens are predicted"
    assert torch.equal(batch["labels"], before[places]), "the label is what stood there"
    untouched = torch.ones(len(before), dtype=bool)
    untouched[places] = False
    assert torch.equal(before[untouched], after[untouched])
    is_mask = after[places] == tokenizer.mask_token_id
    kept = after[places] == before[places]
    swapped = ~is_mask & ~kept
    for part, wanted in ((is_mask, 0.8), (kept, 0.1), (swapped, 0.1)):
        assert part.float().mean().item() == pytest.approx(wanted, abs=0.04)
    assert not torch.isin(after[places][swapped], torch.tensor(tokenizer.all_special_ids[:4])).any()


def test_masks_are_a_pure_function_of_their_seed(text, tokenizer):
    one, again, other = (masked(text, tokenizer, seed) for seed in ((0, 1), (0, 1), (0, 2)))
    assert torch.equal(one["input_ids"], again["input_ids"])
    assert torch.equal(one["positions"], again["positions"])
    assert not torch.equal(one["positions"], other["positions"])


def test_at_least_one_token_is_masked(text, tokenizer):
    assert len(masked(text, tokenizer, share=1e-9)["positions"]) == 1


def test_special_tokens_may_stand_anywhere_in_the_vocabulary():
    """EuroBERT's and mmBERT's stand at the end, XLM-R's at the beginning and the mask last."""

    class Words(list):
        all_special_ids, mask_token_id = [7, 8, 9], 9

    masking = Masking.of(Words(range(10)), 1.0)
    assert masking.ordinary.tolist() == [0, 1, 2, 3, 4, 5, 6, 9]
    hidden = masking.hide(np.array([7, 0, 1, 2, 3, 8]))
    assert np.flatnonzero(hidden["wanted"]).tolist() == [1, 2, 3, 4]
    assert hidden["labels"].tolist() == [0, 1, 2, 3]
