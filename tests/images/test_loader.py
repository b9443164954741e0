import numpy as np
import pytest
import torch

import tiny
from dgreid.images.augment import normalise
from dgreid.images.loader import TrainingImages, batches, survey
from dgreid.images.samplers import make

CPU = torch.device("cpu")
LABELS = ("identity", "domain", "camera")


@pytest.fixture
def images():
    frame, packs = tiny.crowd()
    # two data sets, so that a batch is gathered from both
    frame.loc[frame["domain"] >= 2, "dataset"] = "other"
    packs["other"] = tiny.MemoryPack(255 - packs["crowd"].images)
    streams = {
        name: make(kind, *(frame[key].to_numpy() for key in LABELS), 2, 2, name, 0)
        for name, kind in (("base", "pk"), ("meta", "pk_per_domain"))
    }
    image = tiny.config("erm").image
    return TrainingImages(frame, packs, image, streams, seed=0)


def test_gather_takes_each_row_from_its_data_set(images):
    rows = np.array([0, 47, 3, 30])
    stored = images.packs[0].images  # crowd; "other" is its negative
    expected = np.stack([stored[0], 255 - stored[47], stored[3], 255 - stored[30]])
    assert (images.gather(rows) == expected).all()


def test_labels_belong_to_the_pictures(images):
    (batch,) = batches(images, [("meta", 0)], CPU)
    rows = images.streams["meta"].batch(0)
    assert batch.identities.tolist() == (rows // 3).tolist()  # three images each
    assert batch.domains.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert batch.images.shape == (16, 3, tiny.HEIGHT, tiny.WIDTH)


def test_a_batch_is_the_same_alone_in_order_and_from_workers(images):
    keys = [("base", 0), ("meta", 0), ("base", 1), ("base", 2), ("meta", 1)]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    here = list(batches(images, keys, CPU))
    there = list(batches(images, keys, CPU, workers=2))
    (alone,) = batches(images, [("base", 2)], CPU)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(here, there, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert torch.equal(alone.images, here[3].images)


def test_a_survey_shows_every_image_once_as_it_is_stored(images):
    (batch,) = survey(images, CPU)
    stored = torch.from_numpy(images.gather(np.arange(48)))
    assert torch.equal(batch.images, normalise(stored))
    assert batch.identities.tolist() == [i // 3 for i in range(48)]
    assert batch.domains.tolist() == [i // 12 for i in range(48)]
