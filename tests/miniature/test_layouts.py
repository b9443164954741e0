"""Drawn archives of the real layouts go the real way: adoption, parsing, manifest."""

import pytest

from dgreid.datasets import parse, read_manifest, read_splits
from dgreid.datasets.adopt.archive import adopt
from dgreid.datasets.config import DatasetConfig, load_dataset
from dgreid.datasets.images import open_image
from dgreid.datasets.manifest import build, write_manifest
from dgreid.params import names as choices
from dgreid.stages.synthesize import write_archive

SMALL = {  # name: parser, writer, sizes, counts
    "dukemtmc": ("dukemtmc", None, {
        "train_identities": 4, "images_per_train_identity": 4, "test_identities": 2,
        "gallery_images_per_test_identity": 4, "gallery_only_identities": 1,
    }, {"images": 16 + 2 * 6 + 4, "ids": 7, "query_images": 4, "gallery_ids": 3}),
    "msmt17": ("msmt17", None, {
        "train_identities": 6, "images_per_train_identity": 6, "test_identities": 5,
        "gallery_images_per_test_identity": 6,
    }, {"images": 36 + 5 * 9, "ids": 11, "cameras": 15, "trainval_images": 36, "val_images": 3,
        "query_images": 15, "gallery_images": 30}),
    "cuhk01": ("cuhk01", None, {"identities": 3}, {"images": 12, "ids": 3, "camera_1": 6, "camera_2": 6}),
    "caviar4reid": ("caviar4reid", None, {"two_camera_identities": 1, "one_camera_identities": 1},
                    {"images": 30, "ids": 2, "camera_1": 10, "camera_2": 10}),
    "threedpes": ("threedpes", None, {"identities": 4, "most_images": 3}, {"ids": 4, "cameras": 0}),
    "cuhk03_np": ("cuhk03", "cuhk03_np", {"train_identities": 4, "test_identities": 4},
                  {"images": 48, "ids": 8, "train_ids": 4, "query_images": 8, "gallery_images": 16}),
    "cuhksysu_raw": ("cuhksysu", "cuhksysu_raw", {"identities": 5, "scenes": 6, "most_appearances": 3},
                     {"ids": 5, "cameras": 0}),
}  # fmt: skip


def config(name, **options):
    parser, layout, sizes, expect = SMALL[name]
    drawn = {"sizes": sizes, "layout": layout}
    node = {"name": f"tiny_{name}", "title": name, "parser": parser, "access": "drawn", "expect": expect}
    return DatasetConfig.model_validate(node | {"miniature": drawn, "options": options})


@pytest.fixture(scope="module")
def adopted(tmp_path_factory):
    """adopted(name): the root of a small drawn copy."""
    folder, roots = tmp_path_factory.mktemp("drawn"), {}

    def get(name):
        if name not in roots:
            write_archive(config(name), folder / f"{name}.zip")
            roots[name] = adopt(config(name), folder / f"{name}.zip", folder / "raw")
        return roots[name]

    return get


@pytest.mark.parametrize("name", SMALL)
def test_archive_adoption_manifest(adopted, tmp_path, name):
    root = adopted(name)  # adoption has enforced the counts
    parsed = parse(config(name), root)
    write_manifest(tmp_path / name, *build(config(name), root, parsed))
    frame, splits = read_manifest(tmp_path / name), read_splits(tmp_path / name)
    assert frame.attrs["kind"] == "miniature"
    assert len(frame) == len(parsed.images) > 0
    assert frame.person_key.str.startswith(f"tiny_{name}:").all()
    assert set(splits.image_id) <= set(frame.image_id)
    assert frame.pixel_sha256.nunique() == len(frame)
    assert (frame.height > frame.width).all()


def test_duke_gallery_has_identities_nobody_asks_for(adopted):
    images = parse(config("dukemtmc"), adopted("dukemtmc")).images
    people = {role: {image.person for image in images if image.role == role} for role in ("query", "gallery")}
    assert people["query"] < people["gallery"]


def test_msmt_halves_share_numbers_but_no_identities(adopted):
    images = parse(config("msmt17"), adopted("msmt17")).images
    numbers = {
        side: {i.person_raw for i in images if i.person.startswith(side)} for side in ("train", "test")
    }
    assert {"0000", "0001"} <= numbers["train"] & numbers["test"]
    assert {image.variant for image in images} == {"v2"}


def test_cuhk03_folders_hold_both_variants_of_the_same_identities(adopted):
    root = adopted("cuhk03_np")
    detected, labeled = (
        parse(config("cuhk03_np", variant=variant), root).images for variant in ("detected", "labeled")
    )
    assert [(i.person, i.role, i.index) for i in detected] == [(i.person, i.role, i.index) for i in labeled]
    assert {(int(i.person) > 843) == (i.camera > 1) for i in detected} == {True}  # the pair follows


def test_sysu_boxes_cut_the_identities_out_of_the_scenes(adopted):
    from dgreid.miniature.render import World
    from dgreid.miniature.writers import cuhksysu

    root = adopted("cuhksysu_raw")
    images = {image.name: image for image in parse(config("cuhksysu_raw"), root).images}
    items = cuhksysu.plan(SMALL["cuhksysu_raw"][2], World("tiny_cuhksysu_raw"))
    assert set(images) == {item.path.split("/")[1] for item in items}
    for item in items:
        assert open_image(root, images[item.path.split("/")[1]].path).size == item.size
    scenes = [image.scene for image in images.values()]
    assert len(set(scenes)) < len(scenes)  # some photographs show several people


def test_shipped_miniatures_have_a_writer_and_enforced_counts(root):
    from dgreid.miniature.writers import writer

    drawn = [load_dataset(name) for name in choices("dataset") if name.startswith("mini_")]
    assert {*SMALL} <= {each.name.removeprefix("mini_") for each in drawn}
    for each in drawn:
        assert writer(each.miniature.layout or each.parser)
        assert {"images", "ids"} <= set(each.expect), each.name
