import itertools

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from dgreid.images import samplers
from dgreid.images.batch import Batch, Sampler
from dgreid.images.normalise import normalise
from dgreid.methods import qaconv
from dgreid.methods.base import Task
from dgreid.methods.qaconv import Matcher, QAConv, best_matches, focal_loss, map_size
from dgreid.networks import backbones
from dgreid.runs.config import load_run
from dgreid.runs.run import record, restore
from helpers import tiny
from helpers.tiny import snapshot

torch.set_num_threads(1)
CLASSES, CHANNELS = 37, 8


class Backbone(nn.Module):
    stages = (("first", 4), ("second", 6))
    channels = 6

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Conv2d(4, 6, 3, 2, 1)

    def forward(self, x):
        return self.second(self.first(x))


def make(recipe=None, classes: int = CLASSES, **changes) -> QAConv:
    torch.manual_seed(0)
    task = Task(classes, 2, 4, 2, image=(8, 6))
    options = tiny.options("qaconv", channels=CHANNELS, **changes)
    return QAConv(options, Backbone(), recipe or tiny.recipe(), task).train()


def batch(people=(3, 0, 3, 36, 17), seed: int = 1) -> Batch:
    images = torch.randn(len(people), 3, 8, 6, generator=torch.Generator().manual_seed(seed))
    return Batch(images, torch.tensor(people), torch.zeros(len(people), dtype=torch.long))


def maps(count: int, height: int = 4, width: int = 3, seed: int = 0) -> torch.Tensor:
    values = torch.randn(count, CHANNELS, height, width, generator=torch.Generator().manual_seed(seed))
    return F.normalize(values)


def matcher(tied: bool, locations: int = 12) -> Matcher:
    """A matcher in eval mode that has seen something."""
    torch.manual_seed(0)
    made = Matcher(locations, tied)
    for _ in range(3):
        made(torch.rand(5, 6, 2 * locations) * 2 - 1)
    return made.eval()


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_best_matches_are_the_greatest_cosines_of_each_location(queries, images, height, width, seed):
    query, gallery = maps(queries, height, width, seed), maps(images, height, width, seed + 1)
    matches = best_matches(query, gallery)
    places = list(itertools.product(range(height), range(width)))
    for q, g in itertools.product(range(queries), range(images)):
        table = torch.tensor(
            [[float(query[q, :, i, j] @ gallery[g, :, k, m]) for k, m in places] for i, j in places]
        )  # (query's locations, gallery's locations)
        torch.testing.assert_close(matches[q, g], torch.cat([table.amax(0), table.amax(1)]))


def test_a_map_matches_itself_perfectly_at_every_location():
    same = best_matches(maps(3), maps(3))
    torch.testing.assert_close(same[range(3), range(3)], torch.ones(3, 24))
    assert (same <= 1 + 1e-6).all() and (same[0, 1] < 0.999).all()


def test_swapping_the_pair_swaps_the_two_directions():
    query, gallery = maps(3), maps(4, seed=1)
    there, back = best_matches(query, gallery), best_matches(gallery, query)
    torch.testing.assert_close(there, back.transpose(0, 1).roll(12, dims=2))
    tied, free = matcher(True), matcher(False)
    torch.testing.assert_close(tied(there), tied(back).T)
    assert ((free(there) - free(back).T).abs() > 1e-3).any()


def test_tied_weights_are_one_half_used_twice():
    tied, free = matcher(True), matcher(False)
    free.load_state_dict({**tied.state_dict(), "weigh.weight": tied.weigh.weight.repeat(1, 2)})
    matches = best_matches(maps(3), maps(4, seed=1))
    torch.testing.assert_close(tied(matches), free(matches))


