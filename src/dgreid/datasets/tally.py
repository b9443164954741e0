"""Count a data set, and compare the counts with the published ones (R3, R4, R12)."""

from collections import Counter, defaultdict

from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.records import Parsed
from dgreid.errors import UserError, unknown

ROLES = ("train", "val", "trainval", "query", "gallery")  # trainval: train and val together


def counts(parsed: Parsed) -> dict[str, int]:
    """Count everything that `expect` may name.

    images, persons (images of identities), ids, cameras, distractors, junk; `{role}_images`, `{role}_ids`;
    `camera_{c}`, `{role}_camera_{c}` (images of identities), `distractors_camera_{c}`; c counts from 1.
    The role trainval, train and val together, is counted if a data set has both.
    """
    found: Counter = Counter()
    identities, cameras = defaultdict(set), set()
    both = {"train", "val"} if any(image.role == "val" for image in parsed.images) else set()
    for image in parsed.images:
        person = image.kind == "person"
        roles = [] if image.role == "none" else [image.role]
        roles += ["trainval"] if image.role in both else []
        names = ["images", {"person": "persons", "distractor": "distractors"}.get(image.kind, image.kind)]
        names += [f"{role}_images" for role in roles]
        if image.camera is not None:
            camera = f"camera_{image.camera + 1}"
            cameras.add(camera)
            names += [camera, *(f"{role}_{camera}" for role in roles)] if person else []
            names += [f"distractors_{camera}"] if image.kind == "distractor" else []
        if person:
            for name in ("ids", *(f"{role}_ids" for role in roles)):
                identities[name].add(image.person)
        found.update(names)
    found.update({name: len(members) for name, members in identities.items()}, cameras=len(cameras))
    return dict(sorted(found.items()))


def is_count(name: str) -> bool:
    """Whether `expect` may name this count; see `counts`."""
    plain = {"images", "persons", "ids", "cameras", "distractors", "junk"}
    head, _, tail = name.partition("camera_")
    role = head.removesuffix("_")
    if tail:
        return tail.isdigit() and (role == "" or role in (*ROLES, "distractors"))
    return name in plain or name in {f"{role}_{what}" for role in ROLES for what in ("images", "ids")}


def data_kind(config: DatasetConfig, parsed: Parsed, where: object, published: bool = False) -> str:
    """Decide whether a copy is miniature, partial, unverified or full (R3, R4), by counts and missing parts.

    In a partial copy the counts of the parts that are here must still be exact, and no total may be
    exceeded: a copy with something added is neither full nor partial. Counts per role apply to copies that
    have roles. A copy to which no expected count applies is unverified, unless its archive is `published`
    (its hash shows that it is whole). Differences that are no error become notes of `parsed`, and so warnings
    in its manifest.

    Raises:
        UserError: wrong counts that no missing part explains.
    """
    found = counts(parsed)
    for name in (*config.expect, *config.recalled):
        if not is_count(name):
            raise unknown(f"count in expect of {config.name}:", name, ["ids", "images", *found])
    has_roles = any(image.role != "none" for image in parsed.images)
    wrong = {}
    for name, expected in config.expect.items():
        number = found.get(name, 0)
        part = name.split("_")[0]
        if part in ROLES and not has_roles:
            continue
        if parsed.missing and (part not in ROLES or number == 0):
            if number > expected:
                wrong[name] = (number, expected)
        elif number != expected:
            wrong[name] = (number, expected)
    for name in [name for name in wrong if parsed.inferred and name.startswith(parsed.inferred)]:
        got, want = wrong.pop(name)
        parsed.note(f"{name} {got} instead of {want}, if its numbers mean what we take them for")
    too_many = any(number > expected for number, expected in wrong.values())
    if wrong and (too_many or not config.options.get("allow_partial", False)):
        what = ", ".join(f"{name} {got} instead of {want}" for name, (got, want) in sorted(wrong.items())[:4])
        home = f" ({config.home})" if config.home else ""
        advice = (
            "something was added to it, so remove that or get the published copy"
            if too_many
            else f"get a whole copy{home}, or set options.allow_partial: true in "
            f"params/dataset/{config.name}.yaml to use it labelled partial"
        )
        raise UserError(f"{where}: not the published {config.title}: {what}; {advice}.")
    for name, number in config.recalled.items():
        if found.get(name, number) != number:
            parsed.note(f"{name} {found[name]}; {number} are remembered, unverified")
    if config.access == "drawn":
        return "miniature"
    if wrong or parsed.missing:
        return "partial"
    compared = [name for name in config.expect if has_roles or name.split("_")[0] not in ROLES]
    return "full" if published or compared else "unverified"


def published_identities(config: DatasetConfig, parsed: Parsed, where: object) -> None:
    """R12: if the published identities are known one by one, there are no others in this copy.

    Raises:
        UserError: names the surplus identities.
    """
    if parsed.identities is None or config.expect.get("ids") != len(
        parsed.identities
    ):  # a miniature has its own
        return
    surplus = [image for image in parsed.images if image.person and image.person not in parsed.identities]
    if not surplus:
        return
    others = sorted({image.person for image in surplus})
    whose = "identity" if len(others) == 1 else "identities"
    shown = ", ".join(others[:4]) + (", ..." if len(others) > 4 else "")
    first = min(image.path for image in surplus)
    raise UserError(
        f"{where}: the published {config.title} has no {whose} {shown} ({len(surplus)} of the images, first "
        f"{first}); move these images away, or, if its identities were renumbered, get the published copy."
    )
