import pytest
import torch

from dgreid.errors import UserError
from dgreid.networks import backbones
from dgreid.training.start import StartConfig, accuracy, learn, load_start

TINY = backbones.read(dict(name="resnet_tiny", architecture="resnet_tiny", last_stride=2))


def config(**changes) -> StartConfig:
    node = dict(
        name="drawn", looks=1, pictures=8, iterations=60, batch_size=16, learning_rate=0.05, warmup=5,
        weight_decay=5e-4, label_smoothing=0.1,
    )  # fmt: skip
    return StartConfig(**(node | changes))


def coloured() -> tuple[torch.Tensor, torch.Tensor]:
    """(24, 16, 8, 3) pictures of three classes, each with a bright channel."""
    random = torch.Generator().manual_seed(0)
    names = torch.arange(3).repeat_interleave(8)
    pictures = torch.randint(0, 80, (24, 16, 8, 3), generator=random)
    pictures[torch.arange(24), :, :, names] += 120
    return pictures.to(torch.uint8), names


def network(seed: int = 0):
    torch.manual_seed(seed)
    return backbones.build(TINY)


def test_it_learns_what_the_pictures_show():
    made, (pictures, names) = network(), coloured()
    classifier = learn(made, pictures, names, config())
    assert not made.training
    assert accuracy(made, classifier, pictures, names) > 90
    assert accuracy(made, classifier, pictures, (names + 1) % 3) < 10


def test_equal_settings_give_equal_weights():
    pictures, names = coloured()
    states = []
    for _ in range(2):
        made = network()
        learn(made, pictures, names, config(iterations=5))
        states.append(made.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_the_shipped_file_is_read(root):
    start = load_start()
    assert start.name == "drawn" and start.looks * 25 >= 30


def test_another_key_is_refused(tmp_path, monkeypatch):
    (tmp_path / "params/start").mkdir(parents=True)
    (tmp_path / "params/start/drawn.yaml").write_text("lookz: 3\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="looks is missing, is 'lookz' meant"):
        load_start()
