"""LDA against a second derivation, in float64, and what must hold however the poster is read."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import tiny
from dgreid.errors import UserError
from dgreid.methods.base import Batch, Training
from dgreid.methods.lda import LDA, barycentre, wasserstein
from dgreid.networks import backbones
from dgreid.networks.norms.anti import AntiNorm2d
from dgreid.networks.norms.buffer_bank import BankNorm2d, BufferBankNorm2d

K, CLASSES, STEPS = 3, 9, 4  # domains, identities, iterations per epoch


class Backbone(nn.Module):
    """A stem and two stages of one norm each."""

    channels, stages = 6, (("one", 5), ("two", 6))

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
        self.one = nn.Sequential(nn.Conv2d(4, 5, 3, bias=False), nn.BatchNorm2d(5))
        self.two = nn.Sequential(nn.Conv2d(5, 6, 3, bias=False), nn.BatchNorm2d(6))

    def forward(self, x):
        return F.relu(self.two(F.relu(self.one(F.relu(self.stem(x))))))


def make(domains: int = K, name: str = "lda", backbone: nn.Module | None = None, **changes) -> LDA:
    torch.manual_seed(0)
    membership = torch.zeros(domains, CLASSES, dtype=torch.bool)
    membership[torch.arange(CLASSES) * domains // CLASSES, torch.arange(CLASSES)] = True
    recipe = tiny.recipe(iterations_per_epoch=STEPS, weight_decay=0, momentum=0, bias_factor=1)
    training = Training(CLASSES, domains, 2 * STEPS, STEPS, membership)
    made = tiny.options(name, **{"learning_rate": 0.05, "an_stages": 1, **changes})
    return LDA(made, backbone or Backbone(), recipe, training).double().train()


def batch(seed: int) -> Batch:
    """Two identities with two images of each domain; domains differ in colour."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(12, 3, 10, 9, generator=random, dtype=torch.float64)
    images += 2 * torch.arange(K).repeat_interleave(4)[:, None, None, None]
    people = torch.stack([torch.randperm(3, generator=random)[:2] + 3 * d for d in range(K)])
    return Batch(images, people.flatten().repeat_interleave(2), torch.arange(K).repeat_interleave(4))