def test_both_norms_of_the_matcher_are_over_all_pairs_at_once():
    torch.manual_seed(0)
    matches, made = torch.rand(5, 6, 24), Matcher(12, False)
    normed = (matches - matches.mean()) / (matches.var(correction=0) + 1e-5).sqrt()
    scores = (normed @ made.weigh.weight.T)[..., 0] + made.weigh.bias
    expected = (scores - scores.mean()) / (scores.var(correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(made(matches), expected)


@pytest.mark.parametrize("focus", [2.0, 0.0])
def test_the_focal_loss_and_its_gradient(focus):
    torch.manual_seed(0)
    logits, identities = torch.randn(4, 5, dtype=torch.double, requires_grad=True), torch.tensor([0, 4, 2, 2])
    probability = logits.sigmoid()
    total = 0
    for i, c in itertools.product(range(4), range(5)):
        p_t = probability[i, c] if identities[i] == c else 1 - probability[i, c]
        total = total - (1 - p_t) ** focus * p_t.log() / 4
    loss = focal_loss(logits, identities, focus)
    torch.testing.assert_close(loss, total)
    (expected,), (gradient,) = (torch.autograd.grad(value, logits) for value in (total, loss))
    torch.testing.assert_close(gradient, expected)  # the weight's own gradient included


def test_a_sure_loss_is_finite():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    for person in (0, 1):
        loss = focal_loss(logits, torch.tensor([person]))
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite() and gradient.isfinite().all()


def test_the_memory_is_compared_by_chunks_without_a_trace():
    outcomes = []
    for chunk in (1, 16, CLASSES):
        method = make(memory_chunk=chunk).double()  # gradients near zero say nothing in float32
        method.remember(maps(CLASSES, 4, 3).double(), torch.arange(CLASSES))
        given = batch()
        values = method.recall(method.embed(given.images.double()))
        assert values.shape == (5, CLASSES, 24)
        loss = focal_loss(method.matcher(values), given.identities)
        outcomes.append([values, loss, *torch.autograd.grad(loss, list(method.parameters()))])
    for other in outcomes[1:]:
        for one, two in zip(outcomes[0], other, strict=True):
            torch.testing.assert_close(one, two, atol=1e-12, rtol=1e-9)


def test_a_step_remembers_the_newest_map_of_each_identity_as_it_was_compared():
    method, given = make(), batch()
    assert method.memory.shape == (CLASSES, CHANNELS, 4, 3) and not method.memory.any()
    before = make().embed(given.images).detach()
    method.step({"base": [given]}, 0)
    for person, place in ((3, 2), (0, 1), (36, 3), (17, 4)):  # of identity 3 the later one
        torch.testing.assert_close(method.memory[person], before[place])
    assert method.memory.flatten(1).any(1).sum() == 4 and not method.memory.requires_grad
    method.step({"base": [batch((0,) * 4, seed=2)]}, 1)
    assert not torch.equal(method.memory[0], before[1]) and torch.equal(method.memory[3], before[2])


def test_the_loss_of_a_step_is_the_formula():
    method, given = make(), batch()
    method.remember(maps(CLASSES, 4, 3), torch.arange(CLASSES))
    other = make()
    other.load_state_dict(method.state_dict())
    logits = other.matcher(best_matches(other.embed(given.images), other.memory))
    logged = method.step({"base": [given]}, 0)
    torch.testing.assert_close(logged["matching"], focal_loss(logits, given.identities).detach())
    assert logged["accuracy"] == (logits.argmax(1) == given.identities).float().mean()


def test_the_score_is_a_tempered_sigmoid_and_blocks_do_not_show(monkeypatch):
    method = make()
    method.step({"base": [batch()]}, 0)
    method.eval()
    query, gallery = maps(5), maps(7, seed=1)
    scores = method.similarity(query, gallery)
    torch.testing.assert_close(scores, torch.sigmoid(method.matcher(best_matches(query, gallery)) / 10))
    assert scores.min() > 0 and scores.max() < 1
    order = torch.randperm(7)
    torch.testing.assert_close(method.similarity(query, gallery[order]), scores[:, order])
    sizes = []
    monkeypatch.setattr(qaconv, "CORRELATIONS", 12**2 * 9)  # nine pairs at a time
    monkeypatch.setattr(
        qaconv, "best_matches", lambda q, g: sizes.append(len(q) * len(g)) or best_matches(q, g)
    )
    torch.testing.assert_close(method.similarity(query, gallery), scores)
    assert max(sizes) == 9 and sum(sizes) == 35


def test_the_network_sees_pixels_between_0_and_1():
    method = make().eval()
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3)).astype(np.uint8))
    plain = pixels.permute(0, 3, 1, 2) / 255
    expected = method.neck(method.backbone(plain))
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(method.embed(normalise(pixels)), expected, atol=1e-5, rtol=1e-4)


