# ruff: noqa: F401, F811 (fixtures are used by their names)
"""Progress of a training: what a notebook and its log show."""

from tiny_training import rows, sequence, train

from xfer_utils.learning import progress


def test_a_bar_shows_steps_and_loss(train, sequence, capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    train({"mnli": sequence})
    updates = capsys.readouterr().out.split("\r")
    assert any(" 4/18 [" in update and "loss " in update for update in updates)
    assert " 18/18 [" in updates[-1] and "loss nan" not in updates[-1]


def test_it_changes_now_and_then(train, sequence, capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 3600.0)
    train({"mnli": sequence})
    updates = capsys.readouterr().out.split("\r")
    assert len(updates) <= 4, "at the beginning and at the end"
