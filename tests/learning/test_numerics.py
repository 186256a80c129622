# ruff: noqa: F401, F811 (fixtures are used by their names)
"""A rehearsal: the same study as another machine would make it, from a perturbation of a millionth."""

import pytest
import torch
from conftest import SMOKE, study_file
from tiny_training import equal, rows, sequence, train

from xfer_utils.learning import encoders
from xfer_utils.runs.plan import make_plan
from xfer_utils.study.sections import Pretraining
from xfer_utils.study.settings_file import SettingsError


def test_every_weight_that_is_trained_starts_a_millionth_apart(new_model):
    plain, other = (new_model({"mnli": "sequence"}, {"mnli": 3}) for _ in range(2))
    assert equal(plain.state_dict(), encoders.rounded(other, "").state_dict())
    frozen = other.encoder.get_input_embeddings().weight.requires_grad_(False)
    encoders.rounded(other, "other")
    pairs = zip(plain.parameters(), other.parameters(), strict=True)
    for before, after in pairs:
        if after is frozen:
            assert torch.equal(before, after)
        elif before.count_nonzero():
            moved = (after / before - 1).abs().nan_to_num(1e-6)
            assert moved.detach().numpy() == pytest.approx(1e-6, abs=2e-7)


def test_a_new_encoder_has_its_own_numerics(tokenizer):
    def made(numerics):
        torch.manual_seed(0)
        shape = Pretraining(layers=1, width=16, heads=2, feedforward=32, numerics=numerics)
        return encoders.new_encoder(tokenizer, shape).state_dict()

    assert equal(made(""), made("")) and equal(made("other"), made("other"))
    assert not equal(made(""), made("other"))


def test_training_runs_away_from_a_millionth_and_learns_the_same(train, new_model, sequence):
    formats = ({"mnli": "sequence"}, {"mnli": 3})
    plain, done = train({"mnli": sequence}, "a", model=new_model(*formats, dropout=0.0))
    twin = encoders.rounded(new_model(*formats, dropout=0.0), "other")
    other, again = train({"mnli": sequence}, "b", model=twin)
    apart = max(float((plain[name] - other[name]).abs().max()) for name in plain)
    assert apart > 1.5e-6, "more than it began with"
    assert done["losses"][0][1] == pytest.approx(again["losses"][0][1], abs=1e-3)


@pytest.fixture
def plans(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    return make_plan(SMOKE), make_plan(SMOKE, numerics="other")


def test_both_studies_live_side_by_side(plans):
    one, other = plans
    assert (one.study.name, other.study.name) == ("smoke", "smoke-other")
    assert one.folder != other.folder and len(one.runs) == len(other.runs)
    assert not set(one.runs) & set(other.runs)
    assert {run.slug for run in one.runs.values()} == {run.slug for run in other.runs.values()}
    for run in other.runs.values():
        trained = run.kind.name != "retrieval"
        assert run.identity["parameters"].get("numerics") == ("other" if trained else None)
    assert not any("numerics" in run.identity["parameters"] for run in one.runs.values())


def test_what_is_not_trained_stays_the_same_run(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_OUTPUTS", str(tmp_path))
    file = study_file(tmp_path, "models: {m: {load: owner/name}}\n")
    one, other = make_plan(file), make_plan(file, numerics="other")
    same = {run.rpartition("-")[0] for run in set(one.runs) & set(other.runs)}
    assert same == {"encoder-m", "retrieval-after-none"}


def test_commands_find_the_other_study(command, tmp_path):
    code, printed = command("status", SMOKE, "--numerics", "other", outputs=tmp_path)
    assert code == 0 and "0 done, 0 running, 0 failed, 20 waiting" in printed.out
    code, printed = command("plan", SMOKE, "--numerics", "strange", outputs=tmp_path)
    assert code == 2 and "`numerics`" in printed.err and "'other'" in printed.err
