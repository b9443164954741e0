import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from dgreid.errors import UserError
from dgreid.networks import weights
from dgreid.networks.backbones import build, load_backbone, mobilenet_v2
from dgreid.networks.backbones.mobilenet_v2 import MobileNetV2
from helpers.networks import MOBILE, config, randomise_norms, same_outputs


def norm_widths(network):
    return [m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def test_mobilenet_v2_x1_4_norm_widths_and_parameters():
    network = MobileNetV2(1.4)
    expected = [44, 44, 44, 22, 132, 132, 33, 198, 198, 33]
    expected += [198, 198, 44] + [264, 264, 44] * 2 + [264, 264, 89] + [534, 534, 89] * 3
    expected += [534, 534, 134] + [804, 804, 134] * 2 + [804, 804, 224] + [1344, 1344, 224] * 2
    assert norm_widths(network) == [*expected, 1344, 1344, 448, 1792]
    # the paper's 4.34 M: backbone with the instance affine maps (two more vectors per norm), without gates
    assert sum(p.numel() for p in network.parameters()) + 2 * 23_822 == 4_339_248


def test_mobilenet_v2_layers_end_where_the_resolution_changes():
    network = build(config("mobilenet_v2_x1_0"))
    assert network.stages == (
        ("layer1", 24),
        ("layer2", 32),
        ("layer3", 96),
        ("layer4", 320),
        ("head", 1280),
    )
    assert [len(getattr(network, f"layer{i}")) for i in (1, 2, 3, 4)] == [3, 3, 7, 4]


TORCHVISION = MOBILE.model_copy(update={"first_expansion": False})
QUADRATURE = np.polynomial.legendre.leggauss(400)


def test_torchvision_mobilenet_v2_gives_the_same_features(models, tmp_path):
    theirs = randomise_norms(models.mobilenet_v2(weights=None))
    save_file(theirs.state_dict(), tmp_path / "v2.safetensors")
    same_outputs(build(MOBILE, str(tmp_path / "v2.safetensors")), theirs.features)


def test_imagenet_mobilenet_v2_gives_torchvisions_features(models, shared, caplog):
    path = shared / "weights" / "mobilenet_v2_x1_0_imagenet.safetensors"
    if not path.exists():
        pytest.skip("no ImageNet weights beside the project")
    caplog.set_level("INFO")
    theirs = models.mobilenet_v2(weights=None)
    state = weights.read(path)
    theirs.features.load_state_dict(
        {n.removeprefix("features."): v for n, v in state.items() if n.startswith("features.")}
    )
    ours = build(MOBILE, str(path))
    same_outputs(ours, theirs.features, size=(256, 128))
    assert "torchvision layout" in caplog.text and "identity" in caplog.text


def test_the_added_expansion_changes_little_in_training_too(models):
    theirs = randomise_norms(models.mobilenet_v2(weights=None))
    ours = MobileNetV2(last_stride=2)
    weights.fit(ours, theirs.state_dict(), "a file")
    stem, expand = ours.train().stem, ours.layer1[0].expand
    with torch.no_grad():
        x = stem(
            torch.randn(8, 3, 64, 64)
        )  # Gaussian before the stem's norm, whose statistics are the batch's
        there, scale = expand(x.clone()), x.std((0, 2, 3))  # (8, 32, 32, 32), (32,)
    assert ((there - x).abs().amax((0, 2, 3)) < 0.15 * scale).all()


@settings(deadline=None)  # of a busy machine
@given(st.floats(-8, 12), st.floats(0.05, 4))
def test_mean_and_variance_of_a_clipped_gaussian(mean, deviation):
    nodes, each = QUADRATURE
    low, high = max(0, mean - 12 * deviation), min(6, mean + 12 * deviation)
    z = low + (nodes + 1) / 2 * (high - low)
    density = np.exp(-(((z - mean) / deviation) ** 2) / 2) / deviation / math.sqrt(2 * math.pi)
    above = math.erfc((6 - mean) / deviation / math.sqrt(2)) / 2
    first, second = ((each * density * z**k).sum() * (high - low) / 2 + 6**k * above for k in (1, 2))
    got = mobilenet_v2.clipped_gaussian(torch.tensor([mean]), torch.tensor([deviation]))
    assert got[0].item() == pytest.approx(first, abs=1e-5)
    assert got[1].item() == pytest.approx(second - first**2, abs=1e-5)


def test_torchvisions_layout_has_52_norms_and_its_number_of_parameters(root):
    network = build(load_backbone("mobilenet_v2_x1_0_torchvision"))
    assert network.layer1[0].skip is False
    assert norm_widths(network)[:4] == [32, 32, 16, 96]  # stem, depthwise, project; the next block expands
    assert len(norm_widths(network)) == 52
    # torchvision's 3,504,872 without its classifier of 1,280 x 1,000 weights and 1,000 biases
    assert sum(p.numel() for p in network.parameters()) == 3_504_872 - 1_281_000 == 2_223_872
    other = build(load_backbone("mobilenet_v2_x1_0_last2"))
    assert len(norm_widths(other)) == 53
    # less an expansion of 32 x 32 weights and a norm of 32
    assert sum(p.numel() for p in other.parameters()) == 2_223_872 + 32 * 32 + 2 * 32
    assert network.weight_name == other.weight_name and network.stages == other.stages


def test_torchvisions_layout_holds_its_imagenet_tensors_and_computes_its_features(models, shared, caplog):
    """The same tensors, none added, and the same numbers, in training too."""
    path = shared / "weights" / "mobilenet_v2_x1_0_imagenet.safetensors"
    if not path.exists():
        pytest.skip("no ImageNet weights beside the project")
    caplog.set_level("INFO")
    theirs = models.mobilenet_v2(weights=None).features
    state = {n.removeprefix("features."): v for n, v in weights.read(path).items() if "features." in n}
    theirs.load_state_dict(state)
    ours = build(TORCHVISION, str(path))
    expected, found = theirs.state_dict().values(), ours.state_dict().values()
    assert len(found) == len(expected) == 5 * 52 + 52  # a convolution and a norm, with its counter, 52 times
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert "torchvision layout" in caplog.text and "identity" not in caplog.text
    images = torch.randn(2, 3, 256, 128)
    for training in (False, True):
        with torch.no_grad():
            got, wanted = (network.train(training)(images) for network in (ours, theirs))
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5 * wanted.abs().max().item())
    for name, value in zip(ours.state_dict(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)  # running statistics moved alike


def test_torchreids_weights_do_not_fit_torchvisions_layout():
    with pytest.raises(UserError, match=r"layer1\.0\.expand\.conv\.weight unknown"):
        weights.fit(build(TORCHVISION), MobileNetV2(last_stride=2).state_dict(), "a file")
