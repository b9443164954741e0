"""Which of several sets of pixels a data set stands for: stated in the tables, pinned where it matters."""

import json

import pyarrow.parquet as pq
import pytest

from dgreid.datasets import parse
from dgreid.datasets.config import load_dataset
from dgreid.datasets.manifest import build as build_manifest
from dgreid.datasets.manifest import write_manifest
from dgreid.datasets.parsers import cuhksysu, market1501
from dgreid.errors import UserError
from dgreid.params import names as choices
from dgreid.protocols import build, write
from dgreid.protocols.config import ProtocolConfig, load_protocol

CROPS = {
    "crops_a": "cropped_images/p{0}_s{1}_1.jpg",
    "crops_b": "cropped_image/p{0:05d}_n01_s{1:05d}_hard0.png",
}
TEST = [
    "bounding_box_train/0002_c1s1_000001_01.jpg",
    *(f"{folder}/000{person}_c{camera}s1_00000{person}_0{camera}.jpg"
      for person in (3, 5) for camera, folder in ((1, "query"), (2, "bounding_box_test"))),
]  # fmt: skip
NODE = {
    "name": "test", "title": "Test", "recipe": "none", "image": "none",
    "sources": [{"dataset": "cuhksysu"}],
    "targets": [{"name": "M", "dataset": "market1501", "split_set": "market1501/official"}],
}  # fmt: skip


@pytest.fixture
def manifests(draw, config, tmp_path):
    """manifests(crops): CUHK-SYSU with two people, cropped so, and Market-1501 to search."""

    def make(crops):
        folder = draw(
            tmp_path / crops, [CROPS[crops].format(person, scene) for person in (1, 2) for scene in (1, 2)]
        )
        for name, module, root in (
            ("cuhksysu", cuhksysu, folder),
            ("market1501", market1501, draw(tmp_path / "market", TEST)),
        ):
            settings = config(name)
            tables = build_manifest(settings, root, parse(settings, module.LAYOUT.find(root)))
            write_manifest(tmp_path / "manifests" / name, *tables)
        return tmp_path / "manifests"

    return make


@pytest.mark.parametrize("crops", sorted(CROPS))
def test_the_variant_is_stated_in_both_tables(manifests, tmp_path, crops):
    write(tmp_path / "protocol", build(ProtocolConfig(**NODE), manifests(crops)))
    for table, searched in (("train", {}), ("targets", {"market1501": ["original"]})):
        metadata = json.loads(pq.read_schema(tmp_path / f"protocol/{table}.parquet").metadata[b"protocol"])
        assert metadata["variants"] == {"cuhksysu": [crops]} | searched


def test_another_variant_than_the_pinned_one_is_refused(manifests):
    pinned = ProtocolConfig(**NODE, variants={"cuhksysu": "crops_b"})
    with pytest.raises(UserError, match="cuhksysu is crops_a, not crops_b; adopt a copy of that variant"):
        build(pinned, manifests("crops_a"))
    assert build(pinned, manifests("crops_b")).metadata["variants"]["cuhksysu"] == ["crops_b"]


def test_a_pin_of_a_data_set_that_is_not_used(manifests):
    with pytest.raises(UserError, match="did you mean 'cuhksysu'"):
        build(ProtocolConfig(**NODE, variants={"cuhksys": "crops_b"}), manifests("crops_b"))


def test_where_counts_do_not_tell_the_variant_is_pinned(root):
    assert load_protocol("metabin_dg").variants == {"cuhk03": "detected", "cuhksysu": "crops_b"}
    for name in choices("protocol"):
        protocol = load_protocol(name)
        used = {part.dataset for part in (*protocol.sources, *protocol.targets)}
        assert set(protocol.variants) <= used, name
        if name.startswith("lda_p1"):
            assert protocol.variants == {"cuhk03": "detected"}
        said = " ".join(protocol.choices)
        assert "cuhksysu" not in used or "cuhksysu" in said, name
        for dataset in used & {"msmt17", "msmt17_v1"}:  # the data set's own file pins the version
            assert load_dataset(dataset).options["version"] in ("v1", "v2")