class Reference:
    """The same system as a dictionary of tensors and the poster's formulas."""

    def __init__(self, method: LDA):
        self.state = {name: value.clone() for name, value in method.state_dict().items()}
        self.learned = [name for name, p in method.named_parameters() if p.requires_grad]
        self.options = method.options

    def bn(self, x, layer, mean, var):
        c = (None, slice(None), *[None] * (x.dim() - 2))
        weight, bias = self.state[f"{layer}.weight"], self.state[f"{layer}.bias"]
        return (x - mean[c]) / (var[c] + 1e-5).sqrt() * weight[c] + bias[c]

    def batch_bn(self, x, layer, running, row=None):
        """Normalise by the batch and move the running statistics (a row of them)."""
        over = [0, *range(2, x.dim())]
        mean, var = x.mean(over), x.var(over, correction=0)
        count = x.numel() / x.shape[1]
        for name, value in ((f"{running}mean", mean), (f"{running}var", var * count / (count - 1))):
            old = self.state[f"{layer}.{name}"] if row is None else self.state[f"{layer}.{name}"][row]
            old.copy_(0.9 * old + 0.1 * value.detach())
        return self.bn(x, layer, mean, var)

    def anti(self, x, layer, j):
        if j is None:
            mean, var = (self.state[f"{layer}.bank_{kind}"].mean(0) for kind in ("mean", "var"))
        else:
            mean, var = (self.state[f"{layer}.bank_{kind}"][j] for kind in ("mean", "var"))
        m = x.mean((2, 3), keepdim=True)
        v = (x - m).square().mean((2, 3), keepdim=True)
        c = (None, slice(None), None, None)
        y = (x - m) / (v + 1e-5).sqrt() * (var[c] + 1e-5).sqrt() + mean[c]
        if self.options.an_mode == "replace":
            return y
        if self.options.an_mode == "pre_mixture":
            mean, var = (sum(self.state[f"{layer}.bank_{kind}"]) / K for kind in ("mean", "var"))
        return self.bn(y, layer, mean, var)

    def maps(self, x, norm, network="network"):
        for place in ("stem", "one", "two"):
            x = F.conv2d(x, self.state[f"{network}.backbone.{place}.0.weight"])
            x = norm(x, f"{network}.backbone.{place}.1", place).clamp(min=0)
        return x

    def expert(self, x, k):
        def norm(x, layer, place):
            y = self.batch_bn(x, layer, "bank_", k)
            for kind in ("bank_mean", "bank_var"):  # one bank, also of two copies
                ours = layer.replace("other_expert", "network")
                self.state[f"{ours}.{kind}"].copy_(self.state[f"{layer}.{kind}"])
            return y

        return self.maps(x, norm, "network" if self.options.share_weights else "other_expert")

    def aligned(self, x, j, training=True):
        def norm(x, layer, place):
            if place != "two" and self.options.an_mode != "none":
                return self.anti(x, layer, j)
            if training:
                return self.batch_bn(x, layer, "running_")
            return self.bn(x, layer, *(self.state[f"{layer}.running_{kind}"] for kind in ("mean", "var")))

        return self.maps(x, norm)

    def identity_losses(self, maps, labels, neck, weight):
        f = maps.mean((2, 3))
        logits = self.batch_bn(f, neck, "running_") @ weight.T
        target = torch.full_like(logits, 0.1 / (len(weight) - 1)).scatter(1, labels[:, None], 0.9)
        entropy = -(target * logits.log_softmax(1)).sum(1).mean()
        hardest = []
        for a in range(4):
            far = [((f[a] - f[b]).square().sum() + 1e-30).sqrt() for b in range(4)]
            positive = max(far[b] for b in range(4) if b != a and labels[b] == labels[a])
            negative = min(far[b] for b in range(4) if labels[b] != labels[a])
            hardest.append((positive - negative + 0.3).clamp(min=0))
        return entropy + torch.stack(hardest).mean()

    def iteration(self, number, given, weights, partners):
        s, o = self.state, self.options
        for name in self.learned:
            s[name] = s[name].detach().requires_grad_()
        share = min(1, number / STEPS)
        rows = [slice(4 * k, 4 * k + 4) for k in range(K)]

        loss, means, deviations = 0, [], []
        for k in range(K):
            maps = self.expert(given.images[rows[k]], k)
            own = s["expert_classifier.weight"][3 * k : 3 * k + 3]
            labels = given.identities[rows[k]] - 3 * k
            loss = loss + self.identity_losses(maps, labels, "expert_neck", own) / K
            means.append(maps.mean((0, 2, 3)))
            deviations.append((maps.var((0, 2, 3), correction=0) + 1e-5).sqrt())
        consistency = 0
        for k in range(K):
            mean = sum(weights[k, i] * means[i].detach() for i in range(K))
            std = sum(weights[k, i] * deviations[i].detach() for i in range(K))
            distance = (means[k] - mean).square().sum() + (deviations[k] - std).square().sum()
            consistency = consistency + distance / 6 / K
        for name, values in (("output_mean", means), ("output_std", deviations)):
            new = torch.stack(values).detach()
            s[name] = new if number == 0 else 0.9 * s[name] + 0.1 * new
        alignment = 0
        for k in range(K):
            maps = self.aligned(given.images[rows[k]], partners[k])
            all_rows = s["network.classifier.weight"]
            loss = loss + self.identity_losses(maps, given.identities[rows[k]], "network.neck", all_rows) / K
            mean, std = weights[k] @ s["output_mean"], weights[k] @ s["output_std"]
            for image in maps:
                m, d = image.mean((1, 2)), (image.var((1, 2), correction=0) + 1e-5).sqrt()
                alignment = alignment + ((m - mean).square().sum() + (d - std).square().sum()) / 6 / 12
        total = loss + share * (o.consistency_weight * consistency + o.alignment_weight * alignment)
        learned = [s[name] for name in self.learned]
        gradients = torch.autograd.grad(total, learned, materialize_grads=True, allow_unused=True)
        for name, gradient in zip(self.learned, gradients, strict=True):
            s[name] = s[name].detach() - 0.05 * gradient
        return consistency.detach(), alignment.detach()


