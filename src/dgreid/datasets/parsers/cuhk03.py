"""CUHK03: 1,467 identities in five camera pairs; 14,097 detected or 14,096 labeled images. Sizes vary.

843 / 440 / 77 / 58 / 49 identities per pair; up to five images per identity and view. Read from the
released `cuhk-03.mat`, from PNG files with canonical names (`images_detected/1_001_1_01.png`), or from the
ready-made new-protocol folders. Option `variant` (detected, labeled) chooses the boxes: both show the same
identities, and two of them (1202, 1390) change sides between the two new-protocol splits, so a protocol
that trains on one variant and tests on the other is refused. `both` pools them for the classic split, as
M3L's source does.

Split sets: `cuhk03/classic_VARIANT`, the twenty test sets of 100 identities shipped in the .mat (query and
gallery both hold every test image; the literature scores them with single-shot galleries, so results are
not comparable); `cuhk03/np_VARIANT`, 767 / 700 identities, if `cuhk03_new_protocol_config_VARIANT.mat` lies
beside the .mat or above it, or in folders made from it.

Reference: Li et al., DeepReID, CVPR 2014; Zhong et al., Re-ranking with k-reciprocal Encoding, CVPR 2017.
"""

import re
from bisect import bisect_left
from pathlib import Path

from dgreid.datasets.layout import DEPTH, Layout
from dgreid.datasets.mat import load_mat, open_hdf5, reading
from dgreid.datasets.names import Places, here, inside, match_folders, match_names
from dgreid.datasets.parsers import market1501
from dgreid.datasets.records import Image, Parsed
from dgreid.errors import UserError, unknown
from dgreid.files import md5

MAT = "cuhk-03.mat"
VARIANTS, BOTH = ("detected", "labeled"), "both"
NAME = re.compile(r"^(?P<pair>[1-5])_(?P<identity>\d{3})_(?P<view>[12])_(?P<index>\d{2})\.png$")
NP_NAME = re.compile(r"^(?P<identity>\d{4})_c(?P<camera>[12])_(?P<index>\d+)\.png$")
OFFSETS = (0, 843, 1283, 1360, 1418)  # identity in the data set = offset of its pair + number in the pair
NP_MD5 = {
    "cuhk03_new_protocol_config_detected.mat": "27237df9b418c99ee4f82ceefa641a91",
    "cuhk03_new_protocol_config_labeled.mat": "cd0a6a651ecbbbd7b4af919e2b08c0b1",
}


def _held(root: Path) -> Places:
    """The root holds the .mat, PNG folders, or new-protocol folders of one or both variants."""
    found: Places = [(MAT, None)] if (root / MAT).is_file() else []
    found += here(root, NAME, *(f"images_{variant}" for variant in VARIANTS))
    return found + here(root, NP_NAME, *(f for variant in (*VARIANTS, "") for f in _folders(variant)))


def _folders(variant: str) -> tuple[str, ...]:
    return tuple(f"{variant}/{folder}" if variant else folder for folder in market1501.FOLDERS.values())


LAYOUT = Layout(
    title="CUHK03",
    tree="cuhk03_release/cuhk-03.mat (or cuhk03-np/{detected,labeled}/bounding_box_train/0001_c1_1.png)",
    nestings=("cuhk03_release", "", "cuhk03/cuhk03_release", "cuhk03", "cuhk03-np", "cuhknp"),
    name=NAME,
    held=_held,
    companions=tuple(NP_MD5),
    options=("variant",),
    shares_identities_with=("cuhk01", "cuhk02"),
)


def parse(root: Path, options: dict) -> Parsed:
    """Read one variant, `options["variant"]` (default detected), in whichever layout it is here."""
    variant = options.get("variant", "detected")
    if variant not in (*VARIANTS, BOTH):
        raise unknown("CUHK03 variant", variant, (*VARIANTS, BOTH))
    if variant == BOTH:
        return _parse_both(root)
    if (root / MAT).is_file():
        return _parse_mat(root, variant)
    if inside(root, f"images_{variant}"):
        return _parse_png(root, variant)
    return _parse_folders(root, variant)


def _parse_mat(root: Path, variant: str) -> Parsed:
    parsed = Parsed(_mat_images(root, variant))
    _split_classic(parsed, root / MAT, variant)
    _split_new(parsed, root, variant)
    return parsed


def _mat_images(root: Path, variant: str) -> list[Image]:
    return [
        _image(f"{MAT}#{variant}[{pair}][{number},{index}]", variant, pair, number, index)
        for pair, number, index in _cells(root / MAT, variant)
    ]


def _parse_both(root: Path) -> Parsed:
    """Pool labeled and detected images; only the classic split keeps identities apart in both."""
    if not (root / MAT).is_file():
        raise UserError(f"{root}: {MAT} is needed to pool the variants, only it has the classic test sets.")
    pool = Parsed([])
    for variant in VARIANTS:
        one = Parsed(_mat_images(root, variant))
        _split_classic(one, root / MAT, variant)
        pool.images += one.images
        for (_, number, role), paths in one.splits.items():
            pool.splits.setdefault((f"cuhk03/classic_{BOTH}", number, role), []).extend(paths)
    return pool


