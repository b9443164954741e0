"""Streams of batches, as rows of the training set. A batch depends only on (seed, stream name, number)."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from dgreid.errors import UserError

BLOCK = 1024  # batches whose domains are chosen together


def generator(*key: str | int) -> np.random.Generator:
    """Make a random generator (PCG64) that depends only on `key`, such as (seed, stream, number)."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def groups(labels: np.ndarray) -> list[np.ndarray]:
    """Find the places of each distinct label, labels ascending, places ascending."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def chunks(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Cut one identity's images into groups of `size`: (n,) -> (n rounded up / size, size).

    As in the released code of MetaBIN (Choi et al. 2021): for an identity with fewer images, `size` are
    chosen with replacement; otherwise distinct random repeats fill an incomplete last group; then the images
    are shuffled and cut.
    """
    if len(rows) < size:
        rows = rng.choice(rows, size)
    elif len(rows) % size:
        rows = np.concatenate([rows, rng.choice(rows, size - len(rows) % size, replace=False)])
    return rng.permutation(rows).reshape(-1, size)


def full_chunks(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Cut one identity's images into groups of `size` without repeats: (n,) -> (n rounded down / size, size).

    As in the released code of META (Xu et al. 2022): images left over are not used in this pass; for an
    identity with fewer images, `size` are chosen with replacement.
    """
    if len(rows) < size:
        rows = rng.choice(rows, size)
    return rng.permutation(rows)[: len(rows) // size * size].reshape(-1, size)


Cut = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


class Stream:
    """An endless sequence of batches, in epochs that are generated from (seed, name, epoch).

    A subclass defines `epoch(rng) -> (batches, B)`. The state of a stream is the number of batches taken from
    it; the current epoch is kept only to save time.
    """

    def __init__(self, name: str, seed: int):
        self.name, self.seed = name, seed
        self._first = [0]  # number of the first batch of each known epoch
        self._current: tuple[int, np.ndarray] | None = None

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Generate the batches of one epoch as rows, (batches, B), at least one."""
        raise NotImplementedError

    def batch(self, number: int) -> np.ndarray:
        """Return the rows of batch `number` (0-based), (B,)."""
        while self._first[-1] <= number:
            self._first.append(self._first[-1] + len(self._generate(len(self._first) - 1)))
        epoch = int(np.searchsorted(self._first, number, side="right")) - 1
        return self._generate(epoch)[number - self._first[epoch]]

    def _generate(self, epoch: int) -> np.ndarray:
        if self._current is None or self._current[0] != epoch:
            self._current = epoch, self.epoch(generator(self.seed, self.name, epoch))
        return self._current[1]


class RandomStream(Stream):
    """Shuffles all images of `rows` and cuts them into batches; an incomplete last batch is dropped."""

    def __init__(self, rows: np.ndarray, per_batch: int, name: str, seed: int, what: str):
        super().__init__(name, seed)
        self.rows, self.per_batch = rows, per_batch
        if len(rows) < per_batch:
            raise UserError(
                f"{what} has {len(rows)} images but a batch takes {per_batch}: "
                "lower recipe.batch_size, recipe.identities_per_domain or recipe.images_per_identity."
            )

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Generate one pass over the images, without an incomplete last batch."""
        order = self.rows[rng.permutation(len(self.rows))]
        return order[: len(order) // self.per_batch * self.per_batch].reshape(-1, self.per_batch)


class IdentityStream(Stream):
    """The naive identity sampler: P identities, uniform over those that still have a chunk of images.

    The epoch ends when fewer than P identities are left; their chunks are dropped. Because the choice is
    uniform over identities, early batches of pooled sources contain mostly sources with many identities, late
    batches those with many images per identity.

    Args:
        rows: the training images to choose from.
        identities: the labels of all training images.
        cut: function that cuts an identity's images into chunks: `chunks` or `full_chunks`.
        what: name of the images in the error.
    """

    def __init__(
        self,
        rows: np.ndarray,
        identities: np.ndarray,
        per_batch: int,
        images_per_identity: int,
        name: str,
        seed: int,
        cut: Cut = chunks,
        what: str = "the training set",
    ):
        super().__init__(name, seed)
        self.rows = [rows[group] for group in groups(identities[rows])]
        self.per_batch, self.images_per_identity, self.cut = per_batch, images_per_identity, cut
        if len(self.rows) < per_batch:
            raise UserError(
                f"{what} has {len(self.rows)} identities but a batch takes {per_batch}: "
                "lower recipe.identities_per_domain, or the method's own number if it has one."
            )

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Generate one pass over the chunks of all identities."""
        queues = [self.cut(rows, self.images_per_identity, rng) for rows in self.rows]
        used = [0] * len(queues)
        remaining, batches = list(range(len(queues))), []
        while len(remaining) >= self.per_batch:
            places = rng.choice(len(remaining), self.per_batch, replace=False)
            picked = [remaining[place] for place in places]
            batches.append(np.concatenate([queues[i][used[i]] for i in picked]))
            for place, i in sorted(zip(places, picked, strict=True), reverse=True):
                used[i] += 1
                if used[i] == len(queues[i]):  # replace it by the last; from the back: places stay valid
                    remaining[place] = remaining[-1]
                    remaining.pop()
        return np.stack(batches)


class DomainStream(Stream):
    """The domain-shuffle sampler: P identities of every domain, ordered domain by domain.

    A domain with fewer than P identities left starts over with new chunks; the epoch ends when every domain
    has started over. If domains are cameras, an identity seen by two cameras counts once for each.
    """

    def __init__(
        self,
        identities: np.ndarray,
        domains: np.ndarray,
        per_domain: int,
        images_per_identity: int,
        name: str,
        seed: int,
    ):
        super().__init__(name, seed)
        self.per_domain, self.images_per_identity = per_domain, images_per_identity
        self.rows = []
        for domain, rows in enumerate(groups(domains)):
            self.rows.append([rows[group] for group in groups(identities[rows])])
            if len(self.rows[-1]) < per_domain:
                raise UserError(
                    f"training domain {domain} has {len(self.rows[-1])} identities but a batch takes "
                    f"{per_domain} of each domain: lower recipe.identities_per_domain, or the method's own "
                    "number if it has one."
                )

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Generate batches until every domain has started over once."""
        pools = [self._pool(domain, rng) for domain in range(len(self.rows))]
        restarted, batches = [False] * len(pools), []
        while not all(restarted):
            batch = []
            for domain, pool in enumerate(pools):
                for place in sorted(rng.choice(len(pool), self.per_domain, replace=False), reverse=True):
                    batch.append(pool[place].pop(0))
                    if not pool[place]:
                        del pool[place]
                if len(pool) < self.per_domain:
                    pools[domain], restarted[domain] = self._pool(domain, rng), True
            batches.append(np.concatenate(batch))
        return np.stack(batches)

    def _pool(self, domain: int, rng: np.random.Generator) -> list[list[np.ndarray]]:
        return [list(chunks(rows, self.images_per_identity, rng)) for rows in self.rows[domain]]


class CameraStream(Stream):
    """One domain of `across_cameras`, as in M3L's released code (Zhao et al. 2021).

    All identities are shuffled; each gives one random image, then K - 1 from its other cameras, or from its
    other images if it has only one camera. An identity with a single image gives only that one, which shifts
    the groups after it. If there are fewer than K others, they are chosen with repetition.
    """

    def __init__(
        self,
        rows: np.ndarray,
        identities: np.ndarray,
        cameras: np.ndarray,
        per_batch: int,
        images_per_identity: int,
        name: str,
        seed: int,
    ):
        super().__init__(name, seed)
        self.rows = [rows[group] for group in groups(identities[rows])]
        self.cameras, self.per_batch, self.more = cameras, per_batch, images_per_identity - 1

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Generate one pass over the identities (more, to fill a batch), without an incomplete last batch."""
        taken: list[np.ndarray] = []
        while sum(map(len, taken)) < self.per_batch:
            taken += [self._images(self.rows[i], rng) for i in rng.permutation(len(self.rows))]
        images = np.concatenate(taken)
        return images[: len(images) // self.per_batch * self.per_batch].reshape(-1, self.per_batch)

    def _images(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        first = rng.choice(rows)
        others = rows[self.cameras[rows] != self.cameras[first]]
        if not len(others):
            others = rows[rows != first]
        if not len(others):
            return np.array([first])
        return np.append(first, rng.choice(others, self.more, replace=len(others) <= self.more))


class SideBySide:
    """Joins one batch of each of several streams into one."""

    def __init__(self, streams: Sequence[Stream]):
        self.streams = streams

    def batch(self, number: int) -> np.ndarray:
        """Return the rows of batch `number` of every stream, (streams x B,)."""
        return np.concatenate([stream.batch(number) for stream in self.streams])


class InTurns:
    """Takes each batch from the next of several streams, in turns."""

    def __init__(self, streams: Sequence[Stream]):
        self.streams = streams

    def batch(self, number: int) -> np.ndarray:
        """Return the rows of batch `number`, (B,)."""
        turn, stream = divmod(number, len(self.streams))
        return self.streams[stream].batch(turn)


class AtRandom:
    """Takes each batch from a random one of several streams; each stream keeps its own order."""

    def __init__(self, streams: Sequence[Stream], name: str, seed: int):
        self.streams, self.name, self.seed = streams, name, seed
        self._taken = [np.zeros(len(streams), np.int64)]  # batches of each stream before each known block

    def batch(self, number: int) -> np.ndarray:
        """Return the rows of batch `number`, (B,)."""
        block, place = divmod(number, BLOCK)
        while len(self._taken) <= block:
            before = self._choices(len(self._taken) - 1)
            self._taken.append(self._taken[-1] + np.bincount(before, minlength=len(self.streams)))
        choices = self._choices(block)
        stream = choices[place]
        return self.streams[stream].batch(int(self._taken[block][stream] + (choices[:place] == stream).sum()))

    def _choices(self, block: int) -> np.ndarray:
        return generator(self.seed, self.name, "domains", block).integers(0, len(self.streams), BLOCK)
