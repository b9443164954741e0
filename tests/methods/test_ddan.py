"""DDAN against a second derivation, in float64, written from the fact sheet in plain operations."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Task
from dgreid.methods.ddan import DDAN, symmetric_divergence
from dgreid.networks.backbone import Backbone
from dgreid.networks.backbones import build, load_backbone
from dgreid.networks.norms import InstanceNorm2d
from dgreid.runs.config import load_run
from helpers import tiny

PEOPLE = (3, 5, 4)  # of each domain; the second is the largest
OF = torch.arange(3).repeat_interleave(torch.tensor(PEOPLE))  # identity -> domain
NAMES, CENTRAL, EPOCH = ("first", "second", "third"), 1, 2  # iterations per epoch: 2
CLASSES = sum(PEOPLE)
RATES = {"backbone": 0.01, "head": 0.1, "discriminator": 0.1}


class Staged(Backbone):
    """An encoder and a mapping of one convolution each, with norms and ReLU6."""

    channels = 7
    stages = (("early", 4), ("late", 7))

    def __init__(self):
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU6())
        self.late = nn.Sequential(nn.Conv2d(4, 7, 1, bias=False), nn.BatchNorm2d(7), nn.ReLU6())

    def enter(self, images):
        return images


def task(of=OF, names=NAMES) -> Task:
    membership = torch.arange(int(of.max()) + 1)[:, None] == of
    return Task(len(of), len(membership), 20, EPOCH, membership, domain_names=names)


def make(backbone=None, given=None, name="ddan", recipe=None, **changes) -> DDAN:
    torch.manual_seed(0)
    recipe = recipe or tiny.recipe(bias_factor=1, nesterov=True)
    method = DDAN(tiny.options(name, **changes), backbone or Staged(), recipe, given or task())
    return method.double().train()


def batch(seed: int = 1, people: int = 6) -> Batch:
    random = torch.Generator().manual_seed(seed)
    who = torch.randperm(CLASSES, generator=random)[:people].repeat_interleave(2)
    images = torch.randn(len(who), 3, 7, 5, generator=random, dtype=torch.float64)
    images = images + who[:, None, None, None] / 6
    return Batch(images, who, OF[who])


def parts(method: DDAN) -> dict[str, set[str]]:
    names = [name for name, _ in method.named_parameters()]
    encoder = {name for name in names if name.startswith("network.backbone.early")}
    mapping = {name for name in names if name.startswith("network.backbone.late")}
    discriminator = {name for name in names if name.startswith("discriminator")}
    head = set(names) - encoder - mapping - discriminator
    return {"encoder": encoder, "mapping": mapping, "head": head, "discriminator": discriminator}


class Second:
    """The sheet's DDAN as a dictionary of tensors: encoder, transfer network, discriminator, memory."""

    def __init__(self, method: DDAN):
        self.p = {name: value.clone() for name, value in method.state_dict().items()}
        self.p = {name: value for name, value in self.p.items() if not name.startswith("memory")}
        self.learned = [name for name, _ in method.named_parameters()]
        self.momentum = {}
        self.options = method.options
        zeros = torch.zeros(CLASSES, method.network.neck.num_features, dtype=torch.float64)
        self.memory, self.current, self.before = zeros.clone(), zeros.clone(), zeros.clone()
        self.count = [0] * CLASSES

    def norm(self, x, name):
        axes = [0, 2, 3] if x.ndim == 4 else [0]
        shape = [1, -1, 1, 1] if x.ndim == 4 else [1, -1]
        mean, var, n = x.mean(axes), x.var(axes, correction=0), x.numel() / x.shape[1]
        for what, value in (("mean", mean), ("var", var * n / (n - 1))):
            key = f"{name}.running_{what}"
            self.p[key] = 0.9 * self.p[key] + 0.1 * value.detach()
        x = (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt()
        return x * self.p[f"{name}.weight"].view(shape) + self.p[f"{name}.bias"].view(shape)

    def layer(self, x, name):
        x = F.conv2d(x, self.p[f"network.backbone.{name}.0.weight"])
        return self.norm(x, f"network.backbone.{name}.1").clamp(0, 6)

    def linear(self, x, name):
        return x @ self.p[f"{name}.weight"].T + self.p[f"{name}.bias"]

    def transfer(self, x):
        """Pooled feature, and what its classifier gets: both of its norms count this pass."""
        feature = self.layer(x, "late").mean((2, 3))
        hidden = self.norm(feature, "network.neck")
        share = self.options.dropout
        return feature, hidden * (F.dropout(torch.ones_like(hidden), share) if share else 1)

    def tells(self, feature):
        hidden = self.norm(self.linear(feature, "discriminator.0"), "discriminator.1")
        return self.linear(hidden, "discriminator.2")

    def triplet(self, feature, people):
        unit = feature / feature.norm(dim=1, keepdim=True)
        losses = []
        for i, who in enumerate(people):
            distances = (unit[i] - unit).square().sum(1).clamp(min=1e-12).sqrt()
            far, near = distances[people == who].max(), distances[people != who].min()
            losses.append((far - near + 0.3).clamp(min=0))
        return torch.stack(losses).mean()

    def divergence(self, t, domains):
        k, sharp = self.options.neighbours, self.options.temperature
        terms = []
        for feature, domain in zip(t, domains, strict=True):
            allowed = OF == CENTRAL if domain == CENTRAL else domain != OF
            score = [feature.detach() @ m / m.norm() if m.any() else m.sum() for m in self.memory]
            score = torch.stack(score) * allowed
            for j in score.argsort(descending=True)[:k]:
                if score[j] == 0:
                    continue  # fewer than k are there
                p, q = (feature / sharp).softmax(0), (self.memory[j] / sharp).softmax(0)
                log_p, log_q = (r.clamp(min=1e-300).log() for r in (p, q))
                terms.append(q * (log_q - (p + 1e-8).log()) + p * (log_p - (q + 1e-8).log()))
        self.pairs = len(terms)
        return torch.stack(terms).mean() if terms else torch.tensor(0.0)

    def remember(self, t, people, epoch):
        alpha = 0.0 if epoch == 0 else self.options.memory_share
        for feature, who in zip(t, people, strict=True):
            self.count[who] += 1
            n = self.count[who]
            self.current[who] = self.current[who] * (n - 1) / n + feature / n
            self.memory[who] = alpha * self.before[who] + (1 - alpha) * self.current[who]

    def descend(self, loss, names, share=1.0):
        """Nesterov's momentum .9 and decay 5e-4."""
        gradients = torch.autograd.grad(loss, [self.p[name] for name in names], retain_graph=True)
        moved = {}
        for name, g in zip(names, gradients, strict=True):
            rate = share * RATES["backbone" if "backbone" in name else "head"]
            g = g + 5e-4 * self.p[name].detach()
            self.momentum[name] = 0.9 * self.momentum[name] + g if name in self.momentum else g
            moved[name] = self.p[name].detach() - rate * (g + 0.9 * self.momentum[name])
        return moved

    def step(self, given: Batch, number: int, share=1.0) -> dict:
        epoch, place = divmod(number, EPOCH)
        if epoch > 0 and place == 0:
            self.before, self.count = self.memory.clone(), [0] * CLASSES
        for name in self.learned:
            self.p[name] = self.p[name].detach().requires_grad_()
        x = self.layer(given.images, "early")
        t, _ = self.transfer(x.detach())
        s, hidden = self.transfer(x)
        log = self.linear(hidden, "network.classifier").log_softmax(1)
        losses = {
            "cross_entropy": -log[torch.arange(len(log)), given.identities].mean(),
            "triplet": self.triplet(s, given.identities),
        }
        told = self.tells(t.detach()).log_softmax(1)
        losses["discriminator"] = -told[torch.arange(len(told)), (given.domains == CENTRAL).long()].mean()
        losses["adversarial"] = -(self.tells(t) + 1e-6).softmax(1).log().mean()
        o = self.options
        loss = losses["cross_entropy"] + o.triplet_weight * losses["triplet"]
        loss = loss + o.adversarial_weight * losses["adversarial"]
        if epoch >= o.memory_start:
            losses["memory"] = self.divergence(t, given.domains)
            loss = loss + o.memory_weight * losses["memory"]
        self.remember(t.detach(), given.identities, epoch)
        main = [name for name in self.learned if not name.startswith("discriminator")]
        other = [name for name in self.learned if name.startswith("discriminator")]
        self.p |= self.descend(loss, main, share) | self.descend(losses["discriminator"], other, share)
        return {name: value.detach() for name, value in losses.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dropout": 0.0, "memory_start": 1, "temperature": 0.5, "memory_weight": 3.0},
        {"memory_start": 2, "neighbours": 2, "memory_share": 0.6, "temperature": 0.05, "memory_weight": 5.0},
        {"triplet_weight": 0.4, "adversarial_weight": 2.0, "central": "second"},
    ],
)
def test_whole_steps_equal_the_second_derivation(changes):
    method = make(**changes)
    with torch.no_grad():  # affine maps that matter, and domains that can be told apart
        for parameter in method.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    other, pairs = Second(method), []
    for number in range(9):  # four epochs and a half
        torch.manual_seed(number)
        logged = method.step({"base": [batch(number)]}, number)
        torch.manual_seed(number)
        losses = other.step(batch(number), number)
        assert logged.keys() == losses.keys()
        for name, value in losses.items():
            torch.testing.assert_close(logged[name], value, msg=name)
        pairs.append(getattr(other, "pairs", None))
    start = EPOCH * method.options.memory_start
    assert pairs[:start] == [None] * start and all(pairs[start:])
    found = method.state_dict()
    for name, value in other.p.items():
        if "num_batches" not in name:
            torch.testing.assert_close(found[name], value.detach(), msg=name)
    torch.testing.assert_close(found["memory.means"], other.memory)
    torch.testing.assert_close(found["memory.last"], other.before)
    assert found["memory.counts"].tolist() == other.count


