"""Splits that a data set does not ship: seeded random halves, frozen.

The sorted identities are permuted by numpy's PCG64(seed), once per split; the first half trains, the rest
tests. The published lists of VIPeR, PRID and i-LIDS cannot be regenerated from any released code (they were
drawn without a seed), so ours are named `rand10` and identified by `generator()`. Each parser's `SplitSet`
declares their hashes (rule R18).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dgreid.datasets.layout import SplitSet
from dgreid.datasets.records import Image, Parsed, Splits
from dgreid.errors import UserError

COUNT = 10
SEED = 0


def contents(splits: Mapping[tuple[str, int, str], Sequence[str]]) -> dict[str, str]:
    """SHA-256 of every split set, as hex: the images of each (split, role), in order."""
    sets: dict[str, list] = {}
    for (split_set, number, role), paths in sorted(splits.items()):
        sets.setdefault(split_set, []).append([str(number), role, *paths])
    return {split_set: fingerprint(parts) for split_set, parts in sets.items()}


def identities(parsed: Parsed, split_sets: Iterable[SplitSet]) -> dict[str, str]:
    """SHA-256 of the given split sets, as hex: who is in each (split, role), by which camera, which image.

    Unlike `contents` it does not depend on how a copy spells its folders. In shipped split sets identities
    alone count.
    """
    shipped = {split_set.name: split_set.shipped for split_set in split_sets}
    images = {image.path: image for image in parsed.images}

    def who(image: Image, split_set: str) -> str:
        alone = shipped[split_set]
        return f"{image.person}" if alone else f"{image.camera} {image.person} {image.index}"

    named = {
        key: [who(images[path], key[0]) for path in paths]
        for key, paths in parsed.splits.items()
        if key[0] in shipped
    }
    return contents(named)


def check_frozen(parsed: Parsed, split_sets: Iterable[SplitSet], title: str) -> None:
    """R18: on the published images the split sets are the frozen ones, identity by identity.

    If we are not certain of the frozen ones, a difference becomes a note of `parsed`.

    Args:
        parsed: a full copy.
        split_sets: those of its layout.
        title: names the data set in the message.

    Raises:
        UserError: the splits differ.
    """
    frozen = {split_set.name: split_set for split_set in split_sets if split_set.frozen}
    for name, digest in identities(parsed, frozen.values()).items():
        split_set = frozen[name]
        if digest == split_set.frozen:
            continue
        ask = "is the file of the folds the published one"
        if not split_set.shipped:
            ask = "are the identities numbered as published, and the versions those of constraints.txt"
        sentence = (
            f"the splits {name} are not the frozen ones (sha256 {digest[:12]}... instead "
            f"of {split_set.frozen[:12]}...); {ask}?"
        )
        if split_set.certain:
            raise UserError(f"{title}: {sentence}")
        parsed.note(sentence.removesuffix("?"))


def generator(count: int = COUNT, seed: int = SEED) -> str:
    """Name the procedure that generates the splits, for the manifest."""
    return f"sorted ids; numpy.PCG64({seed}); {count} permutations; first half train"


def permutations(number: int, count: int = COUNT, seed: int = SEED) -> list[np.ndarray]:
    """Draw `count` permutations of range(number) whose first halves differ."""
    draw = np.random.Generator(np.random.PCG64(seed))
    half, orders, seen = number // 2, [], set()
    while len(orders) < count:
        order = draw.permutation(number)
        if frozenset(order[:half].tolist()) not in seen:  # of few identities a half may come twice
            seen.add(frozenset(order[:half].tolist()))
            orders.append(order)
    return orders


def random_halves(
    identities: Iterable[str],
    count: int = COUNT,
    seed: int = SEED,
    halves: tuple[int, str] | None = None,
) -> list[tuple[list[str], list[str]]]:
    """Split the identities into (train, test) halves in `count` different ways.

    Args:
        identities: in any order.
        count: of splits.
        seed: of the generator.
        halves: the frozen permutations, see `SplitSet.halves`.

    Returns:
        sorted identities of each half; test has the odd one.

    Raises:
        UserError: fewer than six identities, or this numpy draws other splits than the frozen ones.
    """
    ids = sorted(set(identities))
    if len(ids) < 6:
        raise UserError(f"{len(ids)} identities are too few to be split into halves in {count} ways.")
    orders, half = permutations(len(ids), count, seed), len(ids) // 2
    if halves is not None and halves[0] == len(ids) and halves[1] != fingerprint(orders):
        raise UserError(
            f"numpy {np.__version__} draws other splits for {len(ids)} identities than the frozen ones; "
            "install the versions of constraints.txt."
        )
    return [(sorted(ids[i] for i in o[:half]), sorted(ids[i] for i in o[half:])) for o in orders]


def across_cameras(images: Sequence[Image], split_set: SplitSet) -> Splits:
    """Generate a split set for one image per identity and camera: camera 0 is the query, 1 the gallery.

    Identities that only camera 1 saw are in every gallery.
    """
    cameras = [{image.person: image.path for image in images if image.camera == camera} for camera in (0, 1)]
    alone = sorted(cameras[1].keys() - cameras[0].keys())
    both = cameras[0].keys() & cameras[1].keys()
    splits = {}
    for number, (train, test) in enumerate(random_halves(both, split_set.count, halves=split_set.halves)):
        splits[split_set.name, number, "train"] = [
            camera[identity] for identity in train for camera in cameras
        ]
        splits[split_set.name, number, "query"] = [cameras[0][identity] for identity in test]
        splits[split_set.name, number, "gallery"] = [cameras[1][identity] for identity in (*test, *alone)]
    return splits


def draw_pairs(
    images: dict[str, list[str]], tests: Sequence[Sequence[str]], seed: int = SEED
) -> list[tuple[list[str], list[str]]]:
    """Draw, per split, one query and one other gallery image of every test identity."""
    draw = np.random.Generator(np.random.PCG64([seed, 1]))  # its own stream beside the halves
    pairs = []
    for test in tests:
        chosen = [draw.permutation(len(images[identity]))[:2] for identity in test]
        query, gallery = (
            [sorted(images[identity])[pick[role]] for identity, pick in zip(test, chosen, strict=True)]
            for role in (0, 1)
        )
        pairs.append((query, gallery))
    return pairs


def fingerprint(orders: Sequence) -> str:
    """SHA-256 of lists of integers or names, as hex."""
    plain = [[x if isinstance(x, str) else int(x) for x in order] for order in orders]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()
