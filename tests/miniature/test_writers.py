import io
import re
from collections import Counter

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from dgreid.errors import UserError
from dgreid.miniature import writers
from dgreid.miniature.render import World
from dgreid.miniature.writers import encode, shares

SMALL = {
    "market1501": {
        "train_identities": 6, "images_per_train_identity": 8, "test_identities": 4,
        "gallery_images_per_test_identity": 6, "distractors": 5, "junk": 3,
    },
    "cuhk02": {"identities": 20},
    "cuhk03": {"identities": 12, "test_identities": 3},
    "cuhksysu": {"identities": 8, "scenes": 30, "most_appearances": 4},
    "viper": {"identities": 12},
    "prid2011": {"shared_identities": 5, "only_a_identities": 3, "only_b_identities": 7},
    "grid": {"pairs": 10, "distractors": 6},
    "ilids": {"identities": 12},
    "dukemtmc": {
        "train_identities": 4, "images_per_train_identity": 6, "test_identities": 3,
        "gallery_images_per_test_identity": 4, "gallery_only_identities": 2,
    },
    "msmt17": {
        "train_identities": 6, "images_per_train_identity": 6, "test_identities": 6,
        "gallery_images_per_test_identity": 6,
    },
    "cuhk01": {"identities": 3},
    "caviar4reid": {"two_camera_identities": 2, "one_camera_identities": 1},
    "threedpes": {"identities": 10, "most_images": 4},
    "cuhk03_np": {"train_identities": 4, "test_identities": 4},
    "cuhksysu_raw": {"identities": 8, "scenes": 9, "most_appearances": 3},
}  # fmt: skip
NAMES = {  # as the real archives have them
    "market1501": r"Market-1501-v15\.09\.15/(bounding_box_train|bounding_box_test|query)/"
    r"(?P<identity>-1|\d{4})_c(?P<camera>[1-6])s[1-6]_\d{6}_\d{2}\.jpg",
    "cuhk02": r"Dataset/P[1-5]/cam[12]/\d{3}_\d\.png",
    "cuhk03": r"[0-4]/\d+/\d",
    "cuhksysu": r"cropped_image/p\d{5}_n\d{2}_s\d{5}_hard[01]\.png",
    "viper": r"VIPeR/cam_[ab]/\d{3}_\d{1,3}\.bmp",
    "prid2011": r"prid_2011/single_shot/cam_[ab]/person_\d{4}\.png",
    "grid": r"underground_reid/(probe|gallery)/\d{4}_[1-8]_\d+_-?\d+_-?\d+_(?P<w>\d+)_(?P<h>\d+)\.jpeg",
    "ilids": r"i-LIDS_Pedestrian/Persons/\d{4}\d{3}\.jpg",
    "dukemtmc": r"DukeMTMC-reID/(bounding_box_train|bounding_box_test|query)/\d{4}_c[1-8]_f\d{7}\.jpg",
    "msmt17": r"MSMT17_V2/mask_(train|test)_v2/(\d{4})/\2_\d{3}_(0[1-9]|1[0-5])_\d{4}"
    r"(morning|noon|afternoon)_\d{4}_\d(_ex)?\.jpg",
    "cuhk01": r"campus/\d{4}00[1-4]\.png",
    "caviar4reid": r"CAVIARa/\d{4}0[0-2]\d\.jpg",
    "threedpes": r"3DPeS/\d+(_[A-Z])?_\d+_FRAME_\d+_RGB\.bmp",
    "cuhk03_np": r"cuhk03-np/detected/(bounding_box_train|bounding_box_test|query)/\d{4}_c[12]_\d+\.png",
    "cuhksysu_raw": r"cropped_image/p\d{5}_n\d{2}_s\d{5}_hard[01]\.png",  # the scenes are made of these
}


def plan(layout, seed=0):
    return writers.writer(layout).plan(SMALL[layout], World(layout, seed))


@pytest.mark.parametrize("layout", SMALL)
def test_names_are_the_real_ones_and_unique(layout):
    paths = [item.path for item in plan(layout)]
    assert len(paths) == len(set(paths))
    for path in paths:
        assert re.fullmatch(NAMES[layout], path), path
    assert [item.shot for item in plan(layout)] == [item.shot for item in plan(layout)]


@pytest.mark.parametrize("layout", SMALL)
def test_no_shot_is_drawn_twice(layout):
    shots = [(item.shot.person, item.shot.camera, item.shot.number) for item in plan(layout)]
    assert len(shots) == len(set(shots))


@pytest.mark.parametrize("layout", SMALL)
def test_wrong_sizes_are_the_users_error(layout):
    writer, world = writers.writer(layout), World(layout)
    lacking = dict(list(SMALL[layout].items())[1:])
    with pytest.raises(UserError, match="lacks"):
        writer.plan(lacking, world)
    with pytest.raises(UserError, match="unknown miniature size 'peple'"):
        writer.plan({**SMALL[layout], "peple": 3}, world)


def test_an_unknown_layout_is_the_users_error():
    with pytest.raises(UserError, match="market1501"):
        writers.writer("market")


def test_market_counts_and_rules():
    found = [re.fullmatch(NAMES["market1501"], item.path) for item in plan("market1501")]
    count = Counter(
        (match[1], match["identity"] if match["identity"] in ("0000", "-1") else "person") for match in found
    )
    assert count["bounding_box_train", "person"] == 48
    assert count["bounding_box_test", "person"] == 24
    assert count["bounding_box_test", "0000"] == 5
    assert count["bounding_box_test", "-1"] == 3
    people = [match for match in found if match["identity"] not in ("0000", "-1")]
    train = {match["identity"] for match in people if match[1] == "bounding_box_train"}
    queries = [(match["identity"], match["camera"]) for match in people if match[1] == "query"]
    gallery = [(match["identity"], match["camera"]) for match in people if match[1] == "bounding_box_test"]
    assert len(queries) == len(set(queries)) == 12
    assert not train & {identity for identity, _ in queries + gallery}
    for identity, camera in queries:
        assert any(other == identity and there != camera for other, there in gallery)


