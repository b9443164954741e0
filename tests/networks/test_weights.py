"""Weight files into backbones: names of three layouts, exactness, refusals."""

import errno
import math
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from dgreid.errors import UserError
from dgreid.networks import backbones, weights
from dgreid.networks.backbones import build, mobilenet_v2
from dgreid.networks.backbones.mobilenet_v2 import MobileNetV2
from dgreid.networks.norms import ibn
from dgreid.paths import WEIGHTS

SHARED = Path(os.environ.get("DGREID_SHARED", Path(__file__).parents[3] / "shared"))
IMAGENET = SHARED / "weights" / "mobilenet_v2_x1_0_imagenet.safetensors"

QUADRATURE = np.polynomial.legendre.leggauss(400)
TINY = backbones.read(dict(name="resnet_tiny", architecture="resnet_tiny", last_stride=2))
RESNET = backbones.read(dict(name="resnet18", architecture="resnet", depth=18, last_stride=2))
MOBILE = backbones.read(dict(name="mobilenet_v2_x1_0", architecture="mobilenet_v2", last_stride=2))
TORCHVISION = MOBILE.model_copy(update={"first_expansion": False})


def randomise_norms(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                getattr(module, name).data.uniform_(0.5, 1.5)
    return network


def same_outputs(ours, theirs, size=(64, 32)):
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = theirs.eval()(x)
        torch.testing.assert_close(
            ours.eval()(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item()
        )


@pytest.fixture
def models():
    return pytest.importorskip("dgreid.networks.vision").models


def test_torchvision_mobilenet_v2_gives_the_same_features(models, tmp_path):
    theirs = randomise_norms(models.mobilenet_v2(weights=None))
    save_file(theirs.state_dict(), tmp_path / "v2.safetensors")
    same_outputs(build(MOBILE, str(tmp_path / "v2.safetensors")), theirs.features)


@pytest.mark.skipif(not IMAGENET.exists(), reason="no ImageNet weights beside the project")
def test_imagenet_mobilenet_v2_gives_torchvisions_features(models, caplog):
    caplog.set_level("INFO")
    theirs = models.mobilenet_v2(weights=None)
    state = weights.read(IMAGENET)
    theirs.features.load_state_dict(
        {n.removeprefix("features."): v for n, v in state.items() if n.startswith("features.")}
    )
    ours = build(MOBILE, str(IMAGENET))
    same_outputs(ours, theirs.features, size=(256, 128))
    assert "torchvision layout" in caplog.text and "identity" in caplog.text


@pytest.mark.skipif(not IMAGENET.exists(), reason="no ImageNet weights beside the project")
def test_torchvisions_layout_holds_its_imagenet_tensors_and_computes_its_features(models, caplog):
    """The same tensors, none added, and the same numbers, in training too."""
    caplog.set_level("INFO")
    theirs = models.mobilenet_v2(weights=None).features
    state = {n.removeprefix("features."): v for n, v in weights.read(IMAGENET).items() if "features." in n}
    theirs.load_state_dict(state)
    ours = build(TORCHVISION, str(IMAGENET))
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


@pytest.mark.parametrize("depth", [18, 50])
def test_torchvision_resnet_gives_the_same_features(models, tmp_path, depth):
    theirs = randomise_norms(getattr(models, f"resnet{depth}")(weights=None))
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "r.pth")
    config = backbones.read(dict(name="r", architecture="resnet", depth=depth, last_stride=2))
    ours = build(config, str(tmp_path / "r.pth"))
    same_outputs(ours, nn.Sequential(*list(theirs.children())[:-2]))


def test_torchreid_layout(tmp_path):
    """A network written down in torchreid's names, in its order of modules."""
    ours = randomise_norms(build(MOBILE))
    table = {new: old for old, new in mobilenet_v2.torchreid_table().items()}
    theirs = {}
    for name, value in ours.state_dict().items():
        module, _, tensor = name.rpartition(".")
        theirs[f"module.{table[module]}.{tensor}"] = value
    theirs["module.classifier.weight"] = torch.zeros(1000, 1280)
    for known in ("conv2.0.conv1.conv.weight", "conv7.2.dwconv2.bn.running_var", "conv8.0.conv3.1.bias"):
        assert f"module.{known}" in theirs
    torch.save(theirs, tmp_path / "reid.pt")
    loaded = build(MOBILE, str(tmp_path / "reid.pt"))
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in ours.state_dict().items())
    del theirs["module.conv2.0.conv1.conv.weight"]
    torch.save(theirs, tmp_path / "reid.pt")
    with pytest.raises(UserError, match="missing"):
        build(MOBILE, str(tmp_path / "reid.pt"))


@pytest.mark.parametrize("ibn", ["none", "a", "b"])
def test_own_names_round_trip(tmp_path, ibn):
    config = TINY.model_copy(update={"ibn": ibn})
    network = randomise_norms(build(config))
    save_file(network.state_dict(), tmp_path / "tiny.safetensors")
    loaded = build(config, str(tmp_path / "tiny.safetensors"))
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in network.state_dict().items())


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