CASES = {
    "as shipped": ("lda", {}),
    "weights apart": ("lda", {"consistency_weight": 3.0, "alignment_weight": 0.2}),
    "before the norm": ("lda", {"an_mode": "pre_bn"}),
    "before the average norm": ("lda_pre_mixture", {}),
    "two copies": ("lda", {"share_weights": False}),
    "own left out": ("lda", {"latent_leaves_own_out": True}),
    "without L_consis": ("lda_no_consistency", {}),
    "without L_align": ("lda_no_alignment", {}),
    "without AN": ("lda_no_anti", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_iterations_equal_the_second_derivation(case):
    name, changes = CASES[case]
    method = make(name=name, **changes)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        method.network.neck.bias.zero_()
        method.expert_neck.bias.zero_()
    reference = Reference(method)
    for number in (0, 3, 4):  # none, some and all of the distribution losses
        torch.manual_seed(number)
        weights = method.draw_weights().double()
        partners = [int(method.draw_partners(k, 4)[0]) for k in range(K)]
        torch.manual_seed(number)
        logged = method.step({"base": [batch(number)]}, number)
        consistency, alignment = reference.iteration(number, batch(number), weights, partners)
        torch.testing.assert_close(logged["consistency"], consistency)  # as they are, without weights
        torch.testing.assert_close(logged["alignment"], alignment)

    ours = method.state_dict()
    for key, value in reference.state.items():
        if "num_batches" not in key:
            assert (ours[key] - value).abs().max() < 1e-10, key
    given = batch(8).images
    features = reference.aligned(given, None, training=False).mean((2, 3))
    kept = (reference.state[f"network.neck.running_{kind}"] for kind in ("mean", "var"))
    torch.testing.assert_close(
        method.eval().embed(given).detach(), reference.bn(features, "network.neck", *kept)
    )


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


@given(st.integers(0, 999))
def test_the_barycentre_has_the_least_weighted_distance(seed):
    random = torch.Generator().manual_seed(seed)
    means = torch.randn(K, 4, generator=random, dtype=torch.float64)
    deviations = torch.rand(K, 4, generator=random, dtype=torch.float64) + 0.1
    weights = torch.rand(K, generator=random, dtype=torch.float64)
    weights /= weights.sum()

    def objective(mean, std):
        return (weights * wasserstein(means, deviations, mean, std)).sum()

    mean, std = barycentre(means, deviations, weights)
    least = objective(mean, std)
    for _ in range(5):
        moved = [part + 0.1 * torch.randn(4, generator=random, dtype=torch.float64) for part in (mean, std)]
        assert objective(*moved) > least
    start = [torch.zeros(4).double().requires_grad_(), torch.ones(4).double().requires_grad_()]
    descent = torch.optim.SGD(start, lr=1.0)  # a quadratic in each of the four channels
    for _ in range(100):
        descent.zero_grad()
        objective(*start).backward()
        descent.step()
    torch.testing.assert_close(start[0].detach(), mean)
    torch.testing.assert_close(start[1].detach(), std)


@given(st.integers(0, 999))
def test_the_distance_is_zero_only_between_equals(seed):
    random = torch.Generator().manual_seed(seed)
    mean, std = torch.randn(5, generator=random), torch.rand(5, generator=random)
    assert wasserstein(mean, std, mean.clone(), std.clone()) == 0
    channel = seed % 5
    for changed in (mean, std):
        other = [mean.clone(), std.clone()]
        other[0 if changed is mean else 1][channel] += 0.5
        torch.testing.assert_close(wasserstein(mean, std, *other), torch.tensor(0.05))  # .5 ** 2 / 5


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
