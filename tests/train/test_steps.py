import pytest
import torch
from torch import nn

from slt.core.errors import SltError
from slt.train.steps import Steps, train_steps

STEPS = Steps(n_steps=450, learning_rate=0.05, weight_decay=0.0, seed=1)


def fit(model, checkpoint, *, stop_at=None, steps=STEPS):
    """Fit y = 3x − 1 with noise; ``stop_at`` raises in that step, as a kill would."""
    seen = []

    def loss_of(step, rng):
        x = torch.randn(16, 1)
        loss = (model(x) - (3 * x - 1 + 0.01 * torch.randn(16, 1) + 0.001 * rng.random())).square().mean()
        return loss, {"loss": loss.item()}

    def on_step(done, figures):
        seen.append(done)
        if done == stop_at:
            raise RuntimeError("killed")

    train_steps(model, loss_of, steps, checkpoint=checkpoint, on_step=on_step)
    return seen


def line():
    torch.manual_seed(0)
    return nn.Linear(1, 1)


def test_it_learns(tmp_path):
    model = line()
    assert fit(model, tmp_path / "c.pt") == list(range(1, 451))
    assert model.weight.item() == pytest.approx(3, abs=0.01)
    assert model.bias.item() == pytest.approx(-1, abs=0.01)
    assert not model.training


@pytest.mark.slow
def test_a_killed_training_goes_on_at_its_checkpoint_and_ends_the_same(tmp_path):
    straight, resumed = line(), line()
    fit(straight, tmp_path / "straight.pt")
    with pytest.raises(RuntimeError, match="killed"):
        fit(line(), tmp_path / "killed.pt", stop_at=333)
    assert fit(resumed, tmp_path / "killed.pt") == list(range(201, 451))
    assert torch.equal(straight.weight, resumed.weight)
    assert torch.equal(straight.bias, resumed.bias)


@pytest.mark.slow
def test_what_was_finished_and_then_killed_is_finished(tmp_path):
    straight, again = line(), line()
    fit(straight, tmp_path / "c.pt")
    assert fit(again, tmp_path / "c.pt") == []
    assert torch.equal(straight.weight, again.weight)


def test_a_loss_that_is_no_number_ends_it(tmp_path):
    with pytest.raises(SltError, match="the loss became nan in step 1"):
        train_steps(
            line(),
            lambda step, rng: (torch.tensor(torch.nan, requires_grad=True), {}),
            STEPS,
            checkpoint=tmp_path / "c.pt",
            on_step=lambda done, figures: None,
        )
