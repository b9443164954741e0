import hashlib
import os

import pytest
import torch

from dgreid import sealed
from dgreid.errors import UserError
from dgreid.miniature.looks import draw_classes
from dgreid.networks.backbones import build, load_backbone
from dgreid.networks.weights import start_of
from dgreid.stages.pretrain import gather, pretrain

START = """
looks: 1
pictures: 2
iterations: 2
batch_size: 8
learning_rate: 0.1
warmup: 1
weight_decay: 5e-4
label_smoothing: 0.1
"""
TINY = "architecture: resnet_tiny\nlast_stride: 2\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    for group, name, text in (("start", "drawn", START), ("backbone", "resnet_tiny", TINY)):
        path = tmp_path / "params" / group / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DGREID_THREADS", "1")
    return tmp_path


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_file_comes_again(project):
    path = pretrain("resnet_tiny")
    first = digest(path)
    path.unlink()
    torch.rand(3)
    assert pretrain("resnet_tiny") == path == start_of("resnet_tiny")
    assert digest(path) == first


def test_the_file_is_sealed_and_loads_by_the_door(project):
    path = pretrain("resnet_tiny")
    assert sealed.check(path)
    torch.manual_seed(1)
    options = load_backbone("resnet_tiny")
    random, loaded = build(options), build(options, "drawn")
    assert not torch.equal(random.conv1.weight, loaded.conv1.weight)
    assert loaded.bn1.running_mean.abs().max() > 0


def test_a_damaged_or_missing_file_says_how_to_make_it(project):
    options = load_backbone("resnet_tiny")
    with pytest.raises(UserError, match=r"is (missing|damaged): make it with `dgreid pretrain back"):
        build(options, "drawn")
    path = pretrain("resnet_tiny")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged: make it with `dgreid pretrain"):
        build(options, "drawn")


def test_processes_change_no_picture(project):
    classes = draw_classes(("ball", "lamp", "letter A"), 1, 0)
    one, names = gather(classes, 0, range(3), processes=1)
    two, _ = gather(classes, 0, range(3), processes=2)
    assert torch.equal(one, two) and one.shape == (9, 64, 32, 3)
    assert names.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_an_unknown_backbone_is_one_sentence(project):
    with pytest.raises(UserError, match="resnet_tinny"):
        pretrain("resnet_tinny")
    assert not os.path.exists("data")
