import numpy as np
import pandas as pd
import pytest
import torch

from dgreid.images.samplers import iterations_per_epoch
from dgreid.runs.training import streams, task_of, training_images
from helpers import tiny

ROWS = pd.DataFrame(  # domain 0: identities 0 to 3; domain 1: 4 to 9; four images of each
    {
        "dataset": np.repeat(["a", "b"], [16, 24]),
        "row": [*range(16), *range(24)],
        "identity": np.repeat(np.arange(10), 4),
        "camera": np.tile([0, 1], 20),
        "domain": np.repeat([0, 1], [16, 24]),
    }
)


def config(**recipe):
    run = tiny.config("erm")
    return run.model_copy(update={"recipe": run.recipe.model_copy(update=recipe)})


def test_a_task_counts_what_there_is_to_train_on():
    run = config(epochs=3, iterations_per_epoch=7)
    task = task_of(ROWS, run, ["A", "B"])
    assert (task.classes, task.domains, task.images, task.domain_names) == (10, 2, 40, ("A", "B"))
    assert (task.iterations, task.iterations_per_epoch) == (21, 7)
    assert task.image == (run.image.height, run.image.width)
    expected = torch.tensor([[1] * 4 + [0] * 6, [0] * 4 + [1] * 6], dtype=torch.bool)
    assert torch.equal(task.membership, expected)


@pytest.mark.parametrize(("batch_size", "batch"), [(None, 2 * 2 * 2), (10, 10)])
def test_an_epoch_without_a_length_is_one_pass_of_the_naive_sampler(batch_size, batch):
    sizes = {"identities_per_domain": 2, "images_per_identity": 2, "batch_size": batch_size}
    run = config(epochs=3, iterations_per_epoch=None, **sizes)
    task = task_of(ROWS, run)
    assert task.iterations_per_epoch == iterations_per_epoch(ROWS["identity"].to_numpy(), batch, 2)
    assert task.iterations == 3 * task.iterations_per_epoch


def test_a_method_gets_the_streams_that_it_asks_for():
    run = config(identities_per_domain=3, images_per_identity=2)
    method = tiny.set_up(run)[0]
    made = streams(ROWS, run, method)
    assert made.keys() == method.samplers.keys() == {"base"}
    batch = made["base"].batch(5)
    assert ROWS["domain"][batch].to_list() == [0] * 6 + [1] * 6
    assert np.array_equal(batch, streams(ROWS, run, method)["base"].batch(5))  # a function of the seed
    other = streams(ROWS, run.model_copy(update={"seed": 1}), method)["base"].batch(5)
    assert not np.array_equal(batch, other)


def test_pixels_and_labels_are_those_of_the_rows():
    run = config()
    rng = np.random.default_rng(0)
    size = run.image.height, run.image.width, 3
    packs = {name: rng.integers(0, 256, (count, *size), np.uint8) for name, count in (("a", 16), ("b", 24))}
    images = training_images(ROWS, run, tiny.set_up(run)[0], packs)
    rows = images.streams["base"].batch(0)
    item = images[("base", 0)]
    assert item.identities.tolist() == ROWS["identity"][rows].to_list()
