"""Every method on small backbones: a new file in params/method is part of it by being there.

Every file trains on one backbone, every code (a module in src/dgreid/methods) on two, some also on OSNet.
"""

import numpy as np
import pandas as pd
import pytest
import torch

from dgreid import methods
from dgreid.evaluation import runner
from dgreid.images.loader import survey
from dgreid.methods.base import Method
from dgreid.paths import PROTOCOLS
from dgreid.protocols import read_training
from dgreid.runs.run import restore
from dgreid.runs.training import training_images
from dgreid.stages.train import train
from dgreid.training.checkpoint import Checkpoint
from dgreid.training.loop import fit
from helpers import tiny
from helpers.tiny import snapshot

torch.set_num_threads(1)
# methods that use maps and pooled features, which have other channels in OSNet: 128 and 512 at width 0.25
OTHER_CHANNELS = ("crossgrad", "ddan", "lda", "osnet", "qaconv", "sagnet", "snr")


def one_per_code() -> list[str]:
    """The first file in params/method of each code."""
    first = {}
    for name in tiny.names("method"):
        first.setdefault(tiny.options(name).code, name)
    return sorted(first.values())


def pytest_generate_tests(metafunc):
    if "backbone" in metafunc.fixturenames:
        pairs = [(name, "resnet_tiny") for name in tiny.names("method")]
        pairs += [(name, "mobilenet_v2_x0_25") for name in one_per_code()]
        pairs += [(name, "osnet_x0_25") for name in OTHER_CHANNELS]
        metafunc.parametrize(("name", "backbone"), pairs)
    elif "name" in metafunc.fixturenames:
        metafunc.parametrize("name", one_per_code())


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def without_influence(method: Method, history: pd.DataFrame) -> dict[str, set[str]]:
    """Reason -> what learns and yet may stand after two iterations where it stood before them."""
    names = [name for name, _ in method.named_parameters()]
    gates = [name for name in names if name.endswith(".balance")]  # in the order of the history's columns
    means = {gate: list(history[f"balance_mean_{place}"]) for place, gate in enumerate(gates, 1)}
    shut = [gate for gate in gates if means[gate][0] == 1]
    instance = getattr(method.options, "norm", "").startswith("instance")
    fixed_base = getattr(method.options, "fixed_base_epochs", 0) > 0
    return {
        "the first epochs train the classifier alone": {
            name for name in method.state_dict() if fixed_base and ".classifier." not in name
        },
        "a branch that has weight 0": {gate.replace(".balance", ".instance_bias") for gate in shut},
        "the second iteration took it back to its bound": {
            gate for gate, (first, second) in means.items() if first != second
        },
        "the next instance norm takes a shift away": {
            name for name in names if instance and name.endswith(".project.bn.bias")
        },
        "the first epoch follows no other": {n for n in method.state_dict() if n == "memory.last"},
    }


def test_there_are_methods():
    assert {"erm", "metabin", "metabin_paper"} <= set(tiny.names("method"))
    assert {tiny.options(name).code for name in one_per_code()} == set(methods.names())


def test_two_iterations(tmp_path, name, backbone):
    run = tiny.config(name, backbone, epochs=1)
    method, task, load = tiny.set_up(run)
    frozen = method.frozen()
    assert frozen <= {key for key, parameter in method.named_parameters() if not parameter.requires_grad}
    before = snapshot(method)
    history, cost = fit(method, load, task, Checkpoint(tmp_path / "last.pt", ""), 10)

    assert list(history["iteration"]) == [1, 2]
    losses = history.drop(columns=["iteration", "epoch", "learning_rate"])
    losses = losses.drop(columns=[name for name in losses if name.startswith("gradient_")])  # seldom logged
    assert losses.shape[1] and losses.map(lambda x: abs(x) < 1e4).all(axis=None)
    assert cost["images"] >= 2 * 16
    after = method.state_dict()
    still = {key for key, value in before.items() if torch.equal(value, after[key])}
    assert frozen <= still
    assert not still - frozen.union(*without_influence(method, history).values())  # all else moves
    assert all(value.isfinite().all() for value in after.values())
    for key, value in after.items():
        if key.endswith(".balance"):
            assert value.min() >= 0 and value.max() <= 1


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A project with the protocol `miniature` of few people, drawn, read, assembled and packed."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny.draw_miniature()
    return folder


def test_the_drawn_miniature_has_domains_with_and_without_cameras(drawn):
    rows, data = read_training(drawn / PROTOCOLS / "miniature")
    assert data["domains"] == ["mini_market1501", "mini_cuhk02", "mini_cuhk03", "mini_cuhksysu"]
    cameras = rows.groupby(["domain", "identity"])["camera"].nunique()
    assert list(cameras.groupby("domain").min()) == [2, 2, 2, 1]  # CUHK-SYSU does not say
    people = cameras.groupby("domain").size()
    assert people.min() == 4 < people.max()  # domains differ in size


