import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgreid.errors import UserError
from dgreid.images.samplers import (
    DomainStream,
    IdentityStream,
    chunks,
    generator,
    groups,
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


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_domain_batches_are_laid_out_by_domain_until_every_domain_has_started_over(seed):
    identities, domains = crowd(seed)
    stream = DomainStream(identities, domains, 2, K, "meta", seed)
    epoch = stream.epoch(generator(seed, "meta", 0))
    assert (domains[epoch] == np.repeat([0, 1, 2], 2 * K)).all()
    for batch in epoch:
        people = identities[batch].reshape(3, 2, K)
        assert (people == people[..., :1]).all()
        assert (people[:, 0, 0] != people[:, 1, 0]).all()
    # the domain with most chunks has nearly all of them shown once: an image comes back only after revival
    chunk_count = [sum(-(-len(g) // K) for g in groups(identities[domains == d])) for d in range(3)]
    assert len(epoch) <= max(chunk_count)
    largest = max(len(np.unique(identities[domains == d])) for d in range(3))
    assert len(epoch) >= (largest - 1) // 2  # at least until fewer than two identities are left


def test_a_camera_as_domain_shows_a_person_once_per_camera():
    identities = np.repeat([0, 1, 2], 8)
    domains = np.tile(np.repeat([0, 1], 4), 3)
    batch = DomainStream(identities, domains, 3, K, "meta", 0).batch(0)
    assert (domains[batch] == np.repeat([0, 1], 12)).all()
    assert sorted(identities[batch][:12]) == sorted(identities[batch][12:]) == sorted([0, 1, 2] * 4)


@pytest.mark.parametrize("kind", ["pk", "pk_per_domain"])
def test_a_batch_depends_on_seed_name_and_number_alone(kind):
    identities, domains = crowd(1)

    def stream(name="base", seed=5):
        return make(kind, identities, domains, 2, K, name, seed)

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
    make("pk", identities, domains, 2, K, "base", 0).batch(3)
    assert (np.random.get_state()[1] == before).all()


def test_too_few_identities_is_said_in_a_sentence():
    identities, domains = crowd(1)
    with pytest.raises(UserError, match=r"has \d+ identities but a batch takes 300.*identities_per_domain"):
        make("pk", identities, domains, 100, K, "base", 0)
    with pytest.raises(UserError, match=r"domain 0 has \d+ identities but a batch takes 100"):
        make("pk_per_domain", identities, domains, 100, K, "meta", 0)