def test_the_mapping_is_the_last_convolution_of_mobilenet_v2(root):
    backbone = build(load_backbone("mobilenet_v2_x1_0_torchvision"))
    method = make(backbone).float().eval()
    assert method.network.mapping == (("head", 1280),)
    with torch.no_grad():
        maps = method.network.encode(torch.zeros(1, 3, 256, 128))
        assert maps.shape == (1, 320, 8, 4)
        assert method.network.backbone.through(maps, method.network.mapping).shape == (1, 1280, 8, 4)
        assert method.embed(torch.zeros(1, 3, 256, 128)).shape == (1, 1280)
    kinds = [type(module).__name__ for module in method.discriminator]
    assert kinds == ["Linear", "BatchNorm1d", "Linear"]
    assert [method.discriminator[i].out_features for i in (0, 2)] == [128, 2]


def test_the_alignment_losses_give_the_encoder_no_gradient():
    plain, aligned = ({"adversarial_weight": w, "memory_weight": v} for w, v in ((0.0, 0.0), (5.0, 5.0)))
    moved = {}
    for which, weights in (("plain", plain), ("aligned", aligned)):
        method = make(memory_start=1, dropout=0.0, temperature=0.1, **weights)
        first = {name: p.detach().clone() for name, p in method.named_parameters()}
        method.memory.update(torch.rand(CLASSES, 7).double(), torch.arange(CLASSES), 0.0)
        method.step({"base": [batch()]}, EPOCH)
        moved[which] = {name: p.detach() - first[name] for name, p in method.named_parameters()}
    for part, names in parts(method).items():
        differing = {name for name in names if not torch.equal(moved["plain"][name], moved["aligned"][name])}
        assert differing == (names if part == "mapping" else set())


