import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgreid.errors import UserError
from dgreid.images.batch import Sampler
from dgreid.images.samplers import Labels, Sizes, iterations_per_epoch, make
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

K = 4
KINDS = ("pk", "pk_per_domain", "pk_one_domain", "across_cameras", "random", "random_per_domain")
BATCHES = {  # SHA-256 of 25 batches by kind and recipe.batch_size, made when samplers had no sizes of their own
    ("pk", None): "64b148194eb721ca",
    ("pk", 12): "e4c82f358d563259",
    ("pk_per_domain", None): "9819245270e740e8",
    ("across_cameras", None): "c480d0f8b956fcdd",
    ("random", None): "300f999d4d4b3073",
    ("random", 12): "8281443655c0ff48",
}


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


def test_iterations_per_epoch_rounds_each_identity_up_and_leaves_the_last_batch():
    identities = np.repeat([0, 1, 2, 3], [1, 4, 5, 30])  # 4 + 4 + 8 + 32 = 48
    assert iterations_per_epoch(identities, 16, K) == 2
    assert iterations_per_epoch(identities, 10, K) == 3  # 48 - 8 - 10 = 30
    assert iterations_per_epoch(identities, 48, K) == 1  # never none


def crowd(seed: int, domains: int = 3) -> Labels:
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
    identities, of = np.array(identities)[order], np.array(of)[order]
    return Labels(identities, of, identities % 2)


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


def stream_of(kind: str, labels: Labels, name: str = "base", seed: int = 0, size: Sizes = Sizes(2, K), **own):
    return make(Sampler(kind, **own), labels, size, name, seed)


