import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch
from dgreid.losses import batch_hard_triplet, smoothed_cross_entropy
from dgreid.methods.base import Task
from dgreid.methods.snr import SNR, Pooled, Restitution, draw_triplets, dual_causality, stage_weights
from dgreid.networks import backbones
from dgreid.runs.config import load_run
from helpers import tiny

torch.set_num_threads(1)
IDENTITIES = torch.arange(4).repeat_interleave(3)


class Backbone(nn.Module):
    stages = (("first", 4), ("second", 6))
    channels = 6

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU())

    def forward(self, x):
        return self.second(self.first(x))


def make(**changes) -> SNR:
    torch.manual_seed(0)
    method = SNR(tiny.options("snr", **changes), Backbone(), tiny.recipe(), Task(4, 2, 4, 2)).train()
    for module in modules(method):
        stir(module)
    return method


def modules(method: SNR) -> list[Restitution]:
    return [module for module in method.modules() if isinstance(module, Restitution)]


def stir(module: Restitution) -> Restitution:
    """Give the instance norm weights other than 1 and 0."""
    generator = torch.Generator().manual_seed(5)
    for parameter in module.norm.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return module


def batch() -> Batch:
    images = torch.randn(12, 3, 9, 8, generator=torch.Generator().manual_seed(1))
    return Batch(images, IDENTITIES, torch.zeros(12, dtype=torch.long))


def pooled(seed: int = 0, channels: int = 5) -> Pooled:
    generator = torch.Generator().manual_seed(seed)
    return Pooled(*torch.randn(3, 12, channels, generator=generator, dtype=torch.double))


def cosine(features: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return F.cosine_similarity(features, features[other])


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(2, 5),
    st.integers(1, 5),
    st.booleans(),
    st.integers(0, 99),
)
def test_the_two_restitutions_share_what_was_taken(count, channels, height, width, bias, seed):
    torch.manual_seed(seed)
    module = stir(Restitution(channels, 16, bias)).train()
    maps = 3 * torch.randn(count, channels, height, width) + torch.randn(count, channels, 1, 1)
    plus = module(maps)
    plain = module.norm(maps)
    style = (maps - plain).mean((2, 3))
    gate = module.excite(F.relu(module.squeeze(style))).sigmoid()[..., None, None]
    assert gate.min() > 0 and gate.max() < 1
    minus = plain + (1 - gate) * (maps - plain)
    torch.testing.assert_close(plus, plain + gate * (maps - plain))
    torch.testing.assert_close(plus + minus, plain + maps, atol=1e-5, rtol=1e-5)
    for kept, made in zip(module.pooled, (plain, plus, minus), strict=True):  # what the loss gets
        torch.testing.assert_close(kept, made.mean((2, 3)), atol=1e-5, rtol=1e-4)


def test_the_kept_means_give_the_loss_the_gradient_of_the_maps():
    # that of F~ is kept without one: its mean is the same for every image, so it has none
    torch.manual_seed(0)
    module = stir(Restitution(6)).double().train()
    maps = torch.randn(12, 6, 5, 3, dtype=torch.double, requires_grad=True)
    triplets = draw_triplets(IDENTITIES)
    gradients = []
    for kept in (True, False):
        plus = module(maps)
        plain = module.norm(maps)
        means = Pooled(*(made.mean((2, 3)) for made in (plain, plus, maps + plain - plus)))
        loss = dual_causality(module.pooled if kept else means, *triplets, "half_cosine")
        gradients.append(torch.autograd.grad(loss, [maps, *module.parameters()]))
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, atol=1e-12, rtol=1e-7)
        assert one.any()


def test_the_gate_has_biases_or_not_and_a_sixteenth_of_the_units():
    assert Restitution(256).squeeze.out_features == 16 and Restitution(256).squeeze.bias is not None
    bare = Restitution(8, 16, bias=False)
    assert bare.squeeze.out_features == 1 and bare.squeeze.bias is None and bare.excite.bias is None


def test_at_test_time_nothing_is_kept():
    module = Restitution(4).eval()
    module(torch.randn(2, 4, 3, 3))
    assert module.pooled is None
    method = make()
    method.step({"base": [batch()]}, 0)
    assert all(module.pooled is None for module in modules(method))


@pytest.mark.parametrize(("distance", "scale"), [("half_cosine", 0.5), ("cosine", 1.0)])
def test_the_causality_loss_is_the_formula(distance, scale):
    features = pooled()
    positive, negative = draw_triplets(IDENTITIES)
    near, near_plus, near_minus = (0.5 - scale * cosine(part, positive) for part in features)
    far, far_plus, far_minus = (0.5 - scale * cosine(part, negative) for part in features)

    def softplus(x):
        return (1 + x.exp()).log().mean()

    expected = softplus(near_plus - near) + softplus(far - far_plus)
    expected += softplus(near - near_minus) + softplus(far_minus - far)
    torch.testing.assert_close(dual_causality(features, positive, negative, distance), expected)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_swapping_what_helps_and_what_harms_turns_the_sign(seed):
    # softplus(x) - softplus(-x) = x: the difference of the two losses is the plain sum of the four terms
    features = pooled(seed)
    triplets = positive, negative = draw_triplets(IDENTITIES)
    swapped = Pooled(features.plain, features.minus, features.plus)
    loss, turned = (dual_causality(part, *triplets, "half_cosine") for part in (features, swapped))
    gain = [cosine(part, positive) - cosine(part, negative) for part in (features.plus, features.minus)]
    torch.testing.assert_close(loss - turned, (gain[1] - gain[0]).mean() / 2)
    same = Pooled(features.plain, features.plus, features.plus)
    assert dual_causality(same, *triplets, "cosine") > 4 * torch.log(torch.tensor(2.0)) - 1e-9  # by convexity


