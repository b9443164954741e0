"""torchreid's softmax recipe: loss, fixed base, distances, whole steps written down in float64."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Task
from dgreid.methods.dualnorm import normalise_style
from dgreid.methods.osnet import Softmax
from dgreid.networks.backbones import build, load_backbone
from dgreid.runs.config import load_run
from helpers import tiny
from helpers.tiny import snapshot


def make(root, backbone="osnet_x0_25", recipe=None, classes=4, **changes):
    torch.manual_seed(0)
    options = tiny.options("osnet", **changes)
    recipe = recipe or tiny.recipe(optimiser="adam", amsgrad=True, bias_factor=1)
    return Softmax(options, build(load_backbone(backbone)), recipe, Task(classes, 2, 6, 2)).train().double()


def batch(seed=1):
    images = torch.randn(8, 3, 32, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Batch(images, torch.arange(4).repeat_interleave(2), torch.arange(2).repeat_interleave(4))


def test_a_step_is_that_of_amsgrad_down_the_smoothed_cross_entropy(root):
    """w - r m / (sqrt(max v) + eps), decay in the gradient; logits are Wf + b on pooled features."""
    method = make(root, fixed_base_epochs=0)
    assert method.samplers == {"base": Sampler("random")}
    first, second, largest = {}, {}, {}
    for iteration in range(3):
        given, before = batch(iteration), {n: p.detach().clone() for n, p in method.named_parameters()}
        twin = make(root, fixed_base_epochs=0)
        twin.load_state_dict(method.state_dict())
        backbone, classifier = twin.network.backbone, twin.network.classifier
        features = backbone.pool(backbone(given.images))
        logs = (features @ classifier.weight.T + classifier.bias).log_softmax(1)
        shares = torch.full_like(logs, 0.1 / 4)  # epsilon over all classes, the right one too
        shares[torch.arange(8), given.identities] += 0.9
        loss = -(shares * logs).sum(1).mean()
        loss.backward()
        logged = method.step({"base": [given]}, iteration)
        torch.testing.assert_close(logged["cross_entropy"], loss.detach())
        t = iteration + 1
        for name, parameter in twin.named_parameters():
            gradient = parameter.grad + 5e-4 * before[name]
            first[name] = 0.9 * first.get(name, 0) + 0.1 * gradient
            second[name] = 0.999 * second.get(name, 0) + 0.001 * gradient**2
            largest[name] = torch.maximum(largest.get(name, torch.zeros_like(gradient)), second[name])
            scale = (largest[name] / (1 - 0.999**t)).sqrt() + 1e-8
            expected = before[name] - 0.0015 * first[name] / (1 - 0.9**t) / scale
            torch.testing.assert_close(
                method.get_parameter(name).detach(),
                expected,
                rtol=1e-7,
                atol=1e-7,
                msg=lambda m, n=name: n + m,
            )


def test_in_the_first_epochs_the_classifier_learns_alone(root):
    method = make(root, fixed_base_epochs=2)  # of two iterations each
    start, classifier = snapshot(method), {"network.classifier.weight", "network.classifier.bias"}
    for iteration in range(4):
        before = snapshot(method)
        method.step({"base": [batch(iteration)]}, iteration)
        moved = {name for name, value in snapshot(method).items() if not torch.equal(value, before[name])}
        assert moved == classifier  # no running statistics either
    eval_features = method.eval().embed(batch().images)
    method.train().step({"base": [batch()]}, 4)
    moved = {name for name, value in snapshot(method).items() if not torch.equal(value, start[name])}
    assert moved == set(start)  # all together
    assert not torch.equal(method.eval().embed(batch().images), eval_features)


def test_the_fixed_base_is_seen_in_eval_mode(root):
    method, given = make(root, fixed_base_epochs=1), batch()
    with torch.no_grad():
        features = method.eval().embed(given.images)
        logits = method.network.classifier(features)
    logged = method.train().step({"base": [given]}, 0)
    expected = F.cross_entropy(logits, given.identities, label_smoothing=0.1)
    torch.testing.assert_close(logged["cross_entropy"], expected)


def test_features_are_compared_unnormalised_or_by_cosine(root):
    method = make(root)
    method.eval()
    with torch.no_grad():
        features = method.embed(batch().images)
        backbone = method.network.backbone
        assert torch.equal(features, backbone.pool(backbone(batch().images))) and features.shape == (8, 512)
        features[0] *= 3  # cosines do not change
        distance = (features[:3, None] - features).square().sum(2)
        torch.testing.assert_close(method.similarity(features[:3], features), -distance)
        unit = F.normalize(features)
        cosine = make(root, distance="cosine").similarity(features[:3], features)
        torch.testing.assert_close(cosine, unit[:3] @ unit.T)


@pytest.mark.parametrize("backbone", ["osnet_x0_25", "osnet_ain_x1_0"])
def test_dualnorm_does_not_say_where_osnets_style_norms_stand(root, backbone):
    with pytest.raises(UserError, match=r"DualNorm is defined for .*not for OSNet"):
        normalise_style(build(load_backbone(backbone)))


def test_the_classifier_starts_small_with_a_bias_of_zero(root):
    classifier = make(root, classes=1000).network.classifier
    assert isinstance(classifier, nn.Linear) and (classifier.bias == 0).all()
    assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize(
    ("method", "backbone", "epochs", "shares"),
    [
        ("osnet", "osnet_ibn_x1_0", 150, {0: 1, 59: 1, 60: 0.1, 149: 0.1}),
        ("osnet_ain", "osnet_ain_x1_0", 100, {0: 1, 25: (1 + 0.5**0.5) / 2, 50: 0.5, 75: (1 - 0.5**0.5) / 2}),
    ],
)
def test_own_recipes_are_torchreids(root, method, backbone, epochs, shares):
    words = [f"method={method}", f"backbone={backbone}", "protocol=metabin_m2d", "recipe=own", "image=own"]
    run = load_run(words)
    recipe = run.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.optimiser, recipe.amsgrad) == (epochs, 64, "adam", True)
    made = Softmax(run.method, tiny.Backbone(), recipe, Task(4, 1, 10 * epochs, 10))
    images = torch.randn(8, 3, 16, 16)
    given = Batch(images, torch.arange(4).repeat(2), torch.zeros(8, dtype=torch.long))
    for epoch, share in shares.items():
        for iteration in (10 * epoch, 10 * epoch + 9):  # the rate moves by epoch
            made.step({"base": [given]}, iteration)
            assert made.optimisers["main"].param_groups[0]["lr"] == pytest.approx(0.0015 * share)
    assert {o.operation for o in run.image.train} == {"flip", "color_jitter"}
