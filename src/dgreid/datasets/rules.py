"""Rules for the images and splits of one data set; those for its counts are in `tally`.

The rules about several data sets at once (R6-R12 across sources and targets) are in `dgreid.protocols`. R2
(unmatched names) is enforced by `names`, R15's decoding by `images`.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable

from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.layout import Layout
from dgreid.datasets.parsers import layout_of
from dgreid.datasets.records import Image, Parsed
from dgreid.errors import UserError

log = logging.getLogger(__name__)


def check_images(images: list[Image], rows: list[dict], config: DatasetConfig) -> list[str]:
    """Apply IMAGE_RULES; returns the warnings, raises on the first error."""
    warnings = []
    for rule in IMAGE_RULES:
        warnings += rule(images, rows, config)
    return say(warnings, config)


def check_splits(rows: list[dict], parsed: Parsed, config: DatasetConfig) -> list[str]:
    """Apply SPLIT_RULES to every split; returns the warnings, raises on the first error.

    Args:
        rows: manifest rows, in the order of `parsed.images`.
        parsed: images and splits.
        config: the data set.
    """
    layout = layout_of(config.parser)
    by_path = {image.path: row for image, row in zip(parsed.images, rows, strict=True)}
    sets: dict[tuple[str, int], dict[str, list[dict]]] = defaultdict(dict)
    for (split_set, number, role), paths in parsed.splits.items():
        sets[split_set, number][role] = [by_path[path] for path in paths]
    warnings = set()
    for (split_set, number), roles in sets.items():
        where = f"{config.name}, {split_set} split {number}"
        for rule in SPLIT_RULES:
            warnings.update(rule(roles, layout, where))
    for split_set in sorted({split_set for split_set, _ in sets}):
        numbers = [roles for (name, _), roles in sets.items() if name == split_set]
        _check_count(split_set, len(numbers), layout, config)
        _check_distinct(split_set, numbers, config)
    return say(sorted(warnings), config)


def person_scope(images: list[Image], rows: list[dict], config: DatasetConfig) -> list[str]:
    """R11: the person key is null exactly for junk and distractors."""
    for image in images:
        if (image.person is None) != (image.kind != "person"):
            raise UserError(f"{config.name}: {image.path} is {image.kind} with person key {image.person!r}.")
    return []


def image_size(images: list[Image], rows: list[dict], config: DatasetConfig) -> list[str]:
    """R15: if `options.size` states (width, height), every image has it; R21: tiny images are a warning."""
    size = config.options.get("size")
    for image, row in zip(images, rows, strict=True):
        if size and [row["width"], row["height"]] != list(size):
            raise UserError(
                f"{config.name}: {image.path} is {row['width']} x {row['height']} pixels, "
                f"{config.title} has {size[0]} x {size[1]}; get the original files."
            )
    tiny = [i.path for i, r in zip(images, rows, strict=True) if min(r["width"], r["height"]) <= 1]
    return [f"{len(tiny)} images are one pixel wide or high, first {tiny[0]}"] if tiny else []  # R21


def label_conflicts(images: list[Image], rows: list[dict], config: DatasetConfig) -> list[str]:
    """R13: equal pixels under different identities are a warning, under one identity a line in the log."""
    identities = defaultdict(set)
    for row in rows:
        identities[row["pixel_sha256"]].add(row["person_key"])
    clashes = sorted(sorted(map(str, keys)) for keys in identities.values() if len(keys) > 1)
    if repeats := len(rows) - len(identities) - sum(len(keys) - 1 for keys in clashes):
        log.info("%s: %d images repeat another one of the same identity.", config.name, repeats)
    return [f"{len(clashes)} images occur under different identities, first {clashes[0]}"] if clashes else []


def scene_repeats(images: list[Image], rows: list[dict], config: DatasetConfig) -> list[str]:
    """R21: an identity that occurs twice in one scene is a warning."""
    seen = Counter((i.person, i.scene) for i in images if i.scene is not None)
    twice = sorted(f"{person} in s{scene}" for (person, scene), n in seen.items() if n > 1)
    return [f"{len(twice)} identities occur twice in one scene, first {twice[0]}"] if twice else []


def listed_once(roles: dict[str, list[dict]], layout: Layout, where: str) -> list[str]:
    """R9: a role lists an image once, or it would count twice."""
    for role, rows in sorted(roles.items()):
        if twice := [path for path, number in Counter(row["path"] for row in rows).items() if number > 1]:
            raise UserError(f"{where}: {min(twice)} is twice in role {role} ({len(twice)} such images).")
    return []


def finds_itself(roles: dict[str, list[dict]], layout: Layout, where: str) -> list[str]:
    """R9, R14: no query's own image is in the gallery where cameras are unknown, under any name.

    An image of known camera is left out by that; one of unknown camera would be the first match of itself.
    """
    unknown_camera, known_camera = {}, {}
    for row in roles.get("gallery", []):
        images = unknown_camera if row["camera"] is None else known_camera
        images[row["pixel_sha256"], row["person_key"]] = row
    for row in roles.get("query", []):
        key = row["pixel_sha256"], row["person_key"]
        found = unknown_camera.get(key) or (known_camera.get(key) if row["camera"] is None else None)
        if found is not None:
            name = "" if found["path"] == row["path"] else f", as {found['path']}"
            raise UserError(
                f"{where}: query {row['path']} is also in the gallery{name}; its camera is unknown, so it "
                "would find itself: leave it out of one of the two."
            )
    return []


def disjoint_identities(roles: dict[str, list[dict]], layout: Layout, where: str) -> list[str]:
    """R6: no identity is in training and in test."""
    train = {row["person_key"] for row in roles.get("train", [])}
    test = {row["person_key"] for role in ("query", "gallery") for row in roles.get(role, [])} - {None}
    if both := sorted(train & test):
        raise UserError(f"{where}: {both[0]} is in the training and in the test role ({len(both)} in all).")
    return []


def only_identities_train(roles: dict[str, list[dict]], layout: Layout, where: str) -> list[str]:
    """R11: junk and distractors never train, and junk is never in a gallery."""
    for role, rows in sorted(roles.items()):
        bad = {"gallery": ("junk",)}.get(role, ("junk", "distractor"))
        for row in rows:
            if row["kind"] in bad:
                raise UserError(f"{where}: {row['path']} is {row['kind']}, which cannot be in role {role}.")
    return []


def queries_have_matches(roles: dict[str, list[dict]], layout: Layout, where: str) -> list[str]:
    """R9, R10: every query has a match in the gallery from another camera."""
    if "query" not in roles or "gallery" not in roles:
        return []
    cameras = defaultdict(list)
    for row in roles["gallery"]:
        cameras[row["person_key"]].append(row["camera"])
    for row in roles["query"]:
        # images of unknown camera (None) are always kept
        if not any(c is None or c != row["camera"] for c in cameras.get(row["person_key"], [])):
            raise UserError(f"{where}: query {row['path']} has no match in the gallery from another camera.")
    return []


def single_match(roles: dict[str, list[dict]], layout: Layout, where: str) -> list[str]:
    """R10: in single-shot data sets every query has one match."""
    if "query" not in roles or "gallery" not in roles or not layout.single_shot:
        return []
    matches = Counter(row["person_key"] for row in roles["gallery"])
    for row in roles["query"]:
        if matches[row["person_key"]] != 1:
            number = matches[row["person_key"]]
            raise UserError(f"{where}: query {row['path']} has {number} matches, not one.")
    return []


def no_shared_pixels(roles: dict[str, list[dict]], layout: Layout, where: str) -> list[str]:
    """R14: no training image is in test under another name; one in query and gallery is a warning."""
    pixels = {role: {row["pixel_sha256"]: row["path"] for row in rows} for role, rows in roles.items()}
    for role in ("query", "gallery"):
        shared = pixels.get("train", {}).keys() & pixels.get(role, {}).keys()
        if shared:
            path = min(pixels["train"][pixel] for pixel in shared)
            raise UserError(f"{where}: {path} trains and is also in role {role} ({len(shared)} such images).")
    query, gallery = pixels.get("query", {}), pixels.get("gallery", {})
    shared = [pixel for pixel in query.keys() & gallery.keys() if query[pixel] != gallery[pixel]]
    return [f"{where}: {len(shared)} images are query and, under another name, gallery"] if shared else []


IMAGE_RULES = (person_scope, image_size, label_conflicts, scene_repeats)
SPLIT_RULES = (
    listed_once,
    disjoint_identities,
    only_identities_train,
    finds_itself,
    queries_have_matches,
    single_match,
    no_shared_pixels,
)


def _check_count(split_set: str, found: int, layout: Layout, config: DatasetConfig) -> None:
    """R18: a split set has as many splits as its data set's layout declares."""
    declared = layout.split_set(split_set)
    if declared is not None and found != declared.count:
        raise UserError(
            f"{config.name}, {split_set}: {found} splits instead of {declared.count}; are the data the "
            "expected ones?"
        )


def _check_distinct(split_set: str, splits: list[dict[str, list[dict]]], config: DatasetConfig) -> None:
    """R18: the splits of one set differ from each other."""
    queries = [tuple(row["path"] for row in roles.get("query", roles.get("train", []))) for roles in splits]
    if len(set(queries)) < len(queries):
        raise UserError(f"{config.name}, {split_set}: two of its {len(queries)} splits are the same.")


def say(warnings: Iterable[str], config: DatasetConfig) -> list[str]:
    """Log warnings about a data set; returns them."""
    for warning in warnings:
        log.warning("%s: %s.", config.name, warning)
    return list(warnings)