def test_it_is_better_to_give_back_what_tells_identities_apart():
    person = F.one_hot(IDENTITIES).double()
    helpful = Pooled(torch.ones(12, 4).double(), person, 1 - person.roll(1, 0))
    harmful = Pooled(helpful.plain, helpful.minus, helpful.plus)
    triplets = draw_triplets(IDENTITIES)
    losses = [dual_causality(part, *triplets, "half_cosine") for part in (helpful, harmful)]
    assert losses[0] < losses[1]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(2, 5), min_size=2, max_size=6), st.integers(0, 99))
def test_a_positive_is_another_image_and_a_negative_another_person(counts, seed):
    torch.manual_seed(seed)
    people = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    people = people[torch.randperm(len(people))]
    positive, negative = draw_triplets(people)
    assert (positive != torch.arange(len(people))).all()
    assert (people[positive] == people).all() and (people[negative] != people).all()


def test_triplets_are_drawn_uniformly_and_anew():
    torch.manual_seed(0)
    drawn = torch.stack([torch.stack(draw_triplets(IDENTITIES)) for _ in range(3000)])  # (3000, 2, 12)
    positives = torch.bincount(drawn[:, 0, 4], minlength=12)
    negatives = torch.bincount(drawn[:, 1, 4], minlength=12)
    assert positives.nonzero().flatten().tolist() == [3, 5]
    assert negatives.nonzero().flatten().tolist() == [0, 1, 2, *range(6, 12)]
    assert (positives[[3, 5]] - 1500).abs().max() < 150
    assert (negatives[negatives > 0] - 3000 / 9).abs().max() < 80


@pytest.mark.parametrize("people", [[0, 0, 1], [0, 0, 0], [0, 1]])
def test_a_batch_without_triplets_is_said_in_a_sentence(people):
    with pytest.raises(UserError, match=r"two images each of two identities .* recipe\.images_per_identity"):
        draw_triplets(torch.tensor(people))


def test_the_last_weight_belongs_to_the_last_stage():
    weights = (0.1, 0.1, 0.5, 0.5)
    assert stage_weights(weights, 4) == weights
    assert stage_weights(weights, 3) == (0.1, 0.5, 0.5)
    assert stage_weights(weights, 5) == (0.1, 0.1, 0.1, 0.5, 0.5)
    assert stage_weights((0.2,), 2) == (0.2, 0.2) and stage_weights(weights, 1) == (0.5,)


def test_a_module_stands_behind_each_stage():
    method = make()
    images = batch().images
    backbone = method.network.backbone.eval()
    first, snr = backbone.first
    second, last = backbone.second
    expected = last(second(snr(first(images))))
    torch.testing.assert_close(backbone(images), expected)
    assert (snr.norm.num_features, last.norm.num_features) == (4, 6)
    network = backbones.build(backbones.read(tiny.read("backbone", "resnet50")))
    whole = SNR(tiny.options("snr"), network, tiny.recipe(), Task(4, 2, 4, 2))
    assert [module.norm.num_features for module in modules(whole)] == [256, 512, 1024, 2048]


def test_a_step_sums_the_losses_with_their_weights():
    method, given = make(), batch()
    features = method.network(given.images)
    first, second = (module.pooled for module in modules(method))
    torch.manual_seed(7)
    causality = [dual_causality(part, *draw_triplets(IDENTITIES), "half_cosine") for part in (first, second)]
    expected = {
        "cross_entropy": smoothed_cross_entropy(method.network.logits(features), IDENTITIES),
        "triplet": batch_hard_triplet(features, IDENTITIES),
        "causality": 0.2 * causality[0] + 0.5 * causality[1],
    }
    other = make(stage_weights=(0.2, 0.5))
    torch.manual_seed(7)
    logged = other.step({"base": [given]}, 0)
    assert logged.keys() == expected.keys()
    for name, loss in expected.items():
        torch.testing.assert_close(logged[name], loss.detach())


def test_the_recipe_is_16_identities_by_4_whatever_the_number_of_sources():
    words = ["method=snr", "backbone=resnet50", "protocol=lda_p2_market", "recipe=snr"]
    run = load_run(words)
    assert run.recipe.batch_size // run.recipe.images_per_identity == 16
    assert run.method.provenance == "reconstruction"
    torch.manual_seed(0)
    method = SNR(run.method, Backbone(), run.recipe, Task(4, 2, 240, 2))
    assert type(method.optimisers["main"]) is torch.optim.Adam
    rates = []
    for epoch in (0, 9, 10, 39, 40, 70):
        method.step({"base": [batch()]}, 2 * epoch + 1)
        rates.append(method.optimisers["main"].param_groups[0]["lr"])
    assert rates == pytest.approx([3.5e-5, 3.185e-4, 3.5e-4, 3.5e-4, 3.5e-5, 3.5e-6])