def test_the_last_stage_is_gone():
    method = make()
    assert not any("second" in name for name in method.state_dict())
    assert method.backbone.stages == (("first", 4),) and method.neck[0].in_channels == 4


def test_resnet50_ends_with_layer3_at_24x8():
    network = backbones.build(backbones.read(tiny.read("backbone", "resnet50")))
    task = Task(5, 2, 4, 2, image=(384, 128))
    method = QAConv(tiny.options("qaconv"), network, tiny.recipe(), task)
    assert method.memory.shape == (5, 128, 24, 8)
    assert method.matcher.weigh.weight.shape == (1, 2 * 192)
    assert method.neck[0].weight.shape == (128, 1024, 3, 3) and method.neck[0].bias is None
    assert not any("layer4" in name for name, _ in method.named_parameters())


def test_trying_for_the_size_of_a_map_leaves_no_trace():
    network = Backbone().train()
    before = snapshot(network)
    state = torch.get_rng_state()
    assert map_size(network, (8, 6)) == (2, 2)
    assert network.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_trained_layers_learn_slower_and_the_rate_falls_once():
    words = ["method=qaconv", "backbone=resnet50", "protocol=m3l_market", "recipe=qaconv", "image=384x128"]
    run = load_run(words)
    method = make(run.recipe)
    rates = {}
    for epoch in (0, 39, 40, 59):
        method.step({"base": [batch()]}, 2 * epoch + 1)
        rates[epoch] = [each.param_groups[0]["lr"] for each in method.optimisers.values()]
    assert rates[0] == rates[39] == [0.01, 0.001] and rates[40] == rates[59] == pytest.approx([0.001, 0.0001])
    for name, each in method.optimisers.items():
        for group in each.param_groups:
            assert (group["nesterov"], group["momentum"], group["weight_decay"]) == (True, 0.9, 5e-4), name
    learned = [
        p for each in method.optimisers.values() for group in each.param_groups for p in group["params"]
    ]
    assert {id(p) for p in learned} == {id(p) for p in method.parameters()}
    assert (run.image.height, run.image.width) == (384, 128)
    flip, occlusion = run.image.train  # no crop
    assert (flip.operation, occlusion.operation, occlusion.greatest_side) == ("flip", "occlusion", 0.8)


def test_batches_are_32_images_whatever_the_number_of_sources():
    recipe = load_run(["method=qaconv", "backbone=resnet50", "protocol=m3l_market", "recipe=qaconv"]).recipe
    people = np.arange(150) // 2
    for domains in (2, 3, 4):
        sizes = samplers.Sizes(recipe.identities_per_domain, recipe.images_per_identity, recipe.batch_size)
        labels = samplers.Labels(people, people % domains, people * 0)
        stream = samplers.make(Sampler("random"), labels, sizes, "base", 0)
        rows = [stream.batch(number) for number in range(4)]  # one epoch: 22 images are left over
        assert {len(row) for row in rows} == {32} and len(set(np.concatenate(rows))) == 128


def test_it_learns_to_tell_identities_apart():
    run = tiny.config("qaconv", epochs=30, optimiser="adamw", milestones=())
    method, task, load = tiny.set_up(run)
    method.train()
    logged = [
        method.step({"base": [one]}, iteration)
        for iteration, one in enumerate(load([("base", number) for number in range(task.iterations)]))
    ]
    first, last = (
        [np.mean([float(losses[name]) for losses in part]) for name in ("matching", "accuracy")]
        for part in (logged[:10], logged[-10:])
    )
    assert last[0] < first[0] / 2 and last[1] > 0.5 > first[1]


def test_a_saved_run_knows_the_size_of_its_maps(tmp_path):
    run = tiny.config("qaconv")
    method, task, load = tiny.set_up(run)
    (one,) = load([("base", 0)])
    method.train().step({"base": [one]}, 0)
    save_file(method.state_dict(), tmp_path / "model.safetensors")
    facts = record(run, task, {})
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(facts))
    restored, facts = restore(tmp_path)
    assert "image" not in facts["training"] and restored.task.image == (tiny.HEIGHT, tiny.WIDTH)
    assert torch.equal(restored.memory, method.memory) and restored.memory.any()
    with torch.no_grad():
        scores = [each.eval().similarity(*[each.embed(one.images)] * 2) for each in (method, restored)]
    assert torch.equal(*scores)
