"""Splits that a data set does not ship: seeded random halves, frozen.

Sorted identities -> numpy PCG64(seed) -> one permutation per split; the first half trains, the rest
is searched. The published lists of VIPeR, PRID and i-LIDS cannot be regenerated from any released
code (they were drawn unseeded), so ours are named `rand10` and identified by `generator()`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from dgreid.datasets.records import Image, Parsed
from dgreid.errors import UserError

COUNT = 10
SEED = 0

# What the draws must be for the published sizes (rule R18): as positions among the sorted identities, against
# a change inside numpy; and as `people`, so that other identities are not split as if they were the set's.
FROZEN = {
    "halves/632": "61fbbc5b7e08b13c72ba2ee3819610f69265883cac0fe6b2884d5334ecf7e9f6",
    "halves/200": "7a5b8aabab892d433a283be49e5b2fab055515084b79066c55c83dfdb182826a",
    "halves/119": "b01495a86f47cf73b92339f3509a9b3d56d3adb9c3d7618a124e5ece73132ce4",
    "viper/rand10_a2b": "9087b74c5a3d6ae0288a69e38a203ba373e5be9812328472a65e7412f3b937a1",
    "prid/rand10": "12b04f1703532a5719fde0eebdf9f0384bf7e89748ee862f017088302996015b",
    "grid/official10": "ed29069ebfe03d22f6ea762a0cd5b6a35a346a4e307fd04194ca7faf56f1ed7b",
    "ilids/rand10": "1a17d3d43890a3e177b03eacea37d55a8f5056ce6a548e04beab1cb30019076a",
}

# Not drawn; copies differ in which of two images is the probe, so people alone count.
SHIPPED = {"grid/official10"}
# A difference is a warning: VIPeR's people are known from a description, GRID's folds from one copy, as text.
DESCRIBED = {"viper/rand10_a2b", *SHIPPED}


def contents(splits: Mapping[tuple[str, int, str], Sequence[str]]) -> dict[str, str]:
    """SHA-256 of every split set, as hex: the images of each (split, role), in order."""
    sets: dict[str, list] = {}
    for (split_set, number, role), paths in sorted(splits.items()):
        sets.setdefault(split_set, []).append([str(number), role, *paths])
    return {split_set: fingerprint(parts) for split_set, parts in sets.items()}


def people(parsed: Parsed) -> dict[str, str]:
    """SHA-256 of every frozen split set, as hex: who is in each (split, role), by which camera, which image.

    Unlike `contents` it does not depend on how a copy spells its folders.
    """
    images = {image.path: image for image in parsed.images}

    def who(image: Image, split_set: str) -> str:
        return f"{image.person}" if split_set in SHIPPED else f"{image.camera} {image.person} {image.index}"

    named = {
        key: [who(images[path], key[0]) for path in paths]
        for key, paths in parsed.splits.items()
        if key[0] in FROZEN
    }
    return contents(named)


def check_frozen(parsed: Parsed, title: str) -> None:
    """R18: on the published images the split sets are the frozen ones, person by person.

    Where we are not sure of the frozen ones (`DESCRIBED`), a difference becomes a note of `parsed`.

    Args:
        parsed: a full copy.
        title: names the data set in the message.

    Raises:
        UserError: the splits are others.
    """
    for split_set, digest in people(parsed).items():
        if digest != FROZEN[split_set]:
            ask = "is the file of the folds the published one"
            if split_set not in SHIPPED:
                ask = "are the people numbered as published, and the versions those of constraints.txt"
            sentence = (
                f"the splits {split_set} are not the frozen ones (sha256 {digest[:12]}... instead "
                f"of {FROZEN[split_set][:12]}...); {ask}?"
            )
            if split_set not in DESCRIBED:
                raise UserError(f"{title}: {sentence}")
            parsed.note(sentence.removesuffix("?"))


def generator(count: int = COUNT, seed: int = SEED) -> str:
    """The identity of the drawing procedure, recorded in the manifest."""
    return f"sorted ids; numpy.PCG64({seed}); {count} permutations; first half train"


def random_halves(
    identities: Sequence[str], count: int = COUNT, seed: int = SEED
) -> list[tuple[list[str], list[str]]]:
    """`count` different splits of the identities into (train, test), each sorted; test has the odd one.

    Raises:
        UserError: fewer than six identities, or this numpy draws other splits than the frozen ones.
    """
    ids = sorted(set(identities))
    if len(ids) < 6:
        raise UserError(f"{len(ids)} identities are too few to be split into halves in {count} ways.")
    draw = np.random.Generator(np.random.PCG64(seed))
    half, orders, seen = len(ids) // 2, [], set()
    while len(orders) < count:
        order = draw.permutation(len(ids))
        if frozenset(order[:half].tolist()) not in seen:  # few people: a half may come twice
            seen.add(frozenset(order[:half].tolist()))
            orders.append(order)
    frozen = FROZEN.get(f"halves/{len(ids)}") if (count, seed) == (COUNT, SEED) else None
    if frozen and fingerprint(orders) != frozen:
        raise UserError(
            f"numpy {np.__version__} draws other splits for {len(ids)} identities than the frozen ones; "
            "install the versions of constraints.txt."
        )
    return [(sorted(ids[i] for i in o[:half]), sorted(ids[i] for i in o[half:])) for o in orders]


def across_cameras(images: Sequence[Image], split_set: str) -> dict[tuple[str, int, str], list[str]]:
    """The drawn splits of one image per person and camera: camera 0 is searched in camera 1.

    People whom camera 1 alone saw are strangers in every gallery.
    """
    cameras = [{image.person: image.path for image in images if image.camera == camera} for camera in (0, 1)]
    alone = sorted(cameras[1].keys() - cameras[0].keys())
    splits = {}
    for number, (train, test) in enumerate(random_halves(sorted(cameras[0].keys() & cameras[1].keys()))):
        splits[split_set, number, "train"] = [camera[person] for person in train for camera in cameras]
        splits[split_set, number, "query"] = [cameras[0][person] for person in test]
        splits[split_set, number, "gallery"] = [cameras[1][person] for person in (*test, *alone)]
    return splits


def draw_pairs(
    images: dict[str, list[str]], tests: Sequence[Sequence[str]], seed: int = SEED
) -> list[tuple[list[str], list[str]]]:
    """Per split, one random query and one other random gallery image of every test identity."""
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
