import numpy as np
import pytest
import torch

from dgreid.errors import UserError
from dgreid.images.augment import augment
from dgreid.images.batch import Sampler
from dgreid.images.config import ImageConfig
from dgreid.images.loader import TrainingImages, batches, survey
from dgreid.images.normalise import normalise
from dgreid.images.samplers import Labels, Sizes, make
from dgreid.images.streams import generator
from helpers import tiny

CPU = torch.device("cpu")
STRONG = [*tiny.AUGMENTATION, {"operation": "color_jitter", "brightness": 0.5, "hue": 0.1}]
IMAGE = ImageConfig(
    name="tiny",
    height=tiny.HEIGHT,
    width=tiny.WIDTH,
    train=tiny.AUGMENTATION,
    views={"strong": STRONG, "same": tiny.AUGMENTATION, "plain": []},
)
VIEWS = {"meta": ("train", "strong", "same", "plain")}


def training_images(views=VIEWS) -> TrainingImages:
    frame, packs = tiny.crowd()
    # two data sets, so that a batch is gathered from both
    frame.loc[frame["domain"] >= 2, "dataset"] = "other"
    packs["other"] = tiny.MemoryPack(255 - packs["crowd"].images)
    streams = {
        name: make(Sampler(kind), Labels.of(frame), Sizes(2, 2), name, 0)
        for name, kind in (("base", "pk"), ("meta", "pk_per_domain"))
    }
    return TrainingImages(frame, packs, IMAGE, streams, 0, views)


@pytest.fixture
def images():
    return training_images()


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


def flat(batch):
    return batch.images, batch.identities, batch.domains, batch.rows


def test_a_batch_knows_its_rows(images):
    (batch,) = batches(images, [("meta", 1)], CPU)
    rows = images.streams["meta"].batch(1)
    assert batch.rows.tolist() == rows.tolist()
    assert torch.equal(batch.identities, images.identities[batch.rows])
    assert [part.rows.tolist() for part in survey(images, CPU)] == [list(range(48))]


def test_views_show_the_same_images_each_with_random_numbers_of_its_own(images):
    (batch,) = batches(images, [("meta", 2)], CPU)
    stored = images.gather(images.streams["meta"].batch(2))
    first, strong, same, plain = batch.views
    assert batch.images is first and batch.size == 4 * 16
    for view, key, operations in (
        (first, ("augment", 2), IMAGE.train),  # the key of runs without views
        (strong, ("augment", "strong", 2), IMAGE.views["strong"]),
        (same, ("augment", "same", 2), IMAGE.train),
    ):
        pixels = augment(stored, operations, generator(0, "meta", *key))
        assert torch.equal(view, normalise(torch.from_numpy(pixels)))
    assert torch.equal(plain, normalise(torch.from_numpy(stored)))
    assert not torch.equal(same, first)
    (alone,) = batches(training_images(views=None), [("meta", 2)], CPU)
    assert torch.equal(alone.images, first) and len(alone.views) == 1  # other views change nothing


def test_pixels_are_read_once_whatever_the_number_of_views(images, monkeypatch):
    reads, gather = [], images.gather
    monkeypatch.setattr(images, "gather", lambda rows: reads.append(len(rows)) or gather(rows))
    images["meta", 0]
    assert reads == [16]


def test_a_view_that_the_image_lacks_is_named():
    with pytest.raises(UserError, match="'base' asks for the view 'weak', but image tiny has train, strong"):
        training_images({"base": ("train", "weak")})


def test_a_batch_is_the_same_alone_in_order_and_from_workers(images):
    keys = [("base", 0), ("meta", 0), ("base", 1), ("base", 2), ("meta", 1)]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    here = list(batches(images, keys, CPU))
    there = list(batches(images, keys, CPU, workers=2))
    (alone,) = batches(images, [("base", 2)], CPU)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(here, there, strict=True):
        assert len(a.views) == len(b.views)
        for x, y in zip((*a.views, *flat(a)), (*b.views, *flat(b)), strict=True):
            assert torch.equal(x, y)
    assert torch.equal(alone.images, here[3].images)


def test_a_survey_shows_every_image_once_as_it_is_stored(images):
    (batch,) = survey(images, CPU)
    stored = torch.from_numpy(images.gather(np.arange(48)))
    assert torch.equal(batch.images, normalise(stored))
    assert batch.identities.tolist() == [i // 3 for i in range(48)]
    assert batch.domains.tolist() == [i // 12 for i in range(48)]
