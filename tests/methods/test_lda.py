"""What must hold of LDA however the poster is read; its numbers are in test_lda_derivation.py."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.networks import backbones
from dgreid.networks.norms.anti import AntiNorm2d
from dgreid.networks.norms.buffer_bank import BankNorm2d, BufferBankNorm2d
from helpers import tiny
from helpers.lda import CLASSES, K, batch, make


def test_the_partner_is_another_domain_any_equally_likely():
    method = make()
    for k in range(K):
        drawn = [method.draw_partners(k, 4) for _ in range(600)]
        assert all((partners == partners[0]).all() for partners in drawn)  # one for the whole batch
        counts = torch.bincount(torch.stack(drawn)[:, 0], minlength=K)
        assert counts[k] == 0 and all(abs(int(counts[j]) - 300) < 60 for j in range(K) if j != k)
    counts = torch.bincount(make(an_partner="sample").draw_partners(1, 2000), minlength=K)
    assert counts[1] == 0 and abs(int(counts[0]) - 1000) < 120
    assert make(domains=2, an_partner="sample").draw_partners(0, 9).tolist() == [1] * 9


def test_weights_of_the_latent_distribution():
    method = make()
    drawn = torch.stack([method.draw_weights() for _ in range(3000)])  # (3000, K, K)
    torch.testing.assert_close(drawn.sum(2), torch.ones(3000, K))
    assert (drawn == drawn[:, :1]).all() and (drawn > 0).all()  # the same latent distribution for all
    first = drawn[:, 0, 0]  # Dirichlet(1, 1, 1): mean 1/3, variance 1/18, P(w > 1/2) = 1/4
    assert abs(first.mean() - 1 / 3) < 0.02 and abs(first.var() - 1 / 18) < 0.005
    assert abs((first > 0.5).float().mean() - 0.25) < 0.03
    assert torch.equal(make(latent_weights="uniform").draw_weights(), torch.full((K, K), 1 / K))
    own_out = make(latent_weights="uniform", latent_leaves_own_out=True).draw_weights()
    assert torch.equal(own_out, (1 - torch.eye(K)) / (K - 1))


@pytest.mark.parametrize("name", ["resnet_tiny", "resnet50", "mobilenet_v2_x0_25"])
def test_two_networks_have_the_parameters_of_one_backbone_and_their_heads(name):
    config = tiny.config("lda", name).backbone
    plain = backbones.build(config)
    count = sum(p.numel() for p in plain.parameters())
    method = make(backbone=backbones.build(config), an_stages=2)
    heads = 2 * (2 * plain.channels + CLASSES * plain.channels)  # neck and classifier of each
    assert sum(p.numel() for p in method.parameters()) == count + heads
    norms = [n for n, module in plain.named_modules() if isinstance(module, nn.BatchNorm2d)]
    banks = {n: m for n, m in method.network.backbone.named_modules() if isinstance(m, BankNorm2d)}
    assert list(banks) == norms and all(len(bank.bank_mean) == K for bank in banks.values())


@pytest.mark.parametrize(
    ("name", "stages", "first_without"),
    [
        ("resnet_tiny", 2, "blocks.2.bn1"),
        ("resnet50", 2, "layer3.0.bn1"),
        ("resnet50", 0, "layer1.0.bn1"),
        ("mobilenet_v2_x0_25", 2, "layer3.0.expand.bn"),
        ("resnet_tiny", None, None),
        ("mobilenet_v2_x0_25", None, None),
    ],
)
def test_anti_normalisation_replaces_the_norms_of_stem_and_first_stages(name, stages, first_without):
    method = make(backbone=backbones.build(tiny.config("lda", name).backbone), an_stages=stages)
    banks = {n: m for n, m in method.network.backbone.named_modules() if isinstance(m, BankNorm2d)}
    place = list(banks).index(first_without) if first_without else len(banks)
    kinds = [type(bank) for bank in banks.values()]
    assert kinds == [AntiNorm2d] * place + [BufferBankNorm2d] * (len(banks) - place)


@pytest.mark.parametrize(("mode", "reaches"), [("replace", False), ("pre_mixture", True), ("pre_bn", True)])
def test_activations_behind_trained_norms(mode, reaches):
    """Trained convolutions may put out what lies far below 0: AN gives that mean back, and a ReLU cuts it."""
    method = make(an_mode=mode)
    for layer in (method.network.backbone.stem[1], method.network.backbone.one[1]):
        layer.bank_mean.fill_(-5)
    images = batch(0).images
    method.network(images).square().sum().backward()
    gradient = method.network.backbone.stem[0].weight.grad
    assert bool(gradient.count_nonzero()) == reaches


def test_two_copies_learn_apart_and_share_the_bank():
    method = make(share_weights=False)
    expert, aligned = method.other_expert.backbone, method.network.backbone
    assert torch.equal(expert.stem[0].weight, aligned.stem[0].weight)
    method.step({"base": [batch(0)]}, 5)
    assert not torch.equal(expert.stem[0].weight, aligned.stem[0].weight)
    assert torch.equal(expert.two[1].bank_mean, aligned.two[1].bank_mean)
    assert aligned.two[1].bank_mean.count_nonzero()


@pytest.mark.parametrize("name", ["lda_no_consistency", "lda_no_alignment", "lda_no_anti", "lda_pre_mixture"])
def test_an_ablation_departs_from_lda_in_one_thing(name):
    whole, without = tiny.read("method", "lda"), tiny.read("method", name)
    changed = {key for key in whole | without if whole.get(key) != without.get(key)}
    assert len(changed - {"name", "title"}) == 1 and whole["provenance"] == "reconstruction"


def test_one_iteration_fills_the_bank_domain_by_domain():
    method = make()
    given = batch(0)
    method.step({"base": [given]}, 0)
    bank = method.network.backbone.stem[1]
    for k in range(K):
        x = given.images[4 * k : 4 * k + 4]
        before = F.conv2d(x, make().network.backbone.stem[0].weight)  # of a fresh one: the same draws
        torch.testing.assert_close(bank.bank_mean[k], 0.1 * before.detach().mean((0, 2, 3)))
        torch.testing.assert_close(bank.bank_var[k], 0.9 + 0.1 * before.detach().var((0, 2, 3)))


def test_distribution_losses_warm_up_over_the_first_epoch():
    method = make()
    assert [method.warmup(i) for i in (0, 1, 2, 4, 100)] == [0, 0.25, 0.5, 1, 1]
    assert make(distribution_warmup_epochs=0).warmup(0) == 1


def test_the_latent_distribution_pulls_experts_together():
    """L_consis alone, many steps on one batch: the experts' output statistics approach each other."""
    method = make(latent_weights="uniform", consistency_weight=100.0, distribution_warmup_epochs=0)
    logged = [method.step({"base": [batch(0)]}, i)["consistency"] for i in range(12)]
    assert logged[-1] < 0.5 * logged[0]


def test_the_same_seed_draws_the_same_iteration():
    states = []
    for _ in range(2):
        method = make()
        torch.manual_seed(5)
        method.step({"base": [batch(0)]}, 6)
        states.append(method.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_what_does_not_fit_is_said_in_a_sentence():
    with pytest.raises(UserError, match=r"to another, but the protocol has 1: add sources"):
        make(domains=1)
    with pytest.raises(UserError, match=r"an_stages=3, but the backbone has 2 stages: lower it, or"):
        make(an_stages=3)


@pytest.mark.parametrize(
    "changes",
    [
        dict(zip(("an_partner", "an_variance", "an_stages"), values, strict=True))
        for values in itertools.product(("domain", "sample"), ("biased", "unbiased"), (0, None))
    ],
)
def test_other_readings_train(changes):
    method = make(**changes)
    logged = method.step({"base": [batch(0)]}, 5)
    assert all(value.isfinite() for value in logged.values())