def _cells(file: Path, variant: str) -> list[tuple[int, int, int]]:
    """List pair, identity in it and index of every image in the .mat, all from 1, without empty cells."""
    mat, found = open_hdf5(file), []
    with reading(file, variant):
        for pair, reference in enumerate(mat[variant][0], start=1):
            table = mat[reference][:].T  # (identities, 10): HDF5 has MATLAB's axes reversed
            for number, cells in enumerate(table, start=1):
                for index, cell in enumerate(cells, start=1):
                    if cell and mat[cell].ndim == 3 and mat[cell].size:  # an empty cell is a stub
                        found.append((pair, number, index))
        if found and max(found)[0] > len(OFFSETS):
            raise ValueError(f"{max(found)[0]} camera pairs instead of {len(OFFSETS)}")
    return found


def _parse_png(root: Path, variant: str) -> Parsed:
    images = [
        _image(path, variant, *(int(match[key]) for key in ("pair", "identity", "index")))
        for path, match in match_names(root, f"images_{variant}", NAME, LAYOUT.title)
    ]
    parsed = Parsed(images)
    _split_new(parsed, root, variant)
    return parsed


def _parse_folders(root: Path, variant: str) -> Parsed:
    """Read the ready-made new-protocol images; their identities are the global ones.

    Only that numbering says to which camera pair an identity belongs, so camera counts prove nothing.
    """
    named = [word for word in VARIANTS if word in root.resolve().name.lower()]
    if here(root, NP_NAME, *_folders(variant)):
        folders = _folders(variant)
    elif here(root, NP_NAME, *_folders("")) and named in ([], [variant]):
        folders = _folders("")
    else:
        other = next(word for word in VARIANTS if word != variant)
        raise UserError(f"{root}: holds the {other} boxes only; adopt a copy with the {variant} ones.")
    rows, missing = match_folders(root, folders, NP_NAME, LAYOUT.title)
    parsed = Parsed([], missing=missing, inferred=("camera",))
    for number, path, match in rows:
        identity, view = int(match["identity"]), int(match["camera"])
        role, pair = tuple(market1501.FOLDERS)[number], max(bisect_left(OFFSETS, identity), 1)
        parsed.images.append(
            Image(path, f"{identity:04d}", match["identity"], variant=variant, role=role,
                  camera=2 * (pair - 1) + view - 1, camera_raw=f"{pair}/{view}", view=view - 1,
                  index=int(match["index"]))
        )  # fmt: skip
        parsed.splits.setdefault((f"cuhk03/np_{variant}", 0, role), []).append(path)
    return parsed


def _image(path: str, variant: str, pair: int, number: int, index: int) -> Image:
    view = 1 if index <= 5 else 2
    return Image(
        path=path,
        person=f"{OFFSETS[pair - 1] + number:04d}",
        person_raw=f"{pair}_{number:03d}",
        variant=variant,
        name=f"{pair}_{number:03d}_{view}_{index:02d}.png",
        camera=2 * (pair - 1) + view - 1,
        camera_raw=f"{pair}/{view}",
        view=view - 1,
        index=index,
    )


def _split_classic(parsed: Parsed, file: Path, variant: str) -> None:
    split_set = f"cuhk03/classic_{variant}"
    views: dict[str, set] = {}
    for image in parsed.images:
        views.setdefault(image.person_raw, set()).add(image.view)
    for number, test in enumerate(_test_sets(file)):
        if lost := sorted(test - views.keys()):
            raise UserError(f"{file}: test set {number + 1} names {lost[0]}, who has no image; get it again.")
        rows = {True: [], False: []}
        for image in parsed.images:
            rows[image.person_raw in test].append(image)
        parsed.splits[split_set, number, "train"] = [image.path for image in rows[False]]
        # an identity seen in one view only cannot be a query
        parsed.splits[split_set, number, "query"] = [
            image.path for image in rows[True] if len(views[image.person_raw]) == 2
        ]
        parsed.splits[split_set, number, "gallery"] = [image.path for image in rows[True]]


def _test_sets(file: Path) -> list[set[str]]:
    """The identities of each of the shipped test sets, as `person_raw`."""
    mat = open_hdf5(file)
    with reading(file, "testsets"):
        pairs = [
            mat[reference][:].T for reference in mat["testsets"][0]
        ]  # (identities, 2): camera pair, number in it
        found = [{f"{int(pair)}_{int(number):03d}" for pair, number in table} for table in pairs]
        if not found or not all(found):
            raise ValueError("a test set is empty")
    return found


def _split_new(parsed: Parsed, root: Path, variant: str) -> None:
    name = f"cuhk03_new_protocol_config_{variant}.mat"
    above = (folder / name for folder in (root, *root.parents[:DEPTH]))  # often it lies beside cuhk03_release
    file = next((place for place in above if place.is_file()), None)
    if file is None:
        parsed.notes += (f"without {name} beside it there is no split set cuhk03/np_{variant}",)
        parsed.lacks += (name,)
        return
    if md5(file) != NP_MD5[name]:
        raise UserError(f"{file}: not the published file (a saved web page?); download the raw file again.")
    with reading(file, "the new protocol"):
        config = load_mat(file)
        names = [str(cell[0]) for cell in config["filelist"].ravel()]
        chosen = {  # counted from 1
            role: [names[number - 1] for number in config[f"{role}_idx"].ravel()]
            for role in ("train", "query", "gallery")
        }
    paths = {image.name: image.path for image in parsed.images}
    for role, listed in chosen.items():
        if lost := [name for name in listed if name not in paths]:
            raise UserError(f"{file}: {lost[0]} is not among the images ({len(lost)} such); get {MAT} again.")
        parsed.splits[f"cuhk03/np_{variant}", 0, role] = [paths[name] for name in listed]