@pytest.mark.parametrize(("kind", "batch_size"), sorted(BATCHES, key=str))
def test_samplers_still_give_the_same_batches(kind, batch_size):
    rng = np.random.default_rng(5)
    identities = np.repeat(np.arange(24), [rng.integers(1, 10) for _ in range(24)])
    identities = identities[rng.permutation(len(identities))]
    labels = Labels(identities, identities // 8, np.arange(len(identities)) % 2)
    stream = stream_of(kind, labels, seed=7, size=Sizes(3, 4, batch_size))
    rows = np.stack([stream.batch(number) for number in range(25)]).astype(np.int64)
    assert hashlib.sha256(rows.tobytes()).hexdigest()[:16] == BATCHES[kind, batch_size]


@pytest.mark.parametrize("order", ["turns", "uniform"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_depends_on_seed_name_and_number_alone(kind, order):
    labels = crowd(1)

    def stream(name="base", seed=5):
        return stream_of(kind, labels, name, seed, order=order)

    one = stream()
    forwards = [one.batch(number) for number in range(40)]
    assert len(set(map(bytes, forwards))) == 40
    another = stream()
    backwards = [another.batch(number) for number in reversed(range(40))]
    assert all((a == b).all() for a, b in zip(forwards, reversed(backwards), strict=True))
    assert (stream().batch(37) == forwards[37]).all()  # what resuming does
    assert any((stream(name="meta").batch(n) != forwards[n]).any() for n in range(3))
    assert any((stream(seed=6).batch(n) != forwards[n]).any() for n in range(3))
    assert all(len(batch) == (1 if kind == "pk_one_domain" else 3) * 2 * K for batch in forwards)


def test_global_generators_are_left_alone():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    for kind in KINDS:
        stream_of(kind, crowd(1)).batch(3)
    assert (np.random.get_state()[1] == before).all()


def test_a_sampler_may_have_sizes_of_its_own():
    labels = crowd(1)
    sizes = {
        kind: len(stream_of(kind, labels, identities=3, images_per_identity=2).batch(0)) for kind in KINDS
    }
    of_the_whole = {"pk", "pk_one_domain", "random"}
    assert sizes == {kind: 3 * 2 * (1 if kind in of_the_whole else 3) for kind in KINDS}
    pooled = stream_of("pk", labels, size=Sizes(2, K, batch_size=20), images_per_identity=2)
    assert len(np.unique(labels.identities[pooled.batch(0)])) == 10  # the recipe's size, the sampler's K


def test_an_unknown_kind_or_order_is_refused():
    with pytest.raises(ValueError, match="no sampler 'pk_some'"):
        stream_of("pk_some", crowd(1))
    with pytest.raises(ValueError, match="no order 'random'"):
        stream_of("pk_one_domain", crowd(1), order="random")


def test_too_few_identities_is_said_in_a_sentence():
    many = Sizes(100, K)
    for kind, sentence in {
        "pk": r"training set has \d+ identities but a batch takes 300.*identities_per_domain",
        "pk_per_domain": r"domain 0 has \d+ identities but a batch takes 100",
        "pk_one_domain": r"domain 0 has \d+ identities but a batch takes 100",
        "random": r"training set has \d+ images but a batch takes 1200",
        "random_per_domain": r"domain 0 has \d+ images but a batch takes 400",
    }.items():
        with pytest.raises(UserError, match=sentence):
            stream_of(kind, crowd(1), size=many)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_one_domain_in_turns_shows_each_identity_again_only_after_a_refill(seed):
    labels = crowd(seed)
    stream = stream_of("pk_one_domain", labels, seed=seed, identities=3)
    batches = np.stack([stream.batch(number) for number in range(3 * 8)]).reshape(8, 3, 3, K)
    assert (labels.domains[batches] == np.arange(3)[:, None, None]).all()  # round robin
    people = labels.identities[batches]
    assert (people == people[..., :1]).all()
    for domain in range(3):
        own, images = np.unique(labels.identities[labels.domains == domain], return_counts=True)
        full = dict(zip(own.tolist(), np.maximum(1, images // K).tolist(), strict=True))
        left, seen = dict(full), {person: set() for person in full}
        for rows, shown in zip(batches[:, domain], people[:, domain, :, 0].tolist(), strict=True):
            if sum(chunks > 0 for chunks in left.values()) < 3:  # too few with K unseen images: refilled
                left, seen = dict(full), {person: set() for person in full}
            assert len(set(shown)) == 3  # identities without replacement
            for person, group in zip(shown, rows, strict=True):
                left[person] -= 1
                assert left[person] >= 0
                if (labels.identities == person).sum() >= K:  # K images nobody has seen since the refill
                    assert len(set(group)) == K and not seen[person] & set(group)
                seen[person] |= set(group)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_one_domain_at_random_takes_the_same_batches_in_another_order(seed):
    labels = crowd(seed)
    turns, uniform = (
        stream_of("pk_one_domain", labels, seed=seed, order=order) for order in ("turns", "uniform")
    )
    taken = [0, 0, 0]
    for number in range(60):
        rows = uniform.batch(number)
        (domain,) = set(labels.domains[rows].tolist())
        assert (rows == turns.batch(3 * taken[domain] + domain)).all()  # none is skipped
        taken[domain] += 1
    assert min(taken) > 5


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
def test_random_batches_hold_every_image_once_but_for_the_last_few(seed):
    labels = crowd(seed)
    epoch = stream_of("random", labels, seed=seed, size=Sizes(2, 2)).epoch(generator(seed))
    assert epoch.shape[1] == 2 * 2 * 3
    assert len(np.unique(epoch)) == epoch.size > len(labels.identities) - 12


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_random_per_domain_shows_every_image_of_a_domain_before_any_again(seed):
    labels = crowd(seed)
    stream = stream_of("random_per_domain", labels, seed=seed, size=Sizes(2, 2))
    batches = np.stack([stream.batch(number) for number in range(6)]).reshape(6, 3, 4)
    assert (labels.domains[batches] == np.arange(3)[:, None]).all()  # domain by domain, four images each
    for domain in range(3):
        epoch = (labels.domains == domain).sum() // 4  # batches
        for first in range(0, 6, epoch):
            shown = batches[first : first + epoch, domain]
            assert len(np.unique(shown)) == shown.size


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


def test_across_cameras_lays_a_batch_out_domain_by_domain():
    labels = crowd(2)
    stream = stream_of("across_cameras", labels)
    for number in (0, 1, 30):
        assert (labels.domains[stream.batch(number)] == np.repeat([0, 1, 2], 2 * K)).all()


def test_a_domain_with_few_people_fills_its_batch_by_going_round_again():
    rows = np.arange(6)
    stream = CameraStream(rows, np.repeat([0, 1], 3), np.zeros(6), 40, K, "base", 0)
    assert stream.batch(0).shape == (40,)


def test_a_batch_size_is_that_of_batches_from_all_sources_pooled():
    people = np.arange(60) // 3
    labels, size = Labels(people, people % 3, np.arange(60) % 2), {}
    for kind in ("pk", "random", "pk_per_domain"):
        size[kind] = len(stream_of(kind, labels, size=Sizes(2, 4, batch_size=20)).batch(0))
    assert size == {"pk": 20, "random": 20, "pk_per_domain": 3 * 2 * 4}