def test_the_discriminators_step_gives_the_others_no_gradient():
    method, order, kept = make(), [], {}
    for name, each in method.optimisers.items():
        each.register_step_pre_hook(lambda *_, name=name: order.append(name))
    method.optimisers["head"].register_step_post_hook(
        lambda *_: kept.update({name: p.grad.clone() for name, p in method.named_parameters()})
    )
    method.step({"base": [batch()]}, 0)
    assert order == ["main", "head", "discriminator"]
    changed = {name for name, p in method.named_parameters() if not torch.equal(p.grad, kept[name])}
    assert changed == parts(method)["discriminator"]


def test_neighbours_are_of_other_domains_and_of_its_own_for_the_central_one():
    method = make(neighbours=4)
    method.memory.update(torch.rand(36, 7).double(), torch.arange(36) % CLASSES, 0.0)
    domains = torch.arange(3).repeat_interleave(5)
    features = torch.rand(15, 7).double()
    nearest, there = method.memory.nearest(features, method.comparable[domains], 4)
    assert there.all() and nearest.shape == (15, 4)
    for domain, found in zip(domains.tolist(), OF[nearest], strict=True):
        assert (found == domain).all() if domain == CENTRAL else (found != domain).all()


def test_a_loss_without_neighbours_is_zero_and_has_no_gradient():
    method = make()
    features = torch.rand(4, 7, dtype=torch.float64, requires_grad=True)
    loss = method.memory_loss(features, torch.zeros(4, dtype=torch.long))
    assert loss == 0
    assert (torch.autograd.grad(loss, features)[0] == 0).all()


def test_probabilities_that_vanish_leave_a_finite_gradient():
    own = torch.tensor([[0.0, 3000.0, 2999.0]], dtype=torch.float64, requires_grad=True)
    loss = symmetric_divergence(own, torch.tensor([[1000.0, 0.0, 0.0]], dtype=torch.float64))
    assert loss.isfinite() and torch.autograd.grad(loss, own)[0].isfinite().all()
    assert symmetric_divergence(own, own.detach()).abs() < 1e-7


