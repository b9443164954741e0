"""Which images make a batch. Every batch is a pure function of (seed, stream name, batch number).

`pk` and `pk_per_domain` first cut each identity's images into chunks of K (released code of MetaBIN, Choi et
al. 2021):
an identity with fewer than K images draws K of its own with replacement; otherwise, where K does not divide
the count, distinct random repeats fill the last chunk; then the images are shuffled and cut.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from dgreid.errors import UserError


def generator(*key: str | int) -> np.random.Generator:
    """A random generator that depends on `key` alone: (seed, stream, number) -> PCG64."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))


def chunks(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Cut one identity's images into groups of `size`: (n,) -> (n rounded up / size, size)."""
    if len(rows) < size:
        rows = rng.choice(rows, size)
    elif len(rows) % size:
        rows = np.concatenate([rows, rng.choice(rows, size - len(rows) % size, replace=False)])
    return rng.permutation(rows).reshape(-1, size)


def iterations_per_epoch(identities: np.ndarray, batch: int, images_per_identity: int) -> int:
    """How many batches one pass of the naive identity sampler counts for, at least one.

    (S - S mod B - B) / B, with S the sum over identities of their image count rounded up to a multiple
    of K. The paper's sources give 1849 at B = 80 (MetaBIN, supplement: 9245 iterations are five epochs).
    With K = 1 images are drawn, not identities (QAConv, DualNorm): one pass, its incomplete batch dropped.
    """
    if images_per_identity == 1:
        return max(1, len(identities) // batch)
    counts = np.unique(identities, return_counts=True)[1]
    total = int((-(-counts // images_per_identity) * images_per_identity).sum())
    return max(1, (total - total % batch - batch) // batch)


class Stream:
    """An endless sequence of batches, made of epochs that are drawn anew from (seed, name, epoch).

    A subclass gives `epoch(rng) -> (batches, B)`. Only the current epoch is kept, so the whole state of a
    stream is the number of batches taken from it.
    """

    def __init__(self, name: str, seed: int):
        self.name, self.seed = name, seed
        self._first = [0]  # number of each known epoch's first batch
        self._current: tuple[int, np.ndarray] | None = None

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """The batches of one epoch as image rows, (batches, B); at least one."""
        raise NotImplementedError

    def batch(self, number: int) -> np.ndarray:
        """The rows of batch `number` (0-based), (B,)."""
        while self._first[-1] <= number:
            self._first.append(self._first[-1] + len(self._draw(len(self._first) - 1)))
        epoch = int(np.searchsorted(self._first, number, side="right")) - 1
        return self._draw(epoch)[number - self._first[epoch]]

    def _draw(self, epoch: int) -> np.ndarray:
        if self._current is None or self._current[0] != epoch:
            self._current = epoch, self.epoch(generator(self.seed, self.name, epoch))
        return self._current[1]


class IdentityStream(Stream):
    """`pk`, the naive identity sampler: P identities drawn uniformly from all that still have a chunk.

    The epoch ends when fewer than P identities are left; their chunks are dropped. Uniform over
    identities, so early batches show mostly the sources with many identities, late ones those with many
    images for each.
    """

    def __init__(
        self, identities: np.ndarray, per_batch: int, images_per_identity: int, name: str, seed: int
    ):
        super().__init__(name, seed)
        self.rows = groups(identities)
        self.per_batch, self.images_per_identity = per_batch, images_per_identity
        if len(self.rows) < per_batch:
            raise UserError(
                f"the training set has {len(self.rows)} identities but a batch takes {per_batch}: "
                "lower recipe.identities_per_domain."
            )

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """One pass over the chunks of all identities."""
        queues = [chunks(rows, self.images_per_identity, rng) for rows in self.rows]
        used = [0] * len(queues)
        remaining, batches = list(range(len(queues))), []
        while len(remaining) >= self.per_batch:
            places = rng.choice(len(remaining), self.per_batch, replace=False)
            picked = [remaining[place] for place in places]
            batches.append(np.concatenate([queues[i][used[i]] for i in picked]))
            for place, i in sorted(zip(places, picked, strict=True), reverse=True):
                used[i] += 1
                if used[i] == len(queues[i]):  # swap out from the back, so that earlier places stay valid
                    remaining[place] = remaining[-1]
                    remaining.pop()
        return np.stack(batches)


class DomainStream(Stream):
    """`pk_per_domain`, the domain-shuffle sampler: P identities of every domain, laid out domain by domain.

    A domain with fewer than P identities left starts over with fresh chunks; the epoch ends when every
    domain has. Where a domain is a camera, the same person under two cameras counts as two identities.
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
        for domain in range(int(domains.max()) + 1):
            rows = np.flatnonzero(domains == domain)
            self.rows.append([rows[group] for group in groups(identities[rows])])
            if len(self.rows[-1]) < per_domain:
                raise UserError(
                    f"training domain {domain} has {len(self.rows[-1])} identities but a batch takes "
                    f"{per_domain} of each domain: lower recipe.identities_per_domain."
                )

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Batches until every domain has been revived once."""
        pools = [self._pool(domain, rng) for domain in range(len(self.rows))]
        revived, batches = [False] * len(pools), []
        while not all(revived):
            batch = []
            for domain, pool in enumerate(pools):
                for place in sorted(rng.choice(len(pool), self.per_domain, replace=False), reverse=True):
                    batch.append(pool[place].pop(0))
                    if not pool[place]:
                        del pool[place]
                if len(pool) < self.per_domain:
                    pools[domain], revived[domain] = self._pool(domain, rng), True
            batches.append(np.concatenate(batch))
        return np.stack(batches)

    def _pool(self, domain: int, rng: np.random.Generator) -> list[list[np.ndarray]]:
        return [list(chunks(rows, self.images_per_identity, rng)) for rows in self.rows[domain]]


class RandomStream(Stream):
    """`random`: all images shuffled, cut into batches; what is left over waits for the next epoch's draw."""

    def __init__(self, images: int, per_batch: int, name: str, seed: int):
        super().__init__(name, seed)
        self.images, self.per_batch = images, per_batch
        if images < per_batch:
            raise UserError(
                f"the training set has {images} images but a batch takes {per_batch}: "
                "lower recipe.batch_size, recipe.identities_per_domain or recipe.images_per_identity."
            )

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """One pass over the images, the last incomplete batch dropped."""
        order = rng.permutation(self.images)
        return order[: self.images // self.per_batch * self.per_batch].reshape(-1, self.per_batch)


class CameraStream(Stream):
    """One domain of `across_cameras`, as M3L's released code draws it (Zhao et al. 2021).

    All identities shuffled; of each one random image, then K - 1 from its other cameras, or from its other
    images where there is one camera only. An identity with a single image gives just that one, which shifts
    the grouping of what follows. Where fewer than K others are to be had, they may repeat.
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
        self.people = [rows[group] for group in groups(identities[rows])]
        self.cameras, self.per_batch, self.more = cameras, per_batch, images_per_identity - 1

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """One pass over the identities, or as many as fill a batch; the last incomplete batch is dropped."""
        drawn: list[np.ndarray] = []
        while sum(map(len, drawn)) < self.per_batch:
            drawn += [self._images(self.people[i], rng) for i in rng.permutation(len(self.people))]
        images = np.concatenate(drawn)
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
    """A batch of each of several streams, one after the other."""

    def __init__(self, streams: Sequence[Stream]):
        self.streams = streams

    def batch(self, number: int) -> np.ndarray:
        """The rows of batch `number` of every stream, (streams x B,)."""
        return np.concatenate([stream.batch(number) for stream in self.streams])


def groups(labels: np.ndarray) -> list[np.ndarray]:
    """The places of each distinct label, labels ascending, places ascending."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def make(
    kind: str,
    identities: np.ndarray,
    domains: np.ndarray,
    cameras: np.ndarray,
    identities_per_domain: int,
    images_per_identity: int,
    name: str,
    seed: int,
    batch_size: int | None = None,
) -> Stream | SideBySide:
    """The stream a method asked for; batches of all kinds have the same size.

    Where there is a `batch_size`, the two kinds that draw from all sources pooled, `pk` and `random`, have
    that one (`pk`: the whole identities of it).
    """
    count = int(domains.max()) + 1
    per_domain = identities_per_domain * images_per_identity
    pooled = batch_size or per_domain * count
    if kind == "pk":
        per_batch = max(1, pooled // images_per_identity)
        return IdentityStream(identities, per_batch, images_per_identity, name, seed)
    if kind == "random":
        return RandomStream(len(identities), pooled, name, seed)
    if kind == "across_cameras":
        rows = groups(domains)
        return SideBySide(
            [
                CameraStream(
                    rows[domain],
                    identities,
                    cameras,
                    per_domain,
                    images_per_identity,
                    f"{name}-{domain}",
                    seed,
                )
                for domain in range(count)
            ]
        )
    if kind == "pk_per_domain":
        return DomainStream(identities, domains, identities_per_domain, images_per_identity, name, seed)
    raise ValueError(f"no sampler '{kind}'; there are pk, pk_per_domain, across_cameras, random")
