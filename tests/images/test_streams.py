import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dgreid.images.streams import (
    BLOCK,
    AtRandom,
    CameraStream,
    DomainStream,
    IdentityStream,
    Stream,
    chunks,
    full_chunks,
    generator,
)
from helpers.labels import crowd

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


@given(st.integers(1, 23), st.integers(0, 99))
def test_full_chunks_hold_no_repeats_and_leave_the_rest_out(count, seed):
    rows = np.arange(100, 100 + count)
    cut = full_chunks(rows, K, generator(seed))
    assert cut.shape == (max(1, count // K), K) and set(cut.ravel()) <= set(rows)
    if count >= K:
        assert len(set(cut.ravel())) == cut.size


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_naive_epoch_draws_distinct_identities_until_too_few_are_left(seed):
    identities = crowd(seed).identities
    stream = IdentityStream(np.arange(len(identities)), identities, 6, K, "base", seed)
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
    identities, domains, _ = crowd(seed)
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


def test_domains_at_random_are_equally_frequent_and_counted_over_all_blocks():
    class Counted(Stream):
        def batch(self, number):
            return np.array([int(self.name), number])

    stream = AtRandom([Counted(name, 0) for name in "012"], "base", 0)
    taken = np.zeros(3, int)
    for number in range(2 * BLOCK + 10):
        domain, own = stream.batch(number)
        assert own == taken[domain]
        taken[domain] += 1
    assert (abs(taken - (2 * BLOCK + 10) / 3) < 80).all()
    assert (AtRandom([Counted(name, 0) for name in "012"], "base", 0).batch(number) == [domain, own]).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_across_cameras_takes_the_other_images_from_other_cameras(seed):
    identities, domains, _ = crowd(seed)
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


def test_a_domain_with_few_identities_fills_its_batch_by_going_round_again():
    rows = np.arange(6)
    stream = CameraStream(rows, np.repeat([0, 1], 3), np.zeros(6), 40, K, "base", 0)
    assert stream.batch(0).shape == (40,)
