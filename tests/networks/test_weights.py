"""Weight files into backbones: names of three layouts, exactness, refusals."""

import errno
import os
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dgreid.errors import UserError
from dgreid.networks import backbones
from dgreid.networks.backbones import build, mobilenet_v2
from dgreid.paths import WEIGHTS
from helpers.networks import MOBILE, randomise_norms, same_outputs

TINY = backbones.read(dict(name="resnet_tiny", architecture="resnet_tiny", last_stride=2))


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
