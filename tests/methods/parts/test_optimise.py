import pytest
import torch
from torch import nn

from dgreid.methods.base import Task
from dgreid.methods.parts.optimise import descend, gate_optimiser, optimiser, set_rate
from helpers import tiny


def made(learning_rate=0.01, nesterov=None, **recipe):
    network = nn.Linear(3, 2)
    return network, optimiser(network.named_parameters(), tiny.recipe(**recipe), learning_rate, nesterov)


def test_biases_have_a_rate_and_a_decay_of_their_own():
    network, found = made(learning_rate_factor=3, bias_factor=2, weight_decay=0.1, bias_decay=0.2)
    weights, biases = found.param_groups
    assert weights["params"] == [network.weight] and biases["params"] == [network.bias]
    assert (weights["lr"], biases["lr"]) == pytest.approx((0.03, 0.06))
    assert (weights["weight_decay"], biases["weight_decay"]) == (0.1, 0.2)
    assert made(weight_decay=0.1)[1].param_groups[1]["weight_decay"] == 0.1  # unless the recipe says so


def test_what_is_frozen_is_left_out():
    network = nn.Linear(3, 2)
    network.bias.requires_grad_(False)
    (group,) = optimiser(network.named_parameters(), tiny.recipe(), 0.01).param_groups
    assert group["params"] == [network.weight]


@pytest.mark.parametrize(
    ("recipe", "kind", "settings"),
    [
        ({"optimiser": "sgd", "momentum": 0.8}, torch.optim.SGD, {"momentum": 0.8, "nesterov": False}),
        ({"optimiser": "sgd", "nesterov": True}, torch.optim.SGD, {"nesterov": True}),
        ({"optimiser": "sgd", "nesterov": True, "momentum": 0}, torch.optim.SGD, {"nesterov": False}),
        ({"optimiser": "adam", "amsgrad": True}, torch.optim.Adam, {"amsgrad": True}),
        ({"optimiser": "adamw"}, torch.optim.AdamW, {"amsgrad": False}),
    ],
)
def test_the_recipe_names_the_optimiser(recipe, kind, settings):
    _, found = made(**recipe)
    assert type(found) is kind
    assert {name: found.param_groups[0][name] for name in settings} == settings


def test_a_method_may_ask_for_nesterov_momentum_itself():
    assert made(nesterov=True)[1].param_groups[0]["nesterov"]
    assert not made(nesterov=False, **{"optimiser": "sgd"})[1].param_groups[0]["nesterov"]


def test_the_schedule_scales_every_groups_full_rate():
    recipe = tiny.recipe(warmup_epochs=0, milestones=(1,), bias_factor=2)
    found = optimiser(nn.Linear(3, 2).named_parameters(), recipe, 0.01)
    rates = []
    for iteration in (0, 4, 0):  # back again: nothing is multiplied up
        set_rate(found, recipe, Task(2, 2, 8, 4), iteration)
        rates.append([group["lr"] for group in found.param_groups])
    assert rates == [pytest.approx([0.01, 0.02]), pytest.approx([0.001, 0.002]), pytest.approx([0.01, 0.02])]


def test_descend_takes_one_plain_step_with_fresh_gradients():
    first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    first.grad = torch.full((2,), 100.0)  # of an earlier loss
    both = [torch.optim.SGD([first], lr=0.1), torch.optim.SGD([second], lr=0.5)]
    descend((2 * first + 3 * second).sum(), *both)
    torch.testing.assert_close(first.data, torch.full((2,), 1 - 0.1 * 2))
    torch.testing.assert_close(second.data, torch.full((2,), 1 - 0.5 * 3))


def test_gates_learn_by_plain_descent():
    (group,) = gate_optimiser({"a": nn.Parameter(torch.ones(2))}, 0.3).param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.3, 0, 0)
