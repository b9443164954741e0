"""The contract of backbones, on networks that no method knows: each takes them, or refuses them by name."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.networks import backbones, weights
from dgreid.networks.backbone import Backbone
from dgreid.networks.norms.instance import InstanceNorm2d
from dgreid.training.checkpoint import Checkpoint
from dgreid.training.loop import fit
from helpers import tiny
from helpers.tiny import snapshot

torch.set_num_threads(1)
CODES = ["dualnorm", "erm", "erm_in", "lda", "m3l", "metabin", "mldg", "qaconv", "snr"]


class Block(nn.Module):
    """Convolution, batch norm, ReLU, and a place for another norm."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm, self.place = nn.BatchNorm2d(outputs), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.place(F.relu(self.norm(self.conv(x))))


class Pooled(Backbone):
    """Three stages; pooled by a generalised mean with a learned exponent, then by a layer with weights."""

    channels, shallow_stages = 8, 1
    stages = (("one", 4), ("two", 6), ("three", 8))
    style_places, style_stem = (("one.place", 4),), ("stem.conv", "stem.norm")
    classifiers = ("classifier.",)  # `fc` is part of the features

    def __init__(self):
        super().__init__()
        self.stem, self.one, self.two = Block(3, 4, 1), Block(4, 4, 2), Block(4, 6, 2)
        self.three = Block(6, 8, 1)
        self.p, self.fc = nn.Parameter(torch.tensor(3.0)), nn.Linear(8, 8)

    def enter(self, images: Tensor) -> Tensor:
        return self.stem(images)

    def pool(self, maps: Tensor) -> Tensor:
        return self.fc(maps.clamp_min(1e-6).pow(self.p).mean((2, 3)).pow(1 / self.p))


class Stageless(Backbone):
    """Batch norms, but no stages and no places."""

    channels = 4

    def __init__(self):
        super().__init__()
        self.block = Block(3, 4, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.block(images)


def test_a_network_comes_whole_in_parts_and_level_by_level():
    network, images = Pooled().eval(), torch.randn(2, 3, 16, 8)
    with torch.no_grad():
        maps, levels = network.enter(images), []
        for stage in network.stages:
            maps = network.through(maps, [stage])
            levels.append(maps)
        whole = network(images)
        middle = network.through(network.enter(images), network.stages[:2])
        rest = network.through(middle, network.stages[2:])
    assert [level.shape[1] for level in levels] == [4, 6, 8]
    assert torch.equal(levels[-1], whole) and torch.equal(levels[1], middle) and torch.equal(rest, whole)


@pytest.mark.parametrize("name", CODES)
def test_every_method_trains_a_network_that_keeps_the_contract(name, tmp_path, monkeypatch):
    monkeypatch.setattr(backbones, "build", lambda *_: Pooled())
    method, task, load = tiny.set_up(tiny.config(name, epochs=1))
    before = snapshot(method)
    fit(method, load, task, Checkpoint(tmp_path / "last.pt", ""), 10)
    moved = {key for key, value in method.state_dict().items() if not torch.equal(value, before[key])}
    mine = {part: {k for k in before if k.endswith(f"backbone.{part}")} for part in ("p", "fc.weight")}
    assert all(mine.values()) and all(value.isfinite().all() for value in method.state_dict().values())
    for keys in mine.values():  # QAConv compares maps
        assert keys <= moved or (name == "qaconv" and not keys & moved)


def test_dualnorm_puts_its_norms_where_the_network_says(monkeypatch):
    monkeypatch.setattr(backbones, "build", lambda *_: Pooled())
    method, *_ = tiny.set_up(tiny.config("dualnorm"))
    found = [name for name, part in method.network.named_modules() if isinstance(part, InstanceNorm2d)]
    assert found == ["backbone.stem.norm", "backbone.one.place"]
    assert method.network.backbone.stem.conv.bias is not None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("dualnorm", "declare `style_places`.* not for Stageless: choose"),
        ("dualnorm_metabin", "Stageless does not say which of its stages are shallow: choose"),
        ("lda", "the backbone has 0 stages"),
        ("qaconv", "Stageless has no stages, and this method needs 2 or more: choose"),
        ("snr", "Stageless has no stages, and this method needs 1 or more: choose"),
    ],
)
def test_a_method_that_needs_stages_refuses_a_network_without(name, sentence, monkeypatch):
    monkeypatch.setattr(backbones, "build", lambda *_: Stageless())
    with pytest.raises(UserError, match=sentence):
        tiny.set_up(tiny.config(name))


def test_what_tells_classes_apart_is_the_networks_own_to_say():
    network, other = Pooled(), Pooled()
    state = {**network.state_dict(), "classifier.weight": torch.zeros(1000, 8)}
    weights.fit(other, state, "a file")
    assert torch.equal(other.fc.weight, network.fc.weight)
    plain = Stageless()
    weights.fit(plain, {**Stageless().state_dict(), "fc.weight": torch.zeros(9, 4)}, "a file")  # left out
    with pytest.raises(UserError, match=r"head\.weight unknown"):
        weights.fit(other, {**state, "head.weight": torch.zeros(1)}, "a file")
