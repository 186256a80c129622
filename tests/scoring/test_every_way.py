"""Retrieval by every layer, pooling and measure, beside the headline that stays as it is."""
# ruff: noqa: F401, F811

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from test_retrieval import MEAN, data, encoder

from xfer_utils.scoring import retrieval


def test_every_way_stands_beside_the_headline_and_changes_nothing_of_it(data, encoder, tmp_path):
    where = (encoder, data, "tatoeba", "dev")
    plain = retrieval.evaluate(*where, tmp_path / "a", layer=1, how=MEAN)
    every = replace(MEAN, pooling=retrieval.EVERY)
    scores = retrieval.evaluate(*where, tmp_path / "b", layer=1, how=every)
    assert [score for score in scores if "by" not in score] == plain
    ways = pd.DataFrame([score for score in scores if "by" in score])
    assert len(ways) == 2 * 3 * 3 * 2 * 4, "languages, layers, poolings, centred or not, scores"
    assert not ways["main"].any() and ways["special"].sum() == 2 * len(ways) // 3
    usual = ways.query("pooling == 'mean' and special and not centred and by == 'cosine'")
    again = usual[usual["metric"] == "accuracy"].set_index(["language", "layer"])["value"]
    assert again.to_dict() == {(s["language"], s["layer"]): s["value"] for s in plain}


def test_ways_by_hand(data, encoder, tmp_path):
    every = replace(MEAN, pooling=retrieval.EVERY)
    scores = retrieval.evaluate(encoder, data, "tatoeba", "dev", tmp_path, layer=1, how=every)
    part, rows = (
        data.features("tatoeba", "dev", "qab", max_length=32),
        data.rows("tatoeba", "dev", "qab"),
    )
    words = replace(MEAN, left_out=tuple(data.tokenizer.all_special_ids))
    vectors, is_ours = (
        retrieval.embed(encoder, part, [2], 1, words)[2],
        np.array(rows["side"]) == "source",
    )
    ids = torch.tensor(part.slice("ids", 0).astype(np.int64))[None]
    with torch.no_grad():
        state = encoder(input_ids=ids, output_hidden_states=True).hidden_states[2][0, 1:-1].mean(0)
    assert vectors[0] == pytest.approx((state / state.norm()).numpy(), abs=1e-5), (
        "without <s> and </s>"
    )
    ours = vectors[is_ours].astype(float)
    cosines = (ours @ ours.T)[~np.eye(len(ours), dtype=bool)].mean()
    centred = [side - side.mean(0) for side in (vectors[~is_ours], vectors[is_ours])]
    english, others = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in centred)
    nearest = (english @ others.T).argmax(1)
    chosen = [
        s for s in scores if s.get("special") is False and (s["language"], s["layer"]) == ("qab", 2)
    ]
    value = {(s["metric"], s["centred"], s["by"]): s["value"] for s in chosen}
    assert value["anisotropy", False, "cosine"] == pytest.approx(100 * cosines, abs=1e-3)
    assert value["reached", True, "cosine"] == 100 * len(set(nearest)) / len(others)
    assert value["accuracy", True, "cosine"] == 100 * (nearest == np.arange(len(others))).mean()