def test_cuhk02_identities_restart_in_each_pair():
    items = plan("cuhk02")
    assert len(items) == 80
    first = {item.path.split("/")[1]: item.shot.person for item in items if item.path.endswith("/001_1.png")}
    assert len(first) == len(set(first.values())) == 5
    assert {item.size for item in items} == {(60, 160)}


def test_prid_shares_low_numbers_only():
    people = {tuple(item.path.split("/")[2:]): item.shot.person for item in plan("prid2011")}
    assert len(people) == 20
    for number in range(1, 9):
        name = f"person_{number:04d}.png"
        assert (people["cam_a", name] == people["cam_b", name]) == (number <= 5)


def test_viper_names_the_true_angle_and_leaves_gaps():
    items = plan("viper")
    numbers = sorted({int(item.path.split("/")[-1][:3]) for item in items})
    assert len(numbers) == 12 and numbers != list(range(12))
    world = World("viper")
    for item in items:
        angle = int(item.path.split("_")[-1][:-4])
        turn = np.rad2deg(world.pose(item.shot).yaw) - angle
        assert angle % 45 == 0 and abs((turn + 180) % 360 - 180) <= 22.5


def test_ilids_counts_follow_the_real_histogram():
    counts = Counter(item.path[-11:-7] for item in plan("ilids"))
    assert len(counts) == 12
    assert Counter(counts.values()) == {2: 2, 3: 3, 4: 3, 5: 2, 6: 2}


def test_sysu_never_sees_a_person_twice_in_a_scene():
    seen = [(item.path[15:20], item.path.split("_s")[1][:5]) for item in plan("cuhksysu")]
    assert len(seen) == len(set(seen))
    assert min(Counter(identity for identity, _ in seen).values()) >= 2


def drawn(layout):
    writer, world = writers.writer(layout), World(layout)
    return [(item, writers.draw(item, world, writer.ENCODING)) for item in plan(layout)], world


def test_grid_pairs_boxes_and_partitions():
    pairs, world = drawn("grid")
    for item, content in pairs:
        name = re.fullmatch(NAMES["grid"], item.path)
        assert Image.open(io.BytesIO(content)).size == (int(name["w"]), int(name["h"]))
    cameras = {}
    for item, _ in pairs[:20]:
        cameras.setdefault(item.shot.person, set()).add(item.shot.camera)
    assert all(len(two) == 2 for two in cameras.values())
    files = dict(writers.writer("grid").pack(pairs, SMALL["grid"], world))
    again = dict(writers.writer("grid").pack(pairs, SMALL["grid"], world))
    assert files == again
    cell = loadmat(io.BytesIO(files["underground_reid/features_and_partitions.mat"]))["trainIdxAll"][0]
    folds = [cell[fold][0][0][2][0].tolist() for fold in range(10)]
    assert all(len(fold) == 5 and set(fold) <= set(range(1, 11)) for fold in folds)
    assert len({tuple(fold) for fold in folds}) > 1


def test_cuhk03_is_a_matlab_file(tmp_path):
    pairs, world = drawn("cuhk03")
    files = dict(writers.writer("cuhk03").pack(pairs, SMALL["cuhk03"], world))
    assert sorted(files) == ["cuhk03_release/README", "cuhk03_release/cuhk-03.mat"]
    assert files["cuhk03_release/cuhk-03.mat"][:10] == b"MATLAB 7.3"
    (tmp_path / "cuhk-03.mat").write_bytes(files["cuhk03_release/cuhk-03.mat"])
    with h5py.File(tmp_path / "cuhk-03.mat") as mat:
        counts, empty, images = [], 0, {}
        for name in ("detected", "labeled"):
            for pair in range(5):
                table = mat[mat[name][0][pair]][:].T
                counts.append(len(table))
                for identity, row in enumerate(table):
                    for slot, reference in enumerate(row):
                        pixels = mat[reference][:].T
                        if pixels.ndim < 3:
                            empty += 1
                        else:
                            images[name, pair, identity, slot] = pixels
        tests = [mat[reference][:].T for reference in mat["testsets"][0]]
    assert counts[:5] == counts[5:] == shares(12, (843, 440, 77, 58, 49))
    assert empty > 0
    _, content = pairs[0]
    assert (images["detected", 0, 0, 0] == np.asarray(Image.open(io.BytesIO(content)))).all()
    by_hand, detected = images["labeled", 0, 0, 0].shape, images["detected", 0, 0, 0].shape
    assert all(0 <= wide - tight <= 6 for tight, wide in zip(by_hand, detected, strict=True))
    assert len(tests) == 20
    for test in tests:
        assert test.shape == (3, 2)
        assert all(pair in (1, 2, 3) and 1 <= person <= counts[int(pair) - 1] for pair, person in test)


def test_encodings_keep_the_size():
    pixels = World("x").draw(plan("viper")[0].shot).pixels
    for encoding, size in (("bmp", (48, 128)), ("png", (60, 160)), ("jpg", (64, 128))):
        image = Image.open(io.BytesIO(encode(pixels, size, encoding, 90)))
        assert image.size == size
    kept = np.asarray(Image.open(io.BytesIO(encode(pixels, (64, 128), "png", 95))), float)
    assert np.abs(kept - pixels).mean() < 12


def test_shares_add_up():
    assert shares(10, [843, 440, 77]) == [6, 3, 1]
    assert sum(shares(97, [971, 306, 107, 193, 239])) == 97