def test_what_does_not_fit_is_named(tmp_path):
    state = build(TINY).state_dict()
    state["conv1.weight"] = torch.zeros(16, 3, 5, 5)
    del state["bn1.weight"]
    state["extra"] = torch.zeros(1)
    save_file(state, tmp_path / "tiny.safetensors")
    with pytest.raises(UserError) as error:
        build(TINY, str(tmp_path / "tiny.safetensors"))
    for part in (
        "bn1.weight missing",
        "extra unknown",
        "conv1.weight is (16, 3, 5, 5) instead of (16, 3, 3, 3)",
    ):
        assert part in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        build(TINY, str(tmp_path / "none.pt"))
    for name, content in (("a.bin", b""), ("a.safetensors", b"junk"), ("a.pt", b"junk"), ("b.pt", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=r"unknown suffix|not a readable"):
            build(TINY, str(tmp_path / name))
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="save a state_dict"):
        build(TINY, str(tmp_path / "list.pt"))


def same_weights(one, other):
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("numpy", [b"numpy._core", b"numpy.core"])
def test_a_checkpoint_with_numbers_of_numpy(tmp_path, numpy):
    network = randomise_norms(build(TINY))
    beside = {"rank1": np.float64(0.8), "epoch": np.int64(60), "curve": np.arange(3.0)}
    torch.save({"state_dict": network.state_dict(), **beside}, tmp_path / "new.pth.tar")
    with (
        zipfile.ZipFile(tmp_path / "new.pth.tar") as old,
        zipfile.ZipFile(tmp_path / "a.pth.tar", "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content.replace(b"numpy._core", numpy) if name.endswith(".pkl") else content)
    assert same_weights(network, build(TINY, str(tmp_path / "a.pth.tar")))


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_the_forms_in_which_people_hold_weights(tmp_path, prefix, key):
    network = randomise_norms(build(TINY))
    state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    torch.save({key: state} if key else state, tmp_path / "a.pth")
    assert same_weights(network, build(TINY, str(tmp_path / "a.pth")))


def test_a_whole_module_is_to_be_saved_as_a_state_dict(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "a.pth")
    with pytest.raises(
        UserError, match=r"objects of torch\.nn\.modules\.linear\.Linear.* save its state_dict"
    ) as caught:
        build(TINY, str(tmp_path / "a.pth"))
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_blamed_on_the_file(tmp_path, value):
    state = build(TINY).state_dict()
    state["conv1.weight"][0, 0, 0, 0] = value
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"a\.safetensors: conv1\.weight holds NaN or infinite"):
        build(TINY, str(tmp_path / "a.safetensors"))


@pytest.mark.parametrize("content", [b"<html>", b"version https://git-lfs.github.com/spec/v1", b"\x80\x04]."])
def test_what_is_no_weight_file_gives_no_advice_to_execute_it(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(UserError, match="not a readable weight file") as caught:
        build(TINY, str(tmp_path / "a.pth"))
    assert "weights_only" not in str(caught.value)


def test_a_weight_file_that_may_not_be_read_is_not_damaged(tmp_path, monkeypatch):
    torch.save(build(TINY).state_dict(), tmp_path / "a.pth")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\); fix that"):
        build(TINY, str(tmp_path / "a.pth"))


def test_a_pickle_with_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "done"),))

    torch.save({"x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="not a readable weight file"):
        build(TINY, str(tmp_path / "evil.pt"))
    assert not (tmp_path / "done").exists()


def test_imagenet_prefers_a_local_file_and_else_says_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="put the file at data/weights/resnet_tiny_imagenet"):
        build(TINY, "imagenet")
    network = build(TINY)
    WEIGHTS.mkdir(parents=True)
    save_file(network.state_dict(), WEIGHTS / "resnet_tiny_imagenet.safetensors")
    assert torch.equal(build(TINY, "imagenet").conv1.weight, network.conv1.weight)


def test_weights_by_torchvisions_name(models, monkeypatch):
    theirs, asked = randomise_norms(models.resnet50(weights=None)), []

    def state(self, **_):
        asked.append(self.name)
        return theirs.state_dict()

    monkeypatch.setattr(models.ResNet50_Weights, "get_state_dict", state)
    config = backbones.read(dict(name="r", architecture="resnet", depth=50))
    network = build(config, "IMAGENET1K_V2")
    assert asked == ["IMAGENET1K_V2"] and torch.equal(network.conv1.weight, theirs.conv1.weight)
    with pytest.raises(UserError, match="did you mean 'IMAGENET1K_V2'"):
        build(config, "IMAGENET1K_V22")


def test_a_failed_download_says_where_the_file_belongs(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(
        UserError, match=r"no route to host\): put the file at data/weights/mobilenet_v2_x1_0"
    ):
        build(MOBILE, "imagenet")


def test_none_leaves_the_drawn_weights():
    torch.manual_seed(0)
    drawn = build(TINY)
    torch.manual_seed(0)
    assert torch.equal(build(TINY, "none").conv1.weight, drawn.conv1.weight)
