import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgreid.errors import UserError
from dgreid.images.batch import Sampler
from dgreid.images.samplers import Labels, Sizes, iterations_per_epoch, make
from dgreid.images.streams import generator
from helpers.labels import crowd

K = 4
RECIPE = Sizes(2, K)
KINDS = ("pk", "pk_per_domain", "pk_one_domain", "across_cameras", "random", "random_per_domain")
BATCHES = {  # SHA-256 of 25 batches by kind and recipe.batch_size, made before samplers had sizes
    ("pk", None): "64b148194eb721ca",
    ("pk", 12): "e4c82f358d563259",
    ("pk_per_domain", None): "9819245270e740e8",
    ("across_cameras", None): "c480d0f8b956fcdd",
    ("random", None): "300f999d4d4b3073",
    ("random", 12): "8281443655c0ff48",
}


def test_iterations_per_epoch_rounds_each_identity_up_and_leaves_the_last_batch():
    identities = np.repeat([0, 1, 2, 3], [1, 4, 5, 30])  # 4 + 4 + 8 + 32 = 48
    assert iterations_per_epoch(identities, 16, K) == 2
    assert iterations_per_epoch(identities, 10, K) == 3  # 48 - 8 - 10 = 30
    assert iterations_per_epoch(identities, 48, K) == 1  # never none


def stream_of(kind: str, labels: Labels, name: str = "base", seed: int = 0, size: Sizes = RECIPE, **own):
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


@pytest.mark.parametrize(("kind", "order"), [*((kind, None) for kind in KINDS), ("pk_one_domain", "uniform")])
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


@pytest.mark.parametrize("kind", ["random", "random_per_domain", "pk", "pk_per_domain", "across_cameras"])
def test_an_order_is_refused_by_name_if_the_kind_has_none(kind):
    with pytest.raises(UserError, match=rf"sampler 'base' has order=uniform.* of kind {kind}: leave it out"):
        stream_of(kind, crowd(1), order="uniform")


@pytest.mark.parametrize("field", ["identities", "images_per_identity"])
@pytest.mark.parametrize("size", [0, -1])
def test_a_size_of_nothing_is_not_the_recipes(field, size):
    with pytest.raises(UserError, match=f"sampler 'base' asks for {field}={size}: ask for 1 or more"):
        stream_of("pk_per_domain", crowd(1), **{field: size})


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


def test_across_cameras_lays_a_batch_out_domain_by_domain():
    labels = crowd(2)
    stream = stream_of("across_cameras", labels)
    for number in (0, 1, 30):
        assert (labels.domains[stream.batch(number)] == np.repeat([0, 1, 2], 2 * K)).all()


def test_a_batch_size_is_that_of_batches_from_all_sources_pooled():
    people = np.arange(60) // 3
    labels, size = Labels(people, people % 3, np.arange(60) % 2), {}
    for kind in ("pk", "random", "pk_per_domain"):
        size[kind] = len(stream_of(kind, labels, size=Sizes(2, 4, batch_size=20)).batch(0))
    assert size == {"pk": 20, "random": 20, "pk_per_domain": 3 * 2 * 4}
