"""Iterations of MLDG against the same on copies of the network."""

import copy

import pytest
import torch

from dgreid.images.batch import Batch
from dgreid.methods.mldg import MLDG
from helpers.meta import batch
from helpers.mldg import gradients, make, parts


class Copies:
    """The first-order algorithm as one first writes it: a copy of the network really takes the inner step."""

    def __init__(self, method: MLDG):
        self.network, self.options = copy.deepcopy(method.network), method.options
        self.momentum = {}

    def descend(self, gradient: dict[str, torch.Tensor], rates: dict[str, float]) -> None:
        for name, p in self.network.named_parameters():
            if name in gradient and name.endswith("balance"):
                p.data = (p.data - rates[name] * gradient[name]).clamp(0, 1)
            elif name in gradient:
                g = gradient[name] + 5e-4 * p.data
                self.momentum[name] = 0.9 * self.momentum[name] + g if name in self.momentum else g
                p.data = p.data - rates[name] * self.momentum[name]

    def iteration(self, number: int, base: list[Batch], meta: Batch, seed: int) -> None:
        options, network = self.options, self.network
        rate = 0.01 * (0.01 * (1 - number / 100) + number / 100)  # warm-up of ten epochs
        rates = {
            name: 0.1 if name.endswith("balance") else rate * (2 if "bias" in name else 1)
            for name, _ in network.named_parameters()
        }
        for given in base:
            self.descend(gradients(network, given, options.base_losses), rates)
        k = (number + 1) % 50  # of a cycle of five epochs
        low, high = options.cycle_low, options.cycle_high
        c = low + (high - low) * (k / 25 if k <= 25 else 1 - (k - 25) / 25)
        meta_train, meta_test = parts(meta, seed)
        virtual = copy.deepcopy(network)
        if options.base_step == "joint":
            own = gradients(network, meta, options.base_losses)  # the only pass that statistics follow
            step = gradients(virtual, meta_train, options.meta_train_losses)
        else:
            follower = network if options.base_step == "none" else copy.deepcopy(network)
            own = step = gradients(follower, meta_train, options.meta_train_losses)
        step = {name: g.clone() for name, g in step.items()}
        with torch.no_grad():
            for name, p in virtual.named_parameters():
                if name in step:
                    p.sub_(c * rates[name] * step[name])
                if name.endswith("balance"):
                    p.clamp_(0, 1)
        there = gradients(virtual, meta_test, options.meta_test_losses)
        self.descend({k: g + options.meta_test_weight * there[k] for k, g in own.items()}, rates)


CASES = {
    "batch norm, cross-entropy": ("mldg_ce", {}, 0),
    "batch norm, cyclic": ("mldg_cyclic", {"meta_test_weight": 0.5}, 30),
    "BIN": ("mldg_bin", {}, 11),
    "BIN, cyclic": ("mldg_bin_cyclic", {}, 24),
    "as published": ("mldg_cyclic", {"base_step": "none"}, 5),
    "MetaBIN without episode separation": ("metabin_joint", {}, 0),
    "the same, half way": ("metabin_joint", {}, 33),
}


@pytest.mark.parametrize("case", CASES)
def test_iterations_equal_those_on_copies_of_the_network(case):
    name, changes, first = CASES[case]
    method = make(name, **changes)
    with torch.no_grad():
        for gate in method.gates.values():
            gate.copy_(torch.linspace(-0.2, 1.2, len(gate)).clamp(0, 1))
    reference = Copies(method)
    for number in range(first, first + 3):
        draws = method.draws(number)
        separate = method.options.base_step == "separate"
        assert draws == ({"base": 10 if number == 0 else 1} if separate else {}) | {"meta": 1}
        base = [batch(1000 * number + i) for i in range(draws.get("base", 0))]
        torch.manual_seed(50 + number)
        method.step({"base": base, "meta": [batch(number)]} if base else {"meta": [batch(number)]}, number)
        reference.iteration(number, base, batch(number), 50 + number)
    expected = reference.network.state_dict()
    for key, value in method.network.state_dict().items():
        if "num_batches" not in key:
            torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-10, msg=key)
    start = make(name, **changes).network.state_dict()
    assert not torch.equal(start["classifier.weight"], expected["classifier.weight"])
