import pytest
import torch
from torch import nn

from dgreid.errors import UserError
from dgreid.images.batch import Sampler
from dgreid.methods.base import Method, MethodOptions, Task, require_domains
from dgreid.networks.neck import BNNeck
from dgreid.networks.norms import BatchInstanceNorm2d
from dgreid.schema import validate

OPTIONS = {"name": "mine", "code": "erm", "title": "Mine", "provenance": "baseline", "learning_rate": 0.1}


class Plain(Method):
    """Says no more than a method must."""

    def __init__(self):
        super().__init__(None, None, Task(4, 2, 10, 5))
        self.network = nn.Module()
        self.network.norm, self.network.neck = BatchInstanceNorm2d(3), BNNeck(3)
        self.network.embed = lambda images: images.mean((2, 3))
        self.samplers = {"base": Sampler("pk"), "meta": Sampler("pk")}


def test_an_iteration_takes_one_batch_of_each_sampler():
    assert Plain().draws(7) == {"base": 1, "meta": 1}


def test_images_are_embedded_by_the_network_and_compared_by_the_cosine():
    method, images = Plain(), torch.randn(4, 3, 5, 2, dtype=torch.float64)
    features = method.embed(images)
    torch.testing.assert_close(features, images.mean((2, 3)))
    found = method.similarity(features, 3 * features)  # lengths do not count
    cosines = nn.functional.cosine_similarity(features[:, None], features[None], dim=2)
    torch.testing.assert_close(found, cosines)


def test_the_gates_of_every_layer_are_traced_and_portrayed():
    method = Plain()
    method.network.norm.balance.data = torch.tensor([0.0, 0.5, 1.0])
    assert method.trace() == {"balance_mean_1": 0.5, "balance_std_1": pytest.approx((1 / 6) ** 0.5)}
    (row,) = method.portrait()["balance"]
    assert (row["name"], row["mean"]) == ("network.norm", 0.5)


def test_the_biases_of_necks_are_frozen():
    assert Plain().frozen() == {"network.neck.bias"}


def test_a_step_is_for_the_method_to_write():
    with pytest.raises(NotImplementedError):
        Plain().step({}, 0)


def test_a_task_gives_what_it_was_made_with_and_misses_the_rest_by_name():
    task = Task(4, 2, 10, 5, membership=torch.ones(2, 4, dtype=torch.bool), domain_names=("a", "b"))
    assert task.given("membership").shape == (2, 4) and task.given("domain_names") == ("a", "b")
    for name in ("image", "images"):
        with pytest.raises(ValueError, match=rf"needs Task\.{name}: make the task with"):
            task.given(name)


def test_too_few_domains_are_one_sentence():
    require_domains(2, 2, "this needs two")
    with pytest.raises(UserError) as caught:
        require_domains(1, 2, "this needs two")
    said = (
        "this needs two, but the protocol has 1: add sources (domain_by: camera makes every camera a domain)."
    )
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"learning_rate": 0}, "learning_rate"),
        ({"provenance": "mine"}, "provenance"),
        ({"margn": 1}, "unknown key"),
        ({"name": "a b"}, "name"),
    ],
)
def test_options_are_checked(changes, sentence):
    assert validate(MethodOptions, OPTIONS).learning_rate == 0.1
    with pytest.raises(UserError, match=sentence):
        validate(MethodOptions, OPTIONS | changes)
