import pytest
import torch
from torch import nn

from dgreid.errors import UserError
from dgreid.images.batch import Batch
from dgreid.losses import batch_hard_triplet, smoothed_cross_entropy
from dgreid.methods.base import Task
from dgreid.methods.erm import ERM
from helpers import tiny


class Backbone(nn.Sequential):
    channels = 4

    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())


def make(recipe=None, **changes) -> ERM:
    torch.manual_seed(0)
    return ERM(tiny.options("erm", **changes), Backbone(), recipe or tiny.recipe(), Task(4, 2, 4, 2)).train()


def batch() -> Batch:
    images = torch.randn(8, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    return Batch(images, torch.arange(4).repeat_interleave(2), torch.arange(2).repeat_interleave(4))


def test_the_loss_is_smoothed_cross_entropy_after_the_neck_and_triplet_before_it():
    method, given = make(), batch()
    features = method.network.backbone(given.images).mean((2, 3))
    normalised = (features - features.mean(0)) / (features.var(0, correction=0) + 1e-5).sqrt()
    logits = normalised @ method.network.classifier.weight.T
    logged = make().step({"base": [given]}, 0)
    torch.testing.assert_close(
        logged["cross_entropy"], smoothed_cross_entropy(logits, given.identities).detach()
    )
    torch.testing.assert_close(logged["triplet"], batch_hard_triplet(features, given.identities).detach())


def test_a_loss_can_be_left_out():
    method, given = make(losses=("cross_entropy",)), batch()
    assert list(method.step({"base": [given]}, 0)) == ["cross_entropy"]
    alone = make().network
    smoothed_cross_entropy(alone.logits(alone(given.images)), given.identities).backward()
    for ours, theirs in zip(method.network.parameters(), alone.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_biases_learn_faster_and_the_necks_bias_not_at_all():
    method = make(tiny.recipe(learning_rate_factor=3, bias_factor=2))
    weights, biases = method.optimisers["main"].param_groups
    assert (weights["lr"], biases["lr"]) == pytest.approx((0.03, 0.06))
    assert weights["weight_decay"] == biases["weight_decay"] == 5e-4
    named = {id(p): name for name, p in method.network.named_parameters()}
    assert sorted(named[id(p)] for p in biases["params"]) == ["backbone.0.bias", "backbone.1.bias"]
    assert sorted(named[id(p)] for p in weights["params"]) == [
        "backbone.0.weight",
        "backbone.1.weight",
        "classifier.weight",
        "neck.weight",
    ]
    method.step({"base": [batch()]}, 0)
    assert (method.network.neck.bias == 0).all()


def test_the_rate_follows_the_recipe():
    method = make(tiny.recipe(warmup_epochs=2, milestones=(3,)))  # two iterations per epoch
    rates = []
    for iteration in range(7):
        method.step({"base": [batch()]}, iteration)
        rates.append(method.optimisers["main"].param_groups[0]["lr"])
    assert rates == pytest.approx([1e-4, 2.575e-3, 5.05e-3, 7.525e-3, 0.01, 0.01, 0.001])


def test_joint_gates_are_trained_by_the_base_loss_and_stay_in_bounds():
    method = make(norm="bin", gate_learning_rate=50.0)
    (gate,) = method.gates.values()
    learned = {id(p) for group in method.optimisers["main"].param_groups for p in group["params"]}
    assert id(gate) not in learned
    method.step({"base": [batch()]}, 0)
    assert gate.min() >= 0 and gate.max() <= 1 and (gate != 1).any()


@pytest.mark.parametrize("norm", ["instance", "half", "switchable", "bin", "bin_shared"])
def test_every_norm_trains(norm):
    method = make(norm=norm)
    assert type(method.network.backbone[1]) is not nn.BatchNorm2d
    logged = method.step({"base": [batch()]}, 0)
    assert all(value.isfinite() for value in logged.values())


def test_unknown_norm_is_said_in_a_sentence():
    with pytest.raises(UserError, match=r"unknown method\.norm 'batsh': did you mean 'batch'"):
        make(norm="batsh")
