import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.networks import backbones
from dgreid.networks.backbones import build
from dgreid.networks.norms import (
    IBN,
    ibn,
)
from helpers.networks import randomise_norms


def test_ibn_is_instance_norm_first_and_wants_even_widths():
    torch.manual_seed(0)
    x = torch.randn(4, 6, 5, 3)
    expected = torch.cat([F.instance_norm(x[:, :3]), F.batch_norm(x[:, 3:], None, None, training=True)], 1)
    torch.testing.assert_close(IBN(6)(x), expected)
    with pytest.raises(UserError, match="33 channels cannot be halved"):
        IBN(33)


RESNET = backbones.read(dict(name="resnet18", architecture="resnet", depth=18, last_stride=2))


def plain_resnet(path):
    network = randomise_norms(build(RESNET))
    torch.save(network.state_dict() | {"fc.weight": torch.zeros(1000, 512)}, path)
    return network


def is_fresh(norm):
    running = [] if norm.running_mean is None else [(norm.running_mean == 0), (norm.running_var == 1)]
    return all(bool(x.all()) for x in (norm.weight == 1, norm.bias == 0, *running))


def test_ibn_halves_take_their_channels_of_a_plain_norm(tmp_path, caplog):
    caplog.set_level("INFO")
    plain = plain_resnet(tmp_path / "r.pt")
    network = build(RESNET.model_copy(update={"ibn": "a"}), str(tmp_path / "r.pt"))
    assert "6 plain batch norms became IBN norms (sliced); 0 new norms" in caplog.text
    for old, new in ((plain.layer1[1], network.layer1[1]), (plain.layer3[0], network.layer3[0])):
        half = old.bn1.num_features // 2
        assert torch.equal(new.conv1.weight, old.conv1.weight)
        assert torch.equal(new.bn1.instance.weight, old.bn1.weight[:half])
        assert torch.equal(new.bn1.instance.bias, old.bn1.bias[:half])
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            assert torch.equal(getattr(new.bn1.batch, tensor), getattr(old.bn1, tensor)[half:])
    assert torch.equal(network.layer4[0].bn1.weight, plain.layer4[0].bn1.weight)


def test_ibn_halves_may_start_afresh_as_m3l_released_it(tmp_path):
    plain = plain_resnet(tmp_path / "r.pt")
    changes = {"ibn": "a", "ibn_weights": "fresh", "running_statistics": "fresh", "stem_activation": False}
    network = build(RESNET.model_copy(update=changes), str(tmp_path / "r.pt"))
    for layer in (network.layer1, network.layer2, network.layer3):
        assert all(is_fresh(block.bn1.instance) and is_fresh(block.bn1.batch) for block in layer)
    other = network.layer4[1].bn1
    assert torch.equal(other.weight, plain.layer4[1].bn1.weight)  # parameters are loaded
    assert (other.running_mean == 0).all() and (other.running_var == 1).all()  # statistics are not
    assert torch.equal(network.layer1[0].conv1.weight, plain.layer1[0].conv1.weight)


def test_variant_b_takes_the_stems_affine_map_and_adds_two_norms(tmp_path, caplog):
    caplog.set_level("INFO")
    plain = plain_resnet(tmp_path / "r.pt")
    network = build(RESNET.model_copy(update={"ibn": "b"}), str(tmp_path / "r.pt"))
    assert "1 plain batch norms became IBN norms (sliced); 2 new norms" in caplog.text
    assert torch.equal(network.bn1.weight, plain.bn1.weight)
    assert is_fresh(network.layer1[-1].output_norm) and is_fresh(network.layer2[-1].output_norm)


@pytest.mark.parametrize("ibn", ["a", "b"])
def test_ibn_nets_own_layout(tmp_path, ibn):
    config = RESNET.model_copy(update={"ibn": ibn})
    ours = randomise_norms(build(config))
    for module in ours.modules():
        if isinstance(module, nn.InstanceNorm2d):
            nn.init.uniform_(module.weight)
    theirs = {}
    for name, value in ours.state_dict().items():
        for our, their in ((".instance.", ".IN."), (".batch.", ".BN."), (".output_norm.", ".IN.")):
            name = name.replace(our, their)
        theirs[f"module.{name}"] = value
    known = {"a": "module.layer1.0.bn1.IN.weight", "b": "module.layer2.1.IN.bias"}[ibn]
    assert known in theirs
    torch.save(theirs, tmp_path / "ibn.pth")
    loaded = build(config, str(tmp_path / "ibn.pth"))
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in ours.state_dict().items())


def test_ibn_weights_do_not_fit_a_plain_resnet_nor_other_widths(tmp_path):
    torch.save(build(RESNET.model_copy(update={"ibn": "a"})).state_dict(), tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"layer1\.0\.bn1\.weight missing"):
        build(RESNET, str(tmp_path / "a.pt"))
    state = build(RESNET).state_dict()
    for tensor in ibn.NORM_TENSORS:
        state[f"layer1.0.bn1.{tensor}"] = torch.ones(96)
    torch.save(state, tmp_path / "wide.pt")
    with pytest.raises(UserError, match=r"layer1\.0\.bn1\.batch\.weight is \(64,\) instead of \(32,\)"):
        build(RESNET.model_copy(update={"ibn": "a"}), str(tmp_path / "wide.pt"))