def test_the_divergence_is_torchs_in_both_directions():
    own, other = torch.randn(2, 5, 7, dtype=torch.float64)
    p, q = own.softmax(1), other.softmax(1)
    expected = F.kl_div((p + 1e-8).log(), q, reduction="sum") + F.kl_div((q + 1e-8).log(), p, reduction="sum")
    torch.testing.assert_close(symmetric_divergence(own, other), expected / own.numel())


def test_both_passes_move_the_statistics_behind_the_encoder():
    method, given = make(), batch()
    method.step({"base": [given]}, 0)
    passes = {n: int(v) for n, v in method.state_dict().items() if n.endswith("num_batches_tracked")}
    assert passes == {
        "network.backbone.early.1.num_batches_tracked": 1,
        "network.backbone.late.1.num_batches_tracked": 2,
        "network.neck.num_batches_tracked": 2,
        "discriminator.1.num_batches_tracked": 2,
    }
    with torch.no_grad():
        features = make().network(given.images)
    torch.testing.assert_close(method.network.neck.running_mean, 0.19 * features.mean(0))


def test_the_central_domain_is_the_largest_or_the_named_one():
    assert make().central == 1 and make(central="third").central == 2
    with pytest.raises(UserError, match=r"unknown method\.central 'thrid': did you mean 'third'\? Known"):
        make(central="thrid")
    with pytest.raises(UserError, match=r"unknown method\.central 'third': Known: largest"):
        make(given=task(names=()), central="third")


def test_the_same_identity_may_belong_to_several_domains_which_are_cameras():
    membership = torch.tensor([[True, True, False, False], [False, True, True, True]])
    method = make(given=Task(4, 2, 20, EPOCH, membership))
    assert method.central == 1
    assert method.comparable.tolist() == [[False, False, True, True], [False, True, True, True]]


def test_one_domain_is_refused_in_a_sentence():
    with pytest.raises(UserError, match=r"with a central one, but the protocol has 1: add sources"):
        make(given=task(torch.zeros(4, dtype=torch.long), ("only",)))


def test_a_backbone_of_one_piece_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="has no stages, and this method needs 2 or more"):
        make(tiny.Backbone())


@pytest.mark.parametrize(
    "words",
    [["method.memory_weight=0", "method.neighbours=4"], ["method.triplet_weight=0", "method.margin=0.1"]],
)
def test_an_option_that_nothing_reads_is_refused(root, words):
    with pytest.raises(UserError, match=r"method\.\w+ means nothing without"):
        load_run(["method=ddan", "backbone=resnet_tiny", "protocol=miniature", *words])


def test_dualnorm_stands_in_the_encoder_and_nowhere_else(root):
    plain, styled = (
        make(build(load_backbone("mobilenet_v2_x0_25")), name=name) for name in ("ddan", "ddan_dualnorm")
    )
    norms = [n for n, m in styled.network.backbone.named_modules() if isinstance(m, InstanceNorm2d)]
    assert len(norms) == 14 and not any(n.startswith("head") for n in norms)
    assert not any(isinstance(m, InstanceNorm2d) for m in plain.modules())


def test_the_shipped_runs(root):
    for name, provenance in (("ddan", "as released"), ("ddan_dualnorm", "reconstruction")):
        words = [f"method={name}", "backbone=mobilenet_v2_x1_0_torchvision", "protocol=metabin_dg"]
        run = load_run([*words, "recipe=own", "image=own"])
        assert run.method.provenance == provenance
        assert (run.recipe.name, run.image.name) == ("ddan", "256x128_ddan")
        assert (run.recipe.epochs, run.recipe.batch_size, run.recipe.images_per_identity) == (100, 64, 4)
        operations = [step.operation for step in run.image.train]
        assert operations == ["pad_crop", "flip", "rotation", "color_jitter"]
    method = make(recipe=run.recipe)
    assert method.samplers == {"base": Sampler("pk")}
    rates = []
    for epoch in (0, 39, 40, 79, 80):
        method.step({"base": [batch()]}, EPOCH * epoch)
        rates.append([each.param_groups[0]["lr"] for each in method.optimisers.values()])
    assert rates == [pytest.approx([rate, 10 * rate, 10 * rate]) for rate in (1e-2, 1e-2, 1e-3, 1e-3, 1e-4)]
    groups = [group for each in method.optimisers.values() for group in each.param_groups]
    assert all(g["nesterov"] and g["momentum"] == 0.9 and g["weight_decay"] == 5e-4 for g in groups)