def test_two_iterations_on_the_drawn_miniature(drawn, monkeypatch, name):
    """The stage train itself, on the tables and packs that the stages before it made."""
    monkeypatch.chdir(drawn)
    run = tiny.config(name, protocol="miniature", epochs=1)
    folder = train(run)
    history = pd.read_csv(folder / "history.csv")
    assert list(history["iteration"]) == [1, 2]  # a loss that is not finite raises
    method, facts = restore(folder)
    rows, _ = read_training(PROTOCOLS / "miniature")
    assert facts["training"]["classes"] == rows["identity"].nunique() and facts["training"]["domains"] == 4
    with torch.no_grad():
        pictures = next(survey(training_images(rows, run, method), torch.device("cpu")))
        features = method.embed(pictures.images)
        scores = method.similarity(features[:3], features)
    assert scores.shape == (3, len(rows)) and scores.isfinite().all()
    assert len(features.flatten(1).unique(dim=0)) == len(rows)  # no two pictures look the same to it


def test_embedding_and_similarity(name, backbone):
    method, _, load = tiny.set_up(tiny.config(name, backbone))
    images = next(load([(next(iter(method.samplers)), 0)])).images
    method.eval()
    with torch.no_grad():
        features = method.embed(images)
        scores = method.similarity(features[:3], features)
        turned = method.similarity(features[:3], features.flip(0))
        # one of these images alone, in float64: where the map is 2x1 some untrained norms amplify rounding
        exact = method.double().embed(images.double())[:1]
        alone = method.embed(images[:1].double())
    assert features.ndim >= 2 and len(features) == 16
    assert scores.shape == (3, 16) and scores.isfinite().all()
    torch.testing.assert_close(turned.flip(1), scores)  # a gallery's order is its columns'
    if type(method).similarity is Method.similarity:  # the cosine of vectors; a learned score may be anything
        assert features.ndim == 2
        assert (scores.diagonal() >= scores.max(1).values - 1e-5).all()  # nobody is closer than oneself
    torch.testing.assert_close(alone, exact)  # no batch statistics at test time


def test_resumed_equals_uninterrupted(tmp_path, name):
    run = tiny.config(name, epochs=2)
    whole, task, load = tiny.set_up(run)
    history, _ = fit(whole, load, task, Checkpoint(tmp_path / "a.pt", "x"), 100)

    class Killed(Exception):
        pass

    def failing(keys):  # dies in the third of four iterations
        method = interrupted
        allowed = sum(sum(method.draws(i).values()) for i in range(3)) - 1
        for number, batch in enumerate(load(keys)):
            if number == allowed:
                raise Killed
            yield batch

    interrupted, *_ = tiny.set_up(run)
    checkpoint = Checkpoint(tmp_path / "b.pt", "x")
    with pytest.raises(Killed):
        fit(interrupted, failing, task, checkpoint, 2)
    resumed, *_ = tiny.set_up(run)
    torch.manual_seed(12345)  # the state comes from the file, not from this process
    again, _ = fit(resumed, load, task, checkpoint, 2)
    assert same(whole.state_dict(), resumed.state_dict())
    assert again.equals(history)


def test_a_method_is_saved_whole(name):
    """A trained method's state, loaded into a fresh one, embeds the same."""
    run = tiny.config(name)
    method, _, load = tiny.set_up(run)
    order = [(key, n) for key, count in method.draws(0).items() for n in range(count)]
    source = load(order)
    drawn = {key: [next(source) for _ in range(count)] for key, count in method.draws(0).items()}
    method.train().step(drawn, 0)
    fresh, *_ = tiny.set_up(tiny.config(name, seed=1))
    fresh.load_state_dict(method.state_dict())
    images = drawn[next(iter(drawn))][0].images
    with torch.no_grad():
        assert torch.equal(method.eval().embed(images), fresh.eval().embed(images))


def test_a_trained_method_is_evaluated_and_sees_no_target(name):
    """Every shipped method embeds through the runner; none adapts to the target."""
    method, *_ = tiny.set_up(tiny.config(name))
    assert method.adapt is None
    _, packs = tiny.crowd()
    rows = np.array([7, 0, 3])
    found = runner.embed(method, packs["crowd"], rows, torch.device("cpu"))
    again = runner.embed(method, packs["crowd"], rows[::-1].copy(), torch.device("cpu"))
    torch.testing.assert_close(found.flip(0), again)
    assert set(method.portrait()) <= {"balance", "bank"}
