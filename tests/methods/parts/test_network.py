import pytest
import torch
from torch import nn

from dgreid.errors import UserError
from dgreid.images.batch import Batch
from dgreid.losses import batch_hard_triplet, smoothed_cross_entropy
from dgreid.methods.parts.network import (
    Network,
    base_losses,
    linear_classifier,
    shallow,
    unread_of,
    with_norm,
)
from dgreid.networks.backbone import Backbone as Contract
from dgreid.networks.norms.instance import InstanceNorm2d
from helpers import tiny


class Maps(nn.Sequential):
    """A plain module as backbone, which says how many channels it gives."""

    channels = 4

    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())


def network(backbone=None, norm="batch", classes=5):
    torch.manual_seed(0)
    return Network(backbone or Maps(), norm, tiny.recipe(), classes).double()


IMAGES = torch.randn(6, 3, 7, 5, generator=torch.Generator().manual_seed(1)).double()


def test_features_are_pooled_maps_and_the_neck_comes_after_them():
    found = network().eval()
    features = found(IMAGES)
    torch.testing.assert_close(features, found.backbone(IMAGES).mean((2, 3)))
    torch.testing.assert_close(found.embed(IMAGES), found.neck(features))
    torch.testing.assert_close(found.logits(features), found.neck(features) @ found.classifier.weight.T)


def test_a_backbone_that_pools_by_itself_does_so():
    class Peaks(Contract):
        channels, stages, shallow_stages = 3, (), 0

        def forward(self, x):
            return x

        def pool(self, maps):
            return maps.amax((2, 3))

    torch.testing.assert_close(network(Peaks())(IMAGES), IMAGES.amax((2, 3)))


def test_the_classifier_starts_near_zero_and_without_bias():
    torch.manual_seed(0)
    classifier = linear_classifier(50, 2000)
    assert classifier.bias is None
    assert classifier.weight.std().item() == pytest.approx(0.001, rel=0.05)


def test_norms_are_converted_to_the_named_one():
    assert type(with_norm(Maps(), "batch")[1]) is nn.BatchNorm2d
    assert type(with_norm(Maps(), "instance")[1]) is InstanceNorm2d
    with pytest.raises(UserError, match="does not say which of its stages are shallow"):
        with_norm(Maps(), "instance_shallow")


def test_stem_and_first_stages_are_shallow():
    backbone = tiny.Backbone()
    backbone.stages, backbone.shallow_stages = (("one", 8), ("two", 8), ("twofold", 8)), 1
    is_shallow = shallow(backbone)
    found = [is_shallow(name) for name in ("stem.norm", "one.0", "two.0", "twofold.norm")]
    assert found == [True, True, False, False]


def test_base_losses_are_of_the_features_before_the_neck():
    found = network().train()
    batch = Batch(IMAGES, torch.tensor([0, 0, 1, 1, 2, 2]), torch.zeros(6))
    losses, features = base_losses(found, batch, 0.2, 0.3), found(IMAGES)
    expected = smoothed_cross_entropy(found.logits(features), batch.identities, 0.2)
    torch.testing.assert_close(losses["cross_entropy"], expected)
    torch.testing.assert_close(losses["triplet"], batch_hard_triplet(features, batch.identities, 0.3))


def test_an_option_of_a_loss_is_read_if_the_loss_is_there():
    assert dict(unread_of(("cross_entropy", "triplet"))) == {}
    assert list(dict(unread_of(("cross_entropy",)))) == ["margin"]
    assert list(dict(unread_of(()))) == ["label_smoothing", "margin"]
