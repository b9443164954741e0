import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgreid.errors import UserError
from dgreid.images.samplers import (
    CameraStream,
    DomainStream,
    IdentityStream,
    chunks,
    generator,
    iterations_per_epoch,
    make,
)

K = 4


@given(st.integers(1, 23), st.integers(0, 99))
def test_chunks_hold_every_image_and_as_few_repeats_as_possible(count, seed):
    rows = np.arange(100, 100 + count)
    cut = chunks(rows, K, generator(seed))
    assert cut.shape == (-(-count // K), K)
    values, times = np.unique(cut, return_counts=True)
    if count < K:  # drawn with replacement
        assert set(values) <= set(rows)
    else:  # every image, and K - n % K distinct ones a second time
        assert (values == rows).all() and times.max() <= 2
        assert (times == 2).sum() == -count % K


def test_iterations_per_epoch_rounds_each_identity_up_and_leaves_the_last_batch():
    identities = np.repeat([0, 1, 2, 3], [1, 4, 5, 30])  # 4 + 4 + 8 + 32 = 48
    assert iterations_per_epoch(identities, 16, K) == 2
    assert iterations_per_epoch(identities, 10, K) == 3  # 48 - 8 - 10 = 30
    assert iterations_per_epoch(identities, 48, K) == 1  # never none


def crowd(seed: int, domains: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Identities with 1..9 images each, in `domains` domains of 5..9 identities, shuffled."""
    rng = np.random.default_rng(seed)
    identities, of, number = [], [], 0
    for domain in range(domains):
        for _ in range(rng.integers(5, 10)):
            count = rng.integers(1, 10)
            identities += [number] * count
            of += [domain] * count
            number += 1
    order = rng.permutation(len(identities))
    return np.array(identities)[order], np.array(of)[order]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_naive_epoch_draws_distinct_identities_until_too_few_are_left(seed):
    identities, _ = crowd(seed)
    stream = IdentityStream(identities, 6, K, "base", seed)
    epoch = stream.epoch(generator(seed, "base", 0))
    left = {i: -(-int((identities == i).sum()) // K) for i in np.unique(identities)}
    for batch in epoch:
        people = identities[batch].reshape(6, K)
        assert (people == people[:, :1]).all()  # K images of one identity lie together
        assert len(set(people[:, 0])) == 6
        for person in people[:, 0]:
            left[person] -= 1
    assert min(left.values()) >= 0
    assert sum(chunks > 0 for chunks in left.values()) < 6


def first_revival(shown: np.ndarray, left: dict[int, int]) -> int | None:
    """The batch after which a domain first has too few identities left, by the chunks that were drawn of it.

    Args:
        shown: (batches, P), the identities of one domain, a chunk of each in every batch.
        left: identity -> its chunks.
    """
    for number, people in enumerate(shown.tolist()):
        for person in people:
            left[person] -= 1
        assert min(left.values()) >= 0  # nobody comes back before the domain has revived
        if sum(chunks > 0 for chunks in left.values()) < len(people):
            return number
    return None


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_domain_batches_are_laid_out_by_domain_until_every_domain_has_started_over(seed):
    identities, domains = crowd(seed)
    stream = DomainStream(identities, domains, 2, K, "meta", seed)
    epoch = stream.epoch(generator(seed, "meta", 0))
    assert (domains[epoch] == np.repeat([0, 1, 2], 2 * K)).all()
    people = identities[epoch].reshape(-1, 3, 2, K)
    assert (people == people[..., :1]).all()
    assert (people[:, :, 0, 0] != people[:, :, 1, 0]).all()
    revived = []
    for domain in range(3):
        own, images = np.unique(identities[domains == domain], return_counts=True)
        left = dict(zip(own.tolist(), (-(-images // K)).tolist(), strict=True))
        revived.append(first_revival(people[:, domain, :, 0], left))
    assert None not in revived
    assert max(revived) == len(epoch) - 1  # the last domain to start over ends the epoch


def test_a_camera_as_domain_shows_a_person_once_per_camera():
    identities = np.repeat([0, 1, 2], 8)
    domains = np.tile(np.repeat([0, 1], 4), 3)
    batch = DomainStream(identities, domains, 3, K, "meta", 0).batch(0)
    assert (domains[batch] == np.repeat([0, 1], 12)).all()
    assert sorted(identities[batch][:12]) == sorted(identities[batch][12:]) == sorted([0, 1, 2] * 4)


@pytest.mark.parametrize("kind", ["pk", "pk_per_domain", "across_cameras", "random"])
def test_a_batch_depends_on_seed_name_and_number_alone(kind):
    identities, domains = crowd(1)

    def stream(name="base", seed=5):
        return make(kind, identities, domains, identities % 2, 2, K, name, seed)

    forwards = [stream_batch for s in [stream()] for stream_batch in map(s.batch, range(40))]
    assert len(set(map(bytes, forwards))) == 40
    backwards = [batch for s in [stream()] for batch in map(s.batch, reversed(range(40)))]
    assert all((a == b).all() for a, b in zip(forwards, reversed(backwards), strict=True))
    assert (stream().batch(37) == forwards[37]).all()  # what resuming does
    assert (stream(name="meta").batch(0) != forwards[0]).any()
    assert (stream(seed=6).batch(0) != forwards[0]).any()
    assert all(len(batch) == 2 * 3 * K for batch in forwards)


def test_global_generators_are_left_alone():
    identities, domains = crowd(1)
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    make("pk", identities, domains, domains, 2, K, "base", 0).batch(3)
    assert (np.random.get_state()[1] == before).all()


def test_too_few_identities_is_said_in_a_sentence():
    identities, domains = crowd(1)
    with pytest.raises(UserError, match=r"has \d+ identities but a batch takes 300.*identities_per_domain"):
        make("pk", identities, domains, domains, 100, K, "base", 0)
    with pytest.raises(UserError, match=r"domain 0 has \d+ identities but a batch takes 100"):
        make("pk_per_domain", identities, domains, domains, 100, K, "meta", 0)
    with pytest.raises(UserError, match=r"has \d+ images but a batch takes 1200"):
        make("random", identities, domains, domains, 100, K, "base", 0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_random_batches_hold_every_image_once_but_for_the_last_few(seed):
    identities, domains = crowd(seed)
    epoch = make("random", identities, domains, domains, 2, 2, "base", seed).epoch(generator(seed))
    assert epoch.shape[1] == 2 * 2 * 3
    assert len(np.unique(epoch)) == epoch.size > len(identities) - 12


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_across_cameras_takes_the_other_images_from_other_cameras(seed):
    identities, domains = crowd(seed)
    cameras = np.random.default_rng(seed).integers(0, 3, len(identities))
    rows = np.flatnonzero(domains == 0)
    stream = CameraStream(rows, identities, cameras, 2 * K, K, "base", seed)
    images = stream.epoch(generator(seed)).ravel()
    assert set(images) <= set(rows)
    place = 0
    while place < len(images) - K:  # the last group may be cut
        person = identities[images[place]]
        group = images[place : place + K]
        own = np.flatnonzero(identities == person)
        if len(own) == 1:  # gives one image, and what follows is shifted
            place += 1
            continue
        first, others = group[0], group[1:]
        assert (identities[group] == person).all() and first not in others
        elsewhere = own[cameras[own] != cameras[first]]
        possible = elsewhere if len(elsewhere) else own[own != first]
        assert set(others) <= set(possible)
        assert len(set(others)) == K - 1 or len(possible) < K  # repeats only where few are to be had
        place += K


def test_across_cameras_lays_a_batch_out_domain_by_domain():
    identities, domains = crowd(2)
    stream = make("across_cameras", identities, domains, identities % 2, 2, K, "base", 0)
    for number in (0, 1, 30):
        assert (domains[stream.batch(number)] == np.repeat([0, 1, 2], 2 * K)).all()


def test_a_domain_with_few_people_fills_its_batch_by_going_round_again():
    rows = np.arange(6)
    stream = CameraStream(rows, np.repeat([0, 1], 3), np.zeros(6), 40, K, "base", 0)
    assert stream.batch(0).shape == (40,)


def test_a_batch_size_is_that_of_batches_from_all_sources_pooled():
    people = np.arange(60) // 3
    size = {}
    for kind in ("pk", "random", "pk_per_domain"):
        stream = make(kind, people, people % 3, np.arange(60) % 2, 2, 4, "base", 0, batch_size=20)
        size[kind] = len(stream.batch(0))
    assert size == {"pk": 20, "random": 20, "pk_per_domain": 3 * 2 * 4}
